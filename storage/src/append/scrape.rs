//! One scrape into the store: its parts in one write batch, each decided by the row writer against the state of its source.
//!
//! Invariant: the whole scrape is stored, or nothing of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Committed, Scraped, SourceId, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use rocksdb::WriteBatch;

use crate::append::announce;
use crate::components::Components;
use crate::deletes::settle::Incoming;
use crate::error::Error;
use crate::writer::plan::{self, Pending};
use crate::writer::state::SourceState;
use crate::writer::window::Window;

/// The times of the samples that tombstones may mask, of each part that has any.
pub(crate) fn incoming(db: &Components, parts: &[Scraped<'_>]) -> Vec<Incoming> {
    let until = db.tombstones.until.load(Ordering::Acquire);
    if until == Timestamp::MIN {
        // The common case: there is no deletion, and no time is looked at.
        return Vec::new();
    }
    parts.iter().filter_map(|part| incoming_part(part, until)).collect()
}

fn incoming_part(part: &Scraped<'_>, until: Timestamp) -> Option<Incoming> {
    let row = &part.row;
    let further = part.starts.iter().chain(part.repeats).map(|one| one.ts);
    let times = std::iter::once(row.ts).chain(row.own_times.iter().map(|&(_, ts)| ts)).chain(further);
    Incoming::within(row.source, times, until)
}

/// Stores a scrape, within the window as it is when its sources are locked. The index's gate must be held.
///
/// # Errors
/// When a row does not fit its layout, its ids were taken away, or the store cannot be read or written.
pub(crate) fn commit(db: &Components, parts: &[Scraped<'_>], window: &dyn Fn() -> Window) -> Result<Committed, Error> {
    parts.iter().try_for_each(plan::check)?;
    for Scraped { row, .. } in parts {
        let segments = row.layout.segments.iter().copied();
        if !db.index.sources.are_there([row.source.0].into_iter()) || !db.index.segments.are_there(segments) {
            return Err(Error::Forgotten);
        }
    }
    // Always in the order of sources, so that two commits cannot wait for each other.
    let mut parts: Vec<&Scraped<'_>> = parts.iter().collect();
    parts.sort_by_key(|part| part.row.source);
    if parts.windows(2).any(|pair| pair[0].row.source == pair[1].row.source) {
        return Err(Error::BadRow { reason: "a commit holds two parts of one source" });
    }
    let states: Vec<Arc<Mutex<SourceState>>> = parts.iter().map(|part| db.states.of(part.row.source)).collect();
    let mut states: Vec<MutexGuard<'_, SourceState>> = states.iter().map(|state| state.lock()).collect();
    // Not before: by an older newest sample, or none, a row could be late that the window takes.
    let window = window();
    let mut batch = WriteBatch::with_capacity_bytes(parts.iter().map(|part| 256 + 3 * part.row.values.len()).sum());
    let mut total = Committed::default();
    let mut done = Vec::with_capacity(parts.len());
    for (part, state) in parts.iter().zip(&mut states) {
        load(db, state, (part.row.source, part.row.ts))?;
        let (change, committed) = Pending::plan(db.write(), part, state, window, &mut batch)?;
        total += committed;
        done.push(change);
    }
    // Announced before the write, so that nothing is cached that it makes stale.
    let trackers = &db.cache.trackers;
    let disturbed = parts.iter().zip(&done).filter(|(_, done)| done.disturbs());
    let disturbing: Vec<_> = disturbed.map(|(part, _)| trackers.rows.begin(part.row.source)).collect();
    let adding: Vec<_> = parts.iter().map(|part| trackers.newer.begin(part.row.source)).collect();
    if !batch.is_empty() {
        let _announced = announce::scrape(db, &parts, window.by_series);
        db.store.write(batch)?;
    }
    drop((disturbing, adding));
    for ((change, state), part) in done.into_iter().zip(&mut states).zip(&parts) {
        let grown = change.apply(state, (window, db.store.bucket_ms), (&db.flushed, &db.metrics));
        db.metrics.head_series.add(grown);
        db.bounds.newest.fetch_max(part.row.ts, Ordering::Relaxed);
        db.safeguards.row_at(part.row.ts);
    }
    db.metrics.count(&total);
    Ok(total)
}

/// What may be written of a scrape now.
pub(crate) fn window(db: &Components) -> Window {
    Window {
        horizon: db.bounds.horizon.load(Ordering::Acquire),
        late_ms: db.options.late_ms,
        out_of_order_from: db.bounds.out_of_order_from(),
        by_series: false,
    }
}

/// Finds in the store what the state of a source lacks, before a row of that time.
fn load(db: &Components, state: &mut SourceState, (source, ts): (SourceId, Timestamp)) -> Result<(), Error> {
    state.load(db.read(), source)?;
    let present_until = db.bounds.present_until();
    if state.newest.is_some_and(|newest| newest > present_until && ts <= present_until) {
        state.set_back(db.read(), source, ts)?;
    }
    Ok(())
}
