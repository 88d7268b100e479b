//! Recording rules for times that are over: the history of groups with `backfill`, ranges of time that are asked for, and
//! evaluations that were missed, in a restart for instance.
//!
//! Chunk by chunk, oldest first and in the order of the rules, so that a rule reads what an earlier one has recorded. What is
//! stored already stays as it is, and what a rule has samples of is not evaluated again: work that was interrupted goes on where
//! it ended.
//!
//! Alerts are left out. ALERTS says what was known and sent, and from ALERTS_FOR_STATE the state of alerts is restored: with
//! samples of times when nobody evaluated them, an outage would count as pending.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::labels::METRIC_NAME;
use model::sample::is_stale;
use model::{Batch, Labels, Matcher, QuerierError, ReadHints, Selection, Timestamp};

use crate::backfill_queue::BackfillStatus;
use crate::chunk::{CHUNK_SLOTS, Chunk, Columns, Filled, Until};
use crate::context::Context;
use crate::error::EvaluationError;
use crate::group::{Group, Stopped};
use crate::metrics::{Counter, Gauge};
use crate::recording::Recorded;
use crate::rule::{Kind, Rule};
use crate::slots::{Slot, Slots};

/// For so long as a chunk took, times this, the next one waits.
const REST: u32 = 3;
/// Samples that are stored together: few enough for memory, as those of a chunk of one rule are more only if they fit into a query.
const STORED_SAMPLES: usize = 100_000;
/// Evaluations that were missed are made up as far back as this, milliseconds: as far as the state of alerts is restored by
/// default.
pub(crate) const MISSED_MAX_MS: i64 = 60 * 60 * 1000;

/// Evaluations of a group's recording rules that are still to be computed.
#[derive(Debug)]
pub(crate) struct Backfill {
    slots: Slots,
    begin: Slot,
    next: Slot,
    end: Slot,
    /// May samples be stored already?
    may_be_stored: bool,
    rules: Vec<RuleBackfill>,
}

/// The same of one rule.
#[derive(Clone, Debug)]
struct RuleBackfill {
    /// Nothing is computed before; `None`: nothing at all.
    from: Option<Slot>,
    /// The series of the evaluation before this one.
    alive: Option<(Slot, HashSet<Labels>)>,
    /// Why it failed the last time.
    failure: Option<Arc<str>>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More is to be computed, after a rest.
    Rest(Duration),
    /// Nothing is left.
    Complete,
    /// It was stopped, or its time was over.
    Interrupted,
}

impl Backfill {
    /// The evaluations from a time on, before a slot; `None` where there is nothing to compute.
    pub(crate) fn range(group: &Group, slots: Slots, (begin, end): (Timestamp, Slot)) -> Option<Self> {
        let begin = slots.not_before(begin);
        let from = |rule: &Rule| matches!(rule.kind, Kind::Recording(_)).then_some(begin);
        Self::new((slots, end), true, group.rules.iter().map(from))
    }

    /// Those between the last one that was stored and a slot that is evaluated live. Of a group that has stored nothing lately it is not
    /// known when it was evaluated.
    pub(crate) fn missed(
        group: &Group,
        context: &Context,
        (slots, end): (Slots, Slot),
        is_stopped: &Stopped<'_>,
    ) -> Result<Option<Self>, EvaluationError> {
        let first = slots.at(slots.time(end).saturating_sub(MISSED_MAX_MS)).next();
        let last = Slot(end.0 - 1);
        if first > last {
            return Ok(None);
        }
        let chunk = Chunk { context, group, slots, first, last, until: Until { deadline: None, is_stopped } };
        let last = last_stored(chunk)?;
        // What of a group is stored last says for all its rules how far it was evaluated, but for a rule that would have gone on.
        let of_group = last.iter().flatten().map(|last| last.slot).max();
        let from = last.iter().zip(&group.rules).map(|(last, rule)| match (&rule.kind, last) {
            (Kind::Alerting(_), _) => None,
            (Kind::Recording(_), Some(last)) if last.yields => Some(last.slot.next()),
            (Kind::Recording(_), _) => of_group.map(Slot::next),
        });
        Ok(Self::new((slots, end), false, from))
    }

    /// `from` says for each rule where it begins.
    fn new((slots, end): (Slots, Slot), may_be_stored: bool, from: impl Iterator<Item = Option<Slot>>) -> Option<Self> {
        let rules: Vec<_> = from.map(|from| RuleBackfill { from, alive: None, failure: None }).collect();
        let begin = rules.iter().filter_map(|rule| rule.from).min().filter(|begin| *begin < end)?;
        Some(Self { slots, begin, next: begin, end, may_be_stored, rules })
    }

