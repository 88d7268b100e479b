//! One source in one partition, written anew: the step that flush, compaction and deletions share.

use std::sync::atomic::Ordering;
use std::time::Instant;

use model::{Committed, SourceId, Timestamp};
use roaring::RoaringBitmap;
use rocksdb::WriteBatch;

use super::additions::{AddedSeries, Additions};
use super::pace::{Pace, Stop};
use crate::components::Components;
use crate::error::Error;
use crate::histograms;
use crate::index::names::named;
use crate::kv;
use crate::kv::bitmap;
use crate::kv::schema::{
    Bucket, Cf, PageGroup, Partition, partition_key, seen_key, segment_sources_key, source_segment_key, timeline_key,
};
use crate::limits;
use crate::pages::page::PageBuilder;
use crate::pages::timeline::Timeline;
use crate::reader::alignment::SeriesColumn;
use crate::reader::{Reader, Stored};

/// What was written of a source.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Samples that were in rows before.
    pub(crate) from_rows: u64,
    /// Timelines that it replaced, with their partitions.
    pub(crate) replaced: Vec<(Partition, Timeline)>,
    /// What became of the samples that were added.
    pub(crate) committed: Committed,
}

/// Pages on their way into the store, a batch at a time.
struct Output<'a, 'p> {
    db: &'a Components,
    batch: WriteBatch,
    group: PageGroup,
    builder: PageBuilder,
    samples: u64,
    /// Samples that were added, of those.
    added: u64,
    committed: Committed,
    pace: &'a mut Pace<'p>,
    since: Instant,
}

