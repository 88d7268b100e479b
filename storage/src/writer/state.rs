//! What a source's next row depends on: its newest time, the frames of its open buckets, the series with own times.
//!
//! Invariant: nothing here is needed to read, and all of it is found again in the store when a source first writes
//! after a start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::{SourceId, Timestamp};
use parking_lot::Mutex;

use crate::error::Error;
use crate::kv::schema::{Bucket, Cf, RowKey};
use crate::kv::snapshot::Snapshot;
use crate::limits;
use crate::pages;
use crate::reader;
use crate::reader::context::ReadContext;
use crate::rows::codec::ORDINARY;
use crate::rows::frame::Frame;
use crate::rows::scan;

/// A segment of a source in an open bucket.
#[derive(Clone, Debug)]
pub(crate) struct OpenSegment {
    pub(crate) frame: Arc<Frame>,
    /// No row of it in this bucket is later; `None` when that is not known.
    pub(crate) newest: Option<Timestamp>,
}

/// One source that writes.
#[derive(Debug, Default)]
pub(crate) struct SourceState {
    loaded: bool,
    /// The newest row of the source, not counting samples with own times.
    pub(crate) newest: Option<Timestamp>,
    /// Where rows lie that were stored as of a time that has not come yet, before the clock was set back: the first and the
    /// last millisecond, none of them up to `newest`.
    pub(crate) ahead: Option<(Timestamp, Timestamp)>,
    pub(crate) frames: BTreeMap<(Bucket, u32), OpenSegment>,
    /// The newest sample, by metric, of series that came with own times: time and bits.
    pub(crate) own: HashMap<u32, (Timestamp, u64)>,
    /// Buckets written since a flush last looked.
    pub(crate) touched: BTreeSet<Bucket>,
    /// Samples of the latest row.
    pub(crate) series: i64,
    /// Rounds of housekeeping since the last row.
    pub(crate) idle_rounds: u32,
}

impl SourceState {
    /// Finds in the store what an earlier process knew.
    pub(crate) fn load(&mut self, context: ReadContext<'_>, source: SourceId) -> Result<(), Error> {
        // Once per source and process; a commit finds it done.
        if self.loaded {
            return Ok(());
        }
        let snapshot = context.snapshot();
        // Rows that were flushed are in pages only.
        self.newest = newest_ordinary(&snapshot, source)?.max(pages::newest_of(&snapshot, source)?);
        // Whatever lies beyond the newest row came with a time of its own.
        let from = self.newest.map_or(Timestamp::MIN, |newest| newest.saturating_add(1));
        self.own = reader::newest(context, source, from..=Timestamp::MAX, None)?;
        self.loaded = true;
        Ok(())
    }

    /// Something stored is gone: what is known of it is found anew before the next row.
    pub(crate) fn load_again(&mut self) {
        self.loaded = false;
        self.ahead = None;
    }

    /// The clock was set back, and a row comes before others that are stored: they are none of the past that `newest` bounds.
    pub(crate) fn set_back(&mut self, context: ReadContext<'_>, source: SourceId, ts: Timestamp) -> Result<(), Error> {
        let Some(newest) = self.newest else { return Ok(()) };
        let snapshot = context.snapshot();
        let first = first_row_from(&snapshot, source, ts)?;
        let first = first.into_iter().chain(pages::first_from(&snapshot, source, ts)?);
        // Rows from there on stay where they are; they only no longer make present rows late.
        let first = first.min().unwrap_or(ts);
        self.ahead = Some((first, self.ahead.map_or(newest, |(_, last)| last.max(newest))));
        self.newest = Some(ts - 1);
        Ok(())
    }

    /// The newest time of anything stored of the source by the time `ts` comes.
    pub(crate) fn stored_until(&self, ts: Timestamp) -> Option<Timestamp> {
        let ahead = self.ahead.filter(|(from, _)| ts >= *from).map(|(_, to)| to);
        self.newest.max(ahead).max(self.own.values().map(|&(ts, _)| ts).max())
    }
}

