//! Metrics of monitors: what became of each, and how its targets fare. An alert on `weft_monitor_targets` finds a monitor that
//! selects nothing.

use std::collections::BTreeMap;

use anyhow::Result;
use operator::objects::Kind;
use operator::{ObjectState, Outcome, State};
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts};
use scraper::PoolStatus;

/// The states of a target here; the first three as the API of targets has them.
const STATES: [&str; 4] = ["up", "down", "unknown", "dropped"];

/// The targets of an object's jobs, by their states.
pub(crate) fn target_counts(object: &ObjectState, pools: &BTreeMap<String, PoolStatus>) -> [(&'static str, usize); 4] {
    let mut counts = STATES.map(|state| (state, 0));
    for pool in object.jobs.iter().filter_map(|job| pools.get(job)) {
        for target in &pool.active {
            counts[target.status.up.map_or(2, |up| usize::from(!up))].1 += 1;
        }
        counts[3].1 += pool.dropped_count;
    }
    counts
}

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
    let unmatched = gauge(
        "weft_monitor_unmatched_relabel_rules",
        "Rules of the relabelings of a monitor that have matched nothing of what was found for it; /api/v1/explain?monitor= names \
         them.",
        &["kind", "monitor"],
    )?;
    let written = written_rules(outcome);
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
        let (mut n_written, mut n_unmatched) = (0, 0);
        for (job, pool) in one.jobs.iter().filter_map(|job| Some((job, pools.get(job)?))) {
            let rules = written.get(job.as_str()).map_or(&[][..], Vec::as_slice);
            n_written += rules.len();
            n_unmatched += rules.iter().filter(|rule| pool.unmatched_rules.contains(rule)).count();
        }
        for (state, count) in target_counts(one, pools) {
            targets.with_label_values(&[kind, &name, state]).set(float(count));
        }
        // Most monitors have no rules of their own.
        if n_written > 0 {
            unmatched.with_label_values(&[kind, &name]).set(float(n_unmatched));
        }
    }
    let families = [monitors, invalid, targets, unmatched].iter().flat_map(|gauge| gauge.collect()).collect::<Vec<_>>();
    // The text format has no families without metrics; a registry leaves them out as well.
    Ok(families.into_iter().filter(|family| !family.get_metric().is_empty()).collect())
}

/// The rules of each job that stand as such in its monitor, by their indices.
fn written_rules(outcome: &Outcome) -> BTreeMap<&str, Vec<usize>> {
    let of_job = |job: &'_ operator::ReadyJob| -> Vec<usize> {
        let rules = job.relabel_origins.iter().enumerate();
        rules.filter(|(_, origin)| origin.is_rule()).map(|(index, _)| index).collect()
    };
    outcome.jobs.iter().map(|job| (job.config.job_name.as_str(), of_job(job))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a number of targets or rules")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use operator::objects::ObjectRef;
    use operator::{Origin, ReadyJob};

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
        let job = "{scrape_configs: [{job_name: podMonitor/a/good/0}]}";
        let config = config::Config::parse(job, "p.yml".as_ref(), &|_| None).unwrap();
        let rule = |path: &str| Origin::Field(path.to_owned());
        let job = ReadyJob {
            config: Arc::clone(&config.scrape_configs[0]),
            object: None,
            relabel_origins: [rule("spec.filterRunning"), rule("spec.podMetricsEndpoints[0].relabelings[0]")].into(),
            metric_relabel_origins: [].into(),
        };
        let outcome = Outcome { jobs: vec![job], ..outcome };
        let pool = PoolStatus { dropped_count: 3, unmatched_rules: vec![0, 1], ..PoolStatus::default() };
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
            r#"weft_monitor_unmatched_relabel_rules{kind="PodMonitor",monitor="a/good"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(text.contains(r#"weft_monitors{kind="PrometheusRule",state="accepted"} 1"#), "{text}");
        assert!(!text.contains(r#"monitor="a/rules""#), "{text}");
    }
}
