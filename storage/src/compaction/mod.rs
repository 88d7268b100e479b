//! Background work: rows become pages (`flush`), small partitions large ones (`compact`), and partitions past a retention rule
//! are written anew (`rules`).
//!
//! A round goes source by source: what is stored of it in a partition is read as a query would read it and written as new
//! pages, of a generation that nothing names yet; one small write then names it, and takes away the rows and timelines it
//! replaces (`rewrite`). Whenever the process ends, each sample is either still where it was or wholly where it goes.
//!
//! Invariant: one at a time (`Components::maintenance`), and appends go first; a source is held back only for that small write.

pub(crate) mod additions;
pub(crate) mod compact;
mod flush;
pub(crate) mod pace;
pub(crate) mod rewrite;
mod rules;

use std::ops::ControlFlow;

use model::Timestamp;
use parking_lot::MutexGuard;

use crate::components::Components;
use crate::error::Error;
use pace::{Compacted, Pace, Stop};

/// Flushes the rows of all buckets that ended well before `now`, merges small partitions, and applies retention rules.
///
/// # Errors
/// When the store cannot be read or written. What was done until then stays done.
pub(crate) fn round(db: &Components, now: Timestamp, pace: &mut Pace<'_>) -> Result<Compacted, Error> {
    let mut compacted = Compacted::default();
    loop {
        let held = db.maintenance.lock();
        // While an append waits, the source at hand is finished without rest.
        let pace: &mut Pace<'_> =
            &mut |took| if db.maintenance.is_wanted() { ControlFlow::Continue(()) } else { pace(took) };
        let done = flush::flush_buckets(db, now, pace, &mut compacted);
        let done = done.and_then(|()| compact::merge_partitions(db, now, pace, &mut compacted));
        let done = done.and_then(|()| rules::apply_rules(db, pace));
        db.dropped.delete_files(&db.store, || db.flushed.reopened())?;
        match done {
            // What was done is done: the next turn goes on with the sources that are left.
            Err(Stop::Wanted) => MutexGuard::unlock_fair(held),
            Err(Stop::Store(error)) => return Err(error),
            Ok(()) | Err(Stop::Paused) => return Ok(compacted),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Appender, Labels, Lateness, Row, SeriesAppender, SeriesBatch, SeriesSamples, SourceLabels};

    use super::*;
    use crate::db::Db;
    use crate::{Options, PartitionStats};

    #[test]
    fn an_append_that_waits_goes_first_and_the_round_goes_on_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { bucket_ms: 1000, memory_bytes: 8 << 20, ..Options::new(dir.path()) };
        let db = Db::open(options, &prometheus::Registry::new()).unwrap();
        let metrics = db.metrics(&[Labels::from_pairs([("__name__", "up")])]).unwrap();
        let layout = db.layout(&metrics).unwrap();
        for job in ["a", "b", "c"] {
            let source = db.source(&Labels::from_pairs([("job", job)])).unwrap();
            let (values, present) = (&[1.0], &[1]);
            let row =
                Row { source, ts: Timestamp(5), layout: &layout, values, present, own_times: &[], histograms: &[] };
            db.commit(&[row]).unwrap();
        }
        db.set_now(Timestamp(10_000)).unwrap();
        let append = || {
            let labels = Labels::from_pairs([("__name__", "up"), ("job", "d")]);
            let times: Vec<Timestamp> = (0..100).map(Timestamp).collect();
            let series = [SeriesSamples::floats(&labels, &times, &[1.0; 100])];
            let batch =
                SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
            db.append_series(&batch).unwrap().stored
        };
        std::thread::scope(|scope| {
            let mut appending = None;
            let mut pace = |_| {
                if appending.is_none() {
                    appending = Some(scope.spawn(append));
                    while !db.components.maintenance.is_wanted() {
                        std::thread::yield_now();
                    }
                }
                ControlFlow::Continue(())
            };
            let compacted = round(&db.components, Timestamp(10_000), &mut pace).unwrap();
            assert_eq!(compacted.sources, 3, "all sources that had rows");
            assert_eq!(appending.unwrap().join().unwrap(), 100);
        });
        assert_eq!(db.stats(0).unwrap().page_samples, 103);
        let of = |p: &PartitionStats| (p.start.0, p.end.0, p.level, p.samples);
        let stored: Vec<_> = db.partitions().unwrap().iter().filter(|p| p.level > 0).map(of).collect();
        // What was appended late lies in a partition of its own.
        assert_eq!(stored, [(0, 1000, 1, Some(3)), (0, 8000, 2, Some(100))]);
    }
}
