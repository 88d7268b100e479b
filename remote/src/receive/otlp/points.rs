//! The points of a metric as samples of series: of numbers, summaries, and histograms in either form (upstream:
//! `number_data_points.go`, `histograms.go` and `helper.go` of `storage/remote/otlptranslator`).

use model::float::format_f;
use model::histogram::{Buckets, WholeCounts};
use model::labels::{BUCKET, METRIC_NAME};
use model::sample::stale_nan;
use model::{Exemplar, Histogram, Labels, LabelsBuilder, ResetHint, Timestamp};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets as Counts;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint, SummaryDataPoint,
};

use super::exemplars;
use super::labels::{Described, Labeller, ResourceLabels, ScopeLabels};
use super::settings::Warning;
use super::values::ms;
use crate::receive::storing::{Received, Stop, Storing};

/// How far from zero counts as zero, where nobody says (upstream: `defaultZeroThreshold`).
const ZERO_THRESHOLD: f64 = 1e-128;
/// Flag of a point that says that there is none.
const NO_VALUE: u32 = 1;

/// When a point is, and since when it counts.
#[derive(Clone, Copy, Debug)]
struct Times {
    ts: Timestamp,
    start: Option<Timestamp>,
}

/// Points of a metric, on their way to the store.
pub(super) struct Points<'p, 'l, 's> {
    /// The name of the metric, with its suffixes.
    pub(super) name: &'p str,
    pub(super) described: Described<'p>,
    /// Are differences, not totals?
    pub(super) is_delta: bool,
    pub(super) labels: &'p mut Labeller<'l>,
    /// What they are of.
    pub(super) of: (&'p ResourceLabels, &'p ScopeLabels),
    pub(super) storing: &'p mut Storing<'s>,
    /// Points that could not be taken.
    pub(super) refused: u64,
    pub(super) warnings: Vec<Warning>,
}

