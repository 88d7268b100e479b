//! The newest sample of each wanted series, without what lies before it.
//!
//! Rows of a bucket and pages of a partition are read from the newest back. Those that overlap in time form one level and are
//! all read; series found in a level are not looked for in older ones.

use std::borrow::Cow;

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;

use crate::error::Error;
use crate::kv::schema::{Bucket, Partition, RowKey};
use crate::pages::Named;
use crate::pages::timeline::Timeline;
use crate::rows::decoder::{RowDecoder, Wanted};
use crate::rows::scan as row_scan;

use super::alignment::Gathered;
use super::{Reader, Stored, in_both};

/// Rows of a bucket and the segments they are of, or pages of a partition.
enum Part<'s> {
    Rows(Bucket, &'s RoaringBitmap),
    Pages(Partition, &'s Timeline),
}

impl Reader<'_> {
    /// The newest samples of these metrics (ascending) of a source, perhaps with some older ones.
    pub(crate) fn gather_latest(&mut self, stored: &Stored, metrics: &[u32]) -> Result<Gathered, Error> {
        if !self.masks.is_empty() {
            // What is newest may be deleted.
            return self.gather(stored, metrics);
        }
        self.want(metrics);
        let mut gathered = Gathered::default();
        let mut left = Left::of(metrics.len());
        for parts in levels(stored, self.context.store.bucket_ms) {
            // What one part of a level finds, the other parts may have newer: they look for the same.
            let open = left.clone();
            for part in parts {
                let found = (&open, &mut left);
                match part {
                    Part::Rows(bucket, segments) => {
                        self.newest_rows((bucket, stored.source), segments, found, &mut gathered)?;
                    }
                    Part::Pages(partition, timeline) => {
                        self.name(stored)?;
                        self.newest_of_pages((partition, stored.source), timeline, found, &mut gathered)?;
                    }
                }
            }
            // Mostly after the first level: every series has a sample in the newest rows.
            if left.count == 0 {
                break;
            }
        }
        Ok(gathered)
    }

    fn newest_rows(
        &mut self,
        (bucket, source): (Bucket, SourceId),
        segments: &RoaringBitmap,
        (open, left): (&Left, &mut Left),
        gathered: &mut Gathered,
    ) -> Result<(), Error> {
        for segment in in_both(segments, self.segments) {
            // Finds out which of the metrics the segment has.
            self.plan(segment)?;
            let Some(wanted) = self.plans.get(&segment).filter(|wanted| !wanted.is_empty()) else { continue };
            let mut missing = wanted.clone();
            // Nothing older is decoded for a series that was found.
            open.restrict(&mut missing);
            if missing.is_empty() {
                continue;
            }
            let place = RowKey::frame(bucket, source, segment);
            let Gathered { cells, runs, .. } = &mut *gathered;
            row_scan::scan_segment_back(
                self.context.store,
                self.rows.iter(),
                (place, wanted),
                &self.range,
                &mut |frame, ts, row| {
                    // A run of one row: series are found in different rows.
                    let mut decoder = RowDecoder::new(&missing, 1);
                    decoder.add_row(frame, ts, row, cells)?;
                    let run = decoder.run;
                    if !run.timestamps.is_empty() {
                        runs.push(run);
                    }
                    for (lane, columns) in &mut missing {
                        let present = row.present(*lane);
                        columns.retain(|&(bit, wanted)| {
                            let found = present >> bit & 1 == 1;
                            if found {
                                left.take(wanted);
                            }
                            !found
                        });
                    }
                    missing.retain(|(_, columns)| !columns.is_empty());
                    Ok(!missing.is_empty())
                },
            )?;
        }
        Ok(())
    }

    fn newest_of_pages(
        &mut self,
        place: (Partition, SourceId),
        timeline: &Timeline,
        (open, left): (&Left, &mut Left),
        Gathered { cells, runs, .. }: &mut Gathered,
    ) -> Result<(), Error> {
        let wanted = (&*open.among(&self.names), &self.range);
        runs.extend(self.pages.newest(place, timeline, wanted, (cells, &mut |wanted| left.take(wanted)))?);
        Ok(())
    }
}

/// What is stored, the newest first; what overlaps is together.
fn levels(stored: &Stored, bucket_ms: u32) -> Vec<Vec<Part<'_>>> {
    let end_of = |bucket: Bucket| bucket.0.saturating_add(i64::from(bucket_ms));
    let rows = stored.buckets().iter();
    let rows = rows.map(|(bucket, segments)| (end_of(*bucket), bucket.0, Part::Rows(*bucket, segments)));
    let pages = stored.timelines.iter();
    let pages = pages.map(|(of, timeline)| (of.end(bucket_ms), of.start.0, Part::Pages(*of, timeline)));
    let mut all: Vec<(Timestamp, Timestamp, Part<'_>)> = rows.chain(pages).collect();
    // By where they end, since that is where the newest sample may lie.
    all.sort_by_key(|(end, ..)| std::cmp::Reverse(*end));
    let mut levels: Vec<Vec<Part<'_>>> = Vec::new();
    let mut from = Timestamp::MAX;
    for (end, start, part) in all {
        match levels.last_mut() {
            // It overlaps what is in the level, so neither is newer as a whole.
            Some(level) if end > from => level.push(part),
            _ => {
                from = start;
                levels.push(vec![part]);
            }
        }
        from = from.min(start);
    }
    levels
}

/// Metrics, by index, of which nothing was found yet.
#[derive(Clone, Debug)]
struct Left {
    is_left: Vec<bool>,
    count: usize,
}

impl Left {
    fn of(metrics: usize) -> Self {
        Self { is_left: vec![true; metrics], count: metrics }
    }

    fn is_all(&self) -> bool {
        self.count == self.is_left.len()
    }

    /// Of these only those that are left.
    fn among<'n>(&self, names: &'n [Named]) -> Cow<'n, [Named]> {
        if self.is_all() {
            return names.into();
        }
        let some = names.iter().map(|(name, metrics)| {
            (*name, metrics.iter().filter(|(_, wanted)| self.is_left[*wanted]).copied().collect::<Vec<_>>())
        });
        some.filter(|(_, metrics)| !metrics.is_empty()).collect()
    }

    fn take(&mut self, metric: usize) {
        self.count -= usize::from(std::mem::take(&mut self.is_left[metric]));
    }

    /// Leaves only those among the wanted.
    fn restrict(&self, wanted: &mut Wanted) {
        if !self.is_all() {
            wanted.iter_mut().for_each(|(_, columns)| columns.retain(|(_, wanted)| self.is_left[*wanted]));
            wanted.retain(|(_, columns)| !columns.is_empty());
        }
    }
}
