//! What the store has of a stretch of time, divided among requests.
//!
//! Invariant: all samples of a series in a window are in one slot, and the requests of a slot are sent one after another, so that
//! the samples of a series arrive in the order of their times.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;
use model::{
    Batch, Column, Exemplar, Histogram, Labels, MetricId, Querier, QuerierError, ReadHints, Selection, SourceId,
    Timestamp, Touched,
};
use parking_lot::Mutex;

use super::series::{self, Series, SeriesCache};

/// A slot is filled to this part of a request on average, so that most need no second one.
const FILL: f64 = 0.9;
/// What a histogram weighs beside a float.
const HISTOGRAM_SAMPLES: usize = 16;

/// A float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) ts: Timestamp,
    pub(super) value: f64,
    /// Since when it counts; [`Timestamp::EPOCH`] where that is not known.
    pub(super) start: Timestamp,
}

/// A native histogram.
#[derive(Clone, Debug)]
pub(super) struct HistogramSample {
    pub(super) ts: Timestamp,
    pub(super) start: Timestamp,
    pub(super) histogram: Arc<Histogram>,
}

/// What a window has of one series.
#[derive(Debug)]
struct Entry {
    series: Arc<Series>,
    samples: Range<u32>,
    histograms: Range<u32>,
    exemplars: Range<u32>,
}

/// Part of an entry, for one request.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    entry: u32,
    samples: Range<u32>,
    histograms: Range<u32>,
    exemplars: Range<u32>,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) samples: u64,
    pub(super) histograms: u64,
    pub(super) exemplars: u64,
}

impl Counts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            samples: self.samples + other.samples,
            histograms: self.histograms + other.histograms,
            exemplars: self.exemplars + other.exemplars,
        }
    }

    /// Without others, as far as there are so many.
    pub(super) fn less(self, other: Self) -> Self {
        Self {
            samples: self.samples.saturating_sub(other.samples),
            histograms: self.histograms.saturating_sub(other.histograms),
            exemplars: self.exemplars.saturating_sub(other.exemplars),
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: Vec<Entry>,
    samples: Vec<Sample>,
    histograms: Vec<HistogramSample>,
    exemplars: Vec<Exemplar>,
    /// Entries by slot.
    slots: Vec<Range<u32>>,
    /// What rules dropped.
    pub(super) dropped: Counts,
    /// Histograms of custom buckets that are not wanted.
    pub(super) custom_buckets: Counts,
    /// Of the exemplars, those whose series has no sample here.
    pub(super) left: Vec<bool>,
}

/// What is to be read.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The first time, and the first that is not wanted.
    pub(super) range: Range<Timestamp>,
    /// Nothing older than this.
    pub(super) oldest: Timestamp,
    /// Of series that come late, only these samples.
    pub(super) late: Option<Late>,
    /// Into how many passes the series are divided, and which one is wanted.
    pub(super) passes: u64,
    pub(super) pass: u64,
    /// Native histograms, and those of custom buckets.
    pub(super) histograms: bool,
    pub(super) custom_buckets: bool,
    pub(super) exemplars: Vec<(Labels, Exemplar)>,
    /// Samples that are held in memory at once.
    pub(super) samples_max: usize,
    pub(super) samples_per_send: usize,
    /// How many slots there are, where that is decided already.
    pub(super) slots: Option<usize>,
}

/// Why a window was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It holds more than fits in memory.
    TooLarge,
    Store(QuerierError),
}

/// Samples that were noted as late.
#[derive(Debug, Default)]
pub(super) struct Late {
    sources: HashSet<SourceId>,
    ranges: HashMap<SourceId, Vec<Touched>, RandomState>,
}

impl Late {
    pub(super) fn of(notes: &[Touched]) -> Self {
        let mut late = Self::default();
        for note in notes {
            late.sources.insert(note.source);
            late.ranges.entry(note.source).or_default().push(*note);
        }
        // By metric, those of any metric first.
        late.ranges.values_mut().for_each(|ranges| ranges.sort_unstable_by_key(|one| one.metric));
        late
    }

    /// The notes that may hold samples of a series. Where the store does not say which one it is, all of them.
    fn ranges(&self, source: Option<SourceId>, metric: Option<MetricId>) -> Vec<(Timestamp, Timestamp)> {
        let all: Vec<&Touched> = match (source, metric) {
            (Some(source), Some(metric)) => {
                let of = self.ranges.get(&source).map_or(&[][..], |ranges| ranges);
                let any = &of[..of.partition_point(|one| one.metric.is_none())];
                let first = of.partition_point(|one| one.metric < Some(metric));
                let own = of[first..].iter().take_while(|one| one.metric == Some(metric));
                any.iter().chain(own).collect()
            }
            _ => self.ranges.values().flatten().collect(),
        };
        all.into_iter().map(|one| (one.from, one.to)).collect()
    }
}

