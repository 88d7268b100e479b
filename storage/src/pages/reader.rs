//! Wanted columns out of pages: one source in one partition at a time.
//!
//! Invariant: what does not pass its checksum is reported and passed over; a broken timeline hides its source and partition.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;
use rocksdb::DBRawIterator;

use super::Named;
use super::page::{self, ColumnView, Times};
use super::timeline::Timeline;
use crate::error::Error;
use crate::kv::checksum::Corrupt;
use crate::kv::schema::{Cf, PageGroup, Partition};
use crate::kv::snapshot::Snapshot;
use crate::kv::store::after_prefix;
use crate::limits;
use crate::rows::run::{Cells, Run, RunColumn, mark};

/// Takes a column and its index among the wanted.
type EachColumn<'f> = dyn FnMut(&ColumnView<'_>, usize) -> Result<(), Corrupt> + 'f;

/// The metrics of one name that are wanted, each with its index; ascending.
type WantedOfName = [(u32, usize)];

/// Goes over the pages of a range; fastest when sources are asked for in their order.
pub(crate) struct PageReader<'v> {
    snapshot: &'v Snapshot<'v>,
    /// Those of the range.
    partitions: Vec<(Partition, RoaringBitmap)>,
    cursors: Vec<Option<Cursor<'v>>>,
}

struct Cursor<'v> {
    iter: DBRawIterator<'v>,
    /// The group that was read last, all of it.
    last: Option<PageGroup>,
}

/// What is wanted of the columns of a partition, and what of their times.
struct Clip {
    /// Times on the timeline.
    line: usize,
    /// The wanted of these.
    places: Range<usize>,
    start: Timestamp,
    range: RangeInclusive<Timestamp>,
}

impl<'v> PageReader<'v> {
    /// `partitions` are all there are, each with the sources that have pages in it.
    pub(crate) fn new(
        snapshot: &'v Snapshot<'v>,
        partitions: &[(Partition, RoaringBitmap)],
        range: &RangeInclusive<Timestamp>,
    ) -> Self {
        let bucket_ms = snapshot.store.bucket_ms;
        let in_range = |(partition, _): &&(Partition, RoaringBitmap)| {
            partition.start.0 <= *range.end() && partition.end(bucket_ms) > *range.start()
        };
        let partitions: Vec<_> = partitions.iter().filter(in_range).cloned().collect();
        // An iterator pins blocks of every file level: of a long range not each partition gets one.
        let cursors = partitions.iter().take(limits::PAGE_ITERATORS).map(|_| None).collect();
        Self { snapshot, partitions, cursors }
    }

    /// The partitions that hold pages of a source.
    pub(crate) fn partitions_of(&self, source: SourceId) -> impl Iterator<Item = Partition> {
        let holds = move |(_, sources): &&(Partition, RoaringBitmap)| sources.contains(source.0);
        self.partitions.iter().filter(holds).map(|(partition, _)| *partition)
    }

    /// The timelines of a source.
    pub(crate) fn timelines(&self, source: SourceId) -> Result<Vec<(Partition, Timeline)>, Error> {
        let mut found = Vec::new();
        for partition in self.partitions_of(source) {
            if let Some(timeline) = super::timeline_of(self.snapshot, partition, source)? {
                found.push((partition, timeline));
            }
        }
        Ok(found)
    }

    /// The wanted columns of a source in a partition, over the times in `range`. Samples with times of their own
    /// become cells.
    pub(crate) fn run(
        &mut self,
        place: (Partition, SourceId),
        timeline: &Timeline,
        (names, range): (&[Named], &RangeInclusive<Timestamp>),
        cells: &mut Cells,
    ) -> Result<Run, Error> {
        let clip = Clip::new(place.0, timeline, range);
        let mut run = Run { timestamps: timeline.timestamps[clip.places.clone()].to_vec(), columns: Vec::new() };
        self.each_column(place, (timeline, names), &mut |column, wanted| clip.take(column, wanted, &mut run, cells))?;
        Ok(run)
    }

