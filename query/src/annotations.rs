//! Annotations: warnings and infos of a result, each reported once. The texts are upstream's (`util/annotations`).

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use model::float::format_g;

use crate::functions::histogram::Raised;
use crate::functions::time::rfc3339;
use crate::histogram::Combined;
use crate::parse::ast::Span;
use crate::parse::line_column;

/// Annotations of each kind that the API returns; the rest is counted.
const SHOWN_MAX: usize = 10;

/// Distinct annotations kept of each kind, and their maximum length.
const KEPT_MAX: usize = 1_000;
const MESSAGE_BYTES_MAX: usize = 4 << 10;

#[derive(Debug, Default)]
pub(crate) struct Annotations {
    /// Position by text; of several positions the last one counts.
    warnings: BTreeMap<String, String>,
    infos: BTreeMap<String, String>,
    /// By metric, the position and how buckets of classic histograms were made monotonic.
    forced: BTreeMap<String, (String, Forced)>,
    /// Warnings of the store about the data it read.
    store: BTreeSet<String>,
    /// Annotations added, repeated ones included.
    count: usize,
}

/// Buckets that were raised for monotonicity, over several samples.
#[derive(Clone, Copy, Debug)]
struct Forced {
    raised: Raised,
    samples: usize,
    from: Timestamp,
    to: Timestamp,
}

impl Annotations {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn warn(&mut self, text: &str, span: Span, message: &str) {
        self.count += 1;
        // The position is computed only for annotations that are kept: it counts lines from the start of the text.
        note(&mut self.warnings, format!("PromQL warning: {}", cut(message)), || line_column(text, span.start));
    }

    pub(crate) fn info(&mut self, text: &str, span: Span, message: &str) {
        self.count += 1;
        note(&mut self.infos, format!("PromQL info: {}", cut(message)), || line_column(text, span.start));
    }

    /// Adds warnings of the store. They do not count as annotations of an expression, which keep its result from being shared.
    pub(crate) fn warn_of_store(&mut self, warnings: Vec<String>) {
        let room = KEPT_MAX.saturating_sub(self.store.len());
        self.store.extend(warnings.into_iter().take(room));
    }

    /// Records that a classic histogram was made monotonic.
    pub(crate) fn forced(&mut self, text: &str, span: Span, metric: &str, (ts, raised): (Timestamp, Raised)) {
        self.count += 1;
        // A metric that is known already is still updated: only new ones are refused.
        if self.forced.len() >= KEPT_MAX && !self.forced.contains_key(metric) {
            return;
        }
        let new = Forced { raised, samples: 0, from: ts, to: ts };
        let (place, forced) = self.forced.entry(metric.to_owned()).or_insert_with(|| (String::new(), new));
        *place = line_column(text, span.start);
        forced.raised = forced.raised.and(raised);
        forced.samples += 1;
        forced.from = forced.from.min(ts);
        forced.to = forced.to.max(ts);
    }

    /// Warnings and infos, sorted.
    pub(crate) fn into_texts(mut self) -> (Vec<String>, Vec<String>) {
        // One info per metric summarises all samples that were corrected.
        for (metric, (place, Forced { raised, samples, from, to })) in self.forced {
            let of = if metric.is_empty() { String::new() } else { format!(" for metric name {metric:?}") };
            let [first, last] = [raised.first, raised.last].map(format_g);
            let [from, to] = [from, to].map(|ts| rfc3339(ts.0 / 1000));
            let most = two_digits(raised.most);
            let message = format!(
                "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){of}, from buckets {first} to {last}, with a max diff of {most}, over {samples} samples from {from} to {to}"
            );
            self.infos.insert(message, place);
        }
        // Warnings of the store have no position.
        let mut warnings = shown(self.store.into_iter(), "warnings of the store");
        warnings.extend(shown(placed(self.warnings), "warning annotations"));
        (warnings, shown(placed(self.infos), "info annotations"))
    }
}

/// Keeps an annotation up to a limit: there may be one for each metric.
fn note(kept: &mut BTreeMap<String, String>, message: String, place: impl FnOnce() -> String) {
    if kept.len() < KEPT_MAX || kept.contains_key(&message) {
        kept.insert(message, place());
    }
}

/// Truncates a message that contains a long name.
fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

fn placed(all: BTreeMap<String, String>) -> impl ExactSizeIterator<Item = String> {
    all.into_iter().map(|(message, place)| format!("{message} ({place})"))
}

fn shown(all: impl ExactSizeIterator<Item = String>, kind: &str) -> Vec<String> {
    // As upstream's `AsStrings`: the rest is counted, not listed.
    let more = all.len().saturating_sub(SHOWN_MAX);
    let mut texts: Vec<String> = all.take(SHOWN_MAX).collect();
    if more > 0 {
        texts.push(format!("{more} more {kind} omitted"));
    }
    texts
}

