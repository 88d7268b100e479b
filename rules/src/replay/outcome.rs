//! What a dry run comes to.

use model::{Labels, Timestamp};

use crate::spec::{GroupSpec, RuleSpec};

/// What the rules of a group would have done.
#[derive(Debug)]
pub struct ReplayedGroup {
    /// The group, with those rules alone that were evaluated.
    pub spec: GroupSpec,
    /// How often it would have been evaluated.
    pub evaluations: u64,
    /// The rules that were asked for.
    pub rules: Vec<ReplayedRule>,
}

/// What a rule would have done.
#[derive(Debug)]
pub struct ReplayedRule {
    /// The rule.
    pub spec: RuleSpec,
    /// How many of its evaluations fail.
    pub failed: u64,
    /// Why the last one of them does.
    pub failure: Option<String>,
    /// What it yields.
    pub outcome: ReplayOutcome,
}

/// What a rule yields.
#[derive(Debug)]
pub enum ReplayOutcome {
    /// A recording rule.
    Recorded {
        /// How many samples.
        samples: u64,
        /// Of how many series.
        series: usize,
    },
    /// An alerting rule.
    Alerted {
        /// How often an alert fires.
        fired: usize,
        /// How often one is pending and does not fire.
        only_pending: usize,
        /// When alerts fire, the earliest first; not more than were asked for.
        firings: Vec<Firing>,
    },
}

/// An alert that would have fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// The labels of the alert.
    pub labels: Labels,
    /// Since when it is pending.
    pub active_at: Timestamp,
    /// When it fires.
    pub fired_at: Timestamp,
    /// When it is resolved; `None` if not before the end.
    pub resolved_at: Option<Timestamp>,
    /// The highest value of the expression meanwhile.
    pub max_value: f64,
}
