//! Are two values of a query alike, and if not, where do they differ first?

use std::collections::BTreeMap;

use model::float::format_f;

use crate::api::value::{HistogramValue, Metric, Point, Stream, Value, metric_text, time};

/// How far two numbers may be apart, relative to the larger one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance(pub(super) f64);

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// The series and the time, if it is about one.
    pub(super) what: Option<String>,
    pub(super) a: String,
    pub(super) b: String,
    /// How many further series differ.
    pub(super) more: usize,
}

/// A series by its labels; its samples by their times.
type Series = BTreeMap<i64, Point>;

const NOTHING: &str = "no sample";

impl Tolerance {
    fn are_alike(self, a: f64, b: f64) -> bool {
        // Infinities are alike only if they are equal: what is between them is no number.
        let is_close = || (a - b).abs() <= self.0 * a.abs().max(b.abs()) && (a - b).is_finite();
        a == b || a.is_nan() && b.is_nan() || is_close()
    }

    fn are_points_alike(self, a: &Point, b: &Point) -> bool {
        match (a, b) {
            (Point::Float(a), Point::Float(b)) => self.are_alike(*a, *b),
            (Point::Histogram(a), Point::Histogram(b)) => self.are_histograms_alike(a, b),
            _ => false,
        }
    }

    fn are_histograms_alike(self, a: &HistogramValue, b: &HistogramValue) -> bool {
        let buckets = |histogram: &HistogramValue| histogram.buckets.clone().unwrap_or_default();
        let (of_a, of_b) = (buckets(a), buckets(b));
        let mut pairs = of_a.iter().zip(&of_b);
        self.are_alike(a.count, b.count)
            && self.are_alike(a.sum, b.sum)
            && of_a.len() == of_b.len()
            && pairs.all(|(a, b)| {
                a.boundaries == b.boundaries
                    && self.are_alike(a.lower, b.lower)
                    && self.are_alike(a.upper, b.upper)
                    && self.are_alike(a.count, b.count)
            })
    }
}

/// The first difference of two values, series in the order of their labels; `None` if they are alike.
pub(super) fn first_difference(a: &Value, b: &Value, tolerance: Tolerance) -> Option<Difference> {
    let whole = |a: String, b: String| Some(Difference { what: None, a, b, more: 0 });
    match (a, b) {
        (Value::Scalar(_, one), Value::Scalar(_, other)) if tolerance.are_alike(*one, *other) => None,
        (Value::Text(_, one), Value::Text(_, other)) if one == other => None,
        (Value::Vector(_), Value::Vector(_)) | (Value::Matrix(_), Value::Matrix(_)) => {
            first_series(&by_labels(a), &by_labels(b), tolerance)
        }
        (Value::Scalar(..), Value::Scalar(..)) | (Value::Text(..), Value::Text(..)) => {
            whole(a.to_promql(), b.to_promql())
        }
        // Of different types: what they are says more than what is in them.
        _ => whole(size(a), size(b)),
    }
}