impl Points<'_, '_, '_> {
    /// Hands on all points of a metric.
    pub(super) fn put_all(&mut self, data: &Data) -> Result<(), Stop> {
        match data {
            Data::Gauge(gauge) => {
                self.each(&gauge.data_points, |points, one, labels| points.number(one, labels, false))
            }
            Data::Sum(sum) => self.each(&sum.data_points, |points, one, labels| points.number(one, labels, true)),
            Data::Summary(summary) => self.each(&summary.data_points, Self::summary),
            Data::Histogram(all) if self.labels.settings.convert_histograms_to_nhcb => {
                self.each(&all.data_points, Self::custom)
            }
            Data::Histogram(all) => self.each(&all.data_points, Self::classic),
            Data::ExponentialHistogram(all) => self.each(&all.data_points, Self::exponential),
        }
    }

    fn each<P: Labelled>(
        &mut self,
        points: &[P],
        put: impl Fn(&mut Self, &P, &mut LabelsBuilder) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        points.iter().try_for_each(|point| match self.labels.point(point.attributes(), self.of, self.described) {
            Ok(mut labels) => put(self, point, &mut labels),
            Err(why) => {
                self.refused += 1;
                self.storing.refuse(|| why);
                Ok(())
            }
        })
    }

    fn times(&self, ns: u64, start_ns: u64) -> Times {
        let start = ms(start_ns);
        Times { ts: ms(ns), start: Some(start).filter(|start| self.labels.settings.start_zeros && start.0 != 0) }
    }

    /// A sample of a series.
    fn put(
        &mut self,
        labels: Labels,
        times: Times,
        value: f64,
        exemplars: impl IntoIterator<Item = Exemplar>,
    ) -> Result<(), Stop> {
        self.storing.begin(labels)?;
        self.storing.sample(times.ts, value, times.start)?;
        exemplars.into_iter().try_for_each(|one| self.storing.exemplar(one))
    }

    /// A number; gauges have no exemplars.
    fn number(&mut self, point: &NumberDataPoint, labels: &mut LabelsBuilder, has_exemplars: bool) -> Result<(), Stop> {
        #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
        let value = match point.value {
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => 0.0,
        };
        let times = self.times(point.time_unix_nano, point.start_time_unix_nano);
        let exemplars = if has_exemplars { exemplars::read(&point.exemplars) } else { Vec::new() };
        let labels = named(labels, self.name);
        self.put(labels, times, or_stale(value, point.flags), exemplars)
    }

    /// A summary: its sum, its count, and a series for each quantile.
    fn summary(&mut self, point: &SummaryDataPoint, labels: &mut LabelsBuilder) -> Result<(), Stop> {
        let times = self.times(point.time_unix_nano, point.start_time_unix_nano);
        for (suffix, value) in [("_sum", point.sum), ("_count", whole(point.count))] {
            let labels = named(labels, &format!("{}{suffix}", self.name));
            self.put(labels, times, or_stale(value, point.flags), [])?;
        }
        labels.set(METRIC_NAME, self.name);
        for one in &point.quantile_values {
            labels.set("quantile", format_f(one.quantile));
            self.put(labels.labels(), times, or_stale(one.value, point.flags), [])?;
        }
        Ok(())
    }

    /// A histogram with bounds, as a classic one.
    fn classic(&mut self, point: &HistogramDataPoint, labels: &mut LabelsBuilder) -> Result<(), Stop> {
        let times = self.times(point.time_unix_nano, point.start_time_unix_nano);
        let count = or_stale(whole(point.count), point.flags);
        if let Some(sum) = point.sum {
            let labels = named(labels, &format!("{}_sum", self.name));
            self.put(labels, times, or_stale(sum, point.flags), [])?;
        }
        let of_count = named(labels, &format!("{}_count", self.name));
        self.put(of_count, times, count, [])?;
        let mut exemplars = exemplars::read(&point.exemplars).into_iter().peekable();
        labels.set(METRIC_NAME, format!("{}_bucket", self.name));
        let mut up_to = 0u64;
        for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
            up_to = up_to.wrapping_add(*count);
            // What is above all bounds is the count itself.
            if *bound == f64::INFINITY {
                self.warnings.push(Warning::HistogramPlusInfBound);
                continue;
            }
            labels.set(BUCKET, format_f(*bound));
            let within: Vec<Exemplar> =
                std::iter::from_fn(|| exemplars.next_if(|one| one.value <= *bound || one.value.is_nan())).collect();
            self.put(labels.labels(), times, or_stale(whole(up_to), point.flags), within)?;
        }
        labels.set(BUCKET, "+Inf");
        self.put(labels.labels(), times, count, exemplars)
    }

    /// The same as a native one with custom bounds.
    fn custom(&mut self, point: &HistogramDataPoint, labels: &mut LabelsBuilder) -> Result<(), Stop> {
        let counts = point.bucket_counts.iter().copied().map(whole);
        let histogram = Histogram {
            schema: Histogram::CUSTOM,
            positive: (0..).zip(counts).filter(|(_, count)| *count != 0.0).collect(),
            custom_values: point.explicit_bounds.as_slice().into(),
            ..Histogram::default()
        };
        let in_buckets = point.bucket_counts.iter().fold(0, |sum: u64, count| sum.wrapping_add(*count));
        let counts = WholeCounts { count: point.count, in_buckets };
        let times = self.times(point.time_unix_nano, point.start_time_unix_nano);
        let exemplars = exemplars::read(&point.exemplars);
        let labels = named(labels, self.name);
        self.native((labels, times.ts), (histogram, counts), (point.sum, point.flags), exemplars)
    }

    /// An exponential histogram, as the native one that it is.
    fn exponential(&mut self, point: &ExponentialHistogramDataPoint, labels: &mut LabelsBuilder) -> Result<(), Stop> {
        let least = Histogram::EXPONENTIAL_MIN;
        if point.scale < least {
            let scale = point.scale;
            self.refused += 1;
            self.storing.refuse(|| {
                format!("cannot convert exponential to native histogram. Scale must be >= {least}, was {scale}")
            });
            return Ok(());
        }
        let (positive, negative) = (buckets(point.positive.as_ref()), buckets(point.negative.as_ref()));
        let mut histogram = Histogram {
            schema: point.scale,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: whole(point.zero_count),
            positive: positive.0,
            negative: negative.0,
            ..Histogram::default()
        };
        if histogram.schema > Histogram::EXPONENTIAL_MAX {
            histogram.coarsen(Histogram::EXPONENTIAL_MAX);
        }
        let in_buckets = point.zero_count.wrapping_add(positive.1).wrapping_add(negative.1);
        let counts = WholeCounts { count: point.count, in_buckets };
        let times = self.times(point.time_unix_nano, point.start_time_unix_nano);
        let exemplars = exemplars::read(&point.exemplars);
        let labels = named(labels, self.name);
        self.native((labels, times.ts), (histogram, counts), (point.sum, point.flags), exemplars)
    }

    /// A native histogram whose buckets are known, if all of it makes sense.
    fn native(
        &mut self,
        (labels, ts): (Labels, Timestamp),
        (mut histogram, counts): (Histogram, WholeCounts),
        (sum, flags): (Option<f64>, u32),
        exemplars: Vec<Exemplar>,
    ) -> Result<(), Stop> {
        self.storing.begin(labels)?;
        histogram.count = whole(counts.count);
        histogram.sum = sum.unwrap_or_default();
        histogram.reset_hint = if self.is_delta { ResetHint::Gauge } else { ResetHint::Unknown };
        if counts.count == 0 && histogram.sum != 0.0 {
            self.warnings.push(Warning::HistogramZeroCountNonZeroSum);
        }
        let received = if flags & NO_VALUE != 0 {
            Ok(Received { ts, histogram: None })
        } else {
            let checked = histogram.validate_whole(counts).map_err(|why| why.to_string());
            checked.map(|()| {
                histogram.compact();
                Received { ts, histogram: Some(histogram) }
            })
        };
        self.storing.histogram(received)?;
        exemplars.into_iter().try_for_each(|one| self.storing.exemplar(one))
    }
}

/// A point of any kind.
trait Labelled {
    fn attributes(&self) -> &[KeyValue];
}

macro_rules! labelled {
    ($($point:ty),*) => {
        $(impl Labelled for $point {
            fn attributes(&self) -> &[KeyValue] {
                &self.attributes
            }
        })*
    };
}

labelled!(NumberDataPoint, SummaryDataPoint, HistogramDataPoint, ExponentialHistogramDataPoint);

/// Buckets, and all that is counted in them. The first one covers what is above 1 there, and up to 1 here.
fn buckets(counts: Option<&Counts>) -> (Buckets, u64) {
    let Some(counts) = counts else { return (Buckets::default(), 0) };
    let all = counts.bucket_counts.iter().fold(0, |sum: u64, count| sum.wrapping_add(*count));
    let first = counts.offset.saturating_add(1);
    (Buckets::run(first, counts.bucket_counts.iter().copied().map(whole).collect()), all)
}

fn named(labels: &mut LabelsBuilder, name: &str) -> Labels {
    labels.set(METRIC_NAME, name).labels()
}

fn or_stale(value: f64, flags: u32) -> f64 {
    if flags & NO_VALUE == 0 { value } else { stale_nan() }
}

#[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream queries them")]
fn whole(number: u64) -> f64 {
    number as f64
}
