//! Scans: what is read from the store for a selector, batch by batch. Step 5 of the query path.

use std::cell::Cell;

use model::{
    Batch, Caller, Column, GroupingHint, Labels, Parts, QuerierError, ReadHints, SamplesNeeded, Selection, Timestamp,
};

use super::evaluator::{Evaluator, Partition, Query};
use super::scan_cache::cost_of;
use crate::Error;
use crate::parse::ast::{At, Shift};
use crate::parse::types::Extension;
use crate::plan::{NodeId, NodeKind, Scan};
use crate::value::{Series, is_absent, is_metadata, weight};
use crate::window::{Grid, Reach};

/// A scan of the plan, or one that was made while the query runs (`info`).
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanOf<'e> {
    pub(super) scan: &'e Scan,
    pub(super) id: Option<NodeId>,
}

/// What to read for a scan: a selection with hints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'e> {
    of: ScanOf<'e>,
    selection: Selection<'e>,
    hints: ReadHints<'e>,
}

impl<'e> ScanOf<'e> {
    /// The selection of the samples in `(end - length, end]` of every step, extended by `reach`.
    pub(super) fn wanted(self, (ends, length_ms): (&[Timestamp], i64), reach: Reach) -> Option<Wanted<'e>> {
        let (first, last) = (ends.first()?, ends.last()?);
        let before = length_ms.saturating_add(reach.back_ms);
        // Ranges are open at the start: a sample exactly at the bound is not part of them.
        let start = first.saturating_sub(before).saturating_add(1);
        let end = last.saturating_add(reach.ahead_ms);
        // With `@` all ends are equal: the step is 0.
        let step_ms = ends.get(1).map_or(0, |second| second.saturating_since(*first));
        let selection = Selection { start, end, matchers: &self.scan.matchers };
        Some(Wanted { of: self, selection, hints: ReadHints { step_ms, ..ReadHints::default() } })
    }
}

impl<'a> Evaluator<'a> {
    /// The end of the range of each step, with `@` and `offset` applied.
    pub(super) fn ends(&self, shift: &Shift, grid: &Grid) -> Vec<Timestamp> {
        let fixed = shift.at.map(|at| match at {
            At::Time(time) => time,
            At::Start => self.query.times.start,
            At::End => self.query.times.end,
        });
        (0..grid.len).map(|i| fixed.unwrap_or_else(|| grid.time(i)).saturating_sub(shift.offset.ms)).collect()
    }

    /// How far an extended range includes samples beyond its bounds: the lookback delta, backwards or both ways.
    pub(super) fn reach(&self, scan: &Scan) -> Reach {
        let lookback = self.query.lookback_ms;
        match scan.extension {
            None => Reach::default(),
            Some(Extension::Anchored) => Reach { back_ms: lookback, ahead_ms: 0 },
            Some(Extension::Smoothed) => Reach { back_ms: lookback, ahead_ms: lookback },
        }
    }

    /// A smoothed instant selector also looks ahead, by the lookback delta.
    pub(super) fn smoothed_reach(&self) -> Reach {
        Reach { back_ms: 0, ahead_ms: self.query.lookback_ms }
    }

