//! Compares results with the expectations of a script.

use std::collections::HashMap;

use model::histogram::Buckets;
use model::regex::Regex;
use model::sample::is_stale;
use model::{Histogram, Labels, Timestamp};

use super::Point;
use super::script::{Expect, Text, When};
use crate::value::{RangeSeries, Sample};
use crate::{Error, QueryResult, Value};

const TOLERANCE: f64 = 1e-6;

/// Upstream's comparison of floats: equal, both NaN of the same kind, or close relative to their size.
pub(crate) fn near(a: f64, b: f64) -> bool {
    // A stale marker is a NaN, but not equal to any other one.
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || a.is_nan() && b.is_nan() {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    // Close to zero, relative errors say nothing.
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    // The sum of two large numbers may be infinite.
    difference / sum.min(f64::MAX) < TOLERANCE
}

impl Text {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Equal(expected) => expected == text,
            // Matchers are anchored at both ends, patterns of scripts are not.
            Self::Regex(pattern) => Regex::new(&format!(".*(?:{pattern}).*")).is_ok_and(|r| r.is_match(text)),
        }
    }
}

/// Compares annotations.
pub(crate) fn annotations(result: &QueryResult, expect: &Expect) -> Result<(), String> {
    for (kind, got, wanted, none) in [
        ("warning", &result.warnings, &expect.warn, expect.no_warn),
        ("info", &result.infos, &expect.info, expect.no_info),
    ] {
        if none && !got.is_empty() {
            return Err(format!("unexpected {kind}: {got:?}"));
        }
        if let Some(missing) = wanted.iter().find(|w| !got.iter().any(|g| w.matches(g))) {
            return Err(format!("no {kind} {missing:?} among {got:?}"));
        }
        // As upstream, only messages of a kind that is expected at all are checked for unexpected ones.
        if let Some(more) = got.iter().find(|g| !wanted.is_empty() && !wanted.iter().any(|w| w.matches(g))) {
            return Err(format!("unexpected {kind}: {more:?}"));
        }
    }
    Ok(())
}

/// Checks an error against `expect fail`.
pub(crate) fn failure(error: &Error, expect: &Expect) -> Result<(), String> {
    match &expect.fail {
        None => Err(format!("failed: {error}")),
        Some(text) if text.matches(&error.to_string()) => Ok(()),
        Some(text) => Err(format!("failed with {:?}, expected {text:?}", error.to_string())),
    }
}

/// Checks the value of an instant query.
pub(crate) fn instant(value: &Value, expect: &Expect) -> Result<(), String> {
    match value {
        Value::String { value, .. } => match &expect.string {
            Some(expected) if expected == value => Ok(()),
            expected => Err(format!("got string {value:?}, expected {expected:?}")),
        },
        Value::Scalar { value, .. } => match expect.scalar {
            Some(expected) if near(expected, *value) => Ok(()),
            expected => Err(format!("got scalar {value}, expected {expected:?}")),
        },
        Value::Vector(samples) => vector(samples, expect),
        Value::Matrix(series) => match expect.range {
            Some(When::Range { start, step_ms, .. }) => matrix(series, expect, (start, step_ms)),
            _ => Err("got a range vector".to_owned()),
        },
    }
}

pub(crate) fn vector(samples: &[Sample], expect: &Expect) -> Result<(), String> {
    if let Some(expected) = expect.scalar {
        return Err(format!("got a vector, expected scalar {expected}"));
    }
    if samples.len() != expect.series.len() {
        return Err(format!("got {} series, expected {}: {}", samples.len(), expect.series.len(), shown(samples)));
    }
    let mut places = HashMap::new();
    for (i, (labels, points)) in expect.series.iter().enumerate() {
        places.insert(labels, (i, points.first().unwrap_or(&Point::Absent)));
    }
    for (i, sample) in samples.iter().enumerate() {
        let Some((place, point)) = places.remove(&sample.labels) else {
            return Err(format!("unexpected or repeated series {}: {}", sample.labels, shown(samples)));
        };
        if expect.ordered && place != i {
            return Err(format!("{} is at place {i}, expected {place}", sample.labels));
        }
        same(point, sample.value, sample.histogram.as_deref()).map_err(|why| format!("{}: {why}", sample.labels))?;
    }
    Ok(())
}

