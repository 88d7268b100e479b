//! Warnings and infos that go with a result, each once. The texts are upstream's (`util/annotations`).

use std::collections::BTreeSet;

use crate::histogram::Combined;
use crate::parse::ast::Span;
use crate::parse::line_column;

/// What the API shows of each kind; the rest is counted.
const SHOWN_MAX: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
}

impl Notes {
    pub(crate) fn warn(&mut self, text: &str, span: Span, message: &str) {
        self.warnings.insert(format!("PromQL warning: {message} ({})", line_column(text, span.start)));
    }

    pub(crate) fn info(&mut self, text: &str, span: Span, message: &str) {
        self.infos.insert(format!("PromQL info: {message} ({})", line_column(text, span.start)));
    }

    /// Warnings and infos, sorted.
    pub(crate) fn into_texts(self) -> (Vec<String>, Vec<String>) {
        (shown(self.warnings, "warning"), shown(self.infos, "info"))
    }
}

fn shown(all: BTreeSet<String>, kind: &str) -> Vec<String> {
    let more = all.len().saturating_sub(SHOWN_MAX);
    let mut texts: Vec<String> = all.into_iter().take(SHOWN_MAX).collect();
    if more > 0 {
        texts.push(format!("{more} more {kind} annotations omitted"));
    }
    texts
}

/// Which operation combined histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// What is to be said about histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remark {
    /// A range of both floats and histograms.
    MixedRange,
    /// The same, where floats alone are looked at.
    IgnoredInRange,
    /// Exponential and custom buckets cannot be combined.
    MixedSchemas,
    NotCounter,
    NotGauge,
    /// A sample counts since before the one before it.
    StartsOverlap,
    /// Only the custom bounds that histograms share are left.
    BoundsDiffer(Operation),
    ResetsCollide(Operation),
    /// A group of both floats and histograms.
    MixedGroup,
    /// An aggregation that looks at floats alone.
    IgnoredInGroup(&'static str),
    /// Classic buckets and a native histogram of the same name.
    MixedClassicNative,
    QuantileIsNan,
    QuantileIsSkewed,
    FractionWithoutNan,
}

impl Remark {
    /// Is it a warning, not just an info? And what it says of a metric.
    fn text(self, metric: &str) -> (bool, String) {
        let of = if metric.is_empty() { String::new() } else { format!(" for metric name {metric:?}") };
        match self {
            Self::MixedRange => {
                (true, format!("encountered a mix of histograms and floats for metric name {metric:?}"))
            }
            Self::IgnoredInRange => {
                let what = "ignored histograms in a range containing both floats and histograms";
                (false, format!("{what} for metric name {metric:?}"))
            }
            Self::MixedSchemas => {
                let what = "vector contains a mix of histograms with exponential and custom buckets schemas";
                (true, format!("{what} for metric name {metric:?}"))
            }
            Self::NotCounter => (true, format!("this native histogram metric is not a counter: {metric:?}")),
            Self::NotGauge => (true, format!("this native histogram metric is not a gauge: {metric:?}")),
            Self::StartsOverlap => {
                let what = "sample has start time that overlaps with previous sample timestamp";
                (true, format!("{what} for metric {metric:?}"))
            }
            Self::BoundsDiffer(operation) => {
                (false, format!("mismatched custom buckets were reconciled during {}", operation.name()))
            }
            Self::ResetsCollide(operation) => {
                (true, format!("conflicting counter resets during histogram {}", operation.name()))
            }
            Self::MixedGroup => (true, "encountered a mix of histograms and floats for aggregation".to_owned()),
            Self::IgnoredInGroup(aggregation) => (false, format!("ignored histogram in {aggregation} aggregation")),
            Self::MixedClassicNative => (true, format!("vector contains a mix of classic and native histograms{of}")),
            Self::QuantileIsNan => {
                (false, format!("input to histogram_quantile has NaN observations, result is NaN{of}"))
            }
            Self::QuantileIsSkewed => {
                (false, format!("input to histogram_quantile has NaN observations, result is skewed higher{of}"))
            }
            Self::FractionWithoutNan => {
                let what = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
                (false, format!("{what}{of}"))
            }
        }
    }
}

impl Notes {
    /// Says something of a metric, at a place of the query.
    pub(crate) fn remark(&mut self, text: &str, span: Span, metric: &str, remark: Remark) {
        let (is_warning, message) = remark.text(metric);
        if is_warning { self.warn(text, span, &message) } else { self.info(text, span, &message) }
    }
}

/// Remarks of one computation, in the order they came up.
#[derive(Debug, Default)]
pub(crate) struct Remarks(pub(crate) Vec<Remark>);

impl Remarks {
    pub(crate) fn add(&mut self, remark: Remark) {
        if !self.0.contains(&remark) {
            self.0.push(remark);
        }
    }

    /// What was noticed when histograms were combined, their bounds alone where resets are accounted for.
    pub(crate) fn bounds(&mut self, combined: Combined, operation: Operation) {
        if combined.bounds_differ {
            self.add(Remark::BoundsDiffer(operation));
        }
    }

    pub(crate) fn combined(&mut self, combined: Combined, operation: Operation) {
        self.bounds(combined, operation);
        if combined.resets_collide {
            self.add(Remark::ResetsCollide(operation));
        }
    }
}
