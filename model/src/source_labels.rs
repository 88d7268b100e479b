//! Which labels of a series are its source's, where nobody scraped it: remote write, OTLP, imports, rules.
//!
//! A scraped series has the labels of its target, and those are the source's. Of a series that comes from elsewhere only the
//! labels are known. The rule here splits them by their names alone, so that it gives the same today, after a restart and on
//! another server: a label is the source's if its name is one that targets and senders are named by. What this costs where it
//! guesses wrong is in `docs/decisions/0031-source-labels-are-known-by-their-names.md`.
//!
//! Invariant: a wrong guess costs room and never an answer. The series of a source and a metric has all labels of both,
//! however they were split, and series with equal labels are one series to a reader.

use std::sync::Arc;

use crate::Labels;

/// The names that [`split`] goes by, in byte order.
///
/// - Of targets: `job`, `instance`.
/// - Of what a target runs in, as Kubernetes discovery and the Prometheus Operator name it: `namespace`, `pod`, `container`,
///   `endpoint`, `service`, `node`.
/// - Of who sends (`external_labels`): `cluster`, `prometheus`, `prometheus_replica`, `replica`, `region`, `tenant`.
/// - The same of OpenTelemetry's resources, where they become labels: `service_name`, `service_namespace`,
///   `service_instance_id`, `host_name`, `k8s_cluster_name`, `k8s_namespace_name`, `k8s_node_name`, `k8s_pod_name`.
///
/// Names may be added. One that is taken away, or added, makes new pairs of sources and metrics for the same series from then
/// on, which readers put together.
pub const NAMES: [&str; 22] = [
    "cluster",
    "container",
    "endpoint",
    "host_name",
    "instance",
    "job",
    "k8s_cluster_name",
    "k8s_namespace_name",
    "k8s_node_name",
    "k8s_pod_name",
    "namespace",
    "node",
    "pod",
    "prometheus",
    "prometheus_replica",
    "region",
    "replica",
    "service",
    "service_instance_id",
    "service_name",
    "service_namespace",
    "tenant",
];

/// How the labels of series are split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceLabels {
    /// By [`NAMES`].
    #[default]
    Known,
    /// By names that the caller gives: all series that have the same values there are one source. None at all makes one source
    /// of all series, which is what a rule group wants: its output at one time is one row.
    Named(Arc<[String]>),
}

impl SourceLabels {
    /// Is a label the source's?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Known => NAMES.binary_search(&name).is_ok(),
            Self::Named(names) => names.iter().any(|one| one == name),
        }
    }

    /// The labels of the source, and those of the metric. Joined they are the series' again.
    #[must_use]
    pub fn split(&self, labels: &Labels) -> (Labels, Labels) {
        (labels.filtered(|name| self.has(name)), labels.filtered(|name| !self.has(name)))
    }
}

/// Splits the labels of a series by [`NAMES`]: those of its source, and those of its metric.
#[must_use]
pub fn split(labels: &Labels) -> (Labels, Labels) {
    SourceLabels::Known.split(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(series: &[(&str, &str)], source: &[(&str, &str)]) {
        let labels = Labels::from_pairs(series.iter().copied());
        let (of_source, of_metric) = split(&labels);
        assert_eq!(of_source, Labels::from_pairs(source.iter().copied()));
        assert_eq!(of_source.joined(&of_metric), labels);
        assert!(of_metric.iter().all(|(name, _)| of_source.get(name).is_none()));
    }

    #[test]
    fn names_are_in_order() {
        assert!(NAMES.is_sorted_by(|a, b| a < b), "they are searched");
    }

    #[test]
    fn a_scraped_series_is_of_its_target() {
        let target = [("instance", "10.0.0.1:80"), ("job", "api"), ("namespace", "shop"), ("pod", "api-1")];
        let series = [&target[..], &[("__name__", "requests_total"), ("code", "200")]].concat();
        check(&series, &target);
        let sender = [("cluster", "eu-1"), ("prometheus_replica", "a")];
        check(&[&series[..], &sender].concat(), &[&target[..], &sender].concat());
    }

    #[test]
    fn what_has_none_of_the_names_is_of_the_empty_source() {
        check(&[("__name__", "job:requests:rate5m"), ("code", "200")], &[]);
        check(&[("__name__", "up_of_all")], &[]);
        check(&[], &[]);
    }

    #[test]
    fn otlp_is_of_its_resource() {
        let resource = [("instance", "uuid"), ("job", "shop/cart"), ("k8s_pod_name", "cart-7")];
        check(&[&resource[..], &[("__name__", "latency"), ("le", "0.1")]].concat(), &resource);
    }

    #[test]
    fn a_caller_may_name_the_labels() {
        let labels = Labels::from_pairs([("__name__", "a"), ("job", "b"), ("team", "c")]);
        let (source, metric) = SourceLabels::Named(["team".to_owned()].into()).split(&labels);
        assert_eq!(source, Labels::from_pairs([("team", "c")]));
        assert_eq!(metric, Labels::from_pairs([("__name__", "a"), ("job", "b")]));
        let (source, metric) = SourceLabels::Named([].into()).split(&labels);
        assert_eq!((source, metric), (Labels::empty(), labels));
    }
}
