//! Cost estimates without evaluation: series of selectors are counted in the index, and the density of samples is measured on
//! a few series.

use model::sample::is_stale;
use model::{Batch, Listing, Querier, QuerierError, ReadHints, Selection, Timestamp};

use crate::Error;
use crate::bounds::Bounds;
use crate::cost::CostEstimate;
use crate::functions::Body;
use crate::memory::Reservation;
use crate::options::Times;
use crate::parse::ast::{At, Shift};
use crate::parse::types::Extension;
use crate::plan::{NodeId, NodeKind, Plan, Scan};
use crate::value::weight;

/// Series of a selector whose samples are read.
const SAMPLED_SERIES: usize = 50;
/// How far back from the end of the selector's time range they are read.
const SAMPLED_MS: i64 = 6 * 3_600_000;
const INCOMPLETE: &str = "query cost estimate is incomplete: info() selects additional series at runtime";

/// The store, limits and defaults of an estimate.
#[derive(Clone, Copy)]
pub(crate) struct EstimateContext<'a> {
    pub(crate) querier: &'a dyn Querier,
    pub(crate) bounds: &'a Bounds,
    pub(crate) lookback_ms: i64,
    pub(crate) default_step_ms: i64,
    /// Assumed distance between samples where none are found.
    pub(crate) scrape_interval_ms: i64,
}

/// The steps at which an expression is evaluated.
#[derive(Clone, Copy)]
struct Steps {
    start: Timestamp,
    end: Timestamp,
    step_ms: i64,
}

impl Steps {
    fn count(self) -> i64 {
        if self.end < self.start { 0 } else { (self.end.saturating_since(self.start) / self.step_ms).saturating_add(1) }
    }

    /// The steps of a subquery, aligned to multiples of its step.
    fn within(self, shift: &Shift, range_ms: i64, step_ms: i64) -> Self {
        let (start, end) = ends(self, shift);
        let first = start.saturating_sub(range_ms);
        // As in `Evaluator::subquery`, but saturating: an estimate is made of times that no evaluation has checked.
        let mut start = Timestamp(first.0 / step_ms * step_ms);
        if start <= first {
            start = start.saturating_add(step_ms);
        }
        Self { start, end, step_ms }
    }
}

/// The end of the range of the first and of the last step.
fn ends(steps: Steps, shift: &Shift) -> (Timestamp, Timestamp) {
    // The last step may be before the end: the range need not be a multiple of the step.
    let whole = steps.end.saturating_since(steps.start) / steps.step_ms * steps.step_ms;
    let last = steps.start.saturating_add(whole);
    let (start, end) = match shift.at {
        Some(At::Time(time)) => (time, time),
        _ => (steps.start, last),
    };
    (start.saturating_sub(shift.offset.ms), end.saturating_sub(shift.offset.ms))
}

/// A scan with the times it reads.
pub(crate) struct Reading<'p> {
    pub(crate) id: NodeId,
    scan: &'p Scan,
    first_end: Timestamp,
    last_end: Timestamp,
    /// The range of each step; 0 for instant selectors.
    range_ms: i64,
    steps: i64,
    step_ms: i64,
}

/// Estimates the cost of a plan whose durations are resolved; returns warnings with it.
pub(crate) fn estimate(
    plan: &Plan,
    times: Times,
    context: EstimateContext<'_>,
) -> Result<(CostEstimate, Vec<String>), Error> {
    let (readings, incomplete) = readings(plan, times, context);
    let mut cost = CostEstimate::default();
    for reading in &readings {
        let of = context.cost_of(reading)?;
        cost.series = cost.series.saturating_add(of.series);
        cost.samples_read = cost.samples_read.saturating_add(of.samples_read);
    }
    let said = if incomplete { vec![INCOMPLETE.to_owned()] } else { Vec::new() };
    Ok((cost, said))
}

