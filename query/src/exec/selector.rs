//! Instant selectors: of each series the latest sample within the lookback, at every step. Step 6 of the query path.

use std::sync::Arc;

use model::Timestamp;

use super::evaluator::{Evaluator, Sink};
use super::scan::ScanOf;
use crate::Error;
use crate::plan::{NodeId, Scan};
use crate::value::{ABSENT, Series, is_absent};
use crate::window::{Dense, Grid, Look, bounds};

impl Evaluator<'_> {
    /// The latest sample of each series within the lookback delta at every step, or a property of it.
    pub(super) fn instant_selector(
        &self,
        (id, scan): (NodeId, &Scan),
        grid: &Grid,
        take: Take,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        self.latest(ScanOf { scan, id: Some(id) }, &self.ends(&scan.shift, grid), take, sink)
    }

    /// The same at given times.
    pub(super) fn latest(
        &self,
        of: ScanOf<'_>,
        ends: &[Timestamp],
        take: Take,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let mut dense = Dense::default();
        let look = Look { stale_markers: true, starts: take == Take::Start, totals: of.scan.totals };
        self.batches(self.wanted_latest(of, ends), &mut |batch| {
            let windows = bounds(&batch.timestamps, ends, self.query.lookback_ms);
            for column in &batch.columns {
                dense.load(&batch.timestamps, column, look);
                let mut series =
                    Series::of_floats(self.labels_of(&batch, column)?, false, Vec::with_capacity(ends.len()));
                // Plain floats need no rank of histograms and start timestamps.
                let seen = if dense.has_mixed_samples() || take == Take::Start {
                    let floats = |window| dense.slice(&batch.timestamps, column, window);
                    latest_mixed(&dense, &windows, floats, take, &mut series)
                } else {
                    latest_floats(&windows, dense.floats(&batch.timestamps, column), take, &mut series.values)
                };
                self.account_work(ends.len())?;
                self.count(of.id, &series)?;
                // Series without a sample at any step are not part of the result.
                if seen > 0 {
                    sink(series)?;
                }
            }
            Ok(())
        })
    }
}

/// Which property of a sample is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// The float or histogram itself.
    Value,
    /// Its time, in seconds.
    Time,
    /// The timestamp of a float, in milliseconds; a histogram itself.
    FloatMillis,
    /// Its start timestamp, in seconds; 0 when unknown.
    Start,
}

impl Take {
    #[inline]
    fn from(self, ts: Timestamp, start: Timestamp, value: f64) -> f64 {
        match self {
            Self::Value => value,
            Self::Time => ts.as_seconds(),
            Self::FloatMillis => ts.0 as f64,
            Self::Start => start.as_seconds(),
        }
    }
}

/// The last float of each window, or a property of it; returns how many there are.
fn latest_floats(
    windows: &[(usize, usize)],
    (ts, floats, rank): (&[Timestamp], &[f64], &[usize]),
    take: Take,
    values: &mut Vec<f64>,
) -> u64 {
    let mut seen = 0;
    for (low, high) in windows {
        let (low, high) = if rank.is_empty() { (*low, *high) } else { (rank[*low], rank[*high]) };
        // A stale marker ends the series: earlier samples are not considered.
        let value = if low < high { floats[high - 1] } else { ABSENT };
        let found = !is_absent(value);
        seen += u64::from(found);
        let is_property = found && take != Take::Value;
        values.push(if is_property { take.from(ts[high - 1], Timestamp::EPOCH, value) } else { value });
    }
    seen
}

/// The same for windows with histograms or start timestamps.
fn latest_mixed<'a>(
    dense: &Dense,
    windows: &[(usize, usize)],
    floats: impl Fn((usize, usize)) -> (&'a [Timestamp], &'a [f64]),
    take: Take,
    series: &mut Series,
) -> u64 {
    for (step, window) in windows.iter().enumerate() {
        let (ts, samples) = floats(*window);
        let start = dense.starts(*window).last().copied().unwrap_or_default();
        // The later of the last float and the last histogram counts.
        let histogram = dense.histograms(*window).last().filter(|h| ts.last().is_none_or(|ts| *ts < h.ts));
        series.values.push(match (histogram, ts.last().zip(samples.last())) {
            (Some(h), _) if matches!(take, Take::Value | Take::FloatMillis) => {
                series.histograms.push((step as u32, Arc::clone(&h.histogram)));
                ABSENT
            }
            (Some(h), _) => take.from(h.ts, h.start, 0.0),
            (None, Some((ts, value))) if !is_absent(*value) => take.from(*ts, start, *value),
            _ => ABSENT,
        });
    }
    series.present() as u64
}
