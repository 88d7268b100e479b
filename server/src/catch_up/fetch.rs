//! Fetches what is missing.
//!
//! Slice by slice, the newest first: queries and rules need these most. What is stored here stays; a replica's samples go where a series
//! has none (`model::in_gaps`). Until all of it is there, or has taken too long, `/-/ready` says why it is not.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::sample::histogram_mark;
use model::{
    Batch, Caller, Histogram, Labels, Lateness, MatchOp, Matcher, Parts, Querier, QuerierError, ReadHints, Selection,
    SeriesAppender as _, SeriesBatch, SeriesSamples, SourceLabels, Timestamp, in_gaps,
};
use query::{Bounds, QueryOptions, StillWanted};
use tokio::runtime::Handle;

use crate::app::App;
use crate::clock::rfc3339;

/// So much is asked for at once, and less after a failure: it may have been too much.
const SLICE_MS: i64 = 10 * 60_000;
const SLICE_MIN_MS: i64 = 15_000;
/// A sample of a series is not farther away from the one before it.
const AROUND_MS: i64 = 5 * 60_000;
/// Replicas that cannot answer are asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// So many samples are stored at once.
const SAMPLES_AT_ONCE: usize = 200_000;
/// A sample until it is stored.
const SAMPLE_BYTES: usize = 16;

/// Fetches all that is missing, as far as time allows. Blocks.
pub(crate) fn run(app: &App, handle: &Handle) {
    let catch_up = &app.catch_up;
    if catch_up.pending().is_none() {
        return;
    }
    let deadline = Instant::now() + catch_up.timeout;
    let (from, until) = (catch_up.from, app.started);
    tracing::info!(from = rfc3339(from), until = rfc3339(until), "fetching from a replica what was missed");
    let mut fetching = Fetching { app, handle, deadline, until, width: SLICE_MS };
    while fetching.until > from {
        let missing_ms = fetching.until.saturating_since(from);
        catch_up.missing_seconds.set(missing_ms as f64 / 1000.0);
        catch_up
            .say(format!("{} s before the start are still to be fetched from a replica (--peer)", missing_ms / 1000));
        match fetching.slice(from) {
            Ok(()) => {}
            Err(why) if fetching.goes_on() => {
                let left = deadline.saturating_duration_since(Instant::now()).as_secs();
                tracing::debug!(why, "cannot fetch from a replica now");
                catch_up
                    .say(format!("cannot fetch what was missed from a replica: {why}; it is tried for {left} s more"));
            }
            Err(why) => {
                let missing = format!("{} s", missing_ms / 1000);
                tracing::warn!(missing, why, "not all that was missed could be fetched from a replica");
                break;
            }
        }
    }
    if fetching.until <= from {
        catch_up.missing_seconds.set(0.0);
        tracing::info!(samples = catch_up.samples.get(), "fetched from a replica what was missed");
    }
    catch_up.end();
    if !app.is_stopping() {
        app.metrics.ready.set(1.0);
    }
}

/// What is being fetched.
struct Fetching<'a> {
    app: &'a App,
    handle: &'a Handle,
    deadline: Instant,
    /// All from here to the start is there.
    until: Timestamp,
    width: i64,
}

impl Fetching<'_> {
    /// Fetches the next slice, from the first replica that can answer.
    fn slice(&mut self, from: Timestamp) -> Result<(), String> {
        let start = self.until.saturating_sub(self.width).max(from);
        let times = (start, self.until.saturating_sub(1));
        let mut why = "no replica is named".to_owned();
        for replica in self.app.remote_read.sources() {
            match self.fetch(&*replica, times) {
                Ok(()) => {
                    self.until = start;
                    return Ok(());
                }
                Err(error) => why = error,
            }
        }
        self.width = (self.width / 2).max(SLICE_MIN_MS);
        Err(why)
    }

    /// Waits a moment after a failure; is there time for another try?
    fn goes_on(&self) -> bool {
        let rest = AGAIN_AFTER.min(self.deadline.saturating_duration_since(Instant::now()));
        let stop = self.app.stop.cancelled();
        let is_stopped = self.handle.block_on(async { tokio::time::timeout(rest, stop).await.is_ok() });
        !is_stopped && Instant::now() < self.deadline
    }

    /// The limits of a slice.
    fn bounds(&self) -> Bounds {
        let stop = self.app.stop.clone();
        self.app.engine().bounds(&QueryOptions {
            timeout: Some(self.deadline.saturating_duration_since(Instant::now())),
            wanted: Some(StillWanted(Arc::new(move || !stop.is_cancelled()))),
            ..QueryOptions::default()
        })
    }

    fn fetch(&self, replica: &dyn Querier, (start, end): (Timestamp, Timestamp)) -> Result<(), String> {
        let bounds = self.bounds();
        let failed = Cell::new(None);
        let grow = |bytes: usize| {
            bounds.check().and_then(|()| bounds.take(bytes)).map_err(|error| {
                failed.set(Some(error));
                QuerierError::Stopped
            })
        };
        let told = |error: QuerierError| {
            let stopped = failed.take().map(|error: query::Error| error.to_string());
            stopped.unwrap_or_else(|| model::with_causes(&error))
        };
        // Some servers refuse a selection of everything that does not say so.
        let everything = [Matcher::new(MatchOp::Regex, "__name__", ".+").map_err(|error| error.to_string())?];
        let selection = Selection { start, end, matchers: &everything };
        let hints = ReadHints { caller: Caller(Some(&grow)), ..ReadHints::default() };
        let theirs = replica.open(&selection, &hints).map_err(told)?;
        grow(theirs.reader_bytes()).map_err(told)?;
        // Times alone, and few of them: nothing is stored here but where the gap begins, which may be just before the slice.
        let around = Selection { start: start.saturating_sub(AROUND_MS), ..selection };
        let mut own = own_times(&self.app.db, &around, &grow).map_err(told)?;
        if self.until == self.app.started {
            // Series go on here soon after the start.
            own.next = Some(self.until);
        }
        let stored = self.store(&*theirs, &own, &grow);
        self.app.catch_up.samples.inc_by(stored.map_err(told)?);
        // Histograms that are not valid, for instance.
        for warning in theirs.warnings() {
            tracing::warn!(warning, "something of a replica is missing");
        }
        Ok(())
    }

    /// Stores what lies in gaps; returns how many samples.
    fn store(&self, theirs: &dyn Parts, own: &Times, grow: &model::Grow<'_>) -> Result<u64, QuerierError> {
        let (mut waiting, mut n, mut stored) = (Vec::new(), 0, 0);
        theirs.read_all(&mut |batch| {
            for series in batch.into_series() {
                let missing = Missing::of(&series, own);
                n += missing.timestamps.len();
                waiting.push(missing);
            }
            if n >= SAMPLES_AT_ONCE {
                grow(0)?;
                stored += self.append(&std::mem::take(&mut waiting))?;
                n = 0;
            }
            Ok(())
        })?;
        Ok(stored + self.append(&waiting)?)
    }

    fn append(&self, missing: &[Missing]) -> Result<u64, QuerierError> {
        let series: Vec<SeriesSamples<'_>> = missing.iter().filter_map(Missing::borrowed).collect();
        if series.is_empty() {
            return Ok(0);
        }
        let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
        let committed = self.app.db.append_series(&batch).map_err(|error| QuerierError::Store(Box::new(error)))?;
        Ok(u64::from(committed.stored))
    }
}

