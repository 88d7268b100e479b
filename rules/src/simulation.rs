//! Groups that are evaluated at given times instead of by the clock: for unit tests of rules.

use std::fmt;
use std::sync::Arc;

use model::Timestamp;
use prometheus::Registry;

use crate::alert::Alert;
use crate::context::Context;
use crate::error::EvaluationError;
use crate::group::Group;
use crate::metrics::Metrics;
use crate::spec::{GroupSpec, RuleSpec};

/// Groups that are evaluated at given times.
pub struct Simulation {
    context: Context,
    groups: Vec<Group>,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl Simulation {
    /// Plans the queries of groups, which are evaluated in this order.
    ///
    /// # Errors
    /// When a query or a template is not valid.
    pub fn new(specs: Vec<GroupSpec>, context: Context) -> Result<Self, EvaluationError> {
        // Nobody reads what is counted of these groups.
        let metrics = Metrics::new(&Registry::new()).expect("BUG: a new registry has no metrics");
        let groups = specs.into_iter().map(|spec| Group::new(spec, &context, metrics.clone(), false));
        Ok(Self { groups: groups.collect::<Result<_, _>>()?, context })
    }

    /// Evaluates all groups for a time, whatever their intervals, as upstream's unit tests do. Returns the rules that failed, and why.
    pub fn evaluate_at(&self, ts: Timestamp) -> Vec<(&RuleSpec, Arc<str>)> {
        let mut failed = Vec::new();
        for group in &self.groups {
            group.evaluate(&self.context, ts, &|| false);
            for rule in &group.rules {
                let error = rule.state.lock().history.back().and_then(|last| last.error.clone());
                failed.extend(error.map(|error| (&rule.spec, error)));
            }
        }
        failed
    }

    /// The pending and firing alerts of the alerting rules of a name, rule by rule.
    #[must_use]
    pub fn alerts(&self, name: &str) -> Vec<Alert> {
        let rules = self.groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.spec.name == name);
        rules.filter_map(|rule| rule.alerts()).flat_map(|alerts| alerts.list()).collect()
    }
}

#[cfg(test)]
mod tests {
    use query::promqltest::SharedStore;

    use super::*;
    use crate::alert::AlertState;
    use crate::context::tests::context;
    use crate::spec::AlertSpec;

    fn group(name: &str, rules: Vec<RuleSpec>) -> GroupSpec {
        let (file, name) = ("r.yml".to_owned(), name.to_owned());
        GroupSpec { file, name, interval_ms: 3_600_000, query_offset_ms: None, backfill_ms: None, limit: 0, rules }
    }

    #[test]
    fn groups_are_evaluated_one_after_another() {
        let store = Arc::<SharedStore>::default();
        store.load("up 1 0 0 0 1", (Timestamp(0), 60_000)).unwrap();
        let down = RuleSpec {
            alert: Some(AlertSpec { for_ms: 60_000, ..AlertSpec::default() }),
            ..RuleSpec::alerting("Down", "down == 1")
        };
        let specs = vec![group("first", vec![RuleSpec::recording("down", "1 - up")]), group("then", vec![down])];
        let simulation = Simulation::new(specs, context(&store)).unwrap();
        let mut states = Vec::new();
        for minute in 0..5 {
            assert_eq!(simulation.evaluate_at(Timestamp(minute * 60_000)), []);
            states.push(simulation.alerts("Down").first().map(|alert| alert.state));
        }
        let (pending, firing) = (Some(AlertState::Pending), Some(AlertState::Firing));
        assert_eq!(states, [None, pending, firing, firing, None]);
        assert!(simulation.alerts("down").is_empty(), "a recording rule");
    }

    #[test]
    fn rules_that_fail_are_told_until_they_succeed() {
        let store = Arc::<SharedStore>::default();
        store.load(r#"up{job="a"} 1 1 1"#, (Timestamp(0), 60_000)).unwrap();
        store.load(r#"up{job="b"} _ 1 stale"#, (Timestamp(0), 60_000)).unwrap();
        let specs = vec![group("g", vec![RuleSpec::recording("n", r#"label_replace(up, "job", "x", "", "")"#)])];
        let simulation = Simulation::new(specs, context(&store)).unwrap();
        let failed = |minute: i64| -> Vec<_> {
            let failed = simulation.evaluate_at(Timestamp(minute * 60_000));
            failed.into_iter().map(|(rule, error)| format!("{}: {error}", rule.name)).collect()
        };
        assert_eq!(failed(0), [""; 0]);
        assert_eq!(failed(1), ["n: vector cannot contain metrics with the same labelset"]);
        assert_eq!(failed(2), [""; 0]);
    }

    #[test]
    fn a_histogram_that_is_not_valid_costs_the_other_results_nothing() {
        let store = Arc::<SharedStore>::default();
        for line in [r#"h{job="a"} {{count:1 buckets:[1]}}"#, r#"h{job="b"} {{count:3 buckets:[3]}}"#] {
            store.load(line, (Timestamp(0), 60_000)).unwrap();
        }
        let less = RuleSpec::recording("less", r"h - on() group_left() (0.5 * sum(h))");
        let specs = vec![group("g", vec![less, RuleSpec::recording("n", "count(h)")])];
        let simulation = Simulation::new(specs, context(&store)).unwrap();
        let failed = simulation.evaluate_at(Timestamp(0));
        let failed: Vec<_> = failed.iter().map(|(rule, error)| (rule.name.as_str(), &**error)).collect();
        assert_eq!(failed, [("less", "observation count is  -1: histogram's observation count is negative")]);
        let query = r#"count({__name__=~"less|n"}) by (__name__, job)"#;
        let result =
            query::Engine::default().instant(store.as_ref(), query, Timestamp(0), &query::QueryOptions::default());
        let query::Value::Vector(samples) = result.unwrap().value else { panic!("no vector") };
        let found: Vec<_> = samples.iter().map(|sample| sample.labels.to_string()).collect();
        assert_eq!(found, ["less{job=\"b\"}", "n"]);
    }
}
