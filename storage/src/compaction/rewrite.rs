//! One source in one partition, written anew.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Instant;

use model::SourceId;
use rocksdb::WriteBatch;

use super::{Pace, Stop};
use crate::cache::lock;
use crate::db::Db;
use crate::error::Error;
use crate::index::postings;
use crate::kv::schema::{Bucket, Cf, PageGroup, Partition, partition_key, seen_key, timeline_key};
use crate::limits;
use crate::pages::named;
use crate::pages::page::PageBuilder;
use crate::pages::timeline::Timeline;
use crate::reader::alignment::Slots;
use crate::reader::snapshot::View;
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
    db: &'a Db,
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
        if self.batch.size_in_bytes() >= limits::SEAL_BATCH_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Stop> {
        if !self.batch.is_empty() {
            self.db.store.write(std::mem::take(&mut self.batch))?;
        }
        self.db.store.stay()?;
        let took = self.since.elapsed();
        let on = (self.pace)(took);
        self.since = Instant::now();
        if on.is_break() { Err(Stop::Asked) } else { Ok(()) }
    }

    fn room(&mut self) -> Result<(), Stop> {
        let (columns, bytes) = self.builder.size();
        if columns >= limits::PAGE_COLUMNS || bytes >= limits::PAGE_BYTES { self.finish_page() } else { Ok(()) }
    }
}

impl Db {
    /// Reads what is stored of a source within a partition, rows and pages of any size, and writes it as the pages of that
    /// partition. `None` when rows came in meanwhile: the next round tries again. Of a partition that was merged into a larger
    /// one nothing is written: what was in it goes with the larger one.
    pub(crate) fn rewrite(
        &self,
        source: SourceId,
        target: Partition,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Written>, Stop> {
        let since = Instant::now();
        let (start_ms, end_ms) = (target.start.0, target.end_ms(self.store.bucket_ms));
        let within = Bucket(start_ms)..Bucket(end_ms);
        let unreadable = self.store.unreadable();
        let state = self.states.of(source);
        lock(&state).touched.retain(|bucket| !within.contains(bucket));
        let view = View::passing(&self.store);
        let range = start_ms..=end_ms.saturating_sub(1);
        let deleted = self.unkept(&range)?;
        let mut reader = Reader::new(&view, &self.index, range, &deleted)?;
        let stored = reader.stored(source)?;
        if stored.timelines.iter().any(|(partition, _)| !target.covers(*partition, self.store.bucket_ms)) {
            return Ok(Some(Written::default()));
        }
        self.revive(target);
        let line = reader.times(&stored)?;
        reader.expect_rows(line.len());
        let generation = self.store.db.latest_sequence_number() as u32;
        let group = PageGroup { partition: target, name: 0, source, generation };
        let (batch, builder) = (WriteBatch::default(), PageBuilder::default());
        let mut output = Output { db: self, batch, group, builder, samples: 0, pace, since };
        self.write_pages(&mut reader, &stored, &line, &mut output)?;
        self.store.all_was_read(unreadable)?;
        output.write()?;
        let samples = output.samples;
        let timeline = Timeline { generation, segments: stored.segments(), samples, timestamps: line };
        // Forgetting must not look between what this takes away and what it adds.
        let _gate = self.index.gate.read().unwrap_or_else(PoisonError::into_inner);
        let mut state = lock(&state);
        if state.touched.iter().any(|bucket| within.contains(bucket)) {
            return Ok(None);
        }
        let kept = &self.store.kept;
        let changing = (kept.rows.of(source), kept.pages.of(source));
        self.store.write(self.exchange(&stored, target, &timeline))?;
        drop(changing);
        state.frames.retain(|(bucket, _), _| !within.contains(bucket));
        drop(state);
        let before: u64 = stored.timelines.iter().map(|(_, timeline)| timeline.samples).sum();
        let from_rows = samples.saturating_sub(before);
        self.store.metrics.sealed_samples.inc_by(from_rows);
        let replaced = stored.timelines;
        let old = replaced.iter().find(|(partition, _)| *partition == target);
        if let Some((_, old)) = old.filter(|(_, old)| old.generation != generation) {
            self.remove_pages(target, source, old)?;
        }
        Ok(Some(Written { from_rows, replaced }))
    }

    fn write_pages(
        &self,
        reader: &mut Reader<'_>,
        stored: &Stored,
        line: &[i64],
        output: &mut Output<'_, '_>,
    ) -> Result<(), Stop> {
        let named = named(&self.store, &self.index, &stored.segments())?;
        let at_once = (limits::SEAL_VALUES / line.len().max(1)).max(64);
        for some in named.chunks(at_once) {
            let metrics = reader.know(some);
            let laid = reader.gather(stored, &metrics)?.lay(line);
            let common: HashMap<u32, &Slots> =
                laid.common.iter().map(|(wanted, slots)| (metrics[*wanted], slots)).collect();
            let apart: HashMap<u32, (&[i64], &[f64])> = laid
                .apart
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
                } else if let Some((times, values)) = apart.get(&metric) {
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
    fn exchange(&self, stored: &Stored, target: Partition, timeline: &Timeline) -> WriteBatch {
        let (pages, posted) = (self.store.cf(Cf::Pages), self.store.cf(Cf::Postings));
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
            batch.merge_cf(posted, partition_key(target), postings::encode_list([source.0]));
        }
        batch
    }

    /// Takes away the pages that a timeline named until now.
    pub(super) fn remove_pages(&self, partition: Partition, source: SourceId, old: &Timeline) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        let named = named(&self.store, &self.index, &old.segments)?;
        for name in named.chunk_by(|a, b| a.0 == b.0).map(|group| group[0].0) {
            let group = PageGroup { partition, name, source, generation: old.generation };
            let mut iter = self.store.iter(Cf::Pages, &group.key(0), &group.key(u32::MAX));
            iter.seek_to_first();
            while let Some(key) = iter.key() {
                batch.delete_cf(self.store.cf(Cf::Pages), key);
                iter.next();
            }
            iter.status().map_err(Error::read)?;
            if batch.size_in_bytes() >= limits::SEAL_BATCH_BYTES {
                self.store.write(std::mem::take(&mut batch))?;
            }
        }
        self.store.write(batch)
    }
}
