//! Batches of series into the store. They are grouped by source (`group`); what lies in time that is over goes to pages at once
//! (`pages`), grouped by time, and the rest goes the way of scrapes, a row for each time of a source (`rows`). Both need a
//! layout that stays the same from batch to batch (`layouts`). Who sends the same series again and again keeps what was found out
//! about them (`remembered`).
//!
//! Invariant: what each series had last is not read for that. Where something is stored at the times of a batch, that stays.

mod group;
mod layouts;
mod pages;
mod remembered;
mod rows;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::sample::is_histogram_mark;
use model::{Committed, Lateness, SeriesBatch, SeriesSamples, Timestamp};

use crate::components::Components;
use crate::deletes::settle::{Incoming, any_masked, settle};
use crate::error::Error;
use crate::exemplars::Exemplars;
use crate::limits;
use crate::writer::window::Window;
use group::{SourceGroup, grouped};
use layouts::NamedGroup;
pub(crate) use layouts::SeriesLayouts;
use remembered::Remembered;

/// So often ids are asked for anew where they were taken away meanwhile.
const TRIES: usize = 5;

/// Stores what is new of a batch, and says what became of all of it.
///
/// # Errors
/// When something of the batch is not valid, or the store cannot be read or written. Part of it may be stored.
pub(crate) fn append(
    db: &Components,
    (layouts, exemplars): (&SeriesLayouts, &Exemplars),
    batch: &SeriesBatch<'_>,
) -> Result<Committed, Error> {
    batch.series.iter().try_for_each(check)?;
    // Once for the batch: what it stores itself must not make its own earlier samples late.
    let window = window(db, batch.lateness);
    if let Some(remembered) = Remembered::of(layouts, batch) {
        let mut committed = Committed::default();
        let group = remembered.group(batch, window.horizon, &mut committed);
        match append_group(db, exemplars, (&group, &remembered.named()), window) {
            // Looked up anew.
            Err(Error::Forgotten) => {}
            appended => {
                committed += appended?;
                return Ok(committed);
            }
        }
    }
    let mut committed = Committed::default();
    for group in &grouped(batch, window.horizon, &mut committed) {
        let (named, appended) = append_named(db, (layouts, exemplars), group, window)?;
        committed += appended;
        Remembered::put(layouts, batch, (group, named));
    }
    Ok(committed)
}

/// Stores what came of one source, whose ids it looks up.
fn append_named(
    db: &Components,
    (layouts, exemplars): (&SeriesLayouts, &Exemplars),
    group: &SourceGroup<'_>,
    window: Window,
) -> Result<(Arc<NamedGroup>, Committed), Error> {
    let mut tries = 0;
    loop {
        let appended = layouts.named(db, group).map(Arc::new).and_then(|named| {
            let committed = append_group(db, exemplars, (group, &named), window)?;
            Ok((named, committed))
        });
        match appended {
            // Nothing stored referred to its ids for a whole retention, and they went just now.
            Err(Error::Forgotten) if tries < TRIES => {
                layouts.forget(&group.source);
                tries += 1;
            }
            appended => return appended,
        }
    }
}

/// Stores what came of one source.
fn append_group(
    db: &Components,
    exemplars: &Exemplars,
    (group, named): (&SourceGroup<'_>, &NamedGroup),
    window: Window,
) -> Result<Committed, Error> {
    let until = db.tombstones.until.load(Ordering::Acquire);
    let times = || group.series.iter().flat_map(|series| series.times.iter().copied());
    if let Some(incoming) = Incoming::within(named.source, times(), until)
        && any_masked(db, &[incoming])
    {
        // Before anything is written: the mask would hide the new samples, too.
        settle(db, &[incoming])?;
    }
    // Early samples as rows, then pages, then open time: each series is written in the order of its times.
    let mut split = pages::split(db, (group, named), window);
    let mut committed = rows::write(db, named, std::mem::take(&mut split.early), window)?;
    let (paged, left) = pages::write(db, (group, named), split)?;
    committed += paged;
    committed += rows::write(db, named, left, window)?;
    let kept = group.exemplars(&named.metrics);
    if !kept.is_empty() && exemplars.are_kept() {
        let _gate = db.open_gate()?;
        let metrics = &db.metrics.exemplars;
        committed.late_exemplars += exemplars.keep((&db.store, &db.index), named.source, &kept, metrics)?;
    }
    Ok(committed)
}

/// What may be written of series.
fn window(db: &Components, lateness: Lateness) -> Window {
    let out_of_order_from = match lateness {
        Lateness::Window => db.bounds.out_of_order_from(),
        Lateness::Any => Timestamp::MIN,
    };
    let horizon = db.bounds.horizon.load(Ordering::Acquire);
    Window { horizon, late_ms: db.options.late_ms, out_of_order_from, by_series: true }
}

/// Does it all fit?
fn check(series: &SeriesSamples<'_>) -> Result<(), Error> {
    let refused = |reason| Err(Error::BadSeries { reason });
    let times = series.timestamps.len();
    if times != series.values.len() || times > limits::SERIES_SAMPLES {
        return refused("a series has not one value per time, or too many");
    }
    let is_in_order = |indices: &[u32]| {
        indices.is_sorted_by(|a, b| a < b) && indices.last().is_none_or(|last| (*last as usize) < times)
    };
    let histograms: Vec<u32> = series.histograms.iter().map(|(i, _)| *i).collect();
    let starts: Vec<u32> = series.starts.iter().map(|(i, _)| *i).collect();
    if !is_in_order(&histograms) || !is_in_order(&starts) {
        return refused("histograms or starts of a series are not in the order of its times");
    }
    let marked = (0..).zip(series.values).filter(|(_, value)| is_histogram_mark(**value)).map(|(i, _)| i);
    if !marked.eq(histograms) {
        return refused("a series has not a histogram where its values say so");
    }
    if series.histograms.iter().any(|(_, histogram)| histogram.validate().is_err()) {
        return refused("a histogram is not valid");
    }
    Ok(())
}