    /// Computes the next chunk.
    pub(crate) fn step(&mut self, group: &Group, context: &Context, until: Until<'_>) -> Step {
        let begun = Instant::now();
        let last = Slot(self.end.0.min(self.next.0 + if group.by_slot { 1 } else { CHUNK_SLOTS }) - 1);
        let chunk = Chunk { context, group, slots: self.slots, first: self.next, last, until };
        if self.fill(chunk).is_err() {
            return Step::Interrupted;
        }
        group.metrics.add(Counter::Backfilled, &group.key, u64::try_from(last.0 + 1 - self.next.0).unwrap_or(0));
        self.next = last.next();
        group.metrics.set(Gauge::BackfillRemaining, &group.key, (self.end.0 - self.next.0) as f64);
        if self.next < self.end { Step::Rest(begun.elapsed() * REST) } else { Step::Complete }
    }

    /// Fills a chunk of all rules; what fails of a rule is noted. An error says that it was interrupted.
    fn fill(&mut self, chunk: Chunk<'_>) -> Result<(), EvaluationError> {
        // Before anything is stored: several rules of a group may write one metric.
        let missing: Vec<_> =
            self.rules.iter().zip(&chunk.group.rules).map(|(state, rule)| self.missing(chunk, state, rule)).collect();
        let mut missing = missing.into_iter();
        for run in &chunk.group.runs {
            self.fill_run(chunk, (run.rules.clone(), &mut missing))?;
        }
        Ok(())
    }

    /// What of a chunk is to be computed of a rule.
    fn missing<'a>(
        &self,
        chunk: Chunk<'a>,
        state: &RuleBackfill,
        rule: &Rule,
    ) -> Result<Option<Chunk<'a>>, EvaluationError> {
        let first = state.from.map(|from| from.max(chunk.first)).filter(|first| *first <= chunk.last);
        let Some(first) = first else { return Ok(None) };
        let missing = Chunk { first, ..chunk };
        if self.may_be_stored { missing.missing(&rule.spec) } else { Ok(Some(missing)) }
    }

    /// Fills a chunk of rules of which none reads what another one writes, and stores what they yield together.
    fn fill_run<'a>(
        &mut self,
        chunk: Chunk<'a>,
        (run, missing): (Range<usize>, &mut impl Iterator<Item = Result<Option<Chunk<'a>>, EvaluationError>>),
    ) -> Result<(), EvaluationError> {
        let group = chunk.group;
        let (mut series, mut samples, mut end) = (Vec::new(), 0, Ok(()));
        for (i, missing) in run.clone().zip(missing) {
            let (state, rule) = (&mut self.rules[i], &group.rules[i]);
            let Kind::Recording(recorded) = &rule.kind else { continue };
            let filled =
                missing.and_then(|missing| missing.map(|missing| state.fill(missing, (rule, recorded))).transpose());
            match filled {
                Ok(None) => {}
                Ok(Some(filled)) => {
                    filled.failure.iter().for_each(|error| state.failed(group, rule, error));
                    samples += filled.series.iter().map(Columns::len).sum::<usize>();
                    series.extend(filled.series);
                }
                Err(error) if chunk.until.has_ended(&error) => {
                    end = Err(error);
                    break;
                }
                Err(error) => state.failed(group, rule, &error),
            }
            if samples >= STORED_SAMPLES {
                self.store(chunk, run.clone(), &std::mem::take(&mut series));
                samples = 0;
            }
        }
        self.store(chunk, run, &series);
        end
    }

    fn store(&mut self, chunk: Chunk<'_>, run: Range<usize>, series: &[Columns]) {
        if let Err(error) = chunk.store(series) {
            for i in run {
                self.rules[i].failed(chunk.group, &chunk.group.rules[i], &error);
            }
        }
    }

    /// Live evaluation goes on from here: it marks those series stale that it does not yield any more.
    pub(crate) fn hand_over(&mut self, group: &Group) {
        let last = Slot(self.end.0 - 1);
        for (state, rule) in self.rules.iter_mut().zip(&group.rules) {
            if let Some((_, alive)) = state.alive.take().filter(|(slot, _)| *slot == last) {
                rule.state.lock().series = alive.into_iter().collect();
            }
        }
    }

    /// How far it is.
    pub(crate) fn status(&self, group: &Group) -> BackfillStatus {
        let failures = self.rules.iter().zip(&group.rules);
        let failures = failures.filter_map(|(state, rule)| Some((rule.spec.name.clone(), state.failure.clone()?)));
        BackfillStatus {
            start: self.slots.time(self.begin),
            end: self.slots.time(self.end),
            reached: self.slots.time(self.next),
            evaluations: u64::try_from(self.next.0 - self.begin.0).unwrap_or(0),
            evaluations_total: u64::try_from(self.end.0 - self.begin.0).unwrap_or(0),
            failures: failures.collect(),
        }
    }
}