impl Output<'_, '_> {
    fn finish_page(&mut self) -> Result<(), Stop> {
        if !self.builder.is_empty() {
            let key = self.group.key(self.builder.first_metric());
            let bytes = self.builder.finish(&self.group);
            self.batch.put_cf(self.db.store.cf(Cf::Pages), key, bytes);
        }
        if self.batch.size_in_bytes() >= limits::WRITE_BATCH_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Stop> {
        if !self.batch.is_empty() {
            self.db.store.write(std::mem::take(&mut self.batch))?;
        }
        self.db.drain.check()?;
        let took = self.since.elapsed();
        let on = (self.pace)(took);
        self.since = Instant::now();
        if on.is_break() { Err(Stop::Paused) } else { Ok(()) }
    }

    fn push(&mut self, metric: u32, column: &SeriesColumn) {
        self.samples += column.samples();
        match column {
            SeriesColumn::Empty => {}
            SeriesColumn::Common(slots) => self.builder.push(metric, &slots.values, &slots.present),
            SeriesColumn::OwnTimes(times, values) => {
                self.builder.push_own(metric, times, values, self.group.partition.start.0);
            }
        }
    }

    /// Adds a column together with further samples of its series.
    fn push_added(&mut self, column: SeriesColumn, line: &[Timestamp], added: &AddedSeries<'_>) {
        let AddedSeries { metric, times, values, histograms } = added;
        let mut met = Vec::new();
        if matches!(column, SeriesColumn::Empty) && **times == *line {
            // Nothing is there, and the series has all times: the values go as they are.
            self.samples += times.len() as u64;
            self.builder.push(*metric, values, &full(line.len()));
        } else {
            let column = column.add(line, (times, values), &mut |i, there| met.push((i, there)));
            self.push(*metric, &column);
        }
        for (i, there) in &met {
            let same = there.to_bits() == values[*i].to_bits();
            *(if same { &mut self.committed.stored } else { &mut self.committed.duplicate }) += 1;
        }
        let new = times.len() - met.len();
        self.added += new as u64;
        self.committed.stored += u32::try_from(new).unwrap_or(u32::MAX);
        // A histogram is written where its marker was; in vain if the exchange does not come.
        for (i, histogram) in histograms.iter().filter(|(i, _)| met.binary_search_by_key(i, |(met, _)| *met).is_err()) {
            self.db.histograms.set();
            let series = (self.group.source, *metric);
            histograms::put(&self.db.store, &mut self.batch, series, times[*i], histogram);
        }
    }

    fn room(&mut self) -> Result<(), Stop> {
        let (columns, bytes) = self.builder.size();
        if columns >= limits::PAGE_COLUMNS || bytes >= limits::PAGE_BYTES { self.finish_page() } else { Ok(()) }
    }
}

/// Reads what is stored of a source within a partition, rows and pages of any size, and writes it as the pages of that
/// partition. `None` when rows came in meanwhile: the next round tries again. Of a partition that was merged into a larger
/// one nothing is written: what was in it goes with the larger one.
pub(crate) fn rewrite(
    db: &Components,
    source: SourceId,
    target: Partition,
    pace: &mut Pace<'_>,
) -> Result<Option<Written>, Stop> {
    rewrite_adding(db, (source, target), None, pace)
}

/// The same with samples added. What is stored stays where both have a sample. The partition is none that a larger one of the
/// source covers.
pub(crate) fn rewrite_adding(
    db: &Components,
    (source, target): (SourceId, Partition),
    additions: Option<&Additions<'_>>,
    pace: &mut Pace<'_>,
) -> Result<Option<Written>, Stop> {
    let since = Instant::now();
    let (start, end) = (target.start.0, target.end(db.store.bucket_ms));
    let within = Bucket(start)..Bucket(end);
    let skipped = db.store.skipped();
    let state = db.states.of(source);
    // From here on every row that comes into the range is noticed; what came before is in the snapshot below.
    state.lock().touched.retain(|bucket| !within.contains(bucket));
    let context = db.read();
    // Everything is read once: neither the block cache nor the read cache is filled.
    let snapshot = context.passing_snapshot();
    let range = start..=target.last(db.store.bucket_ms);
    let masks = db.tombstones.unkept(context, &range, db.bounds.now.load(Ordering::Acquire))?;
    let mut reader = Reader::new(context, &snapshot, range, &masks)?;
    let stored = reader.stored(source)?;
    if stored.timelines.iter().any(|(partition, _)| !target.covers(*partition, db.store.bucket_ms)) {
        return Ok(Some(Written::default()));
    }
    db.dropped.revive(Cf::Pages, &target.bytes());
    let line = line_of(reader.times(&stored)?, additions);
    reader.expect_rows(line.len());
    let mut segments = stored.segments();
    segments |= additions.map(|additions| &additions.segments).unwrap_or(&RoaringBitmap::new());
    // Differs from every earlier generation of the partition, since each of those was followed by a write.
    let generation = db.store.db.latest_sequence_number() as u32;
    let group = PageGroup { partition: target, name: 0, source, generation };
    let (batch, builder, committed) = (WriteBatch::default(), PageBuilder::default(), Committed::default());
    let mut output = Output { db, batch, group, builder, samples: 0, added: 0, committed, pace, since };
    write_pages(&mut reader, (&stored, &segments), (&line, additions), &mut output)?;
    // What could not be read would be lost with what is replaced.
    db.store.nothing_skipped_since(skipped)?;
    output.write()?;
    let Output { samples, added, committed, .. } = output;
    let timeline = Timeline { generation, segments, samples, timestamps: line };
    // Forgetting must not look between what this takes away and what it adds.
    let _gate = db.index.gate.read();
    let mut state = state.lock();
    // The pages that were written stay unnamed, so that no reader finds them, and go with the partition.
    if state.touched.iter().any(|bucket| within.contains(bucket)) {
        return Ok(None);
    }
    let trackers = &db.cache.trackers;
    let in_flight = (trackers.rows.begin(source), trackers.pages.begin(source));
    db.store.write(exchange(db, &stored, (target, &timeline), additions)?)?;
    drop(in_flight);
    // Their rows are gone: a late row begins the bucket anew.
    state.frames.retain(|(bucket, _), _| !within.contains(bucket));
    if additions.is_some() {
        // The newest of the source may be another.
        state.load_again();
    }
    drop(state);
    let before: u64 = stored.timelines.iter().map(|(_, timeline)| timeline.samples).sum();
    let from_rows = samples.saturating_sub(before).saturating_sub(added);
    db.metrics.sealed_samples.inc_by(from_rows);
    let replaced = stored.timelines;
    let old = replaced.iter().find(|(partition, _)| *partition == target);
    if let Some((_, old)) = old.filter(|(_, old)| old.generation != generation) {
        // After the exchange: until then readers may need them.
        remove_pages(db, target, source, old)?;
    }
    Ok(Some(Written { from_rows, replaced, committed }))
}

/// The times of a source's rows, and those that most of what is added has.
fn line_of(mut times: Vec<Timestamp>, additions: Option<&Additions<'_>>) -> Vec<Timestamp> {
    let Some(additions) = additions else { return times };
    times.extend_from_slice(&additions.common_times);
    times.sort();
    times.dedup();
    times
}

fn write_pages(
    reader: &mut Reader<'_>,
    (stored, segments): (&Stored, &RoaringBitmap),
    (line, additions): (&[Timestamp], Option<&Additions<'_>>),
    output: &mut Output<'_, '_>,
) -> Result<(), Stop> {
    let db = output.db;
    let named = named(&db.store, &db.index, segments)?;
    // Bounds memory: so many columns of this many rows are decoded together.
    let at_once = (limits::FLUSH_VALUES / line.len().max(1)).max(64);
    for some in named.chunks(at_once) {
        let metrics = reader.know(some);
        let mut columns = reader.gather(stored, &metrics)?.align(line).into_columns(metrics.len());
        for &(name, metric) in some {
            if name != output.group.name {
                output.finish_page()?;
                output.group.name = name;
            }
            let Ok(place) = metrics.binary_search(&metric) else { continue };
            let column = std::mem::take(&mut columns[place]);
            match additions.and_then(|additions| additions.of(metric)) {
                Some(added) => output.push_added(column, line, added),
                None => output.push(metric, &column),
            }
            output.room()?;
        }
        output.finish_page()?;
    }
    Ok(())
}

/// The write after which the new pages are there and what they were made of is not.
fn exchange(
    db: &Components,
    stored: &Stored,
    (target, timeline): (Partition, &Timeline),
    additions: Option<&Additions<'_>>,
) -> Result<WriteBatch, Error> {
    let store = &db.store;
    let (pages, posted) = (store.cf(Cf::Pages), store.cf(Cf::Postings));
    let source = stored.source;
    let mut batch = WriteBatch::default();
    for (partition, _) in &stored.timelines {
        batch.delete_cf(pages, timeline_key(*partition, source));
    }
    for (bucket, _) in stored.buckets() {
        batch.delete_cf(posted, seen_key(source, *bucket));
    }
    // Where all was deleted there is no timeline, and so no pages.
    if timeline.samples > 0 {
        batch.put_cf(pages, timeline_key(target, source), timeline.encode(target, source));
        batch.merge_cf(posted, partition_key(target), bitmap::encode_list([source.0]));
    }
    for segment in additions.into_iter().flat_map(|additions| &additions.segments) {
        // As the row writer does for the first row of a segment.
        let key = source_segment_key(source, segment);
        if !store.has(Cf::Postings, key)? {
            batch.put_cf(posted, key, []);
            batch.merge_cf(posted, segment_sources_key(segment), bitmap::encode_list([source.0]));
            db.index.posted.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(batch)
}

/// As many set bits.
fn full(len: usize) -> Vec<u64> {
    let mut bits = vec![u64::MAX; len.div_ceil(64)];
    if let Some(last) = bits.last_mut().filter(|_| !len.is_multiple_of(64)) {
        *last = (1 << (len % 64)) - 1;
    }
    bits
}

/// Takes away the pages that a timeline named until now.
pub(crate) fn remove_pages(
    db: &Components,
    partition: Partition,
    source: SourceId,
    old: &Timeline,
) -> Result<(), Error> {
    let mut batch = WriteBatch::default();
    let named = named(&db.store, &db.index, &old.segments)?;
    for name in named.chunk_by(|a, b| a.0 == b.0).map(|group| group[0].0) {
        let group = PageGroup { partition, name, source, generation: old.generation };
        let mut iter = db.store.iter(Cf::Pages, &group.key(0), &group.key(u32::MAX));
        iter.seek_to_first();
        while let Some(key) = iter.key() {
            batch.delete_cf(db.store.cf(Cf::Pages), key);
            iter.next();
        }
        iter.status().map_err(kv::Error::read)?;
        if batch.size_in_bytes() >= limits::WRITE_BATCH_BYTES {
            db.store.write(std::mem::take(&mut batch))?;
        }
    }
    Ok(db.store.write(batch)?)
}
