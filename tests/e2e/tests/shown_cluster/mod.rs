//! What the exporters of a small cluster show, from a table: `cluster.txt` tells its form.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const TABLE: &str = include_str!("cluster.txt");
/// Of every series, so that dashboards of several clusters have one to choose.
const CLUSTER: (&str, &str) = ("cluster", "c1");

/// How the values of a series go on.
#[derive(Clone, Copy)]
enum Values {
    Counter(f64),
    Gauge(f64),
    Constant(f64),
}

/// One line of the table.
struct Family {
    names: Vec<String>,
    /// Of each series.
    labels: Vec<Vec<(String, String)>>,
    /// Upper bounds, of a histogram.
    bounds: Vec<String>,
    values: Values,
}

/// The cluster.
pub(crate) struct ShownCluster(Vec<Family>);

impl ShownCluster {
    pub(crate) fn new() -> Self {
        let mut lists: BTreeMap<String, Vec<Vec<(String, String)>>> = BTreeMap::new();
        let mut families = Vec::new();
        // Blank lines and metrics end a list.
        let mut open: Option<(String, Vec<String>)> = None;
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match (words.as_slice(), &open) {
                ([], _) => open = None,
                ([first, labels @ ..], None) if first.starts_with('@') => {
                    open = Some(((*first).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect()));
                }
                (values, Some((name, labels))) => {
                    assert_eq!(values.len(), labels.len(), "{line}");
                    let row = labels.iter().cloned().zip(values.iter().map(|value| (*value).to_owned())).collect();
                    lists.entry(name.clone()).or_default().push(row);
                }
                ([name, labels, values], None) => families.push(family(name, labels, values, &lists)),
                (_, None) => panic!("{line}: neither a list nor a metric"),
            }
        }
        Self(families)
    }

    /// The page so many seconds after the beginning.
    pub(crate) fn page(&self, seconds: f64, ts_ms: i64) -> String {
        let mut out = String::new();
        for family in &self.0 {
            for (n, name) in family.names.iter().enumerate() {
                for (i, labels) in family.labels.iter().enumerate() {
                    let value = family.values.at(i + n, seconds);
                    write(&mut out, (name, labels), &family.bounds, value, ts_ms);
                }
            }
        }
        out
    }
}

impl Values {
    /// Of the i-th series.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn at(self, i: usize, seconds: f64) -> f64 {
        let i = i as f64;
        match self {
            Self::Constant(value) => value,
            Self::Counter(rate) => 100.0 + i + rate * (1.0 + i / 10.0) * seconds,
            Self::Gauge(value) => value * (1.0 + ((i * 7.0 + seconds / 15.0 * 3.0) % 11.0) / 100.0),
        }
    }
}

fn family(names: &str, labels: &str, values: &str, lists: &BTreeMap<String, Vec<Vec<(String, String)>>>) -> Family {
    let mut all = vec![vec![(CLUSTER.0.to_owned(), CLUSTER.1.to_owned())]];
    let mut bounds = Vec::new();
    for part in labels.split(',') {
        let rows = match part.split_once('=') {
            None => lists.get(part).unwrap_or_else(|| panic!("{part}: no such list")).clone(),
            Some(("le", list)) => {
                bounds = list.split('|').map(str::to_owned).collect();
                continue;
            }
            Some((label, list)) => list.split('|').map(|value| vec![(label.to_owned(), value.to_owned())]).collect(),
        };
        all = all.iter().flat_map(|one| rows.iter().map(move |row| [one.clone(), row.clone()].concat())).collect();
    }
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text}: no value"));
    let values = match (values.strip_prefix('+'), values.strip_prefix('~')) {
        (Some(rate), _) => Values::Counter(number(rate)),
        (_, Some(around)) => Values::Gauge(number(around)),
        _ => Values::Constant(number(values)),
    };
    Family { names: names.split('|').map(str::to_owned).collect(), labels: all, bounds, values }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn write(out: &mut String, (name, labels): (&str, &[(String, String)]), bounds: &[String], value: f64, ts_ms: i64) {
    let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let labels = labels.join(",");
    if bounds.is_empty() {
        writeln!(out, "{name}{{{labels}}} {value} {ts_ms}").unwrap();
        return;
    }
    let count = value.floor();
    for (i, bound) in bounds.iter().enumerate() {
        let below = (count * (i + 1) as f64 / (bounds.len() + 1) as f64).floor();
        writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below} {ts_ms}").unwrap();
    }
    writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count} {ts_ms}").unwrap();
    writeln!(out, "{name}_sum{{{labels}}} {} {ts_ms}\n{name}_count{{{labels}}} {count} {ts_ms}", value * 0.05).unwrap();
}
