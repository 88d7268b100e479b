//! Samples of time that is over, straight to pages: partition by partition, merged with what is stored there by the same scheme
//! as flush and compaction (`compaction/rewrite`).
//!
//! Invariant: nobody else flushes, compacts, drops or deletes meanwhile, and no id is taken away.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::Ordering;

use model::{Committed, Timestamp};
use roaring::RoaringBitmap;

use super::group::{Left, SourceGroup, SourceSeries};
use super::layouts::NamedGroup;
use crate::append::announce;
use crate::compaction::additions::{AddedSeries, Additions};
use crate::compaction::pace::grace_ms;
use crate::compaction::rewrite::{remove_pages, rewrite_adding};
use crate::components::Components;
use crate::deletes::settle::{Incoming, settle_held};
use crate::error::Error;
use crate::kv::schema::{Bucket, Cf, Partition};
use crate::limits;
use crate::pages;
use crate::pages::timeline::Timeline;
use crate::writer::window::Window;

/// So many times a partition is tried in which rows come in meanwhile.
const TRIES: usize = 4;

/// What a source has in partitions already.
struct Existing(Vec<(Partition, Timeline)>);

/// Where samples go next.
struct Target {
    partition: Partition,
    /// Samples of the source that are in pages there.
    samples: u64,
}

/// The samples of a group by where they go.
pub(super) struct Split<'g> {
    /// Before the time from which on late samples are taken: whether they are late, only the row writer looks. They go first, as
    /// what is later of their series would make them late.
    pub(super) early: Left<'g>,
    /// Of each series, those that may go to pages.
    closed: Vec<Range<usize>>,
    /// Time that is still open.
    open: Left<'g>,
    closed_until: Timestamp,
}

/// Splits a group by time.
pub(super) fn split<'g>(
    db: &Components,
    (group, named): (&'g SourceGroup<'_>, &NamedGroup),
    window: Window,
) -> Split<'g> {
    let closed_until = closed_until(db, group);
    let mut split = Split { early: Vec::new(), closed: Vec::new(), open: Vec::new(), closed_until };
    let early_until = window.out_of_order_from;
    for (series, column) in group.series.iter().zip(&named.columns) {
        let (late, closed) = (series.before(early_until), series.before(early_until.max(closed_until)));
        push(&mut split.early, (series, *column, 0..late));
        split.closed.push(late..closed);
        push(&mut split.open, (series, *column, closed..series.times.len()));
    }
    split
}

fn push<'g>(left: &mut Left<'g>, (series, column, range): (&'g SourceSeries<'g>, u32, Range<usize>)) {
    if !range.is_empty() {
        left.push((series, column, range));
    }
}

/// Writes what may go to pages; what became of it, and what is left for rows.
pub(super) fn write<'g>(
    db: &Components,
    (group, named): (&'g SourceGroup<'_>, &NamedGroup),
    Split { closed, open: mut left, closed_until, .. }: Split<'g>,
) -> Result<(Committed, Left<'g>), Error> {
    let mut committed = Committed::default();
    let leave = |left: &mut Left<'g>, ranges: &[Range<usize>]| {
        for (i, range) in ranges.iter().enumerate() {
            push(left, (&group.series[i], named.columns[i], range.clone()));
        }
    };
    if closed.iter().map(|range| range.len() as u64).sum::<u64>() < limits::PAGED_AT_ONCE {
        leave(&mut left, &closed);
        return Ok((committed, left));
    }
    // Taken once for all partitions of the source: compaction waits for at most one batch.
    let _one = db.maintenance.lock_first();
    still_there(db, group, named)?;
    // Under the lock: compaction would change it.
    let existing = Existing::read(db, named, (group, closed_until))?;
    let mut rest = closed;
    while let Some(ts) = next(group, &rest) {
        let until = |end: Timestamp| -> Vec<Range<usize>> {
            let of = |(series, range): (&SourceSeries<'_>, &Range<usize>)| {
                range.start..series.before(end).clamp(range.start, range.end)
            };
            group.series.iter().zip(&rest).map(of).collect()
        };
        let target = existing.target(db, ts, closed_until, &until);
        let ranges = until(target.partition.end(db.store.bucket_ms));
        let added: u64 = ranges.iter().map(|range| range.len() as u64).sum();
        // A few late samples are no reason to write much anew: as rows they wait for the next flush. But each row looks at what
        // its series have, which is more work than writing that once where there are many.
        let times = ranges.iter().map(Range::len).max().unwrap_or_default();
        let is_much = added * limits::PAGED_PER_ADDED >= target.samples || times >= limits::PAGED_TIMES;
        let enough = added >= limits::PAGED_AT_ONCE && is_much;
        let written = if enough { write_partition(db, (group, named), target.partition, &ranges)? } else { None };
        match written {
            Some(one) => committed += one,
            None => leave(&mut left, &ranges),
        }
        rest = ranges.into_iter().zip(rest).map(|(range, rest)| range.end..rest.end).collect();
    }
    db.store.flush_large(Cf::Pages, limits::PAGES_FILE_BYTES)?;
    db.metrics.count(&committed);
    Ok((committed, left))
}