/// All scans of a plan at these times; true if the query will read more than can be known before it runs.
pub(crate) fn readings<'p>(plan: &'p Plan, times: Times, context: EstimateContext<'_>) -> (Vec<Reading<'p>>, bool) {
    let Times { start, end, step_ms } = times;
    let mut collector = Collector { plan, context, readings: Vec::new(), incomplete: false };
    collector.collect(Plan::ROOT, Steps { start, end, step_ms: step_ms.max(1) });
    (collector.readings, collector.incomplete)
}

struct Collector<'p, 'a> {
    plan: &'p Plan,
    context: EstimateContext<'a>,
    readings: Vec<Reading<'p>>,
    incomplete: bool,
}

impl Collector<'_, '_> {
    fn collect(&mut self, id: NodeId, steps: Steps) {
        let node = self.plan.node(id);
        // Invariant nodes are evaluated at the first step only.
        let steps = if node.facts.invariant { Steps { end: steps.start, ..steps } } else { steps };
        let lookback_ms = self.context.lookback_ms;
        match &node.kind {
            NodeKind::Vector(scan) => {
                let is_smoothed = scan.extension == Some(Extension::Smoothed);
                let reach = if is_smoothed { lookback_ms.saturating_mul(2) } else { 0 };
                self.readings.push(reading((id, scan), steps, reach));
            }
            NodeKind::Matrix(scan, range) => {
                // The samples beyond the bounds are read, and so cost as well.
                let reach = match scan.extension {
                    None => 0,
                    Some(Extension::Anchored) => lookback_ms,
                    Some(Extension::Smoothed) => lookback_ms.saturating_mul(2),
                };
                let of = reading((id, scan), steps, range.ms.saturating_add(reach));
                // With a fixed `@` later steps read the same samples.
                let steps = if scan.shift.at.is_some() { of.steps.min(1) } else { of.steps };
                self.readings.push(Reading { steps, ..of });
            }
            NodeKind::Subquery(subquery) => {
                let step = subquery.step.as_ref().map_or(self.context.default_step_ms, |step| step.ms).max(1);
                self.collect(subquery.expr, steps.within(&subquery.shift, subquery.range.ms, step));
            }
            NodeKind::Call(call) if matches!(call.function.body, Body::Info) => {
                self.incomplete = true;
                // The second argument of `info` selects nothing by itself.
                self.collect(call.args[0], steps);
            }
            kind => kind.operands().for_each(|operand| self.collect(operand, steps)),
        }
    }
}

fn reading<'p>((id, scan): (NodeId, &'p Scan), steps: Steps, range_ms: i64) -> Reading<'p> {
    let (first_end, last_end) = ends(steps, &scan.shift);
    Reading { id, scan, first_end, last_end, range_ms, steps: steps.count(), step_ms: steps.step_ms }
}

/// The density of samples, measured on a few series.
#[derive(Default)]
struct Density {
    gaps: u64,
    span_ms: i64,
    samples: u64,
    series: u64,
    /// Sum of the weights of the first samples.
    weight: u64,
}

impl Density {
    fn add(&mut self, batch: &Batch) {
        for column in &batch.columns {
            if self.series as usize >= SAMPLED_SERIES {
                return;
            }
            let histogram = |i: usize| column.histograms.iter().find(|(at, _)| *at as usize == i).map(|(_, h)| h);
            let is_float = |i: usize| column.is_present(i) && !is_stale(column.values[i]);
            // Slots with a float or a histogram; stale markers are not samples.
            let found = (0..batch.timestamps.len()).filter(|i| histogram(*i).is_some() || is_float(*i));
            let found: Vec<usize> = found.collect();
            let (Some(first), Some(last)) = (found.first(), found.last()) else { continue };
            self.series += 1;
            self.samples += found.len() as u64;
            self.gaps += found.len() as u64 - 1;
            let span_ms = batch.timestamps[*last].saturating_since(batch.timestamps[*first]);
            self.span_ms = self.span_ms.saturating_add(span_ms);
            self.weight += histogram(*first).map_or(1, |histogram| weight(histogram) as u64);
        }
    }
}