    /// The newest sample of each wanted column over the times in `range`; `found` is told which have one. Samples with times
    /// of their own become cells.
    pub(crate) fn newest(
        &mut self,
        place: (Partition, SourceId),
        timeline: &Timeline,
        (names, range): (&[Named], &RangeInclusive<Timestamp>),
        (cells, found): (&mut Cells, &mut dyn FnMut(usize)),
    ) -> Result<impl Iterator<Item = Run>, Error> {
        let clip = Clip::new(place.0, timeline, range);
        // Nearly all columns end with the timeline.
        let mut runs: BTreeMap<usize, Run> = BTreeMap::new();
        let mut values = Vec::new();
        self.each_column(place, (timeline, names), &mut |column, wanted| {
            match clip.newest(column, &mut values)? {
                Some(Newest::OnLine(place, value)) => {
                    let new = || Run { timestamps: vec![timeline.timestamps[place]], columns: Vec::new() };
                    let run = runs.entry(place).or_insert_with(new);
                    run.columns.push(RunColumn { wanted, values: vec![value], present: vec![1] });
                }
                Some(Newest::Own(ts, value)) => cells.entry(wanted).or_default().push((ts, value)),
                None => return Ok(()),
            }
            found(wanted);
            Ok(())
        })?;
        Ok(runs.into_values())
    }

    /// Calls `each` with the wanted columns of a source in a partition.
    fn each_column(
        &mut self,
        (partition, source): (Partition, SourceId),
        (timeline, names): (&Timeline, &[Named]),
        each: &mut EachColumn<'_>,
    ) -> Result<(), Error> {
        let (snapshot, cursor) = self.cursor(partition);
        for (name, wanted) in names {
            let group = PageGroup { partition, name: *name, source, generation: timeline.generation };
            cursor.group(snapshot, &group, wanted, each)?;
        }
        Ok(())
    }

    fn cursor(&mut self, partition: Partition) -> (&'v Snapshot<'v>, &mut Cursor<'v>) {
        let place = self.partitions.iter().position(|(one, _)| *one == partition).unwrap_or(0);
        // With more partitions than iterators several share one, which then seeks more.
        let place = place % self.cursors.len().max(1);
        let shared = self.partitions.len() > self.cursors.len();
        let snapshot = self.snapshot;
        let cursor = self.cursors[place].get_or_insert_with(|| {
            // A cursor on partitions of its own need not look at the others.
            let (from, to) = if shared {
                (Vec::new(), Vec::new())
            } else {
                (partition.bytes().to_vec(), after_prefix(&partition.bytes()))
            };
            Cursor { iter: snapshot.iter(Cf::Pages, &from, &to), last: None }
        });
        (snapshot, cursor)
    }
}

impl Cursor<'_> {
    /// Is the iterator on a page of the group? Then the metric of the page's first column.
    fn on(&self, group: &PageGroup) -> Option<u32> {
        let (here, first) = PageGroup::parse(self.iter.key()?)?;
        (here == *group).then_some(first)
    }

    /// Calls `each` with the wanted columns of a group of pages.
    fn group(
        &mut self,
        snapshot: &Snapshot<'_>,
        group: &PageGroup,
        wanted: &WantedOfName,
        each: &mut EachColumn<'_>,
    ) -> Result<(), Error> {
        // After the pages of one source those of the next often follow; they are then the first of their group.
        let follows = self.last.is_some_and(|last| last < *group) && self.on(group).is_some();
        if !follows {
            self.iter.seek(group.key(0));
        }
        self.last = Some(*group);
        let mut left = wanted;
        while let (Some(first), Some(&(metric, _))) = (self.on(group), left.first()) {
            // Pages begin with the metric in their key: what comes before the first page is not stored.
            if metric < first {
                left = &left[left.partition_point(|&(metric, _)| metric < first)..];
                continue;
            }
            if let Some(bytes) = self.iter.value() {
                left = take_page(snapshot, bytes, group, first, (left, each));
            }
            self.iter.next();
            // Many pages, few wanted: leap to the one that may hold the next.
            if let (Some(first), Some(&(metric, _))) = (self.on(group), left.first())
                && left.len() < limits::PAGE_LEAP
                && first < metric
            {
                self.iter.seek_for_prev(group.key(metric));
            }
        }
        // The next group starts after the last page of this one.
        if left.is_empty() && self.on(group).is_some() {
            self.last = None;
        }
        Ok(snapshot.store.ended(&self.iter, Cf::Pages, &group.key(0))?)
    }
}