impl RuleBackfill {
    /// Fills a chunk; the series of its last evaluation are kept for the next one.
    fn fill(&mut self, chunk: Chunk<'_>, rule: (&Rule, &Recorded)) -> Result<Filled, EvaluationError> {
        let before = Slot(chunk.first.0 - 1);
        let alive = self.alive.take().filter(|(slot, _)| *slot == before).map(|(_, alive)| alive);
        let mut filled = chunk.fill(rule, alive)?;
        self.alive = Some((chunk.last, std::mem::take(&mut filled.alive)));
        Ok(filled)
    }

    /// Notes why it failed; logged once for each reason.
    fn failed(&mut self, group: &Group, rule: &Rule, error: &EvaluationError) {
        let error: Arc<str> = model::with_causes(error).into();
        if self.failure.as_ref() != Some(&error) {
            let (file, name, rule) = (&group.spec().file, &group.spec().name, &rule.spec.name);
            tracing::warn!(file, group = name, rule, %error, "cannot backfill a recording rule");
        }
        self.failure = Some(error);
    }
}

/// The last evaluation of which a rule has stored something.
#[derive(Clone, Copy, Debug)]
struct LastStored {
    slot: Slot,
    /// Did it yield something? Then the next evaluation would have left a trace: samples again, or stale markers.
    yields: bool,
}

