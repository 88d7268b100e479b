//! What the tests that break off a child process write.

use std::ops::Range;

use model::{Labels, Lateness, SeriesAppendError, SeriesAppender, SeriesBatch, SeriesSamples, SourceLabels, Timestamp};
use storage::Db;

/// The value of a column at a time, whichever way it is written.
pub(crate) fn value(ts: Timestamp, column: usize) -> f64 {
    (ts.0 * 7 + column as i64) as f64 / if column.is_multiple_of(3) { 4.0 } else { 1.0 }
}

/// Appends one sample at each time to each series of a job, which is labelled by its number.
///
/// # Panics
/// When not all samples were stored.
pub(crate) fn append(db: &Db, job: &str, series: Range<usize>, times: &[Timestamp]) -> Result<(), SeriesAppendError> {
    let labels =
        |i: usize| Labels::from_pairs([("__name__", &*format!("s{}", i % 2)), ("i", &*i.to_string()), ("job", job)]);
    let labels: Vec<Labels> = series.clone().map(labels).collect();
    let values: Vec<Vec<f64>> = series.map(|i| times.iter().map(|ts| value(*ts, i)).collect()).collect();
    let series: Vec<SeriesSamples<'_>> =
        labels.iter().zip(&values).map(|(labels, values)| SeriesSamples::floats(labels, times, values)).collect();
    let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
    let appended = db.append_series(&batch)?;
    assert_eq!(appended.stored as usize, batch.samples());
    Ok(())
}
