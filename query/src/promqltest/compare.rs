//! Is a result what the script expects?

use std::collections::HashMap;

use model::Labels;
use model::regex::Regex;
use model::sample::is_stale;

use super::Point;
use super::script::{Expect, Text, When};
use crate::value::{RangeSeries, Sample};
use crate::{Error, QueryResult, Value};

const TOLERANCE: f64 = 1e-6;

/// Upstream's rule for floats: equal, both NaN of a kind, or near relative to their size.
pub(crate) fn near(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || a.is_nan() && b.is_nan() {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

impl Text {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Equal(expected) => expected == text,
            Self::Regex(pattern) => Regex::new(&format!(".*(?:{pattern}).*")).is_ok_and(|r| r.is_match(text)),
        }
    }
}

/// Checks what an evaluation said besides its value.
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
            Some(When::Range { start_ms, step_ms, .. }) => matrix(series, expect, (start_ms, step_ms)),
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
        let Some(Point::Float(value)) = points.first() else {
            return Err(format!("{labels}: native histogram samples are not supported yet"));
        };
        places.insert(labels, (i, *value));
    }
    for (i, sample) in samples.iter().enumerate() {
        let Some((place, value)) = places.remove(&sample.labels) else {
            return Err(format!("unexpected or repeated series {}: {}", sample.labels, shown(samples)));
        };
        if expect.ordered && place != i {
            return Err(format!("{} is at place {i}, expected {place}", sample.labels));
        }
        if !near(value, sample.value) {
            return Err(format!("{}: got {}, expected {value}", sample.labels, sample.value));
        }
    }
    Ok(())
}

fn shown(samples: &[Sample]) -> String {
    let texts: Vec<String> = samples.iter().take(6).map(|s| format!("{} {}", s.labels, s.value)).collect();
    texts.join("; ")
}

/// Checks series of several points, which stand at `start`, `start + step` and so on.
pub(crate) fn matrix(series: &[RangeSeries], expect: &Expect, (start, step): (i64, i64)) -> Result<(), String> {
    if !series.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("series are not sorted".to_owned());
    }
    let mut expected: HashMap<&Labels, Vec<(i64, f64)>> = HashMap::new();
    for (labels, points) in &expect.series {
        let mut floats = Vec::new();
        for (i, point) in points.iter().enumerate() {
            match point {
                Point::Absent => {}
                Point::Float(value) => floats.push((start + step * i as i64, *value)),
                Point::Histogram(_) => return Err(format!("{labels}: native histogram samples are not supported yet")),
            }
        }
        expected.insert(labels, floats);
    }
    for one in series {
        let Some(wanted) = expected.remove(&one.labels) else {
            return Err(format!("unexpected series {} {:?}", one.labels, one.points));
        };
        let same = wanted.len() == one.points.len()
            && wanted.iter().zip(&one.points).all(|(a, b)| a.0 == b.0 && near(a.1, b.1));
        if !same {
            return Err(format!("{}: got {:?}, expected {wanted:?}", one.labels, one.points));
        }
    }
    match expected.iter().find(|(_, points)| !points.is_empty()) {
        Some((labels, _)) => Err(format!("missing series {labels}")),
        None => Ok(()),
    }
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
