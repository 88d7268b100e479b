//! A running group: one evaluation of all its rules, and what is stored of it. (Prometheus: `rules/group.go`.)

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model::{Labels, Memo, QuerierError, Timestamp};
use parking_lot::Mutex;

use crate::alerting::At;
use crate::backfill_queue::{BackfillQueue, BackfillStatus};
use crate::context::Context;
use crate::dependencies::{reads_back, runs};
use crate::error::EvaluationError;
use crate::links::table_link;
use crate::metrics::{Counter, Gauge, Metrics};
use crate::output::Output;
use crate::rule::{Evaluation, Kind, Rule};
use crate::spec::GroupSpec;
use crate::status::RuleStatus;
use crate::store::{self, Stored};
use crate::unmatched::UnmatchedSelector;

/// Tells whether a group is to end.
pub(crate) type Stopped<'a> = dyn Fn() -> bool + Sync + 'a;

/// A group that took less than this is evaluated by one thread.
const SIDE_BY_SIDE_FROM: Duration = Duration::from_millis(10);

/// A group of rules that is evaluated at its interval.
pub struct Group {
    spec: GroupSpec,
    pub(crate) key: String,
    pub(crate) rules: Vec<Rule>,
    /// Rules of which none reads what another one before it in the run writes.
    pub(crate) runs: Vec<Run>,
    /// Whether times that are over are evaluated one by one: their results depend on each other, or on begin and end of a query.
    pub(crate) by_slot: bool,
    pub(crate) backfills: BackfillQueue,
    pub(crate) metrics: Metrics,
    state: Mutex<GroupState>,
    /// Where the state of alerts is to be restored, it is after the second evaluation.
    to_restore: AtomicBool,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("key", &self.key).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct GroupState {
    evaluated_at: Option<Timestamp>,
    took: Duration,
    /// Series of rules that a reload has removed.
    stale: Vec<Labels>,
}

/// Rules that are stored together.
pub(crate) struct Run {
    pub(crate) rules: Range<usize>,
    /// They mostly write the same series each time.
    memo: Memo,
}

/// What an evaluation of a rule yielded.
struct Yielded {
    rule: usize,
    outputs: Vec<Output>,
}

impl Group {
    /// Plans the queries of a group. `to_restore` says whether the state of its alerts is still to be restored.
    ///
    /// # Errors
    /// When a query or a template is not valid.
    pub(crate) fn new(
        spec: GroupSpec,
        context: &Context,
        metrics: Metrics,
        to_restore: bool,
    ) -> Result<Self, EvaluationError> {
        let rules: Vec<Rule> =
            spec.rules.iter().map(|rule| Rule::new(rule.clone(), context)).collect::<Result<_, _>>()?;
        let selectors = rules.iter().map(|rule| rule.selectors(context)).collect::<Result<Vec<_>, _>>()?;
        let runs = runs(&spec.rules, &selectors);
        let runs = runs.into_iter().map(|rules| Run { rules, memo: Memo::default() }).collect();
        let by_slot =
            reads_back(&spec.rules, &selectors) || rules.iter().any(|rule| rule.prepared().depends_on_range());
        rules.iter().filter_map(Rule::alerts).for_each(|alerts| alerts.set_restored(!to_restore));
        let key = spec.key();
        metrics.begin(&key);
        metrics.set(Gauge::Rules, &key, rules.len() as f64);
        metrics.set(Gauge::Interval, &key, spec.interval_ms as f64 / 1000.0);
        let to_restore = AtomicBool::new(to_restore);
        let (backfills, state) = Default::default();
        Ok(Self { spec, key, rules, runs, by_slot, backfills, metrics, state, to_restore })
    }

    /// Evaluates all rules for a time, stores what they yield and hands over alerts. Ends after
    /// a rule where it is stopped.
    pub(crate) fn evaluate(&self, context: &Context, ts: Timestamp, is_stopped: &Stopped<'_>) {
        let (began, begun) = (Timestamp::now(), Instant::now());
        self.metrics.add(Counter::Scheduled, &self.key, 1);
        let stored_at = ts.saturating_sub(self.query_offset_ms(context));
        let mut samples = 0;
        for Run { rules, memo } in &self.runs {
            if is_stopped() {
                return;
            }
            let yielded = self.evaluate_run(context, (rules.clone(), ts), is_stopped);
            samples += yielded.iter().map(|yielded| yielded.outputs.len()).sum::<usize>();
            self.store(context, memo, yielded, stored_at);
        }
        self.mark_removed(context, stored_at);
        self.evaluated(began, begun.elapsed(), samples);
    }