/// Go's `%.2g`.
fn two_digits(value: f64) -> String {
    // Two significant digits, from which the exponent after rounding is known.
    let scientific = format!("{value:.1e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return format_g(value) };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    // `%g` uses the exponent form below 1e-4 and from the precision on.
    if (-4..2).contains(&exponent) {
        return trimmed(&format!("{value:.*}", usize::try_from(1 - exponent).unwrap_or(0)));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
}

/// The operation that combined histograms.
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

/// Annotations about histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Annotation {
    /// A range of both floats and histograms.
    MixedRange,
    /// The same, for functions that only use floats.
    IgnoredInRange,
    /// Exponential and custom buckets cannot be combined.
    MixedSchemas,
    NotCounter,
    NotGauge,
    /// The start timestamp of a sample is before the previous sample.
    StartsOverlap,
    /// Custom bucket bounds differ; only the common ones are kept.
    BoundsDiffer(Operation),
    ResetsCollide(Operation),
    /// A group of both floats and histograms.
    MixedGroup,
    /// An aggregation that only uses floats.
    IgnoredInGroup(&'static str),
    /// Classic buckets and a native histogram of the same name.
    MixedClassicNative,
    QuantileIsNan,
    QuantileIsSkewed,
    FractionWithoutNan,
}

impl Annotation {
    /// True for a warning, false for an info; and the message.
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

impl Annotations {
    /// Adds an annotation about a metric, at a position of the query.
    pub(crate) fn annotate(&mut self, text: &str, span: Span, metric: &str, annotation: Annotation) {
        let (is_warning, message) = annotation.text(metric);
        if is_warning { self.warn(text, span, &message) } else { self.info(text, span, &message) }
    }
}

/// Annotations of one computation, without duplicates, in order.
#[derive(Debug, Default)]
pub(crate) struct AnnotationList(pub(crate) Vec<Annotation>);

impl AnnotationList {
    pub(crate) fn add(&mut self, annotation: Annotation) {
        if !self.0.contains(&annotation) {
            self.0.push(annotation);
        }
    }

    /// Annotations on bucket bounds only, for functions that handle counter resets themselves.
    pub(crate) fn bounds(&mut self, combined: Combined, operation: Operation) {
        if combined.bounds_differ {
            self.add(Annotation::BoundsDiffer(operation));
        }
    }

    pub(crate) fn combined(&mut self, combined: Combined, operation: Operation) {
        self.bounds(combined, operation);
        if combined.resets_collide {
            self.add(Annotation::ResetsCollide(operation));
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{PartReader, Parts, QuerierError};

    use super::*;
    use crate::promqltest::Store;
    use crate::promqltest::wrapped::{Wrap, Wrapped};
    use crate::{Engine, QueryOptions};

    /// Has a warning about each selection it opens.
    #[derive(Debug)]
    struct Damaged;

    struct Warned<'q>(Box<dyn Parts + 'q>);

    impl Wrap for Damaged {
        fn wrap<'q>(&self, parts: Box<dyn Parts + 'q>) -> Box<dyn Parts + 'q> {
            Box::new(Warned(parts))
        }
    }

    impl Parts for Warned<'_> {
        fn count(&self) -> usize {
            self.0.count()
        }

        fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
            self.0.reader()
        }

        fn warnings(&self) -> Vec<String> {
            vec!["some of it is damaged".to_owned()]
        }
    }

    #[test]
    fn warnings_of_the_store_are_told_once_whatever_reads_it() {
        let mut store = Store::default();
        for i in 0..40 {
            store.load_line(&format!("x_total{{i=\"{i}\"}} {i}+{i}x40"), (Timestamp(0), 30_000)).unwrap();
        }
        let store = Wrapped(store, Damaged);
        for query in [
            "x_total",
            "sum(x_total)",
            "rate(x_total[5m])",
            "x_total[5m]",
            "max_over_time(sum(x_total)[5m:1m])",
            "rate(x_total[2m]) / increase(x_total[2m])",
            "topk(2, x_total) or bottomk(2, x_total)",
            "absent(none)",
        ] {
            let result =
                Engine::default().instant(&store, query, Timestamp(420_000), &QueryOptions::default()).unwrap();
            assert_eq!(result.warnings, ["some of it is damaged"], "{query}");
        }
    }

    #[test]
    fn what_is_said_of_very_many_or_long_names_is_bounded() {
        let mut annotations = Annotations::default();
        for i in 0..3 * KEPT_MAX {
            annotations.warn("up", Span::default(), &format!("{i}{}", "é".repeat(10_000)));
            annotations.info("up", Span::default(), &i.to_string());
        }
        assert_eq!(
            (annotations.count(), annotations.warnings.len(), annotations.infos.len()),
            (6 * KEPT_MAX, KEPT_MAX, KEPT_MAX)
        );
        let (warnings, _) = annotations.into_texts();
        assert!(warnings.len() == SHOWN_MAX + 1 && warnings.iter().all(|text| text.len() < 5_000));
    }

    #[test]
    fn two_significant_digits() {
        for (value, text) in [
            (5.0, "5"),
            (20.0, "20"),
            (0.876, "0.88"),
            (1234.0, "1.2e+03"),
            (100.0, "1e+02"),
            (0.000_05, "5e-05"),
            (9.96, "10"),
        ] {
            assert_eq!(two_digits(value), text);
        }
    }
}