impl Window {
    /// Reads what is wanted. Blocks.
    pub(super) fn read(querier: &dyn Querier, cache: &Mutex<SeriesCache>, wanted: &Wanted) -> Result<Self, Unread> {
        let mut cache = cache.lock();
        let mut window = Self { left: vec![true; wanted.exemplars.len()], ..Self::default() };
        let mut by_series: BySeries = HashMap::default();
        for (i, (labels, _)) in wanted.exemplars.iter().enumerate() {
            by_series.entry(series::hash(labels)).or_default().push(i);
        }
        let end = wanted.range.end.saturating_sub(1);
        let selection = Selection { start: wanted.range.start.max(wanted.oldest), end, matchers: &[] };
        let sources = wanted.late.as_ref().map(|late| &late.sources);
        let hints = ReadHints { sources, ..ReadHints::default() };
        let mut too_large = false;
        let read = querier.select(&selection, &hints, &mut |batch| {
            for column in &batch.columns {
                window.add(&batch, column, (&mut cache, &by_series), wanted);
            }
            too_large = window.weight() > wanted.samples_max;
            if too_large { Err(QuerierError::Stopped) } else { Ok(()) }
        });
        match read {
            Err(QuerierError::Stopped) if too_large => return Err(Unread::TooLarge),
            read => read.map_err(Unread::Store)?,
        }
        window.divide(wanted);
        Ok(window)
    }

    fn weight(&self) -> usize {
        self.samples.len() + HISTOGRAM_SAMPLES * self.histograms.len()
    }

    fn add(
        &mut self,
        batch: &Batch,
        column: &Column,
        (cache, exemplars): (&mut SeriesCache, &BySeries),
        wanted: &Wanted,
    ) {
        let late = wanted.late.as_ref().map(|late| late.ranges(batch.source_id, column.metric_id));
        if late.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let Some(series) = cache.series(batch, column) else {
            // Told of once, though every pass sees it.
            if wanted.pass == 0 {
                let present = (0..batch.timestamps.len()).filter(|i| column.is_present(*i)).count();
                self.dropped.histograms += column.histograms.len() as u64;
                self.dropped.samples += (present - column.histograms.len()) as u64;
            }
            return;
        };
        if pass_of(series.hash, wanted.passes) != wanted.pass {
            return;
        }
        let (first, first_histogram) = (self.samples.len() as u32, self.histograms.len() as u32);
        let (mut histograms, mut starts) = (column.histograms.iter().peekable(), column.start_times.iter().peekable());
        for (slot, ts) in (0u32..).zip(&batch.timestamps) {
            let start = starts.next_if(|(at, _)| *at == slot).map_or(Timestamp::EPOCH, |(_, start)| *start);
            let histogram = histograms.next_if(|(at, _)| *at == slot);
            let is_late = late.as_ref().is_none_or(|ranges| ranges.iter().any(|(from, to)| from <= ts && ts <= to));
            if !column.is_present(slot as usize) || !is_late {
                continue;
            }
            match histogram {
                Some((_, histogram)) if wanted.histograms && histogram.is_custom() && !wanted.custom_buckets => {
                    self.custom_buckets.histograms += 1;
                }
                Some((_, histogram)) if wanted.histograms => {
                    self.histograms.push(HistogramSample { ts: *ts, start, histogram: Arc::clone(histogram) });
                }
                Some(_) => {}
                None => self.samples.push(Sample { ts: *ts, value: column.values[slot as usize], start }),
            }
        }
        let (samples, histograms) = (first..self.samples.len() as u32, first_histogram..self.histograms.len() as u32);
        if samples.is_empty() && histograms.is_empty() {
            return;
        }
        let first = self.exemplars.len() as u32;
        for i in exemplars.get(&series.hash).into_iter().flatten() {
            self.exemplars.push(wanted.exemplars[*i].1.clone());
            self.left[*i] = false;
        }
        self.entries.push(Entry { series, samples, histograms, exemplars: first..self.exemplars.len() as u32 });
    }

    /// Puts each series into a slot, which follows from its labels.
    fn divide(&mut self, wanted: &Wanted) {
        let total = self.samples.len() + self.histograms.len() + self.exemplars.len();
        let filled = ((wanted.samples_per_send as f64 * FILL) as usize).max(1);
        let slots = wanted.slots.unwrap_or(total.div_ceil(filled)).max(1) as u64;
        // The upper bits chose the pass.
        let slot = |entry: &Entry| (entry.series.hash & 0xffff_ffff) % slots;
        self.entries.sort_unstable_by_key(|entry| (slot(entry), entry.series.hash));
        let mut at = 0;
        self.slots = (0..slots)
            .map(|number| {
                let first = at;
                at += self.entries[at as usize..].iter().take_while(|entry| slot(entry) == number).count() as u32;
                first..at
            })
            .collect();
    }

