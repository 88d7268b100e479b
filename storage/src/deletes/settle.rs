//! A deletion holds for what was there. Before a sample is stored that lies where a deletion masks its series, the deletion is
//! carried out for its source: what is masked goes from rows and pages, and the mask no longer holds for that source.
//!
//! Nearly no commit comes here: a deletion ends with the newest sample there was, and scrapes are newer.

use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use model::{Scraped, SourceId};

use crate::cache::lock;
use crate::compaction::Stop;
use crate::db::Db;
use crate::deletes::{Deleted, Tombstone};
use crate::error::Error;
use crate::kv::schema::{Bucket, Cf, settled_key};
use crate::pages;
use crate::reader::snapshot::View;
use crate::rows::scan;

/// So many times a partition is tried in which rows come in meanwhile.
const TRIES: usize = 8;

impl Db {
    /// Does a deletion mask anything that is about to be stored?
    pub(crate) fn is_masked(&self, parts: &[Scraped<'_>]) -> bool {
        let until_ms = self.deletes.until_ms.load(Ordering::Acquire);
        until_ms > i64::MIN && parts.iter().any(|part| self.masking(part, until_ms).is_some())
    }

    /// The times of a part's samples, from the first to the last, that deletions reach and that one of them masks.
    fn masking(&self, part: &Scraped<'_>, until_ms: i64) -> Option<(i64, i64)> {
        let range = late_range(part, until_ms)?;
        self.deletes.tombstones().iter().any(|t| t.masks(part.row.source, range)).then_some(range)
    }

    /// Carries out the deletions that mask what is about to be stored. The gate must not be held.
    pub(crate) fn settle(&self, parts: &[Scraped<'_>]) -> Result<(), Error> {
        // A round of sealing gives way.
        self.deletes.waiting.fetch_add(1, Ordering::AcqRel);
        let _one = lock(&self.maintenance);
        self.deletes.waiting.fetch_sub(1, Ordering::AcqRel);
        let until_ms = self.deletes.until_ms.load(Ordering::Acquire);
        for part in parts {
            let Some(range) = self.masking(part, until_ms) else { continue };
            let mut all = Vec::clone(&self.deletes.tombstones());
            for tombstone in all.iter_mut().filter(|t| t.masks(part.row.source, range)) {
                self.settle_source(tombstone, part.row.source)?;
            }
            self.deletes.replace(all);
        }
        Ok(())
    }

    fn settle_source(&self, tombstone: &mut Tombstone, source: SourceId) -> Result<(), Error> {
        let deleted = self.resolve(tombstone)?;
        if deleted.sources().contains(source.0) && !self.carry_out(&deleted, source)? {
            return Err(Error::Deleting);
        }
        tombstone.settled.insert(source.0);
        let mut settled = Vec::new();
        tombstone.settled.serialize_into(&mut settled).map_err(|_| Error::Deleting)?;
        self.store.put(Cf::Meta, settled_key(&tombstone.key), settled)
    }

    /// Takes what is deleted of a source out of its rows and pages. False when rows came in all the time.
    pub(crate) fn carry_out(&self, deleted: &Deleted, source: SourceId) -> Result<bool, Error> {
        let bucket_ms = self.store.bucket_ms;
        self.purge_rows(deleted, source)?;
        for (partition, having) in pages::partitions(&View::new(&self.store))? {
            let outside = partition.start.0 > deleted.range.1 || partition.end_ms(bucket_ms) <= deleted.range.0;
            if outside || !having.contains(source.0) {
                continue;
            }
            let mut done = false;
            for _ in 0..TRIES {
                done = self.rewrite(source, partition, &mut |_| ControlFlow::Continue(()))?.is_some();
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

    fn purge_rows(&self, deleted: &Deleted, source: SourceId) -> Result<(), Error> {
        let bucket_ms = self.store.bucket_ms;
        let (from, to) = (Bucket::of(deleted.range.0, bucket_ms), Bucket::of(deleted.range.1, bucket_ms));
        let _gate = self.index.gate.read().unwrap_or_else(PoisonError::into_inner);
        let state = self.states.of(source);
        let mut state = lock(&state);
        let buckets = scan::seen(&View::new(&self.store), source, from, to)?;
        let kept = &self.store.kept;
        let changing = (kept.rows.of(source), kept.pages.of(source));
        for (bucket, _) in buckets {
            super::purge::purge((&self.store, &self.index), (source, bucket), std::slice::from_ref(deleted))?;
        }
        drop(changing);
        // What was newest may be gone.
        state.load_again();
        Ok(())
    }
}

/// The time of the first sample of a part and of the last that lies at `until_ms` or before, if there is any.
fn late_range(part: &Scraped<'_>, until_ms: i64) -> Option<(i64, i64)> {
    let row = &part.row;
    let further = part.starts.iter().chain(part.repeats).map(|one| one.ts_ms);
    let times = std::iter::once(row.ts_ms).chain(row.own_times.iter().map(|&(_, ts)| ts)).chain(further);
    times.filter(|ts| *ts <= until_ms).fold(None, |range: Option<(i64, i64)>, ts| {
        Some(range.map_or((ts, ts), |(from, to)| (from.min(ts), to.max(ts))))
    })
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Store(error) => error,
            Stop::Asked => Self::Deleting,
        }
    }
}
