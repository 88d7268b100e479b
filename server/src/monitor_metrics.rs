//! Metrics of monitors: what became of each, and how its targets fare. An alert on `weft_monitor_targets` finds a monitor that
//! selects nothing.

use std::collections::BTreeMap;

use anyhow::Result;
use operator::objects::Kind;
use operator::{Outcome, State};
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts};
use scraper::PoolStatus;

/// The states of a target here; the first three as the API of targets has them.
const STATES: [&str; 4] = ["up", "down", "unknown", "dropped"];

/// The metrics as of now. They are made anew for each scrape: a monitor that is gone has none.
pub(crate) fn families(outcome: &Outcome, pools: &BTreeMap<String, PoolStatus>) -> Result<Vec<MetricFamily>> {
    let gauge = |name: &str, help: &str, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
    let monitors = gauge("weft_monitors", "Monitors by kind and by what became of them.", &["kind", "state"])?;
    let invalid = gauge(
        "weft_monitor_invalid",
        "1 for a monitor that is not valid; /api/v1/explain?monitor= says why.",
        &["kind", "monitor"],
    )?;
    let targets = gauge(
        "weft_monitor_targets",
        "Targets of the monitors that are selected, by state; dropped ones are those that relabelling dropped.",
        &["kind", "monitor", "state"],
    )?;
    for one in &outcome.objects {
        let kind = one.object.kind.as_str();
        let name = format!("{}/{}", one.object.namespace, one.object.name);
        let state = match one.state {
            State::Accepted => "accepted",
            State::Pending => "pending",
            State::NotSelected(_) => "not_selected",
            State::Invalid { .. } => "invalid",
        };
        monitors.with_label_values(&[kind, state]).inc();
        if state == "invalid" {
            invalid.with_label_values(&[kind, &name]).set(1.0);
        }
        // Rules have no targets.
        if state == "not_selected" || one.object.kind == Kind::PrometheusRule {
            continue;
        }
        let mut counts = [0usize; STATES.len()];
        for pool in one.jobs.iter().filter_map(|job| pools.get(job)) {
            for target in &pool.active {
                counts[target.status.up.map_or(2, |up| usize::from(!up))] += 1;
            }
            counts[3] += pool.dropped_count;
        }
        for (state, count) in STATES.into_iter().zip(counts) {
            #[expect(clippy::cast_precision_loss, reason = "a number of targets")]
            targets.with_label_values(&[kind, &name, state]).set(count as f64);
        }
    }
    let families = [monitors, invalid, targets].iter().flat_map(|gauge| gauge.collect()).collect::<Vec<_>>();
    // The text format has no families without metrics; a registry leaves them out as well.
    Ok(families.into_iter().filter(|family| !family.get_metric().is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use operator::ObjectState;
    use operator::objects::ObjectRef;

    use super::*;

    #[test]
    fn a_monitor_without_targets_has_zeros() {
        let state = |name: &str, state: State| ObjectState {
            object: ObjectRef { kind: Kind::PodMonitor, namespace: "a".to_owned(), name: name.to_owned() },
            uid: String::new(),
            generation: 1,
            state,
            jobs: vec![format!("podMonitor/a/{name}/0")],
        };
        let bad = State::Invalid { message: "why".to_owned(), last_valid_in_use: false };
        let mut rules = state("rules", State::Accepted);
        rules.object.kind = Kind::PrometheusRule;
        let objects = vec![state("good", State::Accepted), state("bad", bad), rules];
        let outcome = Outcome { objects, ..Outcome::default() };
        let pool = PoolStatus { dropped_count: 3, ..PoolStatus::default() };
        let pools = [("podMonitor/a/good/0".to_owned(), pool)].into();
        let text = |outcome: &Outcome| {
            let families = families(outcome, &pools).unwrap();
            prometheus::TextEncoder::new().encode_to_string(&families).unwrap()
        };
        assert_eq!(text(&Outcome::default()), "");
        let text = text(&outcome);
        for line in [
            r#"weft_monitors{kind="PodMonitor",state="accepted"} 1"#,
            r#"weft_monitor_invalid{kind="PodMonitor",monitor="a/bad"} 1"#,
            r#"weft_monitor_targets{kind="PodMonitor",monitor="a/good",state="up"} 0"#,
            r#"weft_monitor_targets{kind="PodMonitor",monitor="a/good",state="dropped"} 3"#,
            r#"weft_monitor_targets{kind="PodMonitor",monitor="a/bad",state="unknown"} 0"#,
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(text.contains(r#"weft_monitors{kind="PrometheusRule",state="accepted"} 1"#), "{text}");
        assert!(!text.contains(r#"monitor="a/rules""#), "{text}");
    }
}