fn newest_ordinary(snapshot: &Snapshot<'_>, source: SourceId) -> Result<Option<Timestamp>, Error> {
    let store = snapshot.store;
    let buckets = scan::seen(snapshot, source, Bucket(Timestamp::MIN), Bucket(Timestamp::MAX))?;
    for (bucket, segments) in buckets.into_iter().rev().take(limits::NEWEST_BUCKETS) {
        let mut newest = None;
        let mut iter = scan::rows_iter(snapshot, (bucket, bucket), true);
        for segment in segments {
            let place = RowKey::frame(bucket, source, segment);
            // From the end of the segment back: rows of own times alone are passed over, and are few.
            iter.seek_for_prev(RowKey { slot: u32::MAX, ..place }.bytes());
            while let Some((bytes, value)) = iter.item() {
                let Some(key) = RowKey::parse(bytes) else {
                    store.corrupt(Cf::Rows, bytes, "not a row key");
                    break;
                };
                if key.slot == 0 || (RowKey { slot: 0, ..key }) != place {
                    break;
                }
                if value.first().is_some_and(|flags| flags & ORDINARY != 0) {
                    newest = newest.max(Some(key.ts()));
                    break;
                }
                iter.prev();
            }
        }
        store.ended(&iter, Cf::Rows, &bucket.bytes())?;
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

/// The time of the first row of a source from `ts` on; that of its bucket's start when it is in a later bucket.
fn first_row_from(snapshot: &Snapshot<'_>, source: SourceId, ts: Timestamp) -> Result<Option<Timestamp>, Error> {
    let at = Bucket::of(ts, snapshot.store.bucket_ms);
    let mut first: Option<Timestamp> = None;
    for (bucket, segments) in scan::seen(snapshot, source, at, Bucket(Timestamp::MAX))? {
        if bucket > at {
            // Exact enough: no row of a later bucket lies before its start.
            return Ok(Some(first.map_or(bucket.0, |first| first.min(bucket.0))));
        }
        let mut iter = scan::rows_iter(snapshot, (bucket, bucket), true);
        for segment in segments {
            let place = RowKey::frame(bucket, source, segment);
            iter.seek(place.at(ts).bytes());
            while let Some(key) = iter.key().and_then(RowKey::parse).filter(|key| RowKey { slot: 0, ..*key } == place) {
                if key.slot > 0 && key.ts() >= ts {
                    first = Some(first.map_or(key.ts(), |first| first.min(key.ts())));
                    break;
                }
                iter.next();
            }
        }
        snapshot.store.ended(&iter, Cf::Rows, &bucket.bytes())?;
    }
    Ok(first)
}

/// The sources that write now.
#[derive(Debug, Default)]
pub(crate) struct SourceStates(Mutex<HashMap<u32, Arc<Mutex<SourceState>>>>);

impl SourceStates {
    /// The state of a source; the caller locks and loads it.
    pub(crate) fn of(&self, source: SourceId) -> Arc<Mutex<SourceState>> {
        Arc::clone(self.0.lock().entry(source.0).or_default())
    }

    /// A round of housekeeping: forgets sources that were silent for long, and of others that are silent what is large.
    /// Returns how many series the forgotten ones had.
    pub(crate) fn forget_idle(&self) -> i64 {
        let mut gone = 0;
        self.0.lock().retain(|_, state| {
            // A state that someone else holds is about to be written.
            let Some(state) = Arc::get_mut(state) else { return true };
            let state = state.get_mut();
            state.idle_rounds += 1;
            if state.idle_rounds > limits::IDLE_ROUNDS {
                gone += state.series;
                return false;
            }
            if state.idle_rounds > limits::FRAME_ROUNDS {
                // Its next row, if there is one, finds them in the store.
                state.frames.clear();
            }
            true
        });
        gone
    }
}
