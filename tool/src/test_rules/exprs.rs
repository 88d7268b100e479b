//! `promql_expr_test`: the samples that an expression returns.

use ::config::{ExpectedSample, ExprTest};
use model::Labels;
use model::duration::format_duration_ms;
use model::float::format_e;
use model::labels::sort_by_labels;
use query::promqltest::{self, Point};
use query::{QueryResult, Value};

use super::labels::braced;

/// A sample, expected or returned.
#[derive(Clone, Debug)]
struct Shown {
    labels: Labels,
    value: f64,
    /// In series notation.
    histogram: Option<String>,
}

/// # Errors
/// What differs from what is expected, in upstream's words.
pub(super) fn check(test: &ExprTest, result: Result<QueryResult, query::Error>, fuzzy: bool) -> Result<(), String> {
    let head = format!("    expr: {:?}, time: {},", test.expr, format_duration_ms(test.eval_time_ms));
    let told = |error: String| format!("{head} err: {error}");
    let mut got = samples(result).map_err(told)?;
    let expected: Result<Vec<_>, String> = test.exp_samples.iter().map(Shown::expected).collect();
    let mut expected = expected.map_err(told)?;
    // Of equal labels, which are a mistake, the last is shown first, as upstream's sort has it.
    expected.reverse();
    sort_by_labels(&mut expected, |sample| &sample.labels);
    sort_by_labels(&mut got, |sample| &sample.labels);
    let is_same = expected.len() == got.len() && expected.iter().zip(&got).all(|(a, b)| a.is_same(b, fuzzy));
    if is_same { Ok(()) } else { Err(format!("{head}\n        exp: {}\n        got: {}", list(&expected), list(&got))) }
}

fn samples(result: Result<QueryResult, query::Error>) -> Result<Vec<Shown>, String> {
    match result.map_err(|error| error.to_string())?.value {
        Value::Vector(samples) => {
            let histogram = |sample: &query::Sample| sample.histogram.as_ref().map(|histogram| histogram.notation());
            let shown = |sample: query::Sample| Shown {
                histogram: histogram(&sample),
                labels: sample.labels,
                value: sample.value,
            };
            Ok(samples.into_iter().map(shown).collect())
        }
        Value::Scalar { value, .. } => Ok(vec![Shown { labels: Labels::empty(), value, histogram: None }]),
        Value::String { .. } | Value::Matrix(_) => Err("rule result is not a vector or scalar".to_owned()),
    }
}

impl Shown {
    fn expected(sample: &ExpectedSample) -> Result<Self, String> {
        let told = |error: String| format!("labels {:?}: {error}", sample.labels);
        let (labels, points) = promqltest::series(&sample.labels).map_err(told)?;
        if !points.is_empty() {
            return Err(told(format!("expected labels alone, got {} values", points.len())));
        }
        let histogram = sample.histogram.as_deref().filter(|text| !text.is_empty());
        let histogram = histogram.map(histogram_of).transpose().map_err(told)?;
        Ok(Self { labels, value: sample.value, histogram })
    }

    fn is_same(&self, other: &Self, fuzzy: bool) -> bool {
        let (a, b) = (self.value, other.value);
        let is_same_value = a == b || fuzzy && (a.next_down() == b || a.next_up() == b);
        is_same_value && self.labels == other.labels && self.histogram == other.histogram
    }
}

/// A histogram in the notation that results have.
fn histogram_of(text: &str) -> Result<String, String> {
    let (_, points) = promqltest::series(&format!("{{}} {text}"))?;
    match points.as_slice() {
        [Point::Histogram { histogram, .. }] => Ok(histogram.notation()),
        [Point::Float(value)] => Err(format!("expected histogram, got {value:.6}")),
        [Point::Absent] => Err("expected histogram, got _".to_owned()),
        points => Err(format!("expected 1 value, got {}", points.len())),
    }
}

fn list(samples: &[Shown]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let shown = |sample: &Shown| {
        let value = sample.histogram.clone().unwrap_or_else(|| format_e(sample.value).replace('e', "E"));
        format!("{} {value}", braced(sample.labels.iter()))
    };
    samples.iter().map(shown).collect::<Vec<_>>().join(", ")
}