    /// What to read for a scan of the plan.
    pub(super) fn wanted(&self, id: NodeId, grid: &Grid) -> Option<Wanted<'a>> {
        let of = |scan: &'a Scan| ScanOf { scan, id: Some(id) };
        match &self.node(id).kind {
            NodeKind::Vector(scan) if scan.extension == Some(Extension::Smoothed) => {
                self.wanted_smoothed(of(scan), &self.ends(&scan.shift, grid))
            }
            NodeKind::Vector(scan) => self.wanted_latest(of(scan), &self.ends(&scan.shift, grid)),
            NodeKind::Matrix(scan, range) => self.wanted_range(of(scan), (&self.ends(&scan.shift, grid), range.ms)),
            _ => None,
        }
    }

    pub(super) fn wanted_latest<'e>(&self, of: ScanOf<'e>, ends: &[Timestamp]) -> Option<Wanted<'e>> {
        let wanted = of.wanted((ends, self.query.lookback_ms), Reach::default())?;
        // With histogram statistics the sample before the newest is needed to detect a counter reset.
        let newest = !of.scan.totals && ends.first() == ends.last();
        let samples = if newest { SamplesNeeded::Newest } else { SamplesNeeded::All };
        Some(Wanted { hints: ReadHints { samples, ..wanted.hints }, ..wanted })
    }

    pub(super) fn wanted_smoothed<'e>(&self, of: ScanOf<'e>, ends: &[Timestamp]) -> Option<Wanted<'e>> {
        of.wanted((ends, self.query.lookback_ms), self.smoothed_reach())
    }

    pub(super) fn wanted_range<'e>(&self, of: ScanOf<'e>, (ends, range_ms): (&[Timestamp], i64)) -> Option<Wanted<'e>> {
        let wanted = of.wanted((ends, range_ms), self.reach(of.scan))?;
        Some(Wanted { hints: ReadHints { range_ms, ..wanted.hints }, ..wanted })
    }

    /// Opens a selection in the store, or the batches that an equal scan has read.
    pub(super) fn open(&self, wanted: &Wanted<'_>) -> Result<Box<dyn Parts + '_>, Error> {
        let Query { querier, bounds, scans, .. } = self.query;
        let decisions = wanted.of.id.map(|id| &self.node(id).decisions);
        // A store on another server is waited for, and its answer held, while the selection is opened.
        let failed = Cell::new(None);
        let grow = |bytes: usize| {
            let taken = bounds.check().and_then(|()| bounds.taking(|| self.taken.take(bytes)));
            taken.map_err(|error| {
                failed.set(Some(error));
                QuerierError::Stopped
            })
        };
        let memo = wanted.of.id.and_then(|id| self.query.memos.get(id.index()));
        let mut hints = ReadHints { caller: Caller(Some(&grow)), memo, ..wanted.hints };
        let mut group = None;
        if let Some(decisions) = decisions {
            // Scans that are made while the query runs have no decisions.
            hints.function = decisions.read_for;
            hints.grouping = decisions.grouped_by.and_then(|aggregate| self.grouping_hint(aggregate));
            group = decisions.scan_group;
        }
        let opened = scans.open((*querier, &bounds.memory), group, (&wanted.selection, &hints));
        let (parts, is_kept) = opened.map_err(|error| failed.take().unwrap_or(Error::Store(error)))?;
        if let (true, Some(profile), Some(id)) = (is_kept, self.query.profile, wanted.of.id) {
            profile.reused(id);
        }
        Ok(parts)
    }

    fn grouping_hint(&self, aggregate: NodeId) -> Option<GroupingHint<'a>> {
        match &self.node(aggregate).kind {
            NodeKind::Aggregate(a) => Some(GroupingHint { without: a.grouping.without, labels: &a.grouping.labels }),
            _ => None,
        }
    }

    /// Reads a scan batch by batch; only the partition of this evaluator, if it has one.
    pub(super) fn batches(
        &self,
        wanted: Option<Wanted<'_>>,
        each: &mut dyn FnMut(Batch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(wanted) = wanted else { return Ok(()) };
        let id = wanted.of.id;
        // The store's interface has no errors of queries: ours is kept here, and the store is told to stop.
        let mut failed = None;
        let mut sink = |batch: Batch| {
            let outcome = self.check().and_then(|()| {
                let before = self.held();
                self.samples.add_series(batch.columns.len() as u64);
                self.profile_read(id, (batch.columns.len() as u64, 0));
                self.query.budget.as_ref().map_or(Ok(()), |budget| budget.take_series(batch.columns.len() as u64))?;
                let (samples, bytes) = cost_of(&batch);
                self.hold(samples, bytes)?;
                // Samples of a batch count once, its memory stays reserved while it is processed.
                self.held.set(before.samples);
                let bytes = self.taken.bytes() - before.bytes;
                let outcome = each(batch);
                self.taken.give(bytes);
                outcome
            });
            outcome.map_err(|error| {
                failed = Some(error);
                QuerierError::Stopped
            })
        };
        // A partition was opened by the thread that distributes them.
        let result = match self.partition {
            Some(Partition { reader, part, .. }) => reader.read(part, &mut sink),
            None => {
                let parts = self.open(&wanted)?;
                // The memory that the reader needs, until it has read everything.
                let _reading = self.reserve(parts.reader_bytes())?;
                let read = parts.read_all(&mut sink);
                self.annotations().warn_of_store(parts.warnings());
                read
            }
        };
        match (failed, result) {
            (Some(error), _) => Err(error),
            (None, result) => result.map_err(Error::Store),
        }
    }

    /// The labels of a series, projected if not all are needed.
    pub(super) fn labels_of(&self, batch: &Batch, column: &Column) -> Result<Labels, Error> {
        if !batch.source.is_empty() {
            // Joining both copies the text once more.
            self.check_memory(2 * (batch.source.as_text().len() + column.metric.as_text().len()))?;
        }
        Ok(match self.projection() {
            Some(projection) => projection.borrow_mut().of(batch, column),
            None => batch.labels(column),
        })
    }

    /// The same without the metric name.
    pub(super) fn nameless_labels_of(&self, batch: &Batch, column: &Column) -> Result<Labels, Error> {
        self.check_memory(2 * (batch.source.as_text().len() + column.metric.as_text().len()))?;
        Ok(match self.projection() {
            Some(projection) => projection.borrow_mut().nameless_of(batch, column),
            None => batch.source.joined_where(&column.metric, |name| !is_metadata(name)),
        })
    }

    /// Counts the samples of an instant selector.
    pub(super) fn count(&self, id: Option<NodeId>, series: &Series) -> Result<(), Error> {
        if !self.samples.is_wanted() {
            return Ok(());
        }
        let floats = series.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)).map(|(step, _)| (step, 1));
        let histograms = series.histograms.iter().map(|(step, h)| (*step as usize, weight(h) as u64));
        self.charge(id, self.samples.add(floats.chain(histograms).map(|(step, n)| (step, [n, n]))))
    }

    /// Charges samples read to the query's cost limit.
    pub(super) fn charge(&self, id: Option<NodeId>, read: u64) -> Result<(), Error> {
        self.profile_read(id, (0, read));
        self.query.budget.as_ref().map_or(Ok(()), |budget| budget.take_samples(read))
    }

    fn profile_read(&self, id: Option<NodeId>, read: (u64, u64)) {
        if let (Some(profile), Some(id)) = (self.query.profile, id) {
            profile.read(id, read);
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use model::{Labels, Listing, Parts, Querier, QuerierError, ReadHints, SamplesNeeded, Selection, Timestamp};

    use crate::promqltest::Store;
    use crate::{Engine, QueryOptions};

    /// A store that records what it is told of selections.
    #[derive(Default)]
    struct Recording {
        store: Store,
        hints: Mutex<Vec<String>>,
    }

    impl Querier for Recording {
        fn open<'q>(
            &'q self,
            selection: &Selection<'_>,
            hints: &ReadHints<'_>,
        ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
            let ReadHints { samples, function, step_ms, range_ms, grouping, limit, .. } = hints;
            let newest = if *samples == SamplesNeeded::Newest { " newest" } else { "" };
            let grouping = grouping.map_or_else(String::new, |grouping| {
                format!(" {} {:?}", if grouping.without { "without" } else { "by" }, grouping.labels)
            });
            let text = format!("{function:?} step {step_ms} range {range_ms} limit {limit}{newest}{grouping}");
            self.hints.lock().push(text);
            self.store.open(selection, hints)
        }

        fn list_series(&self, of: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
            self.store.list_series(of, listing)
        }

        fn list_label_names(&self, of: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
            self.store.list_label_names(of, listing)
        }

        fn list_label_values(
            &self,
            name: &str,
            of: &Selection<'_>,
            listing: &Listing<'_>,
        ) -> Result<Vec<String>, QuerierError> {
            self.store.list_label_values(name, of, listing)
        }
    }

    #[test]
    fn a_store_is_told_what_is_read_for() {
        let told = |query: &str, step_ms: i64| {
            let recording = Recording::default();
            let (engine, options) = (Engine::default(), QueryOptions::default());
            let done = match step_ms {
                0 => engine.instant(&recording, query, Timestamp(600_000), &options),
                _ => engine.range(&recording, query, Timestamp(0), Timestamp(600_000), step_ms, &options),
            };
            assert!(done.is_ok(), "{query}");
            recording.hints.into_inner()
        };
        for (query, step_ms, expected) in [
            ("up", 0, &["\"\" step 0 range 0 limit 0 newest"][..]),
            ("up", 60_000, &["\"\" step 60000 range 0 limit 0"]),
            ("sum by (job) (up)", 0, &["\"sum\" step 0 range 0 limit 0 newest by [\"job\"]"]),
            (
                "max without (a, b) (rate(up[5m]))",
                30_000,
                &["\"rate\" step 30000 range 300000 limit 0 without [\"a\", \"b\"]"],
            ),
            // An operator ends the path, and two aggregations have no grouping in common.
            ("abs(up + on (a) down)", 0, &["\"\" step 0 range 0 limit 0 newest"; 2]),
            ("sum(up) / count by (a) (up)", 0, &["\"sum\" step 0 range 0 limit 0 newest"]),
            ("sum_over_time(up[1h:5m])", 0, &["\"sum_over_time\" step 300000 range 0 limit 0"]),
            ("topk(3, up @ 60)", 60_000, &["\"topk\" step 0 range 0 limit 0 newest"]),
        ] {
            assert_eq!(told(query, step_ms), expected, "{query}");
        }
    }
}
