//! The history of recording rules: groups with `backfill` are also evaluated for times before they were there, from stored data, in
//! idle time.
//!
//! Chunk by chunk, oldest first and in the order of the rules, so that a rule reads what an earlier one has recorded. A chunk
//! of which a rule has samples already is left alone: work that was interrupted goes on where it ended, and what was evaluated live
//! stays as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::sample::{histogram_mark, stale_nan};
use model::{Histogram, Labels, Lateness, SeriesBatch, SeriesSamples, Timestamp};
use query::{QueryOptions, RangeSeries, Value};

use crate::context::Context;
use crate::error::EvaluationError;
use crate::group::{Group, Stopped};
use crate::recording::Recorded;
use crate::rule::{Kind, Rule};
use crate::slots::{Slot, Slots};
use crate::store::SOURCES;

/// Evaluations of a chunk: few enough for the memory of a query, enough to read each page once.
const CHUNK_SLOTS: i128 = 120;
/// For so long as a chunk took, times this, the next one waits.
const REST: u32 = 3;

/// Chunks of a group that are still to be computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backfill {
    slots: Slots,
    next: Slot,
    end: Slot,
}

impl Backfill {
    /// Of a group that is evaluated live from `begin` on; `None` where there is nothing to do.
    pub(crate) fn new(group: &Group, slots: Slots, begin: Slot) -> Option<Self> {
        let backfill_ms = group.spec().backfill_ms?;
        let records = group.rules.iter().any(|rule| matches!(rule.kind, Kind::Recording(_)));
        let next = slots.at(slots.time(begin).saturating_sub(backfill_ms));
        (records && next < begin).then_some(Self { slots, next, end: begin })
    }

    /// Computes the next chunk. Returns how long to rest after it; `None` once there is none left.
    pub(crate) fn step(&mut self, group: &Group, context: &Context, is_stopped: &Stopped<'_>) -> Option<Duration> {
        if self.next >= self.end {
            return None;
        }
        let begun = Instant::now();
        let last = Slot(self.end.0.min(self.next.0 + CHUNK_SLOTS) - 1);
        for rule in &group.rules {
            if is_stopped() {
                return None;
            }
            let Kind::Recording(recorded) = &rule.kind else { continue };
            let chunk =
                Chunk { context, slots: self.slots, first: self.next, last, offset_ms: group.query_offset_ms(context) };
            if let Err(error) = chunk.fill(rule, recorded) {
                let (file, name, rule) = (&group.spec().file, &group.spec().name, &rule.spec.name);
                let error = model::with_causes(&error);
                tracing::warn!(file, group = name, rule, error, "cannot backfill a recording rule");
            }
        }
        self.next = last.next();
        Some(begun.elapsed() * REST)
    }
}

/// Some evaluations of the past.
struct Chunk<'a> {
    context: &'a Context,
    slots: Slots,
    first: Slot,
    last: Slot,
    offset_ms: i64,
}