/// Time before this is over: flushing would not wait any more for what comes in.
fn closed_until(db: &Components, group: &SourceGroup<'_>) -> Timestamp {
    let newest = group.series.iter().filter_map(|series| series.times.last().copied()).max().unwrap_or(Timestamp::MIN);
    let now = db.bounds.now().unwrap_or_else(|| newest.max(db.bounds.newest.load(Ordering::Relaxed)));
    let bucket_ms = db.store.bucket_ms;
    Bucket::of(now.saturating_sub(grace_ms(bucket_ms)), bucket_ms).0
}

/// The first time that is left.
fn next(group: &SourceGroup<'_>, rest: &[Range<usize>]) -> Option<Timestamp> {
    let series = group.series.iter().zip(rest).filter(|(_, range)| !range.is_empty());
    series.map(|(series, range)| series.times[range.start]).min()
}

/// Carries out what was deleted since, and looks whether all ids are there: from here on none is taken away.
fn still_there(db: &Components, group: &SourceGroup<'_>, named: &NamedGroup) -> Result<(), Error> {
    drop(db.open_gate()?);
    let times = group.series.iter().flat_map(|series| series.times.iter().copied());
    let incoming = Incoming::within(named.source, times, db.tombstones.until.load(Ordering::Acquire));
    settle_held(db, incoming.as_slice())?;
    let there = db.index.sources.are_there([named.source.0].into_iter())
        && db.index.segments.are_there(named.layout.segments.iter().copied())
        && db.index.metrics.are_there(named.metrics.iter().map(|metric| metric.0));
    if there { Ok(()) } else { Err(Error::Forgotten) }
}