    pub(super) fn n_slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All there is in it.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            samples: self.samples.len() as u64,
            histograms: self.histograms.len() as u64,
            exemplars: self.exemplars.len() as u64,
        }
    }

    /// The pieces of a slot, request by request.
    pub(super) fn requests(&self, slot: usize, samples_per_send: usize) -> Vec<Vec<Piece>> {
        let (mut requests, mut pieces, mut room) = (Vec::new(), Vec::new(), samples_per_send.max(1));
        for number in self.slots[slot].clone() {
            let entry = &self.entries[number as usize];
            let (mut samples, mut histograms) = (entry.samples.clone(), entry.histograms.clone());
            let mut exemplars = entry.exemplars.clone();
            // At least once: an entry has a sample.
            while !samples.is_empty() || !histograms.is_empty() {
                if room == 0 {
                    requests.push(std::mem::take(&mut pieces));
                    room = samples_per_send.max(1);
                }
                let some = take(&mut samples, room as u32);
                let more = take(&mut histograms, (room as u32).saturating_sub(some.len() as u32));
                // With the last samples, which make sure that the receiver knows the series.
                let last = samples.is_empty() && histograms.is_empty();
                let with = if last { std::mem::take(&mut exemplars) } else { 0..0 };
                room = room.saturating_sub(some.len() + more.len() + with.len());
                pieces.push(Piece { entry: number, samples: some, histograms: more, exemplars: with });
            }
        }
        if !pieces.is_empty() {
            requests.push(pieces);
        }
        requests
    }

    /// Pieces without what is older than a time, if there is any of it.
    pub(super) fn without_older(&self, pieces: &[Piece], oldest: Timestamp) -> Option<Vec<Piece>> {
        let old = |piece: &Piece| {
            let samples = self.samples(piece).partition_point(|one| one.ts < oldest) as u32;
            (samples, self.histograms(piece).partition_point(|one| one.ts < oldest) as u32)
        };
        if pieces.iter().all(|piece| old(piece) == (0, 0)) {
            return None;
        }
        let newer = |piece: &Piece| {
            let (samples, histograms) = old(piece);
            let mut piece = piece.clone();
            piece.samples.start += samples;
            piece.histograms.start += histograms;
            (!piece.samples.is_empty() || !piece.histograms.is_empty()).then_some(piece)
        };
        Some(pieces.iter().filter_map(newer).collect())
    }

    pub(super) fn series(&self, piece: &Piece) -> &Series {
        &self.entries[piece.entry as usize].series
    }

    pub(super) fn samples(&self, piece: &Piece) -> &[Sample] {
        &self.samples[piece.samples.start as usize..piece.samples.end as usize]
    }

    pub(super) fn histograms(&self, piece: &Piece) -> &[HistogramSample] {
        &self.histograms[piece.histograms.start as usize..piece.histograms.end as usize]
    }

    pub(super) fn exemplars(&self, piece: &Piece) -> &[Exemplar] {
        &self.exemplars[piece.exemplars.start as usize..piece.exemplars.end as usize]
    }

    /// What some pieces hold, and the newest time among it.
    pub(super) fn counts_of(&self, pieces: &[Piece]) -> (Counts, Timestamp) {
        let (mut counts, mut newest) = (Counts::default(), Timestamp::MIN);
        for piece in pieces {
            counts.samples += piece.samples.len() as u64;
            counts.histograms += piece.histograms.len() as u64;
            counts.exemplars += piece.exemplars.len() as u64;
            let last = self.samples(piece).last().map(|sample| sample.ts);
            let last = last.max(self.histograms(piece).last().map(|histogram| histogram.ts));
            newest = newest.max(last.unwrap_or(Timestamp::MIN));
        }
        (counts, newest)
    }
}

/// The exemplars by the hash of their series.
type BySeries = HashMap<u64, Vec<usize>, RandomState>;

/// The pass that a series is in: of twice as many passes, each is divided in two.
fn pass_of(hash: u64, passes: u64) -> u64 {
    ((hash >> 32) * passes) >> 32
}

/// The first so many of a range, which begins after them then.
fn take(range: &mut Range<u32>, most: u32) -> Range<u32> {
    let end = range.start.saturating_add(most).min(range.end);
    let taken = range.start..end;
    range.start = end;
    taken
}
