//! Samples with times of their own: zeros before the row, those of the row, and extra ones of columns that were exposed
//! several times. Part of the step *keep* of the scrape path.

use std::collections::HashMap;

use model::{ExtraSample, Row, Timestamp};

use super::plan::{Pending, SEGMENT, Targets, has};
use crate::error::Error;
use crate::reader;
use crate::rows::codec::{ORDINARY, OWN_TIMES};
use crate::rows::lane::LANE;

/// The newest sample by metric: time and bits.
type Newest = HashMap<u32, (Timestamp, u64)>;

/// A sample with its own time; its value is the row's, or its own.
#[derive(Clone, Copy)]
pub(super) struct Timed<'a> {
    column: usize,
    ts: Timestamp,
    extra: Option<&'a ExtraSample>,
}

impl<'a> Timed<'a> {
    fn all(row: &'a Row<'a>, repeats: &'a [ExtraSample]) -> impl Iterator<Item = Self> {
        let of_row = row.own_times.iter().map(|&(column, ts)| Self { column: column as usize, ts, extra: None });
        of_row.chain(repeats.iter().map(Self::from))
    }
}

impl<'a> From<&'a ExtraSample> for Timed<'a> {
    fn from(one: &'a ExtraSample) -> Self {
        Self { column: one.column as usize, ts: one.ts, extra: Some(one) }
    }
}

impl<'a> Pending<'a> {
    /// The zeros at which series began to count, where nothing is stored of the series at that time or later. Returns those
    /// that are newer than all of their source: these need no look at their series.
    pub(super) fn starts(
        &mut self,
        starts: &'a [ExtraSample],
        targets: &mut Targets<'a>,
    ) -> Result<Vec<Timed<'a>>, Error> {
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        // A start at the row's own time says nothing: the row's sample is there.
        let (times, until) = (self.floor()..self.row.ts, self.stored_until());
        let taken = starts.iter().map(Timed::from).filter(|one| times.contains(&one.ts));
        let (newer, others): (Vec<Timed<'a>>, Vec<_>) = taken.partition(|one| until.is_none_or(|until| until < one.ts));
        let known = self.known(&others)?;
        for one in others {
            let metric = self.metric(one.column);
            if self.last(metric, &known).is_none_or(|last| last.0 < one.ts) {
                self.own.insert(metric, (one.ts, self.bits(one)));
                add(targets, one, OWN_TIMES);
            }
        }
        Ok(newer)
    }

    /// Zeros that are newer than all of their source are a row like others, where the row's own sample of the series follows.
    pub(super) fn newer_starts(&mut self, newer: Vec<Timed<'a>>, targets: &mut Targets<'a>) {
        for one in newer {
            // As part of a row at that time it needs no entry among the series with own times, which cost memory for
            // good.
            if self.is_ordinary(one.column, targets) {
                add(targets, one, ORDINARY);
            } else {
                self.own.insert(self.metric(one.column), (one.ts, self.bits(one)));
                add(targets, one, OWN_TIMES);
            }
        }
    }

