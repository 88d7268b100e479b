//! The metrics of rule groups, under upstream's names.

use prometheus::core::Collector;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

/// Metrics of all groups; those with a label are per group.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) rule_duration: Histogram,
    pub(crate) iteration_duration: Histogram,
    pub(crate) expansions: IntCounter,
    pub(crate) failed_expansions: IntCounter,
    counters: [IntCounterVec; 5],
    gauges: [GaugeVec; 9],
}

/// Counters of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counter {
    Missed,
    Scheduled,
    Evaluations,
    Failures,
    Backfilled,
}

/// Gauges of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gauge {
    Interval,
    LastEvaluation,
    LastDuration,
    LastRuleDurations,
    LastRestore,
    Rules,
    Samples,
    Unmatched,
    BackfillRemaining,
}

const COUNTERS: [(&str, &str); 5] = [
    (
        "prometheus_rule_group_iterations_missed_total",
        "Evaluations of a group that were missed because it was too slow.",
    ),
    (
        "prometheus_rule_group_iterations_total",
        "Evaluations of a group that were due, those that were missed among them.",
    ),
    ("prometheus_rule_evaluations_total", "Evaluations of rules."),
    ("prometheus_rule_evaluation_failures_total", "Evaluations of rules that failed."),
    (
        "weft_rule_group_backfilled_iterations_total",
        "Evaluations of a group's recording rules that were computed afterwards: history, and those that were missed.",
    ),
];

const GAUGES: [(&str, &str); 9] = [
    ("prometheus_rule_group_interval_seconds", "The interval of a group."),
    ("prometheus_rule_group_last_evaluation_timestamp_seconds", "When a group was last evaluated."),
    ("prometheus_rule_group_last_duration_seconds", "How long the last evaluation of a group took."),
    (
        "prometheus_rule_group_last_rule_duration_sum_seconds",
        "How long the rules of a group took in its last evaluation, added up.",
    ),
    (
        "prometheus_rule_group_last_restore_duration_seconds",
        "How long it took to restore the state of alerts from ALERTS_FOR_STATE.",
    ),
    ("prometheus_rule_group_rules", "Rules of a group."),
    ("prometheus_rule_group_last_evaluation_samples", "Samples that the last evaluation of a group returned."),
    ("weft_rule_group_unmatched_rules", "Rules of a group with a selector that has matched no series for a day."),
    (
        "weft_rule_group_backfill_remaining_iterations",
        "Evaluations of a group's recording rules that are still to be computed afterwards.",
    ),
];

const LABELS: [&str; 1] = ["rule_group"];

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(vec![0.01, 0.1, 1.0, 10.0]);
            added(registry, Histogram::with_opts(options)?)
        };
        let counter = |(name, help): (&str, &str)| added(registry, IntCounterVec::new(Opts::new(name, help), &LABELS)?);
        let gauge = |(name, help): (&str, &str)| added(registry, GaugeVec::new(Opts::new(name, help), &LABELS)?);
        let total = |name: &str, help: &str| added(registry, IntCounter::new(name, help)?);
        let [missed, scheduled, evaluations, failures, backfilled] = COUNTERS.map(counter);
        let [interval, last, duration, durations, restore, rules, samples, unmatched, remaining] = GAUGES.map(gauge);
        Ok(Self {
            rule_duration: histogram("prometheus_rule_evaluation_duration_histogram_seconds", "How long a rule took.")?,
            iteration_duration: histogram(
                "prometheus_rule_group_duration_histogram_seconds",
                "How long a group took.",
            )?,
            expansions: total("prometheus_template_text_expansions_total", "Templates that were expanded.")?,
            failed_expansions: total(
                "prometheus_template_text_expansion_failures_total",
                "Templates whose expansion failed.",
            )?,
            counters: [missed?, scheduled?, evaluations?, failures?, backfilled?],
            gauges: [interval?, last?, duration?, durations?, restore?, rules?, samples?, unmatched?, remaining?],
        })
    }

    pub(crate) fn add(&self, counter: Counter, group: &str, n: u64) {
        self.counters[counter as usize].with_label_values(&[group]).inc_by(n);
    }

    pub(crate) fn set(&self, gauge: Gauge, group: &str, value: f64) {
        self.gauges[gauge as usize].with_label_values(&[group]).set(value);
    }

    /// A group begins: what is counted of it is 0, not absent.
    pub(crate) fn begin(&self, group: &str) {
        self.counters.iter().for_each(|counter| drop(counter.with_label_values(&[group])));
        self.gauges.iter().for_each(|gauge| drop(gauge.with_label_values(&[group])));
    }

    /// A group is gone.
    pub(crate) fn forget(&self, group: &str) {
        // Without such labels there is nothing to remove.
        self.counters.iter().for_each(|counter| drop(counter.remove_label_values(&[group])));
        self.gauges.iter().for_each(|gauge| drop(gauge.remove_label_values(&[group])));
    }
}

fn added<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