/// The last evaluation of a chunk of which each recording rule has stored samples, or stale markers.
fn last_stored(chunk: Chunk<'_>) -> Result<Vec<Option<LastStored>>, EvaluationError> {
    let rules = &chunk.group.rules;
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, rule) in rules.iter().enumerate().filter(|(_, rule)| matches!(rule.kind, Kind::Recording(_))) {
        by_name.entry(&rule.spec.name).or_default().push(i);
    }
    let mut last: Vec<Option<LastStored>> = vec![None; rules.len()];
    if by_name.is_empty() {
        return Ok(last);
    }
    // One selection for the group: all rules write to one source, whose rows would be read for each of them.
    let matchers = [Matcher::any_of(METRIC_NAME, by_name.keys().map(|name| (*name).to_owned()))];
    let (start, end) = (chunk.stored_at(chunk.first), chunk.stored_at(chunk.last));
    let mut see = |batch: Batch| {
        chunk.until.check().map_err(|_| QuerierError::Stopped)?;
        for column in &batch.columns {
            let newest = batch.timestamps.iter().enumerate().rev().find(|(i, _)| column.is_present(*i));
            // That of a group that writes the same metric is at another time.
            let Some((at, slot)) = newest.and_then(|(at, ts)| Some((at, chunk.slot_of(*ts)?))) else { continue };
            let yields = !is_stale(column.values[at]) || column.histograms.iter().any(|(i, _)| *i as usize == at);
            let labels = batch.labels(column);
            for i in by_name.get(labels.name()).into_iter().flatten() {
                let mut constant = rules[*i].spec.constant_labels();
                if constant.all(|(name, value)| labels.value(name) == value) {
                    let yields = yields || last[*i].is_some_and(|last| last.slot == slot && last.yields);
                    if last[*i].is_none_or(|last| last.slot <= slot) {
                        last[*i] = Some(LastStored { slot, yields });
                    }
                }
            }
        }
        Ok(())
    };
    let selection = Selection { start, end, matchers: &matchers };
    match chunk.context.querier.select(&selection, &ReadHints::NEWEST, &mut see) {
        Ok(()) => Ok(last),
        Err(QuerierError::Stopped) => Err(query::Error::Canceled.into()),
        Err(error) => Err(query::Error::Store(error).into()),
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;
    use query::promqltest::SharedStore;
    use query::{Engine, EngineOptions, MemoryPool, QueryOptions, Value};

    use super::*;
    use crate::context::tests::context;
    use crate::metrics::Metrics;
    use crate::spec::{GroupSpec, RuleSpec};

    const MINUTE: i64 = 60_000;

    fn group(rules: &[RuleSpec], limit: usize, context: &Context) -> Group {
        let (file, name, rules) = ("r.yml".to_owned(), "g".to_owned(), rules.to_vec());
        let spec =
            GroupSpec { file, name, interval_ms: MINUTE, query_offset_ms: None, backfill_ms: None, limit, rules };
        Group::new(spec, context, Metrics::new(&Registry::new()).unwrap(), false).unwrap()
    }

    /// `up` of two jobs for four hours; one is missing from minute 30 to 39, and from minute 50 on there is a third.
    fn store() -> Arc<SharedStore> {
        let store = Arc::<SharedStore>::default();
        for line in [r#"up{job="a"} 1x240"#, r#"up{job="b"} 1x29 stale _x9 1x200"#, r#"up{job="c"} _x50 1x190"#] {
            store.load(line, (Timestamp(0), MINUTE)).unwrap();
        }
        store
    }

    /// The first 200 evaluations.
    fn backfill(group: &Group) -> Backfill {
        let slots = Slots::new(("r.yml", "g"), MINUTE);
        Backfill::range(group, slots, (Timestamp(0), slots.not_before(Timestamp(200 * MINUTE)))).unwrap()
    }

    fn until(deadline: Option<Instant>) -> Until<'static> {
        Until { deadline, is_stopped: &|| false }
    }

    fn complete(backfill: &mut Backfill, group: &Group, context: &Context) {
        while let Step::Rest(_) = backfill.step(group, context, until(None)) {}
    }

    fn count(store: &SharedStore, metric: &str) -> f64 {
        let query = format!("sum(count_over_time({metric}[1d])) or vector(0)");
        let result = Engine::default().instant(store, &query, Timestamp(300 * MINUTE), &QueryOptions::default());
        let Value::Vector(found) = result.unwrap().value else { panic!("no vector") };
        found[0].value
    }

    #[test]
    fn what_is_over_time_goes_on_later() {
        let store = store();
        let context = context(&store);
        let group = group(&[RuleSpec::recording("r", "up")], 0, &context);
        let mut backfill = backfill(&group);
        assert_eq!(backfill.step(&group, &context, until(Some(Instant::now()))), Step::Interrupted);
        assert_eq!((backfill.status(&group).evaluations, count(&store, "r")), (0, 0.0));
        let stopped = Until { deadline: None, is_stopped: &|| true };
        assert_eq!(backfill.step(&group, &context, stopped), Step::Interrupted);
        complete(&mut backfill, &group, &context);
        let status = backfill.status(&group);
        assert_eq!((status.evaluations, status.evaluations_total), (200, 200));
        assert!(status.reached == status.end && status.failures.is_empty(), "{status:?}");
        assert_eq!(count(&store, "r"), 200.0 + 190.0 + 150.0);
    }

    /// As live evaluation: it fails where the limit is exceeded, and only there.
    #[test]
    fn an_evaluation_that_fails_costs_the_others_nothing() {
        let store = store();
        let context = context(&store);
        let rules = [
            RuleSpec::recording("limited", "up"),
            RuleSpec::recording("same", r#"label_replace(up{job!="b"}, "job", "x", "", "")"#),
            RuleSpec::recording("text", "\"a\""),
            RuleSpec::recording("good", "sum(up)"),
        ];
        let group = group(&rules, 2, &context);
        let mut backfill = backfill(&group);
        complete(&mut backfill, &group, &context);
        assert_eq!(["limited", "same", "text", "good"].map(|name| count(&store, name)), [90.0, 50.0, 0.0, 200.0]);
        let failures = backfill.status(&group).failures;
        let texts: Vec<_> = failures.iter().map(|(rule, why)| format!("{rule}: {why}")).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert_eq!(texts[0], "limited: exceeded limit of 2 with 3 series");
        assert!(texts[1].starts_with("same: vector cannot contain metrics with the same labelset"), "{texts:?}");
    }

    /// Where a chunk does not fit into the memory of a query, its evaluations are computed one by one.
    #[test]
    fn a_rule_that_is_too_large_fails_alone() {
        let store = Arc::<SharedStore>::default();
        for i in 0..200 {
            store.load(&format!("m{{i=\"{i}\"}} 1x240"), (Timestamp(0), MINUTE)).unwrap();
        }
        let memory = Arc::new(MemoryPool::new(usize::MAX, 300_000));
        let engine = Arc::new(Engine::new(EngineOptions { memory, ..EngineOptions::default() }));
        let context = Context { engine, ..context(&store) };
        let copies = (0..8).map(|n| format!(r#"label_replace(m, "n", "{n}", "", "")"#)).collect::<Vec<_>>();
        let rules = [
            RuleSpec::recording("much", "m"),
            RuleSpec::recording("too:much", &copies.join(" or ")),
            RuleSpec::recording("good", "count(m)"),
        ];
        let group = group(&rules, 0, &context);
        let mut backfill = backfill(&group);
        complete(&mut backfill, &group, &context);
        assert_eq!((count(&store, "much"), count(&store, "good")), (200.0 * 200.0, 200.0));
        let failures = backfill.status(&group).failures;
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].0 == "too:much" && failures[0].1.contains("--query.max-memory-per-query"), "{failures:?}");
        assert_eq!(count(&store, "too:much"), 0.0);
    }
}
