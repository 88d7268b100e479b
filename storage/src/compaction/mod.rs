//! Background work: rows become pages (`flush`), small partitions large ones (`compact`), and partitions past a retention rule
//! are written anew (`rules`).
//!
//! A round goes source by source: what is stored of it in a partition is read as a query would read it and written as new
//! pages, of a generation that nothing names yet; one small write then names it, and takes away the rows and timelines it
//! replaces (`rewrite`). Whenever the process ends, each sample is either still where it was or wholly where it goes.
//!
//! Invariant: one round at a time (`Components::maintenance`); a source is held back only for that small write.

pub(crate) mod additions;
pub(crate) mod compact;
mod flush;
pub(crate) mod pace;
pub(crate) mod rewrite;
mod rules;

use std::ops::ControlFlow;

use crate::components::Components;
use crate::error::Error;
use pace::{Compacted, Pace, Stop};

/// Flushes the rows of all buckets that ended well before `now_ms`, merges small partitions, and applies retention rules.
///
/// # Errors
/// When the store cannot be read or written. What was done until then stays done.
pub(crate) fn round(db: &Components, now_ms: i64, pace: &mut Pace<'_>) -> Result<Compacted, Error> {
    let _one = db.maintenance.lock();
    let pace: &mut Pace<'_> = &mut |took| {
        // An append that waits goes first; the rest is for the next round.
        if db.maintenance.is_wanted() { ControlFlow::Break(()) } else { pace(took) }
    };
    let mut compacted = Compacted::default();
    let done = flush::flush_buckets(db, now_ms, pace, &mut compacted);
    let done = done.and_then(|()| compact::merge_partitions(db, now_ms, pace, &mut compacted));
    let done = done.and_then(|()| rules::apply_rules(db, pace));
    db.dropped.delete_files(&db.store, || db.flushed.reopened())?;
    match done {
        Err(Stop::Store(error)) => Err(error),
        Ok(()) | Err(Stop::Paused) => Ok(compacted),
    }
}