fn first_series(
    a: &BTreeMap<&Metric, Series>,
    b: &BTreeMap<&Metric, Series>,
    tolerance: Tolerance,
) -> Option<Difference> {
    let none = Series::new();
    let mut metrics: Vec<&&Metric> = a.keys().chain(b.keys()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let mut found: Option<Difference> = None;
    for metric in metrics {
        let (of_a, of_b) = (a.get(*metric).unwrap_or(&none), b.get(*metric).unwrap_or(&none));
        let Some(ts) = first_time(of_a, of_b, tolerance) else { continue };
        if let Some(found) = &mut found {
            found.more += 1;
            continue;
        }
        let side = |series: &Series| match series.get(&ts) {
            Some(Point::Float(value)) => format_f(*value),
            Some(Point::Histogram(histogram)) => histogram.to_promql(),
            None if series.is_empty() => "no such series".to_owned(),
            None => NOTHING.to_owned(),
        };
        let what = Some(format!("{} at {}", metric_text(metric), time(ts)));
        found = Some(Difference { what, a: side(of_a), b: side(of_b), more: 0 });
    }
    found
}

/// The first time at which two series differ.
fn first_time(a: &Series, b: &Series, tolerance: Tolerance) -> Option<i64> {
    let are_alike = |ts: &i64| match (a.get(ts), b.get(ts)) {
        (Some(a), Some(b)) => tolerance.are_points_alike(a, b),
        _ => false,
    };
    let of_a = a.keys().find(|ts| !are_alike(ts));
    let of_b = b.keys().find(|ts| !a.contains_key(ts));
    of_a.into_iter().chain(of_b).min().copied()
}

fn by_labels(value: &Value) -> BTreeMap<&Metric, Series> {
    let of_stream = |stream: &Stream| -> Series {
        let floats = stream.values.iter().map(|(ts, value)| (*ts, Point::Float(*value)));
        let histograms = stream.histograms.iter().map(|(ts, value)| (*ts, Point::Histogram(value.clone())));
        floats.chain(histograms).collect()
    };
    match value {
        Value::Vector(samples) => {
            samples.iter().map(|one| (&one.metric, Series::from([(one.ts, one.value.clone())]))).collect()
        }
        Value::Matrix(streams) => streams.iter().map(|stream| (&stream.metric, of_stream(stream))).collect(),
        Value::Scalar(..) | Value::Text(..) => BTreeMap::new(),
    }
}

/// How much a value is.
pub(super) fn size(value: &Value) -> String {
    match value {
        Value::Scalar(..) => "a scalar".to_owned(),
        Value::Text(..) => "a string".to_owned(),
        Value::Vector(samples) => format!("{} series", samples.len()),
        Value::Matrix(streams) => {
            let n: usize = streams.iter().map(|one| one.values.len() + one.histograms.len()).sum();
            format!("{} series, {n} samples", streams.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn value(kind: &str, result: &Json) -> Value {
        Value::decode(&json!({"resultType": kind, "result": result})).unwrap()
    }

    fn vector(samples: &[(&str, &str)]) -> Value {
        let samples: Vec<Json> =
            samples.iter().map(|(label, value)| json!({"metric": {"a": label}, "value": [1, value]})).collect();
        value("vector", &json!(samples))
    }

    fn difference(a: &Value, b: &Value) -> Option<(String, String, String, usize)> {
        let Difference { what, a, b, more } = first_difference(a, b, Tolerance(1e-9))?;
        Some((what.unwrap_or_default(), a, b, more))
    }

    fn told(what: &str, a: &str, b: &str, more: usize) -> Option<(String, String, String, usize)> {
        Some((what.to_owned(), a.to_owned(), b.to_owned(), more))
    }

    #[test]
    fn the_order_of_series_does_not_count() {
        let one = vector(&[("x", "1"), ("y", "NaN"), ("z", "+Inf")]);
        assert_eq!(difference(&one, &vector(&[("z", "+Inf"), ("y", "NaN"), ("x", "1.0000000001")])), None);
        let other = vector(&[("z", "-Inf"), ("x", "1.00001"), ("new", "5")]);
        assert_eq!(difference(&one, &other), told("{a=\"new\"} at 1", "no such series", "5", 3));
        assert_eq!(difference(&vector(&[("x", "1")]), &vector(&[("x", "2")])), told("{a=\"x\"} at 1", "1", "2", 0));
    }

    #[test]
    fn tolerance_is_relative() {
        let alike = |tolerance: f64, a: f64, b: f64| Tolerance(tolerance).are_alike(a, b);
        assert!(alike(0.1, 100.0, 91.0) && !alike(0.1, 100.0, 89.0) && alike(0.0, 0.0, -0.0));
        assert!(!alike(1.0, f64::INFINITY, 1.0) && !alike(1.0, f64::INFINITY, f64::NEG_INFINITY));
        assert!(!alike(1.0, f64::NAN, 1.0) && alike(0.0, f64::NAN, f64::NAN) && !alike(0.5, 0.0, 1e-300));
    }

    #[test]
    fn ranges_are_compared_sample_by_sample() {
        let matrix = |values: &Json| value("matrix", &json!([{"metric": {"a": "x"}, "values": values}]));
        let one = matrix(&json!([[0, "1"], [15, "2"], [30, "3"]]));
        assert_eq!(difference(&one, &one), None);
        let gap = matrix(&json!([[0, "1"], [30, "4"]]));
        assert_eq!(difference(&one, &gap), told("{a=\"x\"} at 15", "2", "no sample", 0));
        assert_eq!(difference(&gap, &one), told("{a=\"x\"} at 15", "no sample", "2", 0));
        let histogram = |count: &str, upper: &str| {
            let histogram = json!({"count": count, "sum": "1", "buckets": [[0, "1", upper, "3"]]});
            value("matrix", &json!([{"metric": {}, "histograms": [[0, histogram]]}]))
        };
        assert_eq!(difference(&histogram("3", "2"), &histogram("3", "2")), None);
        let (what, a, b, _) = difference(&histogram("3", "2"), &histogram("3", "4")).unwrap();
        assert_eq!(what, "{} at 0");
        assert!(a.contains("(1,2]:3") && b.contains("(1,4]:3"), "{a} {b}");
        assert!(difference(&histogram("3", "2"), &histogram("4", "2")).is_some());
    }

    #[test]
    fn types_are_compared() {
        let scalar = |text: &str| value("scalar", &json!([0, text]));
        assert_eq!(difference(&scalar("1"), &scalar("1")), None);
        assert_eq!(difference(&scalar("1"), &scalar("2")), told("", "scalar: 1 @[0]", "scalar: 2 @[0]", 0));
        assert_eq!(difference(&scalar("1"), &vector(&[("x", "1")])), told("", "a scalar", "1 series", 0));
        let text = |text: &str| value("string", &json!([0, text]));
        assert_eq!(
            (difference(&text("a"), &text("a")), difference(&text("a"), &text("b"))),
            (None, told("", "a", "b", 0))
        );
    }
}
