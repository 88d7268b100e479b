//! A rule of a running group: what it is, and what its last evaluations came to.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Labels, Matcher, QuerierError, Timestamp};
use parking_lot::{Mutex, RwLock};
use query::{Prepared, QueryOptions};

use crate::alerting::Alerts;
use crate::context::Context;
use crate::error::EvaluationError;
use crate::output::Output;
use crate::recording::Recorded;
use crate::spec::RuleSpec;
use crate::unmatched::{UnmatchedSelector, any_unmatched, unmatched};

/// Evaluations of a rule that are remembered.
const HISTORY_MAX: usize = 100;

/// A selector matches nothing if it has not for so long, milliseconds: some series are written once a day.
const SEEN_MS: i64 = 24 * 60 * 60 * 1000;
/// So often that is looked up for a rule that yields nothing, as most alerting rules do.
const LOOK_EVERY_MS: i64 = 10 * 60 * 1000;

/// A rule of a running group.
pub(crate) struct Rule {
    pub(crate) spec: RuleSpec,
    pub(crate) kind: Kind,
    /// Planned anew when a reload changes what queries are planned with.
    prepared: RwLock<Arc<Prepared>>,
    /// The selectors that are expected to match something.
    expected: Vec<Vec<Matcher>>,
    pub(crate) state: Mutex<RuleState>,
}

/// What only rules of one kind have.
pub(crate) enum Kind {
    Recording(Recorded),
    Alerting(Box<Alerts>),
}

/// What an evaluation came to.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The time that it was for.
    pub ts: Timestamp,
    /// How long it took, seconds.
    pub duration_s: f64,
    /// How many samples it yielded.
    pub samples: u32,
    /// Why it failed, if it did.
    pub error: Option<Arc<str>>,
}

/// What the last evaluations of a rule came to.
#[derive(Debug, Default)]
pub(crate) struct RuleState {
    /// When the last one began, by the wall clock.
    pub(crate) evaluated_at: Option<Timestamp>,
    /// The last ones, oldest first.
    pub(crate) history: VecDeque<Evaluation>,
    /// The series of the last one that was stored, in its order and no two equal, to mark those that are gone.
    pub(crate) series: Vec<Labels>,
    /// Whether a selector matches no series, and when that was looked up.
    pub(crate) unmatched: Option<(Timestamp, bool)>,
}

impl RuleState {
    /// Adds an evaluation.
    pub(crate) fn evaluated(&mut self, began: Timestamp, evaluation: Evaluation) {
        self.evaluated_at = Some(began);
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(evaluation);
    }

    /// Are these the series of the last one that was stored, in its order? Rules mostly yield the same each time.
    pub(crate) fn has_stored(&self, outputs: &[Output]) -> bool {
        outputs.len() == self.series.len()
            && outputs.iter().zip(&self.series).all(|(one, series)| one.labels == *series)
    }

    /// The last evaluation failed after all: its result could not be stored.
    pub(crate) fn failed(&mut self, error: &EvaluationError) {
        if let Some(last) = self.history.back_mut() {
            last.error = Some(model::with_causes(error).into());
        }
    }
}

impl Rule {
    /// Plans the query of a rule and reads its templates.
    ///
    /// # Errors
    /// When one of them is not valid; what was loaded is.
    pub(crate) fn new(spec: RuleSpec, context: &Context) -> Result<Self, EvaluationError> {
        let prepared = RwLock::new(Arc::new(context.prepare(&spec.expr)?));
        let kind = match &spec.alert {
            Some(alert) => Kind::Alerting(Box::new(Alerts::new(&spec, alert)?)),
            None => Kind::Recording(Recorded::new(&spec)),
        };
        let bounds = context.engine.bounds(&QueryOptions::default());
        let expected = context.engine.expected_selectors(&spec.expr, &bounds)?;
        Ok(Self { spec, kind, prepared, expected, state: Mutex::default() })
    }

    /// The selectors that match no series, with the reasons.
    pub(crate) fn unmatched(&self, context: &Context, ts: Timestamp) -> Result<Vec<UnmatchedSelector>, QuerierError> {
        unmatched(context.querier.as_ref(), &self.expected, seen_until(ts))
    }

    /// Looks up now and then whether a rule that yields nothing reads anything.
    pub(crate) fn look_for_unmatched(&self, context: &Context, ts: Timestamp, yields: bool) {
        // Not at once: nothing may have been scraped yet.
        let (at, _) = *self.state.lock().unmatched.get_or_insert((ts, false));
        let is_due = ts.saturating_since(at) >= LOOK_EVERY_MS || ts < at;
        let unmatched = match (yields, is_due) {
            (true, _) => false,
            (false, false) => return,
            // A store that cannot be read has failed the rule, too.
            (false, true) => any_unmatched(context.querier.as_ref(), &self.expected, seen_until(ts)).unwrap_or(false),
        };
        self.state.lock().unmatched = Some((ts, unmatched));
    }

    /// The planned query.
    pub(crate) fn prepared(&self) -> Arc<Prepared> {
        Arc::clone(&self.prepared.read())
    }

    /// Plans the query anew, with the options of another engine.
    pub(crate) fn prepare(&self, context: &Context) -> Result<(), EvaluationError> {
        let prepared = Arc::new(context.prepare(&self.spec.expr)?);
        *self.prepared.write() = prepared;
        Ok(())
    }

    /// The matchers of every selector.
    pub(crate) fn selectors(&self, context: &Context) -> Result<Vec<Vec<Matcher>>, EvaluationError> {
        let bounds = context.engine.bounds(&QueryOptions::default());
        Ok(context.engine.selectors(&self.spec.expr, &bounds)?)
    }

    /// Does a selector match no series, as far as is known?
    pub(crate) fn has_unmatched(&self) -> bool {
        self.state.lock().unmatched.is_some_and(|(_, unmatched)| unmatched)
    }

    /// Its alerts, if it has any.
    pub(crate) fn alerts(&self) -> Option<&Alerts> {
        match &self.kind {
            Kind::Alerting(alerts) => Some(alerts),
            Kind::Recording(_) => None,
        }
    }

    /// Goes on where a rule of the same identity ended.
    pub(crate) fn take_over(&self, from: &Self) {
        let mut state = self.state.lock();
        let mut old = from.state.lock();
        state.series = std::mem::take(&mut old.series);
        state.history = std::mem::take(&mut old.history);
        if let (Some(alerts), Some(old)) = (self.alerts(), from.alerts()) {
            alerts.take_over(old);
        }
    }
}

fn seen_until(ts: Timestamp) -> (Timestamp, Timestamp) {
    (ts.saturating_sub(SEEN_MS), ts)
}
