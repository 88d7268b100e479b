//! A dry run: what rules would have done, had they been there. Nothing is stored and nothing is sent.
//!
//! The groups are evaluated at their times over the stored series, in chunks. What their rules write goes to an overlay in
//! memory, where later rules find it; what was stored of the same metrics since the begin is hidden from them. Alerts go through
//! their states evaluation by evaluation, and have none before the begin.

mod firings;
mod outcome;
mod overlay;

use std::collections::HashSet;
use std::sync::Arc;

use model::{Labels, Matcher, Querier, QuerierError, Selection, Timestamp};
use prometheus::Registry;
use query::Bounds;
use tracing::subscriber::{NoSubscriber, with_default};

pub use self::outcome::{Firing, ReplayOutcome, ReplayedGroup, ReplayedRule};

use self::firings::Firings;
use self::overlay::Overlay;
use crate::alerting::{Alerts, At};
use crate::chunk::{CHUNK_SLOTS, Chunk, Until};
use crate::context::Context;
use crate::dependencies::{Written, with_sources};
use crate::error::EvaluationError;
use crate::group::Group;
use crate::metrics::Metrics;
use crate::recording::Recorded;
use crate::rule::{Kind, Rule};
use crate::slots::{Slot, Slots};
use crate::spec::{GroupSpec, RuleSpec};
use crate::store;

/// A dry run that is asked for.
#[derive(Debug)]
pub struct Replay {
    /// The first time at which rules may be evaluated.
    pub start: Timestamp,
    /// The last one.
    pub end: Timestamp,
    /// So many firings are listed at most; all are counted.
    pub firings_max: usize,
    /// Deadline, client and memory.
    pub bounds: Bounds,
}

impl Replay {
    /// Evaluates groups, in such an order that they find what others record; `is_chosen` says which rules are asked for. Blocks.
    ///
    /// # Errors
    /// When a query or a template is not valid, the store cannot be read, or a bound is reached.
    pub fn run(
        &self,
        groups: Vec<GroupSpec>,
        is_chosen: impl Fn(&GroupSpec, &RuleSpec) -> bool,
        context: &Context,
    ) -> Result<Vec<ReplayedGroup>, EvaluationError> {
        // Nobody reads what is counted of these groups.
        let metrics = Metrics::new(&Registry::new()).expect("BUG: a new registry has no metrics");
        let mut chosen = Vec::new();
        for spec in groups {
            self.bounds.check()?;
            chosen.extend(Chosen::new(spec, &is_chosen, (context, &metrics))?);
        }
        let written: Written = chosen.iter().flat_map(|one| &one.group.spec().rules).collect();
        let overlay = Arc::new(Overlay::new(Arc::clone(&context.querier), written, self.start));
        let context = Context {
            querier: Arc::<Overlay>::clone(&overlay),
            appender: Arc::<Overlay>::clone(&overlay),
            notify: Arc::new(|_| {}),
            wanted: self.bounds.wanted.clone(),
            ..context.clone()
        };
        let order = readers_last(&chosen);
        let rules = chosen.iter().flat_map(|one| &one.group.spec().rules);
        let alerts: Written = rules.filter(|rule| rule.is_alerting()).collect();
        let alerts_are_read = chosen.iter().any(|one| one.reads(&alerts));
        let mut replayed: Vec<(usize, ReplayedGroup)> = Vec::new();
        let mut room = self.firings_max;
        for i in order {
            let run = Run { replay: self, chosen: &chosen[i], context: &context, overlay: &overlay, alerts_are_read };
            replayed.push((i, run.group(&mut room)?));
        }
        replayed.sort_by_key(|(i, _)| *i);
        Ok(replayed.into_iter().map(|(_, group)| group).collect())
    }
}

/// A group with the rules that are to be evaluated.
struct Chosen {
    group: Group,
    /// The matchers of every selector of each rule.
    selectors: Vec<Vec<Vec<Matcher>>>,
    /// The rules whose outcome is asked for.
    is_shown: Vec<bool>,
}