/// The times of samples that are stored here.
#[derive(Default)]
struct Times {
    by_series: HashMap<Labels, Vec<Timestamp>>,
    /// About when the next sample comes, of any series.
    next: Option<Timestamp>,
}

impl Times {
    fn of(&self, labels: &Labels) -> Vec<Timestamp> {
        let stored = self.by_series.get(labels).into_iter().flatten();
        stored.copied().chain(self.next).collect()
    }
}

fn own_times(db: &storage::Db, selection: &Selection<'_>, grow: &model::Grow<'_>) -> Result<Times, QuerierError> {
    let mut own = Times::default();
    db.select(selection, &ReadHints::default(), &mut |batch| {
        for series in batch.into_series() {
            let labels = series.columns[0].metric.clone();
            grow(labels.as_text().len() + SAMPLE_BYTES * series.timestamps.len())?;
            own.by_series.insert(labels, series.timestamps);
        }
        Ok(())
    })?;
    Ok(own)
}

/// Samples of a series that are not stored here.
struct Missing {
    labels: Labels,
    timestamps: Vec<Timestamp>,
    values: Vec<f64>,
    histograms: Vec<(u32, Histogram)>,
}

impl Missing {
    fn of(series: &Batch, own: &Times) -> Self {
        let column = &series.columns[0];
        let mut missing =
            Self { labels: column.metric.clone(), timestamps: Vec::new(), values: Vec::new(), histograms: Vec::new() };
        for slot in in_gaps(&own.of(&column.metric), &series.timestamps) {
            let histogram = column.histograms.binary_search_by_key(&slot, |(at, _)| *at as usize).ok();
            let value = match histogram {
                Some(at) => {
                    let one = Histogram::clone(&column.histograms[at].1);
                    missing.histograms.push((missing.timestamps.len() as u32, one));
                    histogram_mark()
                }
                None => column.values[slot],
            };
            missing.timestamps.push(series.timestamps[slot]);
            missing.values.push(value);
        }
        missing
    }

    fn borrowed(&self) -> Option<SeriesSamples<'_>> {
        let Self { labels, timestamps, values, histograms } = self;
        (!timestamps.is_empty())
            .then_some(SeriesSamples { histograms, ..SeriesSamples::floats(labels, timestamps, values) })
    }
}

#[cfg(test)]
mod tests {
    use model::Column;

    use super::*;

    #[test]
    fn histograms_keep_their_place_among_what_is_missing() {
        let labels = Labels::from_pairs([("__name__", "a")]);
        let histograms = vec![(1, Arc::new(Histogram { sum: 1.0, ..Histogram::default() })), (3, Arc::default())];
        let column = Column { metric: labels.clone(), values: vec![5.0; 4], histograms, ..Column::default() };
        let timestamps = [0, 15, 30, 45].map(|i| Timestamp(i * 1000)).to_vec();
        let series = Batch { timestamps, columns: vec![column], ..Batch::default() };
        let own = Times { by_series: HashMap::from([(labels.clone(), vec![Timestamp(0)])]), next: None };
        let missing = Missing::of(&series, &own);
        assert_eq!(missing.timestamps, [30_000, 45_000].map(Timestamp));
        assert_eq!((missing.values[0], missing.histograms.len(), missing.histograms[0].0), (5.0, 1, 1));
        let all = Missing::of(&series, &Times::default());
        assert_eq!((all.timestamps.len(), all.histograms[0].0, all.histograms[0].1.sum), (4, 1, 1.0));
        let stored = Times { by_series: HashMap::from([(labels, series.timestamps.clone())]), next: None };
        assert!(Missing::of(&series, &stored).borrowed().is_none());
        // The last one is too near to the next of the own.
        let soon = Times { next: Some(Timestamp(46_000)), ..Times::default() };
        assert_eq!(Missing::of(&series, &soon).timestamps, [0, 15_000].map(Timestamp));
    }
}
