//! Which rules of a group read what an earlier one writes. Those that do not are evaluated side by side, and their results are
//! stored together. (Prometheus: `buildDependencyMap` in `rules/group.go`.)

use std::collections::HashSet;
use std::ops::Range;

use model::labels::METRIC_NAME;
use model::{Labels, Matcher};

use crate::spec::RuleSpec;

const ALERT_METRICS: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];
const ALERT_NAME: &str = "alertname";

/// Cuts a group into runs of rules of which none reads what another one before it in the run writes; in their order. `selectors`
/// are the matchers of every selector of each rule.
pub(crate) fn runs(rules: &[RuleSpec], selectors: &[Vec<Vec<Matcher>>]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut written = Written::default();
    for (i, (rule, selectors)) in rules.iter().zip(selectors).enumerate() {
        let reads = selectors.iter().any(|selector| written.may_be_read_by(selector));
        match runs.last_mut() {
            Some(run) if !reads => run.end = i + 1,
            _ => {
                runs.push(i..i + 1);
                written = Written::default();
            }
        }
        written.add(rule);
    }
    runs
}

/// Does a rule read what itself or a later one writes? Then an evaluation depends on the one before it.
pub(crate) fn reads_back(rules: &[RuleSpec], selectors: &[Vec<Vec<Matcher>>]) -> bool {
    let mut written = Written::default();
    rules.iter().zip(selectors).rev().any(|(rule, selectors)| {
        written.add(rule);
        selectors.iter().any(|selector| written.may_be_read_by(selector))
    })
}

/// The rules that are chosen, and those that they read from directly or through others.
pub(crate) fn with_sources(rules: &[RuleSpec], selectors: &[Vec<Vec<Matcher>>], is_chosen: &[bool]) -> Vec<bool> {
    let written: Vec<Written> = rules.iter().map(|rule| std::iter::once(rule).collect()).collect();
    let mut needed = is_chosen.to_vec();
    let mut left: Vec<usize> = (0..rules.len()).filter(|i| needed[*i]).collect();
    while let Some(reader) = left.pop() {
        for (i, written) in written.iter().enumerate() {
            if !needed[i] && selectors[reader].iter().any(|selector| written.may_be_read_by(selector)) {
                needed[i] = true;
                left.push(i);
            }
        }
    }
    needed
}

/// What rules write: names of metrics, and those of alerts.
#[derive(Debug, Default)]
pub(crate) struct Written {
    records: HashSet<String>,
    alerts: HashSet<String>,
}

impl<'a> FromIterator<&'a RuleSpec> for Written {
    fn from_iter<I: IntoIterator<Item = &'a RuleSpec>>(rules: I) -> Self {
        let mut written = Self::default();
        rules.into_iter().for_each(|rule| written.add(rule));
        written
    }
}

impl Written {
    fn add(&mut self, rule: &RuleSpec) {
        let names = if rule.is_alerting() { &mut self.alerts } else { &mut self.records };
        names.insert(rule.name.clone());
    }

    /// Is this one of the series?
    pub(crate) fn has(&self, labels: &Labels) -> bool {
        let name = labels.name();
        self.records.contains(name) || ALERT_METRICS.contains(&name) && self.alerts.contains(labels.value(ALERT_NAME))
    }

    /// May a selector find some of the series?
    pub(crate) fn may_be_read_by(&self, selector: &[Matcher]) -> bool {
        let names: Vec<&Matcher> = selector.iter().filter(|matcher| matcher.name == METRIC_NAME).collect();
        let reads = |name: &str| names.iter().all(|matcher| matcher.matches(name));
        let alert_names: Vec<&Matcher> = selector.iter().filter(|matcher| matcher.name == ALERT_NAME).collect();
        let reads_alert = |name: &String| alert_names.iter().all(|matcher| matcher.matches(name));
        // Most selectors name one metric, and most groups have many rules.
        let reads_record = match names.iter().find_map(|matcher| matcher.literals()).as_deref() {
            Some([name]) => self.records.contains(*name) && reads(name),
            _ => self.records.iter().any(|name| reads(name)),
        };
        reads_record || (ALERT_METRICS.iter().any(|name| reads(name)) && self.alerts.iter().any(reads_alert))
    }
}

