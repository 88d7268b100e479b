//! Differences made totals, point by point (upstream: the processor `deltatocumulative` of the OpenTelemetry collector, which Prometheus
//! runs with `otlp-deltatocumulative`).
//!
//! A stream is a metric of a resource and scope with some attributes. Its first point is its total; each later one is added. Points
//! that are not newer than the total, or begin before it, are left out. A stream that says nothing for five minutes is forgotten.

mod merge;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
};
use prost::Message as _;
use xxhash_rust::xxh3::Xxh3;

/// How long a stream is kept that says nothing.
const STALE: Duration = Duration::from_secs(300);
/// How often those are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// What all streams may take: a stream, and a number in it.
const BYTES_MAX: usize = 64 << 20;
const STREAM_BYTES: usize = 512;

/// The totals so far.
#[derive(Debug, Default)]
pub(super) struct Cumulative {
    streams: HashMap<u128, Stream>,
    bytes: usize,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Stream {
    total: Total,
    heard: Instant,
}

/// A point without its attributes and exemplars.
#[derive(Debug)]
enum Total {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
}

/// A point of any kind that can be a difference.
trait Point: Sized {
    fn attributes(&self) -> &[KeyValue];
    /// When it begins, and when it is; nanoseconds.
    fn times(&self) -> (u64, u64);
    /// The numbers in it, besides those that every one has.
    fn numbers(&self) -> usize;
    /// The cumulative state of the series.
    fn total(&self) -> Total;
    /// The kept total, if it is of this kind.
    fn of(total: &mut Total) -> Option<&mut Self>;
    /// Adds a later point to a total, and makes the point the new total.
    fn add_to(&mut self, total: &mut Self);
}

impl Cumulative {
    /// Makes totals of all differences of a request. Returns how many points were left out.
    pub(super) fn apply(&mut self, request: &mut ExportMetricsServiceRequest, now: Instant) -> u64 {
        self.sweep(now);
        let mut dropped = 0;
        for resource in &mut request.resource_metrics {
            let mut of_resource = Xxh3::new();
            resource.resource.iter().for_each(|one| of_resource.update(&one.encode_to_vec()));
            for scope in &mut resource.scope_metrics {
                let mut of_scope = of_resource.clone();
                scope.scope.iter().for_each(|one| of_scope.update(&one.encode_to_vec()));
                for metric in &mut scope.metrics {
                    dropped += self.metric(metric, &of_scope, now);
                }
            }
        }
        dropped
    }

    fn metric(&mut self, metric: &mut Metric, of_scope: &Xxh3, now: Instant) -> u64 {
        let mut of_metric = of_scope.clone();
        for part in [&metric.name, &metric.unit] {
            of_metric.update(&part.len().to_le_bytes());
            of_metric.update(part.as_bytes());
        }
        match &mut metric.data {
            Some(Data::Sum(sum)) => {
                of_metric.update(&[1, u8::from(sum.is_monotonic)]);
                self.points(&mut sum.data_points, &mut sum.aggregation_temporality, (&of_metric, now))
            }
            Some(Data::Histogram(all)) => {
                of_metric.update(&[2]);
                self.points(&mut all.data_points, &mut all.aggregation_temporality, (&of_metric, now))
            }
            Some(Data::ExponentialHistogram(all)) => {
                of_metric.update(&[3]);
                self.points(&mut all.data_points, &mut all.aggregation_temporality, (&of_metric, now))
            }
            Some(Data::Gauge(_) | Data::Summary(_)) | None => 0,
        }
    }

    fn points<P: Point>(
        &mut self,
        points: &mut Vec<P>,
        temporality: &mut i32,
        (of_metric, now): (&Xxh3, Instant),
    ) -> u64 {
        if *temporality != AggregationTemporality::Delta as i32 {
            return 0;
        }
        *temporality = AggregationTemporality::Cumulative as i32;
        let before = points.len();
        points.retain_mut(|point| self.add(point, of_metric, now));
        (before - points.len()) as u64
    }

    /// Makes a point the total of its stream, if it can be.
    fn add<P: Point>(&mut self, point: &mut P, of_metric: &Xxh3, now: Instant) -> bool {
        let mut key = of_metric.clone();
        let mut attributes: Vec<&KeyValue> = point.attributes().iter().collect();
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        attributes.iter().for_each(|one| key.update(&one.encode_length_delimited_to_vec()));
        let key = key.digest128();
        let Some(stream) = self.streams.get_mut(&key) else {
            let bytes = STREAM_BYTES + point.numbers() * size_of::<u64>();
            if self.bytes + bytes > BYTES_MAX {
                return false;
            }
            self.bytes += bytes;
            self.streams.insert(key, Stream { total: point.total(), heard: now });
            return true;
        };
        stream.heard = now;
        let Some(total) = P::of(&mut stream.total) else { return false };
        let ((start, ts), (total_start, total_ts)) = (point.times(), total.times());
        if start < total_start || ts <= total_ts {
            return false;
        }
        let before = total.numbers();
        point.add_to(total);
        self.bytes = self.bytes.saturating_add(total.numbers() * size_of::<u64>());
        self.bytes = self.bytes.saturating_sub(before * size_of::<u64>());
        true
    }

    /// Forgets the streams that say nothing any more.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.streams.retain(|_, stream| now.duration_since(stream.heard) <= STALE);
        self.bytes = self.streams.values().map(|stream| STREAM_BYTES + stream.total.numbers() * size_of::<u64>()).sum();
    }
}

impl Total {
    fn numbers(&self) -> usize {
        match self {
            Self::Number(point) => point.numbers(),
            Self::Histogram(point) => point.numbers(),
            Self::Exponential(point) => point.numbers(),
        }
    }
}

#[cfg(test)]
mod tests;
