//! How a difference is added to a total, by kind of point.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint};

use super::{Point, Total};

/// So many buckets a side of an exponential histogram has at most; with more it is made coarser.
const BUCKETS_MAX: i64 = 160;
/// Coarser than this there is nothing to tell apart.
const SCALE_MIN: i32 = -11;

impl Point for NumberDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn numbers(&self) -> usize {
        0
    }

    fn total(&self) -> Total {
        Total::Number(Self { attributes: Vec::new(), exemplars: Vec::new(), ..self.clone() })
    }

    fn of(total: &mut Total) -> Option<&mut Self> {
        if let Total::Number(point) = total { Some(point) } else { None }
    }

    fn add_to(&mut self, total: &mut Self) {
        #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
        let float = |value: Option<Value>| match value {
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => 0.0,
        };
        total.value = Some(match (total.value, self.value) {
            (Some(Value::AsInt(a)), Some(Value::AsInt(b))) => Value::AsInt(a.wrapping_add(b)),
            (a, b) => Value::AsDouble(float(a) + float(b)),
        });
        total.time_unix_nano = self.time_unix_nano;
        (self.value, self.start_time_unix_nano) = (total.value, total.start_time_unix_nano);
    }
}

impl Point for HistogramDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn numbers(&self) -> usize {
        self.bucket_counts.len() + self.explicit_bounds.len()
    }

    fn total(&self) -> Total {
        Total::Histogram(Self { attributes: Vec::new(), exemplars: Vec::new(), ..self.clone() })
    }

    fn of(total: &mut Total) -> Option<&mut Self> {
        if let Total::Histogram(point) = total { Some(point) } else { None }
    }

    fn add_to(&mut self, total: &mut Self) {
        if total.explicit_bounds != self.explicit_bounds {
            // What was counted by other bounds cannot be told by these: it begins anew.
            *total = Self { attributes: Vec::new(), exemplars: Vec::new(), ..self.clone() };
            return;
        }
        if total.bucket_counts.len() < self.bucket_counts.len() {
            total.bucket_counts.resize(self.bucket_counts.len(), 0);
        }
        add_counts(&mut total.bucket_counts, &self.bucket_counts);
        total.count = total.count.wrapping_add(self.count);
        total.sum = total.sum.zip(self.sum).map(|(a, b)| a + b);
        total.time_unix_nano = self.time_unix_nano;
        self.bucket_counts.clone_from(&total.bucket_counts);
        (self.count, self.sum, self.start_time_unix_nano) = (total.count, total.sum, total.start_time_unix_nano);
    }
}

impl Point for ExponentialHistogramDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&self) -> (u64, u64) {
        (self.start_time_unix_nano, self.time_unix_nano)
    }

    fn numbers(&self) -> usize {
        [&self.positive, &self.negative].into_iter().flatten().map(|side| side.bucket_counts.len()).sum()
    }

    fn total(&self) -> Total {
        Total::Exponential(Self { attributes: Vec::new(), exemplars: Vec::new(), ..self.clone() })
    }

    fn of(total: &mut Total) -> Option<&mut Self> {
        if let Total::Exponential(point) = total { Some(point) } else { None }
    }

    fn add_to(&mut self, total: &mut Self) {
        let mut scale = total.scale.min(self.scale);
        coarsen(total, scale);
        coarsen(self, scale);
        let is_wide = |a: &Self, b: &Self| [0, 1].iter().any(|side| span(a, b, *side) > BUCKETS_MAX);
        while scale > SCALE_MIN && is_wide(total, self) {
            scale -= 1;
            coarsen(total, scale);
            coarsen(self, scale);
        }
        if is_wide(total, self) {
            // No scale that there is holds both.
            *total = Self { attributes: Vec::new(), exemplars: Vec::new(), ..self.clone() };
            return;
        }
        for (total, one) in [(&mut total.positive, &self.positive), (&mut total.negative, &self.negative)] {
            if let Some(one) = one {
                add_buckets(total.get_or_insert_default(), one);
            }
        }
        total.count = total.count.wrapping_add(self.count);
        total.zero_count = total.zero_count.wrapping_add(self.zero_count);
        total.sum = total.sum.zip(self.sum).map(|(a, b)| a + b);
        total.time_unix_nano = self.time_unix_nano;
        let (attributes, exemplars) = (std::mem::take(&mut self.attributes), std::mem::take(&mut self.exemplars));
        *self = Self { attributes, exemplars, flags: self.flags, ..total.clone() };
    }
}

fn add_counts(total: &mut [u64], one: &[u64]) {
    total.iter_mut().zip(one).for_each(|(total, one)| *total = total.wrapping_add(*one));
}

fn side_of(point: &ExponentialHistogramDataPoint, side: usize) -> Option<&Buckets> {
    let side = if side == 0 { &point.positive } else { &point.negative };
    side.as_ref().filter(|side| !side.bucket_counts.is_empty())
}

/// The buckets that a side of both together covers.
fn span(a: &ExponentialHistogramDataPoint, b: &ExponentialHistogramDataPoint, side: usize) -> i64 {
    let range = |side: &Buckets| {
        let first = i64::from(side.offset);
        (first, first + side.bucket_counts.len() as i64)
    };
    let ranges: Vec<(i64, i64)> = [a, b].into_iter().filter_map(|point| side_of(point, side)).map(range).collect();
    let (first, end) = (ranges.iter().map(|range| range.0).min(), ranges.iter().map(|range| range.1).max());
    first.zip(end).map_or(0, |(first, end)| end - first)
}

/// Joins pairs of buckets until the scale is this one.
fn coarsen(point: &mut ExponentialHistogramDataPoint, scale: i32) {
    let Ok(steps) = u32::try_from(i64::from(point.scale) - i64::from(scale)) else { return };
    let steps = steps.min(31);
    if steps == 0 {
        return;
    }
    for side in [&mut point.positive, &mut point.negative].into_iter().flatten() {
        let first = side.offset >> steps;
        let mut joined: Vec<u64> = Vec::new();
        for (at, count) in (i64::from(side.offset)..).zip(&side.bucket_counts) {
            let place = usize::try_from((at >> steps) - i64::from(first)).unwrap_or_default();
            if joined.len() <= place {
                joined.resize(place + 1, 0);
            }
            joined[place] = joined[place].wrapping_add(*count);
        }
        (side.offset, side.bucket_counts) = (first, joined);
    }
    point.scale = scale;
}

/// Adds buckets of the same scale. Both together cover few.
fn add_buckets(total: &mut Buckets, one: &Buckets) {
    if one.bucket_counts.is_empty() {
        return;
    }
    if total.bucket_counts.is_empty() {
        total.clone_from(one);
        return;
    }
    let before = usize::try_from(i64::from(total.offset) - i64::from(one.offset)).unwrap_or_default();
    total.bucket_counts.splice(..0, std::iter::repeat_n(0, before));
    total.offset = total.offset.min(one.offset);
    let at = usize::try_from(i64::from(one.offset) - i64::from(total.offset)).unwrap_or_default();
    let end = at + one.bucket_counts.len();
    if total.bucket_counts.len() < end {
        total.bucket_counts.resize(end, 0);
    }
    add_counts(&mut total.bucket_counts[at..end], &one.bucket_counts);
}