#[cfg(test)]
mod tests {
    use query::Engine;

    use super::*;

    /// Rules as `name: expression`, alerts with a `!` before it; the runs as their ends.
    #[track_caller]
    fn check(rules: &[&str], ends: &[usize]) {
        let (specs, selectors) = parsed(rules);
        let runs = runs(&specs, &selectors);
        assert_eq!(runs.iter().map(|run| run.end).collect::<Vec<_>>(), ends);
        assert!(runs.iter().zip(runs.iter().skip(1)).all(|(a, b)| a.end == b.start));
    }

    fn parsed(rules: &[&str]) -> (Vec<RuleSpec>, Vec<Vec<Vec<Matcher>>>) {
        let engine = Engine::default();
        let (mut specs, mut selectors) = (Vec::new(), Vec::new());
        for rule in rules {
            let (name, expr) = rule.split_once(": ").unwrap();
            let spec = match name.strip_prefix('!') {
                Some(name) => RuleSpec::alerting(name, expr),
                None => RuleSpec::recording(name, expr),
            };
            specs.push(spec);
            selectors.push(engine.selectors(expr, &engine.bounds(&query::QueryOptions::default())).unwrap());
        }
        (specs, selectors)
    }

    #[test]
    fn rules_that_read_themselves_or_later_ones_need_the_evaluation_before() {
        let reads_back = |rules: &[&str]| {
            let (specs, selectors) = parsed(rules);
            super::reads_back(&specs, &selectors)
        };
        assert!(!reads_back(&["a: up", "b: a", "!C: a + b"]));
        assert!(reads_back(&["a: up + (a offset 1m or vector(0))"]));
        assert!(reads_back(&["a: b", "b: up"]));
        assert!(reads_back(&["a: ALERTS", "!B: up"]));
        assert!(!reads_back(&["!B: up", "a: ALERTS"]));
    }

    #[test]
    fn sources_of_a_rule_are_found_through_others() {
        let (specs, selectors) = parsed(&["a: up", "b: a", "c: up", "!D: b", "e: d"]);
        let needed = |chosen: usize| with_sources(&specs, &selectors, &[0, 1, 2, 3, 4].map(|i| i == chosen));
        assert_eq!(needed(3), [true, true, false, true, false]);
        assert_eq!(needed(4), [false, false, false, false, true]);
    }

    #[test]
    fn rules_that_read_earlier_ones_begin_a_run() {
        check(&[], &[]);
        check(&["a: up"], &[1]);
        check(&["a: up", "b: up", "c: down"], &[3]);
        check(&["a: up", "b: a", "c: up"], &[1, 3]);
        check(&["a: up", "b: a", "c: b + a"], &[1, 2, 3]);
        // A rule that reads a later one reads what that wrote the last time.
        check(&["a: b", "b: up", "c: up"], &[3]);
        check(&["job:a: up", r#"b: {__name__=~"job:.*"}"#, "c: rate(job:a[5m])"], &[1, 3]);
    }

    #[test]
    fn selectors_without_a_name_may_read_everything() {
        check(&["a: up", r#"b: {job="x"}"#, "c: up"], &[1, 3]);
        check(&["a: up", r#"b: {__name__!="a", job="x"}"#, "c: up"], &[3]);
    }

    #[test]
    fn alerts_are_read_by_their_metrics() {
        check(&["!A: up", "b: ALERTS"], &[1, 2]);
        check(&["!A: up", r#"b: ALERTS_FOR_STATE{alertname="A"}"#], &[1, 2]);
        check(&["!A: up", r#"b: ALERTS{alertname="B"}"#, "!C: A"], &[3]);
        check(&["a: up", "b: ALERTS"], &[2]);
    }
}
