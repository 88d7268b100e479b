//! Samples in, series by series: the contract for whoever is not a scrape (rules, remote write, OTLP, imports). They have
//! samples of many series, late and in bulk, and no row that stays the same from one time to the next.
//!
//! A batch is not atomic. What of it is stored survives the end of the process; after an error some of it may be stored, and
//! sending all of it again is harmless: a sample that is there already counts as stored.

use crate::labels::METRIC_NAME;
use crate::source_labels::SourceLabels;
use crate::{AppendError, Committed, Exemplar, Histogram, Labels, Memo, Timestamp};

#[cfg(doc)]
use crate::sample;

/// Samples of one series.
#[derive(Clone, Copy, Debug)]
pub struct SeriesSamples<'a> {
    /// All labels of the series.
    pub labels: &'a Labels,
    /// Times in any order. Of two samples at one time the first counts.
    pub timestamps: &'a [Timestamp],
    /// A value per time, bit-exact; [`sample::histogram_mark`] for a native histogram.
    pub values: &'a [f64],
    /// The native histograms: index of the time and histogram, indices ascending; each valid ([`Histogram::validate`]).
    pub histograms: &'a [(u32, Histogram)],
    /// Since when the counter or histogram at these times counts, where that is known: index of the time, and since when.
    /// Where counting began within the batch, between the sample before and this one, a zero is stored then, and counted as a
    /// sample. Not for native histograms.
    pub starts: &'a [(u32, Timestamp)],
    /// Exemplars of the series.
    pub exemplars: &'a [Exemplar],
}

impl<'a> SeriesSamples<'a> {
    /// Samples that are floats, and no more than that.
    #[must_use]
    pub fn floats(labels: &'a Labels, timestamps: &'a [Timestamp], values: &'a [f64]) -> Self {
        Self { labels, timestamps, values, histograms: &[], starts: &[], exemplars: &[] }
    }
}

/// Which late samples are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lateness {
    /// A sample before the newest of its series is taken if the out-of-order window reaches back to it, as of a scrape. One
    /// that is newer than its series but far behind its source is too old. For what is sent as it happens.
    #[default]
    Window,
    /// Whatever lies within the retention is taken. For imports.
    Any,
}

/// Samples of several series.
#[derive(Clone, Copy, Debug)]
pub struct SeriesBatch<'a> {
    /// The series; one may stand several times, and the order does not matter.
    pub series: &'a [SeriesSamples<'a>],
    /// How they are grouped into sources. A sender keeps to one way: the same series under two sources is stored twice.
    pub sources: &'a SourceLabels,
    /// Which late ones are taken.
    pub lateness: Lateness,
    /// Where the same series come again and again, each once and all of one source: they are then looked up once.
    pub memo: Option<&'a Memo>,
}

impl SeriesBatch<'_> {
    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.series.iter().map(|series| series.timestamps.len()).sum()
    }

    /// What it is, for messages: `3000 samples of 12 series of {job="x"}`, by the labels that name the source of the first.
    #[must_use]
    pub fn describe(&self) -> String {
        let (samples, series) = (self.samples(), self.series.len());
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let mut text = format!("{samples} sample{} of {series} series", plural(samples));
        let Some(first) = self.series.first() else { return text };
        // Enough to find the sender; the label sets of all series would fill the log.
        let (source, _) = self.sources.split(first.labels);
        let mut others = self.series.iter().skip(1);
        let same = |one: &SeriesSamples<'_>| {
            let named = |labels: &Labels| labels.filtered(|name| self.sources.has(name));
            named(one.labels) == source
        };
        if series == 1 {
            text.push_str(&format!(", {}", first.labels));
        } else if others.all(same) {
            if source.is_empty() {
                text.push_str(&format!(", {} among them", first.labels.value(METRIC_NAME)));
            } else {
                text.push_str(&format!(" of {source}"));
            }
        } else {
            text.push_str(&format!(", some of {source}"));
        }
        text
    }
}

/// A batch that could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("cannot store {what}")]
pub struct SeriesAppendError {
    /// What was to be stored ([`SeriesBatch::describe`]).
    pub what: String,
    /// Why it could not.
    pub source: AppendError,
}

/// Where samples go series by series. Calls block, on the disk at worst; callers on an async runtime move them to blocking
/// threads.
pub trait SeriesAppender: Send + Sync {
    /// Stores what is new of a batch, and says what became of all of it.
    ///
    /// Times that are long past go where they are kept for good at once, grouped by source and time; what each series had last
    /// is not read for that.
    ///
    /// # Errors
    /// When the store cannot read or write, or something in the batch is not valid. Some of it may be stored; it may be sent
    /// again as it is.
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_says_what_it_is() {
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let (a, b) = (labels(&[("__name__", "a"), ("job", "x")]), labels(&[("__name__", "b"), ("job", "x")]));
        let (other, none) = (labels(&[("__name__", "a"), ("job", "y")]), labels(&[("__name__", "c")]));
        let describe = |all: &[&Labels]| {
            let series: Vec<_> =
                all.iter().map(|one| SeriesSamples::floats(one, &[Timestamp(1), Timestamp(2)], &[0.0; 2])).collect();
            SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None }
                .describe()
        };
        assert_eq!(describe(&[]), "0 samples of 0 series");
        assert_eq!(describe(&[&a]), r#"2 samples of 1 series, a{job="x"}"#);
        assert_eq!(describe(&[&a, &b]), r#"4 samples of 2 series of {job="x"}"#);
        assert_eq!(describe(&[&a, &b, &other]), r#"6 samples of 3 series, some of {job="x"}"#);
        assert_eq!(describe(&[&none, &none]), "4 samples of 2 series, c among them");
        let error = SeriesAppendError { what: describe(&[&a, &b]), source: AppendError::Closed };
        let text = crate::with_causes(&error);
        assert_eq!(text, r#"cannot store 4 samples of 2 series of {job="x"}: the database is closing"#);
    }
}
