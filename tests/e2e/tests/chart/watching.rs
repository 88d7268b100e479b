//! What watches Weft itself: the rules are sound, each has its runbook, and every query finds what it asks for on a server that
//! scrapes itself.

use std::collections::BTreeSet;
use std::process::Command;

use kit::{Weft, eventually};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::helm::{NAMESPACE, checkout, parse, template, text, values};
use crate::pod::{self, Pod};
use crate::queries::{self, Query, Selector};
use crate::rights;

/// Metrics of the targets' scrapes and of rules, which are no server's own.
const OF_SCRAPES_AND_RULES: [&str; 5] =
    ["ALERTS", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling", "scrape_series_added", "up"];

/// Selectors that find nothing on a sound server, and why.
const NOTHING: &[(&str, &str)] = &[
    ("prometheus_http_requests_total{code=~\"5..\"}", "no request of a client fails for the server's sake"),
    ("weft_storage_buckets_dropped_total", "nothing is old enough to be dropped"),
];

pub fn rules() {
    for command in [
        &["check", "rules", "--lint=all", "--lint-fatal", "deploy/alerts/weft.yaml"][..],
        &["test", "rules", "deploy/alerts/weft.test.yaml"],
    ] {
        let output =
            Command::new(Weft::binary()).arg("promtool").args(command).current_dir(checkout(".")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
        println!("{said}");
    }
    each_alert_has_its_runbook();
    metrics_are_those_of_the_page();
}

fn each_alert_has_its_runbook() {
    let file = parse(&text("deploy/alerts/weft.yaml")).swap_remove(0);
    let groups = file["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    let names: Vec<&str> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    let page = text("docs/runbooks.md");
    let heads: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(heads, names, "docs/runbooks.md has the alerts in their order");
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert_eq!(rule["annotations"]["runbook_url"], format!("docs/runbooks.md#{}", name.to_lowercase()));
    }
    for section in page.split("\n## ").skip(1) {
        for part in ["**Meaning.**", "**What is lost.**", "**How to look.**", "**How to mend.**"] {
            assert!(section.contains(part), "{part} is missing: {section}");
        }
    }
}

/// No query names a metric that `docs/metrics.md` does not have, whether or not there is one on the server of this test.
fn metrics_are_those_of_the_page() {
    let page = text("docs/metrics.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(_, rest)| ["counter", "gauge", "histogram", "summary"].iter().any(|kind| rest.starts_with(kind)));
    let known: BTreeSet<&str> = rows.map(|(name, _)| name).collect();
    assert!(known.len() > 100, "{known:?}");
    let weft = Weft::start("scrape_configs: []\n", &[]);
    for query in queries::of_alerts().iter().chain(&queries::of_dashboards()) {
        let mut found = BTreeSet::new();
        queries::selectors(&queries::tree(&weft.http, query), &mut found);
        for Selector { metric, .. } in found {
            let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| metric.strip_suffix(part));
            let is_known = [Some(&*metric), parts].iter().flatten().any(|name| known.contains(name));
            let is_other = OF_SCRAPES_AND_RULES.contains(&&*metric);
            assert!(is_known || is_other, "{}: docs/metrics.md has no {metric}", query.place);
        }
    }
}

pub fn queries() {
    let cluster = Cluster::start();
    let objects = template(&["--values", &values("watched.yaml")]);
    cluster.apply(&objects);
    cluster.apply(&[
        // Not valid, and one that selects nothing.
        monitor("broken", &json!({"port": "web", "interval": "often"})),
        monitor("empty", &json!({"port": "none", "relabelings": [{"action": "drop", "sourceLabels": ["no_such_label"], "regex": "x"}]})),
    ]);
    cluster.run_pod(&objects);
    rights::complete(&cluster, rights::OPERATOR.1, true);
    let weft = pod::start(&cluster, &objects);
    let asked: Vec<Asked> = queries::of_alerts()
        .into_iter()
        .chain(queries::of_dashboards())
        .map(|query| Asked::new(&weft, query))
        .collect();
    eventually("everything finds something", || {
        // A client's mistake, for the panel of those.
        weft.http.get("/api/v1/query?query=(")?;
        let nothing: BTreeSet<String> = asked.iter().flat_map(|one| one.finds_nothing(&weft)).collect();
        if nothing.is_empty() { Ok(()) } else { Err(nothing.into_iter().collect::<Vec<_>>().join("\n")) }
    });
    exceptions_are_still_some(&weft, &asked);
}

fn monitor(name: &str, endpoint: &Value) -> Value {
    json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"self-monitor": "true"}}, "endpoints": [endpoint]},
    })
}

/// A query with its selectors.
struct Asked {
    query: Query,
    selectors: BTreeSet<Selector>,
    /// May the whole of it find nothing?
    compares: bool,
}

impl Asked {
    /// It is understood.
    fn new(weft: &Pod, query: Query) -> Self {
        let tree = queries::tree(&weft.http, &query);
        let mut selectors = BTreeSet::new();
        queries::selectors(&tree, &mut selectors);
        Self { compares: queries::compares(&tree), query, selectors }
    }

    /// It is answered, and these parts of it find nothing although they should.
    fn finds_nothing(&self, weft: &Pod) -> Vec<String> {
        let is_excused = |one: &Selector| NOTHING.iter().any(|(short, _)| *short == one.short);
        let expected = self.selectors.iter().filter(|one| !is_excused(one));
        let mut nothing: Vec<String> =
            expected.filter(|one| !finds(weft, &one.text)).map(|one| one.short.clone()).collect();
        let has_result = finds(weft, &self.query.expr);
        let is_to_show = self.query.is_shown && !self.compares && !self.selectors.iter().any(is_excused);
        if is_to_show && !has_result {
            nothing.push(format!("{}: {}", self.query.place, self.query.expr));
        }
        nothing
    }
}

fn finds(weft: &Pod, query: &str) -> bool {
    let result = weft.http.query(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    !result[0].is_null()
}

/// One that finds something is none.
fn exceptions_are_still_some(weft: &Pod, asked: &[Asked]) {
    for (short, reason) in NOTHING {
        let mut of_it = asked.iter().flat_map(|one| &one.selectors).filter(|one| one.short == *short).peekable();
        assert!(of_it.peek().is_some(), "no query has {short}: take it out of the list of exceptions");
        for one in of_it {
            assert!(!finds(weft, &one.text), "{short} finds something although: {reason}");
        }
    }
}
