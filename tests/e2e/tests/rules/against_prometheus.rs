//! The same rule files over the same samples in Weft and in Prometheus: the same series of all rules, sample by sample, and the
//! same answers of the API.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kit::{Alertmanager, Http, Prometheus, Weft, eventually, free_port, skipped};
use tempfile::TempDir;

use crate::answers;
use crate::rule_files::{self, Group, INTERVAL_MS, OFFSET_MAX_MS, SETTLED_MS};
use crate::script::{PAGES, SERVERS, STEP_MS, Script};
use crate::self_metrics;
use crate::stored::{Stored, Window, differences};
use crate::world::{self, sends_to};

const FLAGS: &[&str] = &[
    // What has a time of its own has no stale markers: this is how it ends.
    "--query.lookback-delta=5s",
    "--web.enable-lifecycle",
    "--web.external-url=http://rules.example",
    "--web.route-prefix=/",
];
/// Steps of the script before what is compared, and those that are: all phases of `own` and all states of its alerts.
const STEPS_BEFORE: i64 = 4;
const STEPS: i64 = 10;

fn config(server: &str, script: &Script, alertmanager: &Alertmanager, rules: &Path) -> String {
    let job = |page: &str| {
        format!(
            "- {{job_name: {page}, metrics_path: /{server}/{page}, honor_labels: true, \
             convert_classic_histograms_to_nhcb: {}, static_configs: [{{targets: ['{}']}}]}}\n",
            page == "own",
            script.address()
        )
    };
    format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1m, rule_query_offset: {SETTLED_MS}ms, \
         external_labels: {{cluster: c}}}}\n\
         {}rule_files: ['{}/*.yml']\nscrape_configs:\n{}",
        sends_to(&[&alertmanager.address]),
        rules.display(),
        PAGES.map(job).concat()
    )
}

/// Both servers, with what they evaluate.
pub struct Pair {
    pub weft: Weft,
    pub prometheus: Prometheus,
    /// Of each of them, in the same order.
    pub alertmanagers: [Alertmanager; 2],
    pub groups: Vec<Group>,
    /// Of the rule files.
    pub folder: String,
}

impl Pair {
    pub fn http(&self) -> [&Http; 2] {
        [&self.weft.http, &self.prometheus.http]
    }
}

/// Seconds of processor time of a process so far.
fn cpu_seconds(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // A tick is a hundredth of a second.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// How many intervals each server has missed of each group.
fn missed(pair: &Pair) -> BTreeMap<(usize, String), f64> {
    let mut missed = BTreeMap::new();
    for (server, http) in pair.http().into_iter().enumerate() {
        let (_, metrics) = http.get("/metrics").unwrap();
        for line in metrics.lines().filter(|line| line.starts_with("prometheus_rule_group_iterations_missed_total{")) {
            let (series, count) = line.rsplit_once(' ').unwrap();
            let group = series.rsplit(';').next().unwrap().trim_end_matches("\"}").to_owned();
            missed.insert((server, group), count.parse().unwrap());
        }
    }
    missed
}

/// Groups of which a server has missed an interval since, and those that read them: nothing can be said of these.
fn behind(pair: &Pair, before: &BTreeMap<(usize, String), f64>) -> BTreeSet<String> {
    let now = missed(pair).into_iter().filter(|(group, count)| before.get(group) != Some(count));
    let mut behind: BTreeSet<String> = now.map(|((_, group), _)| group).collect();
    loop {
        let before = behind.len();
        for group in &pair.groups {
            let mut read = pair.groups.iter().filter(|other| behind.contains(other.name()));
            if read.any(|other| group.reads.iter().any(|selector| other.is_read_by(selector))) {
                behind.insert(group.name().to_owned());
            }
        }
        if behind.len() == before {
            return behind;
        }
    }
}

/// Waits until both have evaluated every group after a time.
fn eventually_evaluated(pair: &Pair, after_ms: i64) {
    for http in pair.http() {
        eventually("every group is evaluated", || {
            let selector = "prometheus_rule_group_last_evaluation_timestamp_seconds{";
            let (_, metrics) = http.get("/metrics")?;
            let late = metrics.lines().filter(|line| line.starts_with(selector)).find(|line| {
                let seconds: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
                seconds * 1000.0 < after_ms as f64
            });
            late.map_or(Ok(()), |late| Err(late.to_owned()))
        });
    }
}

/// Starts everything; the script has not begun. `None`, and said, where something is absent.
fn started() -> Option<(Pair, Script, TempDir)> {
    let program = Prometheus::binary().inspect_err(|why| skipped(why)).ok()?;
    let alertmanager = world::program()?;
    let parser = Prometheus::start(&program, "global: {}\n", &[]);
    let groups = rule_files::groups(&parser.http)?;
    // What our own rules read has a page of its own.
    let others = groups.iter().filter(|group| group.file != "own.yml");
    let selected: Vec<_> = others.flat_map(|group| group.reads.iter().cloned()).collect();
    let now = parser.http.query("time()").unwrap()[1].as_str().unwrap().parse::<f64>().unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "times of today fit")]
    let script = Script::start(&selected, (now * 1000.0) as i64);
    drop(parser);
    let rules = tempfile::tempdir().unwrap();
    rule_files::write(&groups, rules.path());
    let alertmanagers = [(); 2].map(|()| world::start(&alertmanager, free_port()));
    let configs = [0, 1].map(|i| config(SERVERS[i], &script, &alertmanagers[i], rules.path()));
    let prometheus = Prometheus::start(&program, &configs[1], FLAGS);
    let weft = Weft::start(&configs[0], FLAGS);
    let folder = rules.path().display().to_string();
    Some((Pair { weft, prometheus, alertmanagers, groups, folder }, script, rules))
}

#[test]
fn rules_yield_what_those_of_prometheus_yield() {
    let Some((pair, script, _rules)) = started() else { return };
    for http in pair.http() {
        eventually("the target is scraped", || match http.query("count(up == 1)")?[0]["value"][1] == "2" {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        });
    }
    let missed = missed(&pair);
    let begin = script.begin();
    eventually("the script has gone on", || {
        let step = script.step();
        if step >= STEPS_BEFORE + STEPS { Ok(()) } else { Err(format!("step {step}")) }
    });
    // A sample is of the time of its evaluation less the query offset of its group.
    let window = Window { from: begin + STEPS_BEFORE * STEP_MS, to: begin + (STEPS_BEFORE + STEPS) * STEP_MS };
    eventually_evaluated(&pair, window.to + OFFSET_MAX_MS + INTERVAL_MS);
    let behind = behind(&pair, &missed);
    if !behind.is_empty() {
        eprintln!("not compared, as an interval was missed: {behind:?}");
    }
    let [ours, theirs] = pair.http().map(|http| Stored::of(http, window));
    let mut found = differences(&ours, &theirs, &pair.groups, &behind);
    found.extend(answers::differences(&pair, window.from, &behind));
    found.extend(self_metrics::differences(&pair));
    let cpu = [pair.weft.process.id(), pair.prometheus.process.id()].map(cpu_seconds);
    eprintln!("processor time: weft {:.1} s, prometheus {:.1} s", cpu[0], cpu[1]);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