impl Chunk<'_> {
    /// Evaluates a rule unless it has samples already, and stores what it yields.
    fn fill(&self, rule: &Rule, recorded: &Recorded) -> Result<(), EvaluationError> {
        if self.has_samples(rule)? {
            return Ok(());
        }
        // With the slot before the first one: a series that ends there gets its stale marker in this chunk.
        let begin = self.stored_at(Slot(self.first.0 - 1));
        let times = (begin, self.stored_at(self.last), self.step_ms());
        let result = self.context.query_range(&rule.prepared(), times)?;
        let mut series = BTreeMap::new();
        for one in result {
            // Two series of the result may be one that is recorded, if they are never there at the same time.
            let labels = recorded.labels(&one.labels);
            let filled: &mut Filled = series.entry(labels.as_text().to_owned()).or_insert_with(|| Filled::new(labels));
            filled.add(one)?;
        }
        let series: Vec<Filled> = series.into_values().map(|filled| filled.finished(times)).collect();
        self.store(&series)
    }

    /// Does the rule have samples in this time?
    fn has_samples(&self, rule: &Rule) -> Result<bool, EvaluationError> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let labels = rule.spec.labels.iter().filter(|(_, value)| !value.is_empty());
        let labels: Vec<String> = labels.map(|(name, value)| format!("{}={}", quoted(name), quoted(value))).collect();
        let (begin, end) = (self.stored_at(Slot(self.first.0 - 1)), self.stored_at(self.last));
        let name = quoted(&rule.spec.name);
        let selector = std::iter::once(name).chain(labels).collect::<Vec<_>>().join(", ");
        let text = format!("count(count_over_time({{{selector}}}[{}ms]))", end.saturating_since(begin));
        Ok(!self.context.query(&self.context.prepare(&text)?, end)?.is_empty())
    }

    fn stored_at(&self, slot: Slot) -> Timestamp {
        self.slots.time(slot).saturating_sub(self.offset_ms)
    }

    fn step_ms(&self) -> i64 {
        self.slots.time(self.last.next()).saturating_since(self.slots.time(self.last))
    }

    fn store(&self, series: &[Filled]) -> Result<(), EvaluationError> {
        let series: Vec<SeriesSamples<'_>> = series
            .iter()
            .filter(|series| !series.timestamps.is_empty())
            .map(|series| SeriesSamples {
                histograms: &series.histograms,
                ..SeriesSamples::floats(&series.labels, &series.timestamps, &series.values)
            })
            .collect();
        if !series.is_empty() {
            let batch = SeriesBatch { series: &series, sources: &SOURCES, lateness: Lateness::Any, memo: None };
            self.context.appender.append_series(&batch)?;
        }
        Ok(())
    }
}

/// A recorded series of a chunk.
struct Filled {
    labels: Labels,
    points: BTreeMap<Timestamp, (f64, Option<Arc<Histogram>>)>,
    timestamps: Vec<Timestamp>,
    values: Vec<f64>,
    histograms: Vec<(u32, Histogram)>,
}

impl Filled {
    fn new(labels: Labels) -> Self {
        let (timestamps, values, histograms) = (Vec::new(), Vec::new(), Vec::new());
        Self { labels, points: BTreeMap::new(), timestamps, values, histograms }
    }

    /// Adds a series of the result.
    fn add(&mut self, series: RangeSeries) -> Result<(), EvaluationError> {
        let floats = series.points.into_iter().map(|(ts, value)| (ts, (value, None)));
        let histograms = series.histograms.into_iter().map(|(ts, histogram)| (ts, (histogram_mark(), Some(histogram))));
        for (ts, point) in floats.chain(histograms) {
            if self.points.insert(ts, point).is_some() {
                return Err(EvaluationError::SameSeries);
            }
        }
        Ok(())
    }

    /// With a stale marker wherever the series ends; without the first time, which belongs to the chunk before.
    fn finished(mut self, (begin, end, step_ms): (Timestamp, Timestamp, i64)) -> Self {
        let ends: Vec<Timestamp> = self.points.keys().map(|ts| *ts + step_ms).collect();
        for ts in ends.into_iter().filter(|ts| *ts <= end) {
            self.points.entry(ts).or_insert((stale_nan(), None));
        }
        for (ts, (value, histogram)) in std::mem::take(&mut self.points).split_off(&(begin + 1)) {
            if let Some(histogram) = histogram {
                let index = u32::try_from(self.timestamps.len()).unwrap_or(u32::MAX);
                self.histograms.push((index, Histogram::clone(&histogram)));
            }
            self.timestamps.push(ts);
            self.values.push(value);
        }
        self
    }
}

impl Context {
    /// The series that a query yields over a range of times: begin, end and step in milliseconds. A scalar is a series without
    /// labels.
    fn query_range(
        &self,
        prepared: &query::Prepared,
        times: (Timestamp, Timestamp, i64),
    ) -> Result<Vec<RangeSeries>, EvaluationError> {
        let options = QueryOptions { wanted: self.wanted.clone(), ..QueryOptions::default() };
        match prepared.range(self.querier.as_ref(), times, &options)?.value {
            Value::Matrix(series) => Ok(series),
            _ => Err(EvaluationError::NotAVector),
        }
    }
}