impl EstimateContext<'_> {
    pub(crate) fn cost_of(&self, reading: &Reading<'_>) -> Result<CostEstimate, Error> {
        let back_ms = if reading.range_ms > 0 { reading.range_ms } else { self.lookback_ms };
        let (start, end) = (reading.first_end.saturating_sub(back_ms).saturating_add(1), reading.last_end);
        let selection = Selection { start, end, matchers: &reading.scan.matchers };
        let series = self.count(&selection)?;
        if series == 0 {
            return Ok(CostEstimate::default());
        }
        // Density is measured on the most recent hours only.
        let density = self.density(&Selection { start: start.max(end.saturating_sub(SAMPLED_MS)), ..selection })?;
        let interval_ms = if density.gaps > 0 {
            density.span_ms as f64 / density.gaps as f64
        } else {
            self.scrape_interval_ms as f64
        };
        let mut samples = series as f64 * samples_of_one(reading, interval_ms);
        // Where the whole range was measured, the estimate cannot exceed what is there.
        if reading.range_ms > 0 && density.series > 0 && end.saturating_since(start) <= SAMPLED_MS {
            samples = samples.min((series as f64 * density.samples as f64 / density.series as f64).round());
        }
        let each = if density.series > 0 { density.weight as f64 / density.series as f64 } else { 1.0 };
        Ok(CostEstimate { series, samples_read: (samples * each).round() as u64 })
    }

    /// Counts series in the index.
    fn count(&self, selection: &Selection<'_>) -> Result<u64, Error> {
        let mut failed = None;
        let failed_in = std::cell::RefCell::new(&mut failed);
        // Released once they are counted.
        let taken = Reservation::new(&self.bounds.memory);
        let grow = |bytes: usize| {
            self.bounds.check().and_then(|()| self.bounds.taking(|| taken.take(bytes))).map_err(|error| {
                **failed_in.borrow_mut() = Some(error);
                QuerierError::Stopped
            })
        };
        let found = self.querier.list_series(selection, &Listing { limit: 0, grow: &grow });
        match (failed, found) {
            (Some(error), _) => Err(error),
            (None, found) => Ok(found.map_err(Error::Store)?.len() as u64),
        }
    }

    fn density(&self, selection: &Selection<'_>) -> Result<Density, Error> {
        let mut density = Density::default();
        let parts = self.querier.open(selection, &ReadHints::default()).map_err(Error::Store)?;
        let taken = Reservation::new(&self.bounds.memory);
        self.bounds.taking(|| taken.take(parts.reader_bytes()))?;
        let reader = parts.reader().map_err(Error::Store)?;
        for part in 0..parts.count() {
            self.bounds.check()?;
            let mut sink = |batch: Batch| {
                density.add(&batch);
                if density.series as usize >= SAMPLED_SERIES { Err(QuerierError::Stopped) } else { Ok(()) }
            };
            // Reading stops after enough series.
            match reader.read(part, &mut sink) {
                Ok(()) => {}
                Err(QuerierError::Stopped) => break,
                Err(error) => return Err(Error::Store(error)),
            }
        }
        Ok(density)
    }
}

