//! A rule as it is, for who looks at it.

use model::Timestamp;

use crate::alert::{Alert, AlertState};
use crate::rule::{Evaluation, Rule};
use crate::spec::RuleSpec;

/// A rule as it is.
#[derive(Clone, Debug)]
pub struct RuleStatus<'a> {
    /// Its definition.
    pub spec: &'a RuleSpec,
    /// When the last evaluation began, by the wall clock.
    pub evaluated_at: Option<Timestamp>,
    /// The last evaluation.
    pub last: Option<Evaluation>,
    /// Does a selector match no series, as far as is known? Looked up now and then where the rule yields nothing.
    pub has_unmatched: bool,
    /// State and active alerts, of an alerting rule.
    pub alerts: Option<(AlertState, Vec<Alert>)>,
}

impl<'a> RuleStatus<'a> {
    pub(crate) fn of(rule: &'a Rule) -> Self {
        let (evaluated_at, last) = {
            let state = rule.state.lock();
            (state.evaluated_at, state.history.back().cloned())
        };
        let alerts = rule.alerts().map(|alerts| {
            let state = if evaluated_at.is_some() { alerts.state() } else { AlertState::Unknown };
            (state, alerts.list())
        });
        Self { spec: &rule.spec, evaluated_at, last, has_unmatched: rule.has_unmatched(), alerts }
    }

    /// `ok`, `err`, or `unknown` before the first evaluation.
    #[must_use]
    pub fn health(&self) -> &'static str {
        match &self.last {
            None => "unknown",
            Some(Evaluation { error: Some(_), .. }) => "err",
            Some(_) => "ok",
        }
    }
}