fn shown(samples: &[Sample]) -> String {
    let value = |s: &Sample| s.histogram.as_ref().map_or_else(|| s.value.to_string(), |h| h.notation());
    let texts: Vec<String> = samples.iter().take(6).map(|s| format!("{} {}", s.labels, value(s))).collect();
    texts.join("; ")
}

/// Does a sample equal the expected point?
fn same(expected: &Point, value: f64, histogram: Option<&Histogram>) -> Result<(), String> {
    let got = || histogram.map_or_else(|| value.to_string(), Histogram::notation);
    match (expected, histogram) {
        (Point::Float(expected), None) if near(*expected, value) => Ok(()),
        (Point::Float(expected), _) => Err(format!("got {}, expected {expected}", got())),
        (Point::Histogram { histogram: expected, names_hint }, Some(histogram))
            if near_histograms(expected, histogram, *names_hint) =>
        {
            Ok(())
        }
        (Point::Histogram { histogram: expected, .. }, _) => {
            Err(format!("got {}, expected {}", got(), expected.notation()))
        }
        (Point::Absent, _) => Err(format!("got {}, expected nothing", got())),
    }
}

/// Compares histograms number by number with [`near`], ignoring empty buckets.
fn near_histograms(expected: &Histogram, got: &Histogram, with_hint: bool) -> bool {
    let [a, b] = [expected, got].map(|h| {
        let mut compact = h.clone();
        compact.compact();
        compact
    });
    let all_near = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(*a, *b));
    let side = |a: &Buckets, b: &Buckets| a.spans == b.spans && all_near(&a.counts, &b.counts);
    (!with_hint || a.reset_hint == b.reset_hint)
        && a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && all_near(&[a.count, a.sum, a.zero_count], &[b.count, b.sum, b.zero_count])
        && side(&a.positive, &b.positive)
        && side(&a.negative, &b.negative)
        && all_near(&a.custom_values, &b.custom_values)
}

/// Compares series with points at `start`, `start + step_ms` and so on.
pub(crate) fn matrix(
    series: &[RangeSeries],
    expect: &Expect,
    (start, step_ms): (Timestamp, i64),
) -> Result<(), String> {
    if !series.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("series are not sorted".to_owned());
    }
    let mut expected: HashMap<&Labels, Vec<(Timestamp, &Point)>> = HashMap::new();
    for (labels, points) in &expect.series {
        let points = points.iter().enumerate().filter(|(_, point)| **point != Point::Absent);
        expected.insert(labels, points.map(|(i, point)| (start + step_ms * i as i64, point)).collect());
    }
    for one in series {
        let Some(wanted) = expected.remove(&one.labels) else {
            let (points, histograms) = (numbered(&one.points), numbered(&one.histograms));
            return Err(format!("unexpected series {} {points:?} {histograms:?}", one.labels));
        };
        let mut got: Vec<(Timestamp, f64, Option<&Histogram>)> =
            one.points.iter().map(|(ts, v)| (*ts, *v, None)).collect();
        got.extend(one.histograms.iter().map(|(ts, h)| (*ts, 0.0, Some(&**h))));
        got.sort_by_key(|(ts, ..)| *ts);
        if !got.iter().map(|(ts, ..)| ts).eq(wanted.iter().map(|(ts, _)| ts)) {
            let got: Vec<_> = got.iter().map(|(ts, value, histogram)| (ts.0, value, histogram)).collect();
            let times: Vec<i64> = wanted.iter().map(|(ts, _)| ts.0).collect();
            return Err(format!("{}: got {got:?}, expected points at {times:?}", one.labels));
        }
        for ((ts, value, histogram), (_, point)) in got.iter().zip(&wanted) {
            same(point, *value, *histogram).map_err(|why| format!("{} at {ts}: {why}", one.labels))?;
        }
    }
    match expected.iter().find(|(_, points)| !points.is_empty()) {
        Some((labels, _)) => Err(format!("missing series {labels}")),
        None => Ok(()),
    }
}

/// Samples as messages show them: times as numbers.
fn numbered<T>(samples: &[(Timestamp, T)]) -> Vec<(i64, &T)> {
    samples.iter().map(|(ts, sample)| (ts.0, sample)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearness() {
        assert!(near(1.0, 1.0 + 1e-7) && !near(1.0, 1.0001));
        assert!(near(f64::NAN, f64::NAN) && !near(f64::NAN, model::sample::stale_nan()));
        assert!(!near(0.0, 1e-9) && near(0.0, -0.0));
    }
}