    /// The columns with own times and the repeats, less those that are refused.
    pub(super) fn own_times(&mut self, repeats: &'a [ExtraSample], targets: &mut Targets<'a>) -> Result<(), Error> {
        let row = self.row;
        let floor = self.floor();
        let (new, old): (Vec<Timed<'a>>, Vec<_>) = Timed::all(row, repeats).partition(|one| one.ts >= floor);
        self.committed.too_old += u32::try_from(old.len()).unwrap_or(u32::MAX);
        // One read for all of them that the state does not know.
        let known = self.known(&new)?;
        for one in &new {
            self.note_ordinary(*one, targets);
        }
        for one in new {
            let (metric, value) = (self.metric(one.column), self.bits(one));
            let last = self.last(metric, &known);
            if let Some(last) = last {
                self.own.insert(metric, last);
                if self.refuse(one.ts, value, last) {
                    continue;
                }
            }
            // Late, but within the window: it must be looked up whether the series has a sample at just that time.
            if last.is_some_and(|last| last.0 > one.ts) {
                if self.is_there(one, targets)? {
                    continue;
                }
                self.late += 1;
            } else {
                self.own.insert(metric, (one.ts, value));
            }
            self.committed.stored += 1;
            add(targets, one, OWN_TIMES);
        }
        Ok(())
    }

    /// From when on samples with own times are taken.
    pub(super) fn floor(&self) -> Timestamp {
        // From the newest of the source, this row included: targets that lag behind themselves are bounded by
        // `late_ms`.
        let newest = self.state.newest.map_or(self.row.ts, |newest| newest.max(self.row.ts));
        let floor = newest.saturating_sub(self.window.late_ms).min(self.window.out_of_order_from);
        self.window.horizon.max(floor)
    }

    /// The newest that is stored of these series, where the source's state does not know.
    fn known(&self, wanted: &[Timed<'_>]) -> Result<Newest, Error> {
        let unknown = || wanted.iter().filter(|one| !self.state.own.contains_key(&self.metric(one.column)));
        let Some(from) = unknown().map(|one| one.ts).min() else { return Ok(Newest::new()) };
        let mut metrics: Vec<u32> = unknown().map(|one| self.metric(one.column)).collect();
        metrics.sort_unstable();
        metrics.dedup();
        reader::newest(self.context.read, self.row.source, from..=Timestamp::MAX, Some(&metrics))
    }

    /// The newest sample of a series, stored or about to be.
    fn last(&self, metric: u32, known: &Newest) -> Option<(Timestamp, u64)> {
        let all = [self.own.get(&metric), self.state.own.get(&metric), known.get(&metric)];
        all.into_iter().flatten().copied().max_by_key(|(ts, _)| *ts)
    }

    /// Is the column's sample at the time of the row stored?
    fn is_ordinary(&self, column: usize, targets: &Targets<'_>) -> bool {
        let target = targets.get(&(column / SEGMENT, self.row.ts));
        target.is_some_and(|target| has(&target.present, column % SEGMENT))
    }

    /// A repeat comes after the sample that the row has of its series.
    fn note_ordinary(&mut self, one: Timed<'_>, targets: &Targets<'_>) {
        if one.extra.is_some() && self.is_ordinary(one.column, targets) {
            let newest = (self.row.ts, self.bits_of(one.column));
            let known = self.own.entry(self.metric(one.column)).or_insert(newest);
            if known.0 < newest.0 {
                *known = newest;
            }
        }
    }

    /// Has the series, which has a later sample, one at that time already? Counts it when so.
    fn is_there(&mut self, one: Timed<'_>, targets: &Targets<'_>) -> Result<bool, Error> {
        let metric = self.metric(one.column);
        let stored =
            reader::newest(self.context.read, self.row.source, one.ts..=one.ts, Some(&[metric]))?.remove(&metric);
        let target = targets.get(&(one.column / SEGMENT, one.ts));
        let taken = target.filter(|target| has(&target.present, one.column % SEGMENT)).map(|target| {
            let extra = target.extra.iter().find(|(column, _)| *column == one.column % SEGMENT);
            (one.ts, extra.map_or_else(|| self.bits_of(one.column), |(_, one)| one.value.to_bits()))
        });
        Ok(stored.or(taken).is_some_and(|there| self.refuse(one.ts, self.bits(one), there)))
    }

    fn bits(&self, one: Timed<'_>) -> u64 {
        one.extra.map_or_else(|| self.bits_of(one.column), |extra| extra.value.to_bits())
    }
}

/// It goes into the row of its segment and time.
fn add<'a>(targets: &mut Targets<'a>, one: Timed<'a>, flags: u8) {
    let (segment, column) = (one.column / SEGMENT, one.column % SEGMENT);
    let target = targets.entry((segment, one.ts)).or_default();
    target.present[column / LANE] |= 1 << (column % LANE);
    target.flags |= flags;
    target.extra.extend(one.extra.map(|extra| (column, extra)));
}