/// Samples read of one series: one per step, or a range and then the samples that each step adds.
fn samples_of_one(reading: &Reading<'_>, interval_ms: f64) -> f64 {
    let (steps, range_ms) = (reading.steps as f64, reading.range_ms as f64);
    if reading.steps <= 0 {
        return 0.0;
    }
    if reading.range_ms == 0 {
        return steps;
    }
    // One more than intervals fit: the samples at both ends of the range. An interval below the resolution of
    // timestamps means that the samples are not spread at all.
    let of_range = if interval_ms >= 1.0 { (range_ms / interval_ms.floor()).floor() + 1.0 } else { 1.0 };
    let of_step = if interval_ms >= 1.0 { (reading.step_ms as f64 / interval_ms.floor()).min(of_range) } else { 0.0 };
    of_range + ((steps - 1.0) * of_step).round()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Timestamp;

    use crate::promqltest::Store;
    use crate::{CostEstimate, Engine, EngineOptions, MemoryPool, QueryOptions};

    #[test]
    fn what_queries_will_cost() {
        let mut store = Store::default();
        for i in 0..80 {
            store.load_line(&format!("a{{i=\"{i}\"}} {i}+1x60"), (Timestamp(0), 30_000)).unwrap();
        }
        store.load_line("h {{schema:0 count:4 sum:10 buckets:[1 3]}}x60", (Timestamp(0), 60_000)).unwrap();
        store.load_line("target_info{instance=\"i\"} 1x60", (Timestamp(0), 60_000)).unwrap();
        let engine = Engine::new(EngineOptions::default().with_features(EngineOptions::features()));
        let of = |query: &str, times: (Timestamp, Timestamp, i64)| {
            engine.estimate((&store, 15_000), query, times, &QueryOptions::default()).unwrap()
        };
        let range = (Timestamp(600_000), Timestamp(1_200_000), 60_000);
        for (query, series, samples_read) in [
            ("1 + 2", 0, 0),
            ("nothing", 0, 0),
            ("a", 80, 80 * 11),
            ("a + a", 160, 160 * 11),
            ("a @ 600", 80, 80),
            // 5 minutes have 11 samples of half a minute with both bounds, and each of 10 steps adds 2; but only 30 are there.
            ("sum(rate(a[5m]))", 80, 80 * 30),
            ("sum(rate(a[5m] @ 600))", 80, 80 * 10),
            ("max_over_time(a[5m:1m])", 80, 80 * 15),
            ("sum_over_time(h[1m])", 1, 11 * 12),
        ] {
            let (cost, said) = of(query, range);
            assert_eq!((cost, said.len()), (CostEstimate { series, samples_read }, 0), "{query}");
        }
        assert_eq!(
            of("a", (Timestamp(600_000), Timestamp(600_000), 0)).0,
            CostEstimate { series: 80, samples_read: 80 }
        );
        assert!(of("info(a)", range).1[0].contains("incomplete"));
        assert!(engine.estimate((&store, 15_000), "a(", range, &QueryOptions::default()).is_err());
        assert!(engine.estimate((&store, 15_000), "a[5m]", range, &QueryOptions::default()).is_err());
        assert_eq!(engine.options().memory.used(), 0);
    }

    #[test]
    fn no_time_is_too_early_or_too_late() {
        let mut store = Store::default();
        store.load_line("a 1x60", (Timestamp(0), 30_000)).unwrap();
        let engine = Engine::new(EngineOptions::default().with_features(EngineOptions::features()));
        let options = QueryOptions { lookback_delta_ms: Some(i64::MAX), ..QueryOptions::default() };
        for at in [i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX].map(Timestamp) {
            for query in [
                "a smoothed",
                "rate(a[290y] offset 290y)",
                "rate(a[290y] offset -290y)",
                "sum_over_time(a[290y:1ms] offset 290y)",
            ] {
                for times in [(at, at, 0), (Timestamp::MIN, at, 1), (at, Timestamp::MAX, i64::MAX)] {
                    engine.estimate((&store, i64::MAX), query, times, &options).unwrap();
                }
            }
        }
    }

    /// What listing the series of one selector took is free for the next.
    #[test]
    fn selectors_are_counted_one_after_another() {
        let mut store = Store::default();
        for i in 0..100 {
            store.load_line(&format!("a{{i=\"{i:01000}\"}} 1x60"), (Timestamp(0), 30_000)).unwrap();
        }
        let cost = |memory: usize, query: &str| {
            let memory = Arc::new(MemoryPool::new(usize::MAX, memory));
            let engine = Engine::new(EngineOptions { memory, ..EngineOptions::default() });
            engine.estimate(
                (&store, 15_000),
                query,
                (Timestamp(600_000), Timestamp(600_000), 0),
                &QueryOptions::default(),
            )
        };
        let enough = (10..).map(|bits| 1 << bits).find(|bytes| cost(*bytes, "a").is_ok()).unwrap();
        assert_eq!(cost(2 * enough, &format!("a{}", " + a".repeat(19))).unwrap().0.series, 2000);
    }
}