impl Chosen {
    /// `None` where no rule is asked for.
    fn new(
        mut spec: GroupSpec,
        is_chosen: impl Fn(&GroupSpec, &RuleSpec) -> bool,
        (context, metrics): (&Context, &Metrics),
    ) -> Result<Option<Self>, EvaluationError> {
        let is_shown: Vec<bool> = spec.rules.iter().map(|rule| is_chosen(&spec, rule)).collect();
        if !is_shown.contains(&true) {
            return Ok(None);
        }
        let bounds = context.engine.bounds(&query::QueryOptions::default());
        let selectors = spec.rules.iter().map(|rule| context.engine.selectors(&rule.expr, &bounds));
        let selectors: Vec<_> = selectors.collect::<Result<_, _>>()?;
        let is_needed = with_sources(&spec.rules, &selectors, &is_shown);
        let needed = || is_needed.iter().copied();
        // Annotations are not asked for, and may cost queries.
        spec.rules.iter_mut().filter_map(|rule| rule.alert.as_mut()).for_each(|alert| alert.annotations.clear());
        spec.rules = kept(spec.rules, needed());
        let (selectors, is_shown) = (kept(selectors, needed()), kept(is_shown, needed()));
        Ok(Some(Self { group: Group::new(spec, context, metrics.clone(), false)?, selectors, is_shown }))
    }

    fn reads(&self, written: &Written) -> bool {
        self.selectors.iter().flatten().any(|selector| written.may_be_read_by(selector))
    }
}

fn kept<T>(all: Vec<T>, is_kept: impl Iterator<Item = bool>) -> Vec<T> {
    all.into_iter().zip(is_kept).filter(|(_, is_kept)| *is_kept).map(|(one, _)| one).collect()
}

/// The groups, each behind those that it reads from. Of groups that read each other the first stays the first.
fn readers_last(chosen: &[Chosen]) -> Vec<usize> {
    let written: Vec<Written> = chosen.iter().map(|one| one.group.spec().rules.iter().collect()).collect();
    let mut left: Vec<usize> = (0..chosen.len()).collect();
    let mut order = Vec::with_capacity(chosen.len());
    while !left.is_empty() {
        let reads_none = |i: &usize| !left.iter().any(|other| other != i && chosen[*i].reads(&written[*other]));
        let next = left.iter().position(reads_none).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}

/// A group that is evaluated.
#[derive(Clone, Copy)]
struct Run<'a> {
    replay: &'a Replay,
    chosen: &'a Chosen,
    context: &'a Context,
    overlay: &'a Overlay,
    alerts_are_read: bool,
}

/// What is known of a rule so far.
#[derive(Debug, Default)]
struct RuleRun {
    failed: u64,
    failure: Option<EvaluationError>,
    samples: u64,
    /// The series of the last evaluation.
    alive: HashSet<Labels>,
    firings: Firings,
}

