//! Several evaluations of a rule at once, for times that are over: what live evaluation would have stored, from stored data.
//!
//! A range query yields the same as an evaluation at each of its steps, and reads every page once. Where it fails as a
//! whole, because of one step or of the memory of all, each time is evaluated by itself.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::sample::{histogram_mark, stale_nan};
use model::{Histogram, Labels, Lateness, SeriesBatch, SeriesSamples, Timestamp};
use query::{Prepared, QueryMemory, QueryOptions, RangeSeries, Sample, Value};

use crate::context::Context;
use crate::error::EvaluationError;
use crate::group::{Group, Stopped};
use crate::output::Output;
use crate::recording::Recorded;
use crate::rule::Rule;
use crate::selector::selector;
use crate::slots::{Slot, Slots};
use crate::spec::RuleSpec;
use crate::store::{self, SOURCES};

/// Evaluations of a chunk: few enough for the memory of a query, enough to read each page once.
pub(crate) const CHUNK_SLOTS: i128 = 120;
/// A lookback delta that finds the samples of the evaluated time alone.
const EXACT_MS: i64 = 1;

/// Some evaluations of a group.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) context: &'a Context,
    pub(crate) group: &'a Group,
    pub(crate) slots: Slots,
    pub(crate) first: Slot,
    pub(crate) last: Slot,
    pub(crate) until: Until<'a>,
}

/// When the work ends early.
#[derive(Clone, Copy)]
pub(crate) struct Until<'a> {
    pub(crate) deadline: Option<Instant>,
    pub(crate) is_stopped: &'a Stopped<'a>,
}

/// What a rule yields, series by series.
struct RangeResult {
    series: Vec<RangeSeries>,
    _memory: Arc<QueryMemory>,
}

/// What became of a chunk of a recording rule.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// The series of the last evaluation.
    pub(crate) alive: HashSet<Labels>,
    /// Samples that it yields, those that were stored already among them.
    pub(crate) samples: u64,
    /// How many evaluations failed.
    pub(crate) failed: u64,
    /// Why the last one of them did.
    pub(crate) failure: Option<EvaluationError>,
    /// What is still to be stored.
    pub(crate) series: Vec<Columns>,
}

impl Filled {
    fn note(&mut self, error: EvaluationError) {
        self.failed += 1;
        self.failure = Some(error);
    }
}

impl Until<'_> {
    pub(crate) fn check(self) -> Result<(), EvaluationError> {
        if (self.is_stopped)() {
            return Err(query::Error::Canceled.into());
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(query::Error::Timeout.into());
        }
        Ok(())
    }

    fn timeout(self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Did the work end early because of this?
    pub(crate) fn has_ended(self, error: &EvaluationError) -> bool {
        error.is_canceled() || self.check().is_err()
    }
}

impl<'a> Chunk<'a> {
    /// The rest of it, without the evaluations at both ends of which a recording rule has samples. `None` if it has samples of all.
    pub(crate) fn missing(self, rule: &RuleSpec) -> Result<Option<Self>, EvaluationError> {
        let known = self.known(rule)?;
        let is_missing = |slot: &Slot| !known.contains(&self.stored_at(*slot));
        let slots = || (self.first.0..=self.last.0).map(Slot);
        let (Some(first), Some(last)) = (slots().find(is_missing), slots().rev().find(is_missing)) else {
            return Ok(None);
        };
        Ok(Some(Self { first, last, ..self }))
    }

    /// The times of evaluations of which a recording rule has samples. Those of groups that write the same metric are at other
    /// times.
    fn known(self, rule: &RuleSpec) -> Result<BTreeSet<Timestamp>, EvaluationError> {
        let prepared = self.context.prepare(&format!("count({})", selector(&rule.name, rule.constant_labels())))?;
        let options = QueryOptions { lookback_delta_ms: Some(EXACT_MS), ..QueryOptions::default() };
        let found = self.range(&prepared, options)?;
        Ok(found.series.iter().flat_map(|series| &series.points).map(|(ts, _)| *ts).collect())
    }

