//! What a write changes in what is known of its source, once it succeeded.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::Timestamp;

use super::flushed::FlushMarks;
use super::state::{OpenSegment, SourceState};
use super::window::Window;
use crate::kv::schema::Bucket;
use crate::metrics::Metrics;

/// What a state takes over once the write succeeded.
#[derive(Debug)]
pub(crate) struct Done {
    pub(super) frames: BTreeMap<(Bucket, u32), OpenSegment>,
    pub(super) rows: BTreeMap<(Bucket, u32), Timestamp>,
    /// The newest time of anything that was stored of the source before.
    pub(super) stored_until: Option<Timestamp>,
    pub(super) own: HashMap<u32, (Timestamp, u64)>,
    pub(super) newest: Option<Timestamp>,
    pub(super) series: i64,
    pub(super) late: u64,
    pub(super) touched: BTreeSet<Bucket>,
    pub(super) reopened: u64,
    pub(super) disturbs: bool,
}

impl Done {
    /// Does it write anything but newer rows of segments that its buckets have? What is cached of the source's rows does not
    /// hold then.
    pub(crate) fn disturbs(&self) -> bool {
        self.disturbs
    }

    /// Brings the state up to what is stored now; returns by how much the number of series grew.
    pub(crate) fn apply(
        self,
        state: &mut SourceState,
        (window, bucket_ms): (Window, u32),
        (flushed, metrics): (&FlushMarks, &Metrics),
    ) -> i64 {
        flushed.add_reopened(self.reopened);
        metrics.late_samples.inc_by(self.late);
        // A flush that read before this write sees these buckets, and tries again.
        state.touched.extend(self.touched);
        state.newest = self.newest;
        state.ahead = state.ahead.filter(|(_, to)| state.newest.is_none_or(|newest| newest < *to));
        state.own.extend(self.own);
        state.frames.extend(self.frames);
        for (id, last) in self.rows {
            let Some(open) = state.frames.get_mut(&id) else { continue };
            // A row behind all that is stored of the source is behind all of the segment.
            let is_last = open.newest.is_some() || self.stored_until.is_none_or(|until| last > until);
            open.newest = if is_last { open.newest.max(Some(last)) } else { None };
        }
        state.idle_rounds = 0;
        if let Some(newest) = state.newest {
            // Frames of older buckets are needed only as long as late samples may come; they are found in the store
            // again.
            let late_ms = if state.own.is_empty() { 0 } else { window.late_ms };
            let oldest = Bucket::of(newest.saturating_sub(late_ms), bucket_ms);
            if state.frames.first_key_value().is_some_and(|((bucket, _), _)| *bucket < oldest) {
                state.frames = state.frames.split_off(&(oldest, 0));
            }
        }
        let grown = self.series - state.series;
        state.series = self.series;
        grown
    }
}
