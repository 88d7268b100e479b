//! What a group yields at one time, stored as one row.

use std::sync::LazyLock;

use model::sample::{histogram_mark, stale_nan};
use model::{
    Committed, Histogram, Labels, Lateness, Memo, SeriesAppender, SeriesBatch, SeriesSamples, SourceLabels, Timestamp,
};

use crate::error::{DUPLICATE, EvaluationError, OUT_OF_ORDER, TOO_OLD};
use crate::output::Output;

/// All series of rules are of one source, without labels: what a group yields at one time is one row.
pub(crate) static SOURCES: LazyLock<SourceLabels> = LazyLock::new(|| SourceLabels::Named([].into()));

/// How much was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Everything.
    All,
    /// The store refused some samples.
    Some,
}

/// Removes histograms that are not valid, and says what is wrong with the last one: a store that was given one would refuse the
/// whole row, with the results of other rules.
pub(crate) fn remove_invalid(outputs: &mut Vec<Output>) -> Option<EvaluationError> {
    let mut error = None;
    outputs.retain(|output| match output.histogram.as_ref().map(|histogram| histogram.validate()) {
        Some(Err(invalid)) => {
            error = Some(invalid.into());
            false
        }
        _ => true,
    });
    error
}

/// Stores samples, and stale markers of other series. A marker that the store refuses is of a series that another rule
/// continues, and does not count.
pub(crate) fn append<'a>(
    appender: &dyn SeriesAppender,
    (outputs, memo): (impl Iterator<Item = &'a Output>, Option<&Memo>),
    gone: &[Labels],
    ts: Timestamp,
) -> Result<Stored, EvaluationError> {
    let refused = commit(appender, outputs, memo, ts)?;
    if !gone.is_empty() {
        let markers = gone.iter().map(|labels| (labels, stale_nan(), None));
        commit_samples(appender, markers, None, ts)?;
    }
    let is_all = refused.out_of_order + refused.too_old + refused.duplicate == 0;
    Ok(if is_all { Stored::All } else { Stored::Some })
}

/// Stores samples that the store may have already.
///
/// # Errors
/// When it refuses some, with the reason.
pub(crate) fn append_checked(
    appender: &dyn SeriesAppender,
    outputs: &[Output],
    ts: Timestamp,
) -> Result<(), EvaluationError> {
    let refused = commit(appender, outputs.iter(), None, ts)?;
    match refused {
        Committed { out_of_order: 1.., .. } => Err(OUT_OF_ORDER),
        Committed { too_old: 1.., .. } => Err(TOO_OLD),
        Committed { duplicate: 1.., .. } => Err(DUPLICATE),
        _ => Ok(()),
    }
}

fn commit<'a>(
    appender: &dyn SeriesAppender,
    outputs: impl Iterator<Item = &'a Output>,
    memo: Option<&Memo>,
    ts: Timestamp,
) -> Result<Committed, EvaluationError> {
    let samples = outputs.map(|output| (&output.labels, output.value, output.histogram.as_deref()));
    commit_samples(appender, samples, memo, ts)
}

fn commit_samples<'a>(
    appender: &dyn SeriesAppender,
    samples: impl Iterator<Item = (&'a Labels, f64, Option<&'a Histogram>)>,
    memo: Option<&Memo>,
    ts: Timestamp,
) -> Result<Committed, EvaluationError> {
    let samples: Vec<_> = samples
        .map(|(labels, value, histogram)| {
            let value = if histogram.is_some() { histogram_mark() } else { value };
            (labels, [value], histogram.map(|histogram| [(0, histogram.clone())]))
        })
        .collect();
    if samples.is_empty() {
        return Ok(Committed::default());
    }
    let times = [ts];
    let series: Vec<SeriesSamples<'_>> = samples
        .iter()
        .map(|(labels, values, histograms)| SeriesSamples {
            histograms: histograms.as_ref().map_or(&[], |histograms| histograms),
            ..SeriesSamples::floats(labels, &times, values)
        })
        .collect();
    let batch = SeriesBatch { series: &series, sources: &SOURCES, lateness: Lateness::Window, memo };
    Ok(appender.append_series(&batch)?)
}
