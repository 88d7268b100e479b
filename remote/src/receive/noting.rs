//! A store for tests.

use model::sample::{is_histogram_mark, is_stale};
use model::{AppendError, Committed, SeriesAppendError, SeriesAppender, SeriesBatch};
use parking_lot::Mutex;

/// Notes what it is given, and answers as it is told.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// A line for each series.
    pub(super) lines: Mutex<Vec<String>>,
    pub(super) answer: Mutex<Committed>,
    pub(super) is_closed: bool,
}

impl SeriesAppender for Store {
    fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
        if self.is_closed {
            return Err(SeriesAppendError { what: batch.describe(), source: AppendError::Closed });
        }
        for series in batch.series {
            let mut histograms = series.histograms.iter();
            let mut value = |value: &f64| match value {
                value if is_histogram_mark(*value) => {
                    histograms.next().map_or_else(|| "none".to_owned(), |(_, histogram)| histogram.notation())
                }
                value if is_stale(*value) => "stale".to_owned(),
                value => value.to_string(),
            };
            let samples: Vec<String> =
                series.timestamps.iter().zip(series.values).map(|(ts, v)| format!("{}@{ts}", value(v))).collect();
            let starts: Vec<String> = series.starts.iter().map(|(i, ts)| format!("{i}:{ts}")).collect();
            let exemplars: Vec<String> =
                series.exemplars.iter().map(|one| format!("{:?}={}@{}", one.labels, one.value, one.ts)).collect();
            let parts = [samples.join(" "), starts.join(" "), exemplars.join(" ")];
            let parts = parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" | ");
            self.lines.lock().push(format!("{:?} {parts}", series.labels));
        }
        Ok(*self.answer.lock())
    }
}