impl Run<'_> {
    fn group(self, room: &mut usize) -> Result<ReplayedGroup, EvaluationError> {
        let spec = self.chosen.group.spec();
        let slots = Slots::new((&spec.file, &spec.name), spec.interval_ms);
        let (begin, end) = (slots.not_before(self.replay.start), slots.at(self.replay.end).next());
        let mut rules: Vec<RuleRun> = spec.rules.iter().map(|_| RuleRun::default()).collect();
        let mut first = begin;
        let is_stopped = || self.replay.bounds.wanted.as_ref().is_some_and(|wanted| !(wanted.0)());
        while first < end {
            let slots_at_once = if self.chosen.group.by_slot { 1 } else { CHUNK_SLOTS };
            let last = Slot(end.0.min(first.0 + slots_at_once) - 1);
            let until = Until { deadline: self.replay.bounds.deadline, is_stopped: &is_stopped };
            let chunk = Chunk { context: self.context, group: &self.chosen.group, slots, first, last, until };
            for (rule, run) in self.chosen.group.rules.iter().zip(&mut rules) {
                self.rule(chunk, rule, (run, room))?;
                self.replay.bounds.take(self.overlay.take_grown())?;
            }
            first = last.next();
        }
        let rules = rules.into_iter().zip(&spec.rules).zip(&self.chosen.is_shown);
        let rules = rules.filter(|(_, is_shown)| **is_shown).map(|((run, rule), _)| self.replayed(run, rule));
        Ok(ReplayedGroup {
            spec: spec.clone(),
            evaluations: u64::try_from(end.0 - begin.0).unwrap_or(0),
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    fn rule(
        self,
        chunk: Chunk<'_>,
        rule: &Rule,
        (run, room): (&mut RuleRun, &mut usize),
    ) -> Result<(), EvaluationError> {
        let result = match &rule.kind {
            Kind::Recording(recorded) => Self::record(chunk, (rule, recorded), run),
            Kind::Alerting(alerts) => self.alert(chunk, (rule, alerts), (run, room)),
        };
        match result {
            // Why it ended, and not what the query was doing.
            Err(error) if chunk.until.has_ended(&error) => {
                Err(self.replay.bounds.check().err().map_or(error, Into::into))
            }
            Err(error @ EvaluationError::Query(query::Error::Store(_))) => Err(error),
            Err(error) => {
                run.failed += u64::try_from(chunk.last.0 + 1 - chunk.first.0).unwrap_or(0);
                run.failure = Some(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn record(chunk: Chunk<'_>, rule: (&Rule, &Recorded), run: &mut RuleRun) -> Result<(), EvaluationError> {
        let filled = chunk.fill(rule, Some(std::mem::take(&mut run.alive)))?;
        chunk.store(&filled.series)?;
        run.alive = filled.alive;
        run.samples += filled.samples;
        run.failed += filled.failed;
        run.failure = filled.failure.or(run.failure.take());
        Ok(())
    }

    fn alert(
        self,
        chunk: Chunk<'_>,
        (rule, alerts): (&Rule, &Alerts),
        (run, room): (&mut RuleRun, &mut usize),
    ) -> Result<(), EvaluationError> {
        let vectors = chunk.vectors(rule)?;
        for (slot, vector) in (chunk.first.0..).zip(vectors) {
            chunk.until.check()?;
            let ts = chunk.slots.time(Slot(slot));
            let limit = self.chosen.group.spec().limit;
            let at = At { context: self.context, ts, limit, metrics: &self.chosen.group.metrics };
            // A template that fails is seen in the labels of the alert, and is not to be told of at each evaluation.
            let expanded = |vector: Vec<_>| with_default(NoSubscriber::default(), || alerts.outputs(&vector, at));
            match vector.and_then(expanded) {
                Ok(outputs) if self.alerts_are_read => {
                    let is_new: HashSet<Labels> = outputs.iter().map(|output| output.labels.clone()).collect();
                    let gone: Vec<Labels> = run.alive.difference(&is_new).cloned().collect();
                    let stored_at = chunk.stored_at(Slot(slot));
                    store::append(self.context.appender.as_ref(), (outputs.iter(), None), &gone, stored_at)?;
                    run.alive = is_new;
                }
                Ok(_) => {}
                Err(error) => {
                    run.failed += 1;
                    run.failure = Some(error);
                }
            }
            let bytes = run.firings.follow(alerts, ts, room);
            self.replay.bounds.take(bytes)?;
        }
        Ok(())
    }

    fn replayed(self, run: RuleRun, rule: &RuleSpec) -> Result<ReplayedRule, EvaluationError> {
        let outcome = if rule.is_alerting() {
            run.firings.outcome()
        } else {
            let series = self.series(rule).map_err(query::Error::Store)?;
            ReplayOutcome::Recorded { samples: run.samples, series }
        };
        let failure = run.failure.map(|error| model::with_causes(&error));
        Ok(ReplayedRule { spec: rule.clone(), failed: run.failed, failure, outcome })
    }

    /// How many series a recording rule has written.
    fn series(self, rule: &RuleSpec) -> Result<usize, QuerierError> {
        let name = (model::labels::METRIC_NAME, rule.name.as_str());
        let labels = std::iter::once(name).chain(rule.constant_labels());
        let matchers: Vec<Matcher> = labels.map(|(name, value)| Matcher::equal(name, value)).collect();
        let selection = Selection { start: Timestamp::MIN, end: Timestamp::MAX, matchers: &matchers };
        Ok(self.overlay.recorded().series(&selection, 0)?.len())
    }
}
