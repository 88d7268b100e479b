//! One source in one partition, written anew: the step that flush, compaction and deletions share.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use model::SourceId;
use rocksdb::WriteBatch;

use super::pace::{Pace, Stop};
use crate::components::Components;
use crate::error::Error;
use crate::index::names::named;
use crate::kv::bitmap;
use crate::kv::schema::{Bucket, Cf, PageGroup, Partition, partition_key, seen_key, timeline_key};
use crate::kv::store::Store;
use crate::kv::{self};
use crate::limits;
use crate::pages::page::PageBuilder;
use crate::pages::timeline::Timeline;
use crate::reader::alignment::Slots;
use crate::reader::{Reader, Stored};

/// What was written of a source.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Samples that were in rows before.
    pub(crate) from_rows: u64,
    /// Timelines that it replaced, with their partitions.
    pub(crate) replaced: Vec<(Partition, Timeline)>,
}

/// Pages on their way into the store, a batch at a time.
struct Output<'a, 'p> {
    db: &'a Components,
    batch: WriteBatch,
    group: PageGroup,
    builder: PageBuilder,
    samples: u64,
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
    let since = Instant::now();
    let (start_ms, end_ms) = (target.start.0, target.end_ms(db.store.bucket_ms));
    let within = Bucket(start_ms)..Bucket(end_ms);
    let skipped = db.store.skipped();
    let state = db.states.of(source);
    state.lock().touched.retain(|bucket| !within.contains(bucket));
    let context = db.read();
    let snapshot = context.passing_snapshot();
    let range = start_ms..=end_ms.saturating_sub(1);
    let masks = db.tombstones.unkept(context, &range, db.bounds.now_ms.load(Ordering::Acquire))?;
    let mut reader = Reader::new(context, &snapshot, range, &masks)?;
    let stored = reader.stored(source)?;
    if stored.timelines.iter().any(|(partition, _)| !target.covers(*partition, db.store.bucket_ms)) {
        return Ok(Some(Written::default()));
    }
    db.dropped.revive(Cf::Pages, &target.bytes());
    let line = reader.times(&stored)?;
    reader.expect_rows(line.len());
    let generation = db.store.db.latest_sequence_number() as u32;
    let group = PageGroup { partition: target, name: 0, source, generation };
    let (batch, builder) = (WriteBatch::default(), PageBuilder::default());
    let mut output = Output { db, batch, group, builder, samples: 0, pace, since };
    write_pages(db, &mut reader, &stored, &line, &mut output)?;
    db.store.nothing_skipped_since(skipped)?;
    output.write()?;
    let samples = output.samples;
    let timeline = Timeline { generation, segments: stored.segments(), samples, timestamps: line };
    // Forgetting must not look between what this takes away and what it adds.
    let _gate = db.index.gate.read();
    let mut state = state.lock();
    if state.touched.iter().any(|bucket| within.contains(bucket)) {
        return Ok(None);
    }
    let trackers = &db.cache.trackers;
    let in_flight = (trackers.rows.begin(source), trackers.pages.begin(source));
    db.store.write(exchange(&db.store, &stored, target, &timeline))?;
    drop(in_flight);
    state.frames.retain(|(bucket, _), _| !within.contains(bucket));
    drop(state);
    let before: u64 = stored.timelines.iter().map(|(_, timeline)| timeline.samples).sum();
    let from_rows = samples.saturating_sub(before);
    db.metrics.sealed_samples.inc_by(from_rows);
    let replaced = stored.timelines;
    let old = replaced.iter().find(|(partition, _)| *partition == target);
    if let Some((_, old)) = old.filter(|(_, old)| old.generation != generation) {
        remove_pages(db, target, source, old)?;
    }
    Ok(Some(Written { from_rows, replaced }))
}

fn write_pages(
    db: &Components,
    reader: &mut Reader<'_>,
    stored: &Stored,
    line: &[i64],
    output: &mut Output<'_, '_>,
) -> Result<(), Stop> {
    let named = named(&db.store, &db.index, &stored.segments())?;
    let at_once = (limits::FLUSH_VALUES / line.len().max(1)).max(64);
    for some in named.chunks(at_once) {
        let metrics = reader.know(some);
        let aligned = reader.gather(stored, &metrics)?.align(line);
        let common: HashMap<u32, &Slots> =
            aligned.common.iter().map(|(wanted, slots)| (metrics[*wanted], slots)).collect();
        let own_times: HashMap<u32, (&[i64], &[f64])> = aligned
            .own_times
            .iter()
            .map(|(wanted, times, values)| (metrics[*wanted], (&times[..], &values[..])))
            .collect();
        for &(name, metric) in some {
            if name != output.group.name {
                output.finish_page()?;
                output.group.name = name;
            }
            if let Some(slots) = common.get(&metric) {
                output.samples += slots.present.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
                output.builder.push(metric, &slots.values, &slots.present);
            } else if let Some((times, values)) = own_times.get(&metric) {
                output.samples += times.len() as u64;
                output.builder.push_own(metric, times, values, output.group.partition.start.0);
            }
            output.room()?;
        }
        output.finish_page()?;
    }
    Ok(())
}

/// The write after which the new pages are there and what they were made of is not.
fn exchange(store: &Store, stored: &Stored, target: Partition, timeline: &Timeline) -> WriteBatch {
    let (pages, posted) = (store.cf(Cf::Pages), store.cf(Cf::Postings));
    let source = stored.source;
    let mut batch = WriteBatch::default();
    for (partition, _) in &stored.timelines {
        batch.delete_cf(pages, timeline_key(*partition, source));
    }
    for (bucket, _) in &stored.buckets {
        batch.delete_cf(posted, seen_key(source, *bucket));
    }
    if timeline.samples > 0 {
        batch.put_cf(pages, timeline_key(target, source), timeline.encode(target, source));
        batch.merge_cf(posted, partition_key(target), bitmap::encode_list([source.0]));
    }
    batch
}

/// Takes away the pages that a timeline named until now.
pub(super) fn remove_pages(
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