    /// Evaluates a recording rule: what it yields, with stale markers of what is gone. `before` are the series of the evaluation
    /// before the first one, where they are known.
    pub(crate) fn fill(
        self,
        (rule, recorded): (&Rule, &Recorded),
        before: Option<HashSet<Labels>>,
    ) -> Result<Filled, EvaluationError> {
        let prepared = rule.prepared();
        if !self.group.by_slot {
            match self.fill_by_range((&prepared, recorded), before.as_ref()) {
                Ok(filled) => return Ok(filled),
                Err(error) if self.until.has_ended(&error) => return Err(error),
                Err(_) => {}
            }
        }
        let before = before.map_or_else(|| self.alive_before((&prepared, recorded)), Ok)?;
        self.fill_by_slot((&prepared, recorded), before)
    }

    fn fill_by_range(
        self,
        (prepared, recorded): (&Prepared, &Recorded),
        before: Option<&HashSet<Labels>>,
    ) -> Result<Filled, EvaluationError> {
        // One more evaluation tells what was there before.
        let asked = if before.is_some() { self } else { Self { first: Slot(self.first.0 - 1), ..self } };
        let result = asked.range(prepared, QueryOptions::default())?;
        let mut all: BTreeMap<Labels, Points> = BTreeMap::new();
        for series in result.series {
            // Two series of the result may be one that is recorded, if they are never there at the same time.
            all.entry(recorded.labels(&series.labels)).or_default().add(series)?;
        }
        let (first, last, step_ms) = self.times();
        let mut gone: Vec<Labels> = before.into_iter().flatten().cloned().collect();
        for (labels, points) in &mut all {
            if points.0.first_key_value().is_some_and(|(ts, _)| *ts < first) {
                points.0.pop_first();
                gone.push(labels.clone());
            }
        }
        self.check_limit(&all)?;
        let alive = all.iter().filter(|(_, points)| points.0.contains_key(&last)).map(|(labels, _)| labels.clone());
        let samples: usize = all.values().map(|points| points.0.len()).sum();
        let filled = Filled { alive: alive.collect(), samples: samples as u64, ..Filled::default() };
        for points in all.values_mut() {
            points.end_with_markers((last, step_ms));
        }
        for labels in gone {
            all.entry(labels).or_default().0.entry(first).or_insert_with(marker);
        }
        Ok(Filled { series: columns(all), ..filled })
    }

    /// Does each evaluation stay within the limit of the group?
    fn check_limit(self, all: &BTreeMap<Labels, Points>) -> Result<(), EvaluationError> {
        let limit = self.group.spec().limit;
        if limit == 0 || all.len() <= limit {
            return Ok(());
        }
        let mut counts: BTreeMap<Timestamp, usize> = BTreeMap::new();
        all.values().flat_map(|points| points.0.keys()).for_each(|ts| *counts.entry(*ts).or_default() += 1);
        match counts.into_values().find(|count| *count > limit) {
            Some(found) => Err(EvaluationError::Limit { limit, found, what: "series" }),
            None => Ok(()),
        }
    }

