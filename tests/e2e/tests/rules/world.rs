//! A weft with rules over a target that a test changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kit::{Alertmanager, Answer, Exporter, Http, Weft, eventually, skipped};
use serde_json::Value;

/// What an Alertmanager has lost is soon sent again.
pub const FLAGS: [&str; 2] = ["--rules.alert.resend-delay=500ms", "--web.enable-lifecycle"];

/// A target with whatever metrics a test sets.
pub struct Target {
    exporter: Exporter,
    page: Arc<Mutex<String>>,
}

impl Target {
    pub fn start(page: &str) -> Self {
        let page = Arc::new(Mutex::new(page.to_owned()));
        let shown = Arc::clone(&page);
        let exporter = Exporter::start(move |_| Answer::Metrics(shown.lock().unwrap().clone()));
        Self { exporter, page }
    }

    pub fn set(&self, page: &str) {
        page.clone_into(&mut self.page.lock().unwrap());
    }

    /// A configuration that scrapes it, with the rules of `rules*.yml` and further lines.
    pub fn config(&self, lines: &str) -> String {
        format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 500ms}}\n\
             rule_files: ['rules*.yml']\n\
             scrape_configs: [{{job_name: t, static_configs: [{{targets: ['{}']}}]}}]\n{lines}",
            self.exporter.address
        )
    }

    /// Weft with it, one rule file and further lines of the configuration.
    #[track_caller]
    pub fn weft(&self, rules: &str, lines: &str, flags: &[&str]) -> Weft {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("prometheus.yml"), self.config(lines)).unwrap();
        fs::write(folder.path().join("rules.yml"), rules).unwrap();
        Weft::start_with(folder, flags, &[])
    }
}

/// `groups` with one group of alerting rules.
pub fn alerting(rules: &str) -> String {
    format!("groups: [{{name: g, rules: [{rules}]}}]")
}

/// The section that sends to these Alertmanagers.
pub fn sends_to(addresses: &[&str]) -> String {
    let targets: Vec<String> = addresses.iter().map(|address| format!("'{address}'")).collect();
    format!("alerting: {{alertmanagers: [{{static_configs: [{{targets: [{}]}}]}}]}}\n", targets.join(", "))
}

/// An alert as weft or an Alertmanager has it: name, label `i`, and since when.
pub type Seen = Vec<(String, String, String)>;

fn seen(alerts: &[Value], since: &str) -> Seen {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |alert: &Value| (text(&alert["labels"]["alertname"]), text(&alert["labels"]["i"]), text(&alert[since]));
    let mut seen: Seen = alerts.iter().map(one).collect();
    seen.sort();
    seen
}

/// The alerts of an Alertmanager, with when they began.
pub fn held(alertmanager: &Alertmanager) -> Result<Seen, String> {
    Ok(seen(&alertmanager.alerts()?, "startsAt"))
}

/// The alerts of weft in a state, with since when they are active.
pub fn in_state(http: &Http, state: &str) -> Result<Seen, String> {
    let mut data = http.api("alerts")?;
    let alerts = data["alerts"].as_array_mut().unwrap();
    alerts.retain(|alert| alert["state"] == state);
    Ok(seen(alerts, "activeAt"))
}

/// Waits until there are alerts of these names, and returns them.
#[track_caller]
pub fn eventually_named(what: &str, names: &[&str], see: impl Fn() -> Result<Seen, String>) -> Seen {
    eventually(what, || {
        let seen = see()?;
        let found: Vec<&str> = seen.iter().map(|(name, _, _)| name.as_str()).collect();
        if found == names { Ok(seen) } else { Err(format!("{found:?}, not {names:?}")) }
    })
}

/// The Alertmanager's program; says so where there is none.
pub fn program() -> Option<PathBuf> {
    Alertmanager::binary().inspect_err(|why| skipped(why)).ok()
}

/// An Alertmanager that says at once what it has.
#[track_caller]
pub fn start(program: &Path, port: u16) -> Alertmanager {
    let route = "{receiver: none, group_by: [alertname], group_wait: 0s}";
    Alertmanager::start_at(program, port, &format!("route: {route}\nreceivers: [{{name: none}}]\n"))
}

/// A metric of weft's own; those of all labels added up.
pub fn metric(http: &Http, name: &str) -> f64 {
    let (_, metrics) = http.get("/metrics").unwrap();
    let is_of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    metrics.lines().filter(is_of).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}
