//! A past that several servers are given alike: pages whose samples carry their times.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use crate::{Answer, Exporter, Http};

/// A target that gives every server the same pages, one a scrape; samples are stored at the times that they carry, so that all
/// servers have the same series with the same values at the same times, whenever they scrape.
#[derive(Debug)]
pub struct Past {
    exporter: Exporter,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    pages: Vec<String>,
    /// By server, the number of scrapes since there are pages.
    asked: BTreeMap<String, usize>,
}

impl Past {
    /// Starts it, without pages.
    #[must_use]
    pub fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let exporter = Exporter::start(move |path| {
            let State { pages, asked } = &mut *shared.lock().unwrap();
            let asked = asked.entry(path.trim_start_matches('/').to_owned()).or_default();
            let page = pages.get(*asked).cloned();
            // Those that come before the pages do not count.
            *asked += usize::from(!pages.is_empty());
            Answer::Metrics(page.unwrap_or_else(|| "# nothing\n".to_owned()))
        });
        Self { exporter, state }
    }

    /// The job of a server: labels stay as the pages have them.
    #[must_use]
    pub fn job(&self, server: &str) -> String {
        format!(
            "- job_name: past\n  honor_labels: true\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  metrics_path: /{server}\n  \
             static_configs: [{{targets: ['{}']}}]\n",
            self.exporter.address
        )
    }

    /// Further pages, after those that there are.
    ///
    /// # Panics
    /// When the target has panicked.
    pub fn tell(&self, more: Vec<String>) {
        let State { pages, asked } = &mut *self.state.lock().unwrap();
        // Who has asked beyond the last page is given the first of these next.
        asked.values_mut().for_each(|asked| *asked = pages.len().min(*asked));
        pages.extend(more);
    }

    /// Does the server ask beyond the last page, so that it has kept all of them?
    ///
    /// # Errors
    /// When it does not: how far it is.
    ///
    /// # Panics
    /// When the target has panicked.
    pub fn is_kept_by(&self, server: &str) -> Result<(), String> {
        let state = self.state.lock().unwrap();
        let asked = state.asked.get(server).copied().unwrap_or_default();
        if asked > state.pages.len() { Ok(()) } else { Err(format!("{asked} of {} pages", state.pages.len())) }
    }
}

/// Has a server kept every page so far, or was one of them refused or late?
///
/// # Panics
/// When not, with what the server says of its last scrape.
pub fn assert_kept(http: &Http) {
    let up = http.query("min(min_over_time(up{job=\"past\"}[10m]))").unwrap();
    let targets = || http.api("targets?state=active").unwrap_or_default();
    assert_eq!(up[0]["value"][1], "1", "a page was refused, or late: {}", targets());
}

/// A page in the text format with further labels (`a="b",c="d"`) on each sample, and all samples at this time.
///
/// # Panics
/// When a line is no sample.
#[must_use]
pub fn stamped(page: &str, labels: &str, ts_ms: i64) -> String {
    let mut out = String::new();
    for line in page.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with('#') {
            writeln!(out, "{line}").unwrap();
            continue;
        }
        let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no sample: {line}"));
        let (name, rest) = line.split_at(end);
        let (own, values) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}').unwrap_or_else(|| panic!("no sample: {line}")),
            None => ("", rest),
        };
        let value = values.split_whitespace().next().unwrap_or_else(|| panic!("no value: {line}"));
        let comma = if own.is_empty() || labels.is_empty() { "" } else { "," };
        writeln!(out, "{name}{{{labels}{comma}{own}}} {value} {ts_ms}").unwrap();
    }
    out
}