    fn fill_by_slot(
        self,
        (prepared, recorded): (&Prepared, &Recorded),
        before: HashSet<Labels>,
    ) -> Result<Filled, EvaluationError> {
        let mut filled = Filled { alive: before, ..Filled::default() };
        for slot in (self.first.0..=self.last.0).map(Slot) {
            self.until.check()?;
            let ts = self.stored_at(slot);
            let mut outputs = match self.outputs((prepared, recorded), ts) {
                Ok(outputs) => outputs,
                // Live evaluation would have failed at this time alone, too.
                Err(error) if error.is_of_data() => {
                    filled.note(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(error) = store::remove_invalid(&mut outputs) {
                filled.note(error);
            }
            filled.samples += outputs.len() as u64;
            let mut all: BTreeMap<Labels, Points> = BTreeMap::new();
            for labels in filled.alive.drain() {
                all.entry(labels).or_default().0.insert(ts, marker());
            }
            for Output { labels, value, histogram } in outputs {
                filled.alive.insert(labels.clone());
                let value = if histogram.is_some() { histogram_mark() } else { value };
                all.entry(labels).or_default().0.insert(ts, (value, histogram));
            }
            // At once: all of them may be more than there is memory for.
            self.store(&columns(all))?;
        }
        Ok(filled)
    }

    /// The series that the evaluation before the first one yields; none where it fails.
    fn alive_before(self, rule: (&Prepared, &Recorded)) -> Result<HashSet<Labels>, EvaluationError> {
        match self.outputs(rule, self.stored_at(Slot(self.first.0 - 1))) {
            Ok(outputs) => Ok(outputs.into_iter().map(|output| output.labels).collect()),
            Err(error) if self.until.has_ended(&error) => Err(error),
            Err(_) => Ok(HashSet::new()),
        }
    }

    fn outputs(
        self,
        (prepared, recorded): (&Prepared, &Recorded),
        ts: Timestamp,
    ) -> Result<Vec<Output>, EvaluationError> {
        recorded.outputs(self.vector(prepared, ts)?, &[], self.group.spec().limit)
    }

    fn vector(self, prepared: &Prepared, ts: Timestamp) -> Result<Vec<Sample>, EvaluationError> {
        let options = QueryOptions { timeout: self.until.timeout(), ..QueryOptions::default() };
        self.context.query_with(prepared, ts, options)
    }

    /// The vectors of a rule, evaluation by evaluation.
    pub(crate) fn vectors(self, rule: &Rule) -> Result<Vec<Result<Vec<Sample>, EvaluationError>>, EvaluationError> {
        let prepared = rule.prepared();
        if !self.group.by_slot {
            match self.range(&prepared, QueryOptions::default()) {
                Ok(result) => return Ok(self.transposed(result.series).into_iter().map(Ok).collect()),
                Err(error) if self.until.has_ended(&error) => return Err(error),
                Err(_) => {}
            }
        }
        let mut vectors = Vec::new();
        for slot in (self.first.0..=self.last.0).map(Slot) {
            self.until.check()?;
            match self.vector(&prepared, self.stored_at(slot)) {
                Err(error) if !error.is_of_data() => return Err(error),
                vector => vectors.push(vector),
            }
        }
        Ok(vectors)
    }

    fn transposed(self, series: Vec<RangeSeries>) -> Vec<Vec<Sample>> {
        let times: Vec<Timestamp> = (self.first.0..=self.last.0).map(|slot| self.stored_at(Slot(slot))).collect();
        let mut vectors = vec![Vec::new(); times.len()];
        for RangeSeries { labels, points, histograms } in series {
            let floats = points.into_iter().map(|(ts, value)| (ts, value, None));
            let histograms = histograms.into_iter().map(|(ts, histogram)| (ts, 0.0, Some(histogram)));
            for (ts, value, histogram) in floats.chain(histograms) {
                let Ok(i) = times.binary_search(&ts) else { continue };
                vectors[i].push(Sample { labels: labels.clone(), ts, value, histogram });
            }
        }
        vectors
    }

    /// The series that a query yields. A scalar is a series without labels.
    fn range(self, prepared: &Prepared, options: QueryOptions) -> Result<RangeResult, EvaluationError> {
        self.until.check()?;
        let options = QueryOptions { wanted: self.context.wanted.clone(), timeout: self.until.timeout(), ..options };
        let result = prepared.range(self.context.querier.as_ref(), self.times(), &options)?;
        match result.value {
            Value::Matrix(series) => Ok(RangeResult { series, _memory: result.memory }),
            _ => Err(EvaluationError::NotAVector),
        }
    }

    /// The time that a rule looks at, and whose samples it yields.
    pub(crate) fn stored_at(self, slot: Slot) -> Timestamp {
        self.slots.time(slot).saturating_sub(self.group.query_offset_ms(self.context))
    }

    /// The evaluation that stored a sample of this time.
    pub(crate) fn slot_of(self, stored_at: Timestamp) -> Option<Slot> {
        let slot = self.slots.at(stored_at.saturating_add(self.group.query_offset_ms(self.context)));
        (self.stored_at(slot) == stored_at).then_some(slot)
    }

    /// First and last evaluation, and the step.
    fn times(self) -> (Timestamp, Timestamp, i64) {
        let step_ms = self.slots.time(self.last.next()).saturating_since(self.slots.time(self.last));
        (self.stored_at(self.first), self.stored_at(self.last), step_ms)
    }

    /// Stores what is not there yet.
    pub(crate) fn store(self, series: &[Columns]) -> Result<(), EvaluationError> {
        let series: Vec<SeriesSamples<'_>> = series.iter().map(Columns::as_series).collect();
        if series.is_empty() {
            return Ok(());
        }
        let batch = SeriesBatch { series: &series, sources: &SOURCES, lateness: Lateness::Any, memo: None };
        self.context.appender.append_series(&batch)?;
        Ok(())
    }
}

fn columns(all: BTreeMap<Labels, Points>) -> Vec<Columns> {
    let all = all.into_iter().filter(|(_, points)| !points.0.is_empty());
    all.map(|(labels, points)| points.into_columns(labels)).collect()
}

type Point = (f64, Option<Arc<Histogram>>);

fn marker() -> Point {
    (stale_nan(), None)
}

/// The samples of a recorded series.
#[derive(Default)]
struct Points(BTreeMap<Timestamp, Point>);

impl Points {
    /// Adds a series of a result.
    fn add(&mut self, series: RangeSeries) -> Result<(), EvaluationError> {
        for (ts, value) in series.points {
            self.insert(ts, (value, None))?;
        }
        for (ts, histogram) in series.histograms {
            histogram.validate()?;
            self.insert(ts, (histogram_mark(), Some(histogram)))?;
        }
        Ok(())
    }

    fn insert(&mut self, ts: Timestamp, point: Point) -> Result<(), EvaluationError> {
        if self.0.insert(ts, point).is_some() { Err(EvaluationError::SameSeries) } else { Ok(()) }
    }

    /// Adds a stale marker wherever the series ends.
    fn end_with_markers(&mut self, (last, step_ms): (Timestamp, i64)) {
        let ends: Vec<Timestamp> = self.0.keys().map(|ts| *ts + step_ms).filter(|ts| *ts <= last).collect();
        for ts in ends {
            self.0.entry(ts).or_insert_with(marker);
        }
    }

    fn into_columns(self, labels: Labels) -> Columns {
        let mut columns = Columns { labels, timestamps: Vec::new(), values: Vec::new(), histograms: Vec::new() };
        for (i, (ts, (value, histogram))) in (0..).zip(self.0) {
            columns.timestamps.push(ts);
            columns.values.push(value);
            columns.histograms.extend(histogram.map(|histogram| (i, Arc::unwrap_or_clone(histogram))));
        }
        columns
    }
}

/// A series as an appender takes it.
#[derive(Debug)]
pub(crate) struct Columns {
    labels: Labels,
    timestamps: Vec<Timestamp>,
    values: Vec<f64>,
    histograms: Vec<(u32, Histogram)>,
}

impl Columns {
    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.timestamps.len()
    }

    fn as_series(&self) -> SeriesSamples<'_> {
        let histograms = &self.histograms;
        SeriesSamples { histograms, ..SeriesSamples::floats(&self.labels, &self.timestamps, &self.values) }
    }
}