    pub(crate) fn query_offset_ms(&self, context: &Context) -> i64 {
        self.spec.query_offset_ms.unwrap_or(context.query_offset_ms)
    }

    fn evaluated(&self, began: Timestamp, took: Duration, samples: usize) {
        let sum = |rule: &Rule| rule.state.lock().history.back().map_or(0.0, |last| last.duration_s);
        let durations: f64 = self.rules.iter().map(sum).sum();
        let set = |gauge, value| self.metrics.set(gauge, &self.key, value);
        set(Gauge::Samples, samples as f64);
        set(Gauge::LastEvaluation, began.as_seconds());
        set(Gauge::LastDuration, took.as_secs_f64());
        set(Gauge::LastRuleDurations, durations);
        set(Gauge::Unmatched, self.rules.iter().filter(|rule| rule.has_unmatched()).count() as f64);
        self.metrics.iteration_duration.observe(took.as_secs_f64());
        let mut state = self.state.lock();
        (state.evaluated_at, state.took) = (Some(began), took);
    }

    /// Evaluates some rules, side by side where the last evaluation took long enough to gain by it.
    fn evaluate_run(
        &self,
        context: &Context,
        (run, ts): (Range<usize>, Timestamp),
        is_stopped: &Stopped<'_>,
    ) -> Vec<Yielded> {
        let slow = self.state.lock().took >= SIDE_BY_SIDE_FROM;
        let threads = if slow { run.len().min(1 + context.options.concurrency) } else { 1 };
        let next = AtomicUsize::new(run.start);
        let work = || {
            let mut yielded = Vec::new();
            while !is_stopped() {
                let rule = next.fetch_add(1, Ordering::Relaxed);
                if rule >= run.end {
                    break;
                }
                if let Some(outputs) = self.evaluate_rule(context, rule, ts) {
                    yielded.push(Yielded { rule, outputs });
                }
            }
            yielded
        };
        if threads == 1 {
            return work();
        }
        let mut yielded: Vec<Yielded> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let others = threads.into_iter().filter_map(|thread| thread.join().ok()).flatten();
            others.chain(own).collect()
        });
        // The row has its columns in the order of the rules, whoever evaluated them.
        yielded.sort_unstable_by_key(|yielded| yielded.rule);
        yielded
    }

    /// What a rule yields; `None` where it failed, which is noted.
    fn evaluate_rule(&self, context: &Context, index: usize, ts: Timestamp) -> Option<Vec<Output>> {
        let rule = &self.rules[index];
        let (began, begun) = (Timestamp::now(), Instant::now());
        self.metrics.add(Counter::Evaluations, &self.key, 1);
        let mut outputs = self.outputs(context, rule, ts);
        if let Ok(outputs) = &outputs {
            rule.look_for_unmatched(context, ts, !outputs.is_empty());
        }
        let took = begun.elapsed();
        self.metrics.rule_duration.observe(took.as_secs_f64());
        let mut evaluation = Evaluation { ts, duration_s: took.as_secs_f64(), samples: 0, error: None };
        match &mut outputs {
            Ok(outputs) => {
                evaluation.samples = u32::try_from(outputs.len()).unwrap_or(u32::MAX);
                if let Some(error) = store::remove_invalid(outputs) {
                    evaluation.error = Some(model::with_causes(&error).into());
                    self.discarded(rule, &error);
                }
            }
            Err(error) => {
                let text: Arc<str> = model::with_causes(error).into();
                self.failed(rule, error, &text);
                evaluation.error = Some(text);
            }
        }
        rule.state.lock().evaluated(began, evaluation);
        outputs.ok()
    }

    fn outputs(&self, context: &Context, rule: &Rule, ts: Timestamp) -> Result<Vec<Output>, EvaluationError> {
        let looked_at = ts.saturating_sub(self.query_offset_ms(context));
        let result = context.query(&rule.prepared(), looked_at)?;
        match &rule.kind {
            Kind::Recording(recorded) => recorded.outputs(result, &rule.state.lock().series, self.spec.limit),
            Kind::Alerting(alerts) => {
                let outputs =
                    alerts.outputs(&result, At { context, ts, limit: self.spec.limit, metrics: &self.metrics })?;
                self.send(context, rule, ts);
                Ok(outputs)
            }
        }
    }

    /// Hands over the alerts of a rule that are due.
    fn send(&self, context: &Context, rule: &Rule, ts: Timestamp) {
        let Some(alerts) = rule.alerts() else { return };
        let link = || format!("{}{}", context.external_url, table_link(&rule.spec.expr)).into();
        let notifications = alerts.to_send(ts, (self.spec.interval_ms, context.options.resend_delay_ms), link);
        if !notifications.is_empty() {
            (context.notify)(&notifications);
        }
    }

    fn failed(&self, rule: &Rule, error: &EvaluationError, text: &str) {
        self.metrics.add(Counter::Failures, &self.key, 1);
        let is_known = rule.state.lock().history.back().is_some_and(|last| last.error.as_deref() == Some(text));
        // A rule that fails usually goes on failing: it is logged once for each reason.
        if error.is_canceled() || is_known {
            return;
        }
        let (file, group, rule) = (&self.spec.file, &self.spec.name, &rule.spec.name);
        tracing::warn!(file, group, rule, error = text, "Evaluating rule failed");
    }

    /// Stores the results of rules in one row, with stale markers for the series that are gone since the last time.
    fn store(&self, context: &Context, memo: &Memo, yielded: Vec<Yielded>, ts: Timestamp) {
        let gone = self.gone(&yielded);
        let outputs = || yielded.iter().flat_map(|yielded| &yielded.outputs);
        let stored = store::append(context.appender.as_ref(), (outputs(), Some(memo)), &gone, ts);
        match stored {
            Ok(Stored::All) => yielded.into_iter().for_each(|yielded| self.stored(yielded)),
            // Whose samples these were, only one rule at a time can tell; what is stored already counts as stored again.
            Ok(Stored::Some) => yielded.into_iter().for_each(|yielded| self.store_again(context, yielded, ts)),
            Err(error) => {
                for yielded in &yielded {
                    let rule = &self.rules[yielded.rule];
                    rule.state.lock().failed(&error);
                    self.metrics.add(Counter::Failures, &self.key, 1);
                }
                let (file, group) = (&self.spec.file, &self.spec.name);
                tracing::warn!(file, group, error = model::with_causes(&error), "Rule sample appending failed");
            }
        }
    }

    /// The series that rules do not yield any more.
    fn gone(&self, yielded: &[Yielded]) -> Vec<Labels> {
        let changed = |one: &&Yielded| !self.rules[one.rule].state.lock().has_stored(&one.outputs);
        let changed: Vec<&Yielded> = yielded.iter().filter(changed).collect();
        if changed.is_empty() {
            return Vec::new();
        }
        // A series that another rule of the run writes now goes on.
        let current: HashSet<&Labels> =
            yielded.iter().flat_map(|one| one.outputs.iter().map(|output| &output.labels)).collect();
        let mut gone = Vec::new();
        for one in changed {
            let state = self.rules[one.rule].state.lock();
            gone.extend(state.series.iter().filter(|labels| !current.contains(labels)).cloned());
        }
        gone
    }

    fn stored(&self, Yielded { rule, outputs }: Yielded) {
        let mut state = self.rules[rule].state.lock();
        // The same series as the last time are kept as they are: the store remembers these label sets, too.
        if !state.has_stored(&outputs) {
            state.series = outputs.into_iter().map(|output| output.labels).collect();
        }
    }

    fn store_again(&self, context: &Context, yielded: Yielded, ts: Timestamp) {
        let rule = &self.rules[yielded.rule];
        if let Err(error) = store::append_checked(context.appender.as_ref(), &yielded.outputs, ts) {
            rule.state.lock().failed(&error);
            self.discarded(rule, &error);
        }
        self.stored(yielded);
    }

    fn discarded(&self, rule: &Rule, error: &EvaluationError) {
        let (file, group, rule) = (&self.spec.file, &self.spec.name, &rule.spec.name);
        tracing::warn!(file, group, rule, %error, "Rule evaluation result discarded");
    }

    /// Marks the series of rules that a reload has removed.
    fn mark_removed(&self, context: &Context, ts: Timestamp) {
        let stale = std::mem::take(&mut self.state.lock().stale);
        if stale.is_empty() {
            return;
        }
        if let Err(error) = store::append(context.appender.as_ref(), (std::iter::empty(), None), &stale, ts) {
            let (file, group) = (&self.spec.file, &self.spec.name);
            tracing::warn!(
                file,
                group,
                error = model::with_causes(&error),
                "cannot store stale markers of removed rules"
            );
            self.state.lock().stale.extend(stale);
        }
    }

    /// The group is gone: marks all its series as of `ts`. Those that another rule has continued since are later than that, and
    /// stay.
    pub(crate) fn mark_all_removed(&self, context: &Context, ts: Timestamp) {
        let series = self.rules.iter().flat_map(|rule| std::mem::take(&mut rule.state.lock().series));
        let series: Vec<Labels> = series.collect();
        self.state.lock().stale.extend(series);
        self.mark_removed(context, ts.saturating_sub(self.query_offset_ms(context)));
    }

    /// Goes on where a group ended that this one replaces. Rules are the same by name and labels, of several the first is the
    /// first.
    pub(crate) fn take_over(&self, from: &Self) {
        let mut old: HashMap<_, VecDeque<&Rule>> = HashMap::new();
        for rule in &from.rules {
            old.entry(rule.spec.identity()).or_default().push_back(rule);
        }
        for rule in &self.rules {
            if let Some(old) = old.get_mut(&rule.spec.identity()).and_then(VecDeque::pop_front) {
                rule.take_over(old);
            }
        }
        self.backfills.take_over(&from.backfills);
        let to_restore = from.to_restore.load(Ordering::Acquire);
        self.to_restore.store(to_restore, Ordering::Release);
        // A rule that is new in a group still to be restored waits with the others.
        self.rules.iter().filter_map(Rule::alerts).for_each(|alerts| alerts.set_restored(!to_restore));
        let mut from_state = from.state.lock();
        let mut state = self.state.lock();
        (state.evaluated_at, state.took) = (from_state.evaluated_at, from_state.took);
        state.stale = std::mem::take(&mut from_state.stale);
        let left = old.into_values().flatten();
        state.stale.extend(left.flat_map(|rule| std::mem::take(&mut rule.state.lock().series)));
    }

    /// Plans all queries anew.
    pub(crate) fn prepare(&self, context: &Context) -> Result<(), EvaluationError> {
        self.rules.iter().try_for_each(|rule| rule.prepare(context))
    }

    /// Its definition.
    #[must_use]
    pub fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// When the last evaluation began, and how long it took.
    #[must_use]
    pub fn last_evaluation(&self) -> (Option<Timestamp>, Duration) {
        let state = self.state.lock();
        (state.evaluated_at, state.took)
    }

    /// The rules as they are, in the order in which they are evaluated.
    pub fn rules(&self) -> impl Iterator<Item = RuleStatus<'_>> {
        self.rules.iter().map(RuleStatus::of)
    }

    /// The selectors of a rule that match no series, with the reasons.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn unmatched(
        &self,
        rule: usize,
        context: &Context,
        ts: Timestamp,
    ) -> Result<Vec<UnmatchedSelector>, QuerierError> {
        self.rules.get(rule).map_or_else(|| Ok(Vec::new()), |rule| rule.unmatched(context, ts))
    }

    /// The last evaluations of a rule, oldest first.
    #[must_use]
    pub fn history(&self, rule: usize) -> Vec<Evaluation> {
        self.rules.get(rule).map(|rule| rule.state.lock().history.iter().cloned().collect()).unwrap_or_default()
    }

    /// How far the computation of its past is, and how many ranges of time are not complete; `None` where nothing was to be computed.
    #[must_use]
    pub fn backfill(&self) -> Option<(Option<BackfillStatus>, usize)> {
        self.backfills.status()
    }

    /// Is the state of alerts still to be restored?
    pub(crate) fn is_to_be_restored(&self) -> bool {
        self.to_restore.load(Ordering::Acquire)
    }

    /// Evaluations were missed: the group was too slow.
    pub(crate) fn missed(&self, n: u64) {
        self.metrics.add(Counter::Missed, &self.key, n);
        self.metrics.add(Counter::Scheduled, &self.key, n);
    }

    /// The state of alerts was restored.
    pub(crate) fn restored(&self, took: Duration) {
        self.to_restore.store(false, Ordering::Release);
        self.metrics.set(Gauge::LastRestore, &self.key, took.as_secs_f64());
    }

    /// Removes what is counted of the group.
    pub(crate) fn forget_metrics(&self) {
        self.metrics.forget(&self.key);
    }
}