/// Hands out the wanted columns of a page; returns what later pages may hold.
fn take_page<'w>(
    snapshot: &Snapshot<'_>,
    bytes: &[u8],
    group: &PageGroup,
    first: u32,
    (wanted, each): (&'w WantedOfName, &mut EachColumn<'_>),
) -> &'w WantedOfName {
    let mut columns = Vec::new();
    let taken = page::parse(bytes, group, first, &mut columns).and_then(|()| {
        let mut left = wanted;
        for column in &columns {
            left = &left[left.partition_point(|&(metric, _)| metric < column.metric)..];
            match left.first() {
                Some(&(metric, wanted)) if metric == column.metric => each(column, wanted)?,
                Some(_) => {}
                None => break,
            }
        }
        // Pages do not overlap: up to its last metric nothing comes in a later one.
        let last = columns.last().map_or(first, |column| column.metric);
        Ok(&wanted[wanted.partition_point(|&(metric, _)| metric <= last)..])
    });
    taken.unwrap_or_else(|reason| {
        snapshot.store.corrupt(Cf::Pages, &group.key(first), reason);
        // Where the damaged page ends is not known: all but its first metric may come in a later one.
        &wanted[wanted.partition_point(|&(metric, _)| metric <= first)..]
    })
}

/// The newest sample of a column: where on the timeline it lies, or its own time, and its value.
enum Newest {
    OnLine(usize, f64),
    Own(Timestamp, f64),
}

impl Clip {
    fn new(partition: Partition, timeline: &Timeline, range: &RangeInclusive<Timestamp>) -> Self {
        let times = &timeline.timestamps;
        let from = times.partition_point(|ts| ts < range.start());
        // A range may end before it begins.
        let to = times.partition_point(|ts| ts <= range.end()).max(from);
        Self { line: times.len(), places: from..to, start: partition.start.0, range: range.clone() }
    }

    /// The wanted of a stretch of the timeline.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        span.start.max(self.places.start)..span.end.min(self.places.end)
    }

    fn newest(&self, column: &ColumnView<'_>, values: &mut Vec<f64>) -> Result<Option<Newest>, Corrupt> {
        values.clear();
        Ok(match column.decode(self.line, self.start, values)? {
            Times::Span(span) => {
                let last = self.within(&span).last();
                last.map(|last| Newest::OnLine(last, values[last - span.start]))
            }
            Times::Places(places) => {
                let last = places.iter().zip(values).rev().find(|(place, _)| self.places.contains(place));
                last.map(|(place, value)| Newest::OnLine(*place, *value))
            }
            Times::Own(times) => {
                let last = times.iter().zip(values).rev().find(|(ts, _)| self.range.contains(ts));
                last.map(|(ts, value)| Newest::Own(*ts, *value))
            }
        })
    }

    fn take(&self, column: &ColumnView<'_>, wanted: usize, run: &mut Run, cells: &mut Cells) -> Result<(), Corrupt> {
        let mut values = Vec::new();
        let n = self.places.len();
        match column.decode(self.line, self.start, &mut values)? {
            Times::Span(span) => {
                let Range { start: from, end: to } = self.within(&span);
                if from >= to {
                    return Ok(());
                }
                let mut present = vec![0; n.div_ceil(64)];
                let place = from - self.places.start;
                mark(&mut present, place..place + (to - from), true);
                // The column covers just what is wanted: its values are moved, not copied.
                let values = if n == values.len() && to - from == n {
                    values
                } else {
                    let mut clipped = vec![0.0; n];
                    clipped[place..place + (to - from)].copy_from_slice(&values[from - span.start..to - span.start]);
                    clipped
                };
                run.columns.push(RunColumn { wanted, values, present });
            }
            Times::Places(places) => {
                let mut sparse = RunColumn { wanted, values: vec![0.0; n], present: vec![0; n.div_ceil(64)] };
                for (place, value) in places.into_iter().zip(values) {
                    if self.places.contains(&place) {
                        let place = place - self.places.start;
                        sparse.values[place] = value;
                        sparse.present[place / 64] |= 1 << (place % 64);
                    }
                }
                run.columns.push(sparse);
            }
            Times::Own(times) => {
                let own = times.into_iter().zip(values).filter(|(ts, _)| self.range.contains(ts));
                let cells = cells.entry(wanted).or_default();
                cells.extend(own);
            }
        }
        Ok(())
    }
}
