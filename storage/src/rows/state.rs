//! What a source's next row depends on: its newest time, the frames of its open buckets, the series with own times.
//!
//! Invariant: nothing here is needed to read, and all of it is found again in the store when a source is first heard
//! after a start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use model::SourceId;

use super::codec::{self, Corrupt, ORDINARY};
use super::reader;
use crate::cache::lock;
use crate::error::Error;
use crate::index::Index;
use crate::limits;
use crate::pages;
use crate::read;
use crate::schema::{Bucket, Cf, RowKey};
use crate::store::{Store, View};

/// The base values of a segment in a bucket.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) values: Box<[f64]>,
    /// The frame's checksum, part of the seed of its rows': a row never passes beside another frame.
    pub(crate) tag: u32,
}

impl Frame {
    pub(crate) fn parse(bytes: &[u8], seed: u64) -> Result<Self, Corrupt> {
        let values = codec::decode_frame(bytes, seed)?.into_boxed_slice();
        Ok(Self { values, tag: Self::tag_of(bytes) })
    }

    pub(crate) fn tag_of(bytes: &[u8]) -> u32 {
        bytes.split_last_chunk::<4>().map_or(0, |(_, tag)| u32::from_le_bytes(*tag))
    }
}

/// One source that writes.
#[derive(Debug, Default)]
pub(crate) struct SourceState {
    loaded: bool,
    /// The newest row of the source, not counting samples with own times.
    pub(crate) newest: Option<i64>,
    pub(crate) frames: BTreeMap<(Bucket, u32), Arc<Frame>>,
    /// The newest sample, by metric, of series that came with own times: time and bits.
    pub(crate) own: HashMap<u32, (i64, u64)>,
    /// Buckets written since a seal last looked.
    pub(crate) touched: BTreeSet<Bucket>,
    /// Samples of the latest row.
    pub(crate) series: i64,
    /// Rounds of housekeeping since the last row.
    pub(crate) idle_rounds: u32,
}

impl SourceState {
    /// Finds in the store what an earlier process knew.
    pub(crate) fn load(&mut self, store: &Store, index: &Index, source: SourceId) -> Result<(), Error> {
        if self.loaded {
            return Ok(());
        }
        let view = View::new(store);
        self.newest = newest_ordinary(&view, source)?.max(pages::newest_of(&view, source)?);
        // Whatever lies beyond the newest row came with a time of its own.
        let from = self.newest.map_or(i64::MIN, |newest| newest.saturating_add(1));
        self.own = read::newest((store, index), source, from..=i64::MAX, None)?;
        self.loaded = true;
        Ok(())
    }
}

fn newest_ordinary(view: &View<'_>, source: SourceId) -> Result<Option<i64>, Error> {
    let store = view.store;
    let buckets = reader::seen(view, source, Bucket(i64::MIN), Bucket(i64::MAX))?;
    for (bucket, segments) in buckets.into_iter().rev().take(limits::NEWEST_BUCKETS) {
        let mut newest = None;
        let mut iter = reader::rows_iter(view, (bucket, bucket), true);
        for segment in segments {
            let place = RowKey::frame(bucket, source, segment);
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
                    newest = newest.max(Some(key.ts_ms()));
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

/// The sources that write now.
#[derive(Debug, Default)]
pub(crate) struct States(Mutex<HashMap<u32, Arc<Mutex<SourceState>>>>);

impl States {
    /// The state of a source; the caller locks and loads it.
    pub(crate) fn of(&self, source: SourceId) -> Arc<Mutex<SourceState>> {
        Arc::clone(lock(&self.0).entry(source.0).or_default())
    }

    /// A round of housekeeping: forgets sources that were silent for long, and of others that are silent what is large.
    /// Returns how many series the forgotten ones had.
    pub(crate) fn forget_idle(&self) -> i64 {
        let mut gone = 0;
        lock(&self.0).retain(|_, state| {
            // A state that someone else holds is about to be written.
            let Some(state) = Arc::get_mut(state) else { return true };
            let state = state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
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
