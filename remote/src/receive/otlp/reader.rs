//! A request, resource by resource and metric by metric (upstream: `FromMetrics` of `storage/remote/otlptranslator`).

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, ResourceMetrics};

use super::labels::{Described, Labeller, ResourceLabels, ScopeLabels};
use super::names::Kind;
use super::points::Points;
use super::settings::{Deltas, OtlpSettings, Warning};
use super::target_info::TargetInfo;
use crate::receive::storing::{Stop, Storing};

/// A request that is being read.
pub(super) struct Reader<'s> {
    pub(super) labels: Labeller<'s>,
    target_info: TargetInfo,
    /// Points that were left out.
    pub(super) refused: u64,
    pub(super) warnings: Vec<Warning>,
    pub(super) without_metadata: u64,
}

/// What a metric is, beside its points.
struct Family<'m> {
    name: String,
    described: Described<'m>,
    is_delta: bool,
}

impl<'s> Reader<'s> {
    pub(super) fn new(settings: &'s OtlpSettings) -> Self {
        Self {
            labels: Labeller::new(settings),
            target_info: TargetInfo::new(settings.lookback_ms),
            refused: 0,
            warnings: Vec::new(),
            without_metadata: 0,
        }
    }

    /// Hands on the points of a resource, and what is known of it.
    pub(super) fn resource(&mut self, metrics: &ResourceMetrics, storing: &mut Storing<'_>) -> Result<(), Stop> {
        let attributes = metrics.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let all = || metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics);
        let resource = match self.labels.resource(attributes) {
            Ok(resource) => resource,
            Err(why) => {
                self.refuse(all().map(n_points).sum(), why, storing);
                return Ok(());
            }
        };
        for scope_metrics in &metrics.scope_metrics {
            match self.labels.scope(scope_metrics) {
                Err(why) => self.refuse(scope_metrics.metrics.iter().map(n_points).sum(), why, storing),
                Ok(scope) => {
                    let of = (&resource, &scope);
                    scope_metrics.metrics.iter().try_for_each(|metric| self.metric(metric, of, storing))?;
                }
            }
        }
        let times = all().flat_map(times);
        if let Some((first, last)) = times.fold(None, |range: Option<(u64, u64)>, ts| {
            Some(range.map_or((ts, ts), |(first, last)| (first.min(ts), last.max(ts))))
        }) {
            match self.labels.target_info(attributes, &resource) {
                Err(why) => self.refuse(0, why, storing),
                Ok(None) => {}
                Ok(Some(labels)) => self.target_info.put(&labels, (first, last), storing)?,
            }
        }
        Ok(())
    }

    fn metric(
        &mut self,
        metric: &Metric,
        of: (&ResourceLabels, &ScopeLabels),
        storing: &mut Storing<'_>,
    ) -> Result<(), Stop> {
        let family = match self.family(metric) {
            Ok(family) => family,
            Err(why) => {
                self.refuse(n_points(metric), why, storing);
                return Ok(());
            }
        };
        let Some(data) = &metric.data else { return Ok(()) };
        if n_points(metric) == 0 {
            self.warnings.push(Warning::EmptyDataPoints);
            return Ok(());
        }
        if family.described.kind.is_empty() && metric.unit.is_empty() && metric.description.is_empty() {
            self.without_metadata += n_points(metric);
        }
        let mut points = Points {
            name: &family.name,
            described: family.described,
            is_delta: family.is_delta,
            labels: &mut self.labels,
            of,
            storing,
            refused: 0,
            warnings: std::mem::take(&mut self.warnings),
        };
        let stored = points.put_all(data);
        self.refused += points.refused;
        self.warnings = points.warnings;
        stored
    }

    /// Name and type of a metric, or why it has none that is taken.
    fn family<'m>(&self, metric: &'m Metric) -> Result<Family<'m>, String> {
        let temporality = match &metric.data {
            Some(Data::Gauge(_) | Data::Summary(_)) => None,
            Some(Data::Sum(sum)) => Some(sum.aggregation_temporality),
            Some(Data::Histogram(histogram)) => Some(histogram.aggregation_temporality),
            Some(Data::ExponentialHistogram(histogram)) => Some(histogram.aggregation_temporality),
            None => {
                let name = &metric.name;
                return Err(format!(
                    "could not get aggregation temporality for {name} as it has unsupported metric type Empty"
                ));
            }
        };
        let settings = self.labels.settings;
        let is = |one: AggregationTemporality| temporality == Some(one as i32);
        let is_delta = is(AggregationTemporality::Delta);
        if temporality.is_some()
            && !is(AggregationTemporality::Cumulative)
            && !(settings.deltas == Deltas::Stored && is_delta)
        {
            return Err(format!("invalid temporality and type combination for metric {:?}", metric.name));
        }
        let (kind, of_name) = match &metric.data {
            Some(Data::Gauge(_)) => ("gauge", Kind::Gauge),
            Some(Data::Sum(sum)) if sum.is_monotonic => ("counter", Kind::Counter),
            Some(Data::Sum(_)) => ("gauge", Kind::Other),
            Some(Data::Summary(_)) => ("summary", Kind::Other),
            Some(Data::Histogram(_) | Data::ExponentialHistogram(_)) => ("histogram", Kind::Other),
            None => ("", Kind::Other),
        };
        let name = settings.naming.metric(&metric.name, &metric.unit, of_name)?;
        // There is no word for differences.
        let kind = if is_delta { "" } else { kind };
        Ok(Family { name, described: Described { kind, unit: &metric.unit }, is_delta })
    }

    /// Leaves out so many points.
    fn refuse(&mut self, points: u64, why: String, storing: &mut Storing<'_>) {
        self.refused += points;
        storing.refuse(|| why);
    }
}

/// The points of a metric.
fn n_points(metric: &Metric) -> u64 {
    times(metric).count() as u64
}

/// The times of the points of a metric, nanoseconds.
fn times(metric: &Metric) -> Box<dyn Iterator<Item = u64> + '_> {
    match &metric.data {
        None => Box::new(std::iter::empty()),
        Some(Data::Gauge(gauge)) => Box::new(gauge.data_points.iter().map(|point| point.time_unix_nano)),
        Some(Data::Sum(sum)) => Box::new(sum.data_points.iter().map(|point| point.time_unix_nano)),
        Some(Data::Summary(summary)) => Box::new(summary.data_points.iter().map(|point| point.time_unix_nano)),
        Some(Data::Histogram(all)) => Box::new(all.data_points.iter().map(|point| point.time_unix_nano)),
        Some(Data::ExponentialHistogram(all)) => Box::new(all.data_points.iter().map(|point| point.time_unix_nano)),
    }
}