impl Existing {
    /// The timelines of the source in partitions that the samples may lie in.
    fn read(
        db: &Components,
        named: &NamedGroup,
        (group, closed_until): (&SourceGroup<'_>, Timestamp),
    ) -> Result<Self, Error> {
        let bucket_ms = db.store.bucket_ms;
        let first =
            group.series.iter().filter_map(|series| series.times.first().copied()).min().unwrap_or(closed_until);
        // The largest partition that anything may be merged into begins before the first sample.
        let largest = limits::PARTITION_BUCKETS.into_iter().max().unwrap_or(1);
        let from = Partition::of(first, largest, bucket_ms).start.0;
        let snapshot = db.read().snapshot();
        let mut found = Vec::new();
        for (partition, sources) in pages::partitions(&snapshot)? {
            if sources.contains(named.source.0) && partition.end(bucket_ms) > from && partition.start.0 < closed_until {
                let timeline = pages::timeline_of(&snapshot, partition, named.source)?;
                found.extend(timeline.map(|timeline| (partition, timeline)));
            }
        }
        Ok(Self(found))
    }

    /// The partition that samples from `ts` on go to: the one that has pages there already, or the largest that is over and
    /// holds no more rows than a column should. `until` is what each series has left before a time.
    fn target(
        &self,
        db: &Components,
        ts: Timestamp,
        closed_until: Timestamp,
        until: &dyn Fn(Timestamp) -> Vec<Range<usize>>,
    ) -> Target {
        let bucket_ms = db.store.bucket_ms;
        let holding =
            |(partition, _): &&(Partition, Timeline)| partition.start.0 <= ts && ts < partition.end(bucket_ms);
        let merged = self.0.iter().filter(holding).max_by_key(|(partition, _)| partition.buckets);
        if let Some((partition, timeline)) = merged.filter(|(partition, _)| partition.buckets > 1) {
            return Target { partition: *partition, samples: timeline.samples };
        }
        let mut sizes = limits::PARTITION_BUCKETS;
        sizes.sort_unstable_by_key(|buckets| std::cmp::Reverse(*buckets));
        for buckets in sizes {
            let partition = Partition::of(ts, buckets, bucket_ms);
            let end = partition.end(bucket_ms);
            let within = self.0.iter().filter(|(one, _)| partition.covers(*one, bucket_ms));
            let (samples, rows) = within.fold((0, 0), |(samples, rows), (_, timeline)| {
                (samples + timeline.samples, rows + timeline.timestamps.len())
            });
            // About how many rows come to the partition: series of one source mostly have the same times.
            let added = until(end).iter().map(Range::len).max().unwrap_or(0);
            if buckets == 1 || end <= closed_until && rows + added <= limits::MERGED_ROWS {
                return Target { partition, samples };
            }
        }
        Target { partition: Partition::of(ts, 1, bucket_ms), samples: 0 }
    }
}

/// Writes these samples into a partition. `None` where rows came in all the time.
fn write_partition(
    db: &Components,
    (group, named): (&SourceGroup<'_>, &NamedGroup),
    partition: Partition,
    ranges: &[Range<usize>],
) -> Result<Option<Committed>, Error> {
    let additions = additions(group, named, ranges);
    // From here on, whoever writes rows into these buckets must look whether its rows are still there.
    if db.flushed.begin(partition.end(db.store.bucket_ms)) {
        drop(db.index.gate.write());
    }
    let _announced = announce::pages(db, named.source, &additions);
    // Rows that come into the partition at the same moment make the rewrite start over.
    for _ in 0..TRIES {
        let place = (named.source, partition);
        let Some(written) = rewrite_adding(db, place, Some(&additions), &mut |_| ControlFlow::Continue(()))? else {
            continue;
        };
        for (replaced, timeline) in written.replaced.iter().filter(|(replaced, _)| *replaced != partition) {
            remove_pages(db, *replaced, named.source, timeline)?;
        }
        let newest = additions.series.iter().filter_map(|series| series.times.last().copied()).max();
        if let Some(ts) = newest {
            db.bounds.newest.fetch_max(ts, Ordering::Relaxed);
        }
        return Ok(Some(written.committed));
    }
    Ok(None)
}

fn additions<'g>(group: &'g SourceGroup<'_>, named: &NamedGroup, ranges: &[Range<usize>]) -> Additions<'g> {
    let mut segments = RoaringBitmap::new();
    let mut series = Vec::with_capacity(group.series.len());
    for (i, (one, range)) in group.series.iter().zip(ranges).enumerate().filter(|(_, (_, range))| !range.is_empty()) {
        let column = named.columns[i] as usize;
        segments.insert(named.layout.segments[column / model::Layout::SEGMENT_COLUMNS]);
        let first = one.histograms.partition_point(|(at, _)| *at < range.start);
        let histograms = one.histograms[first..].iter().take_while(|(at, _)| *at < range.end);
        series.push(AddedSeries {
            metric: named.metrics[i].0,
            times: (&one.times[range.clone()]).into(),
            values: (&one.values[range.clone()]).into(),
            histograms: histograms.map(|(at, histogram)| (at - range.start, *histogram)).collect(),
        });
    }
    series.sort_unstable_by_key(|one| one.metric);
    Additions { common_times: common_times(&series), series, segments }
}

/// The times that many of the series have.
fn common_times(series: &[AddedSeries<'_>]) -> Vec<Timestamp> {
    let Some(first) = series.first() else { return Vec::new() };
    // What was scraped together comes with equal times: nothing is sorted or counted.
    if series.iter().all(|one| one.times == first.times) {
        return first.times.to_vec();
    }
    let mut all: Vec<Timestamp> = series.iter().flat_map(|one| one.times.iter().copied()).collect();
    all.sort_unstable();
    let many = |run: &&[Timestamp]| run.len() * limits::COMMON_TIME_SERIES >= series.len();
    all.chunk_by(|a, b| a == b).filter(many).map(|run| run[0]).collect()
}
