//! A deletion holds for what was there. Before a sample is stored that lies where a tombstone masks its series, the deletion is
//! carried out for its source: what is masked goes from rows and pages, and the mask no longer holds for that source.
//!
//! Nearly no append comes here: a deletion ends with the newest sample there was, and scrapes are newer.

use std::ops::ControlFlow;

use model::{SourceId, Timestamp};

use super::purge;
use crate::compaction::pace::Stop;
use crate::compaction::rewrite::rewrite;
use crate::components::Components;
use crate::error::Error;
use crate::kv::schema::{Bucket, Cf, settled_key};
use crate::pages;
use crate::reader::mask::Mask;
use crate::rows::scan;
use crate::tombstones::Tombstone;

/// So many times a partition is tried in which rows come in meanwhile.
const TRIES: usize = 8;

/// Samples of one source that are about to be stored: the times of those that tombstones may reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub(crate) source: SourceId,
    /// The first and last millisecond.
    pub(crate) range: (Timestamp, Timestamp),
}

impl Incoming {
    /// The first and the last of some times that lie at `until` or before, if there is any.
    pub(crate) fn within(source: SourceId, times: impl Iterator<Item = Timestamp>, until: Timestamp) -> Option<Self> {
        let range = times.filter(|ts| *ts <= until).fold(None, |range: Option<(Timestamp, Timestamp)>, ts| {
            Some(range.map_or((ts, ts), |(from, to)| (from.min(ts), to.max(ts))))
        });
        range.map(|range| Self { source, range })
    }
}

/// Does a tombstone mask any of these?
pub(crate) fn any_masked(db: &Components, incoming: &[Incoming]) -> bool {
    let tombstones = db.tombstones.list();
    incoming.iter().any(|one| tombstones.iter().any(|t| t.masks(one.source, one.range)))
}

/// Carries out the deletions that mask what is about to be stored. The index's gate must not be held.
pub(crate) fn settle(db: &Components, incoming: &[Incoming]) -> Result<(), Error> {
    let _one = db.maintenance.lock_first();
    settle_held(db, incoming)
}

/// The same for who holds the maintenance lock.
pub(crate) fn settle_held(db: &Components, incoming: &[Incoming]) -> Result<(), Error> {
    for one in incoming {
        let mut all = Vec::clone(&db.tombstones.list());
        if !all.iter().any(|t| t.masks(one.source, one.range)) {
            continue;
        }
        for tombstone in all.iter_mut().filter(|t| t.masks(one.source, one.range)) {
            settle_source(db, tombstone, one.source)?;
        }
        db.tombstones.replace(all);
    }
    Ok(())
}

fn settle_source(db: &Components, tombstone: &mut Tombstone, source: SourceId) -> Result<(), Error> {
    let mask = tombstone.resolve(db.read())?;
    if mask.sources().contains(source.0) && !carry_out(db, &mask, source)? {
        return Err(Error::Deleting);
    }
    // Stored for each source, so that a process that ends half way does not begin anew.
    tombstone.settled.insert(source.0);
    let mut settled = Vec::new();
    tombstone.settled.serialize_into(&mut settled).map_err(|_| Error::Deleting)?;
    Ok(db.store.put(Cf::Meta, settled_key(&tombstone.key), settled)?)
}

/// Takes what is masked of a source out of its rows and pages. False when rows came in all the time.
pub(super) fn carry_out(db: &Components, mask: &Mask, source: SourceId) -> Result<bool, Error> {
    let bucket_ms = db.store.bucket_ms;
    purge_rows(db, mask, source)?;
    for (partition, having) in pages::partitions(&db.read().snapshot())? {
        let outside = partition.start.0 > mask.range.1 || partition.end(bucket_ms) <= mask.range.0;
        if outside || !having.contains(source.0) {
            continue;
        }
        let mut done = false;
        for _ in 0..TRIES {
            // Rewriting a partition leaves out what is masked.
            done = rewrite(db, source, partition, &mut |_| ControlFlow::Continue(()))?.is_some();
            if done {
                break;
            }
        }
        if !done {
            return Ok(false);
        }
    }
    Ok(true)
}

fn purge_rows(db: &Components, mask: &Mask, source: SourceId) -> Result<(), Error> {
    let bucket_ms = db.store.bucket_ms;
    let (from, to) = (Bucket::of(mask.range.0, bucket_ms), Bucket::of(mask.range.1, bucket_ms));
    let _gate = db.index.gate.read();
    let state = db.states.of(source);
    // Commits of the source wait: a row must not change between being read and being written without its samples.
    let mut state = state.lock();
    let buckets = scan::seen(&db.read().snapshot(), source, from, to)?;
    let trackers = &db.cache.trackers;
    // Cached columns and lists of the source may hold what is taken out.
    let in_flight = (trackers.rows.begin(source), trackers.pages.begin(source));
    for (bucket, _) in buckets {
        purge::purge(db.read(), (source, bucket), std::slice::from_ref(mask))?;
    }
    drop(in_flight);
    // What was newest may be gone.
    state.load_again();
    Ok(())
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Store(error) => error,
            Stop::Paused | Stop::Wanted => Self::Deleting,
        }
    }
}
