//! One alert of an alerting rule, and the states that it goes through. (Prometheus: `rules/alerting.go`.)

use model::{Labels, Timestamp};

/// For so long after it was resolved an alert is kept and sent again, milliseconds: an Alertmanager that restarts, or cannot be
/// reached meanwhile, must still hear of it.
const RESOLVED_KEPT_MS: i64 = 15 * 60 * 1000;

/// The state of an alert, and of a rule: that of its highest alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// The rule was not evaluated yet.
    Unknown,
    /// Neither pending nor firing.
    Inactive,
    /// The condition has not held for as long as `for` says.
    Pending,
    /// The condition has held for as long as `for` says.
    Firing,
}

impl AlertState {
    /// The value of the label `alertstate`, and of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert of an alerting rule.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its state; never [`AlertState::Unknown`].
    pub state: AlertState,
    /// What identifies it, `alertname` among them.
    pub labels: Labels,
    /// As of the last evaluation.
    pub annotations: Labels,
    /// Of the last evaluation that yielded it; 0 for a histogram.
    pub value: f64,
    /// Since when the condition holds.
    pub active_at: Timestamp,
    /// Since when it has been firing.
    pub fired_at: Option<Timestamp>,
    /// When it stopped firing.
    pub resolved_at: Option<Timestamp>,
    /// When it was last handed to the notifier.
    pub last_sent_at: Option<Timestamp>,
    /// Since when it is firing only because of `keep_firing_for`.
    pub keep_firing_since: Option<Timestamp>,
}

/// The durations of an alerting rule, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    /// `for`
    pub(crate) for_ms: i64,
    /// `keep_firing_for`
    pub(crate) keep_firing_for_ms: i64,
}

/// What an evaluation makes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Pending or firing.
    Active,
    /// Resolved, and kept for a while.
    Resolved,
    /// To be forgotten.
    Gone,
}

impl Alert {
    /// One that is in the result of its rule for the first time.
    pub(crate) fn new((labels, annotations): (Labels, Labels), value: f64, ts: Timestamp) -> Self {
        Self {
            state: AlertState::Pending,
            labels,
            annotations,
            value,
            active_at: ts,
            fired_at: None,
            resolved_at: None,
            last_sent_at: None,
            keep_firing_since: None,
        }
    }

    /// Moves on to an evaluation at `ts`, whose result has the alert or not.
    pub(crate) fn advance(&mut self, is_in_result: bool, ts: Timestamp, holds: Holds) -> Outcome {
        if is_in_result {
            self.keep_firing_since = None;
        } else if !self.is_kept_firing(ts, holds) {
            return self.resolve(ts);
        }
        let held_ms = ts.saturating_since(self.active_at);
        if self.state == AlertState::Pending && held_ms >= holds.for_ms {
            self.state = AlertState::Firing;
            self.fired_at = Some(ts);
        }
        // `for` was raised by a reload.
        if self.state == AlertState::Firing && held_ms < holds.for_ms {
            self.state = AlertState::Pending;
            (self.fired_at, self.last_sent_at, self.keep_firing_since) = (None, None, None);
        }
        Outcome::Active
    }

    fn is_kept_firing(&mut self, ts: Timestamp, holds: Holds) -> bool {
        if self.state != AlertState::Firing || holds.keep_firing_for_ms <= 0 {
            return false;
        }
        let since = *self.keep_firing_since.get_or_insert(ts);
        ts.saturating_since(since) < holds.keep_firing_for_ms
    }

    fn resolve(&mut self, ts: Timestamp) -> Outcome {
        match self.state {
            AlertState::Firing => {
                self.state = AlertState::Inactive;
                self.resolved_at = Some(ts);
                Outcome::Resolved
            }
            AlertState::Inactive if self.resolved_at.is_some_and(|at| ts.saturating_since(at) <= RESOLVED_KEPT_MS) => {
                Outcome::Resolved
            }
            // A pending alert was never sent, so nobody needs to hear that it is over.
            _ => Outcome::Gone,
        }
    }

    /// Is it time to send it? At once when it fires or is resolved, then at every delay.
    pub(crate) fn needs_sending(&self, ts: Timestamp, resend_delay_ms: i64) -> bool {
        let Some(sent) = self.last_sent_at else { return self.state != AlertState::Pending };
        self.state != AlertState::Pending
            && (self.resolved_at.is_some_and(|at| at > sent) || sent.saturating_add(resend_delay_ms) < ts)
    }

    /// Is it pending or firing?
    pub(crate) fn is_active(&self) -> bool {
        self.resolved_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minutes: i64) -> Timestamp {
        Timestamp(minutes * MINUTE)
    }

    fn holds(for_minutes: i64, keep_minutes: i64) -> Holds {
        Holds { for_ms: for_minutes * MINUTE, keep_firing_for_ms: keep_minutes * MINUTE }
    }

    fn alert() -> Alert {
        Alert::new((Labels::empty(), Labels::empty()), 1.0, at(0))
    }

    /// An evaluation each minute, of which a text says whether the result had the alert (`x`); and the states then: `p`ending,
    /// `f`iring, `r`esolved, `-` gone.
    #[track_caller]
    fn check(results: &str, holds: Holds, expected: &str) {
        let mut alert = alert();
        let mut states = String::new();
        for (minute, result) in (0..).zip(results.chars()) {
            let outcome = alert.advance(result == 'x', at(minute), holds);
            states.push(match (outcome, alert.state) {
                (Outcome::Active, AlertState::Pending) => 'p',
                (Outcome::Active, AlertState::Firing) => 'f',
                (Outcome::Resolved, AlertState::Inactive) => 'r',
                (Outcome::Gone, _) => '-',
                other => panic!("{other:?}"),
            });
            if outcome == Outcome::Gone {
                break;
            }
        }
        assert_eq!(states, expected);
    }

    #[test]
    fn states_follow_for_and_keep_firing_for() {
        check("x", holds(0, 0), "f");
        check("xxxx", holds(2, 0), "ppff");
        check("xx.", holds(5, 0), "pp-");
        check("x.......", holds(0, 3), "ffffrrrr");
        check("x..x....", holds(0, 3), "fffffffr");
        // A pending alert is not kept.
        check("x.", holds(2, 3), "p-");
        // Resolved at minute 1, and kept for the 15 minutes after it.
        check(&format!("x{}", ".".repeat(20)), holds(0, 0), &format!("f{}-", "r".repeat(16)));
    }

    #[test]
    fn a_longer_for_makes_a_firing_alert_pending_again() {
        let mut alert = alert();
        alert.advance(true, at(0), holds(0, 0));
        alert.last_sent_at = Some(at(0));
        assert_eq!(alert.advance(true, at(1), holds(5, 0)), Outcome::Active);
        assert_eq!((alert.state, alert.fired_at, alert.last_sent_at), (AlertState::Pending, None, None));
        alert.advance(true, at(5), holds(5, 0));
        assert_eq!((alert.state, alert.fired_at), (AlertState::Firing, Some(at(5))));
    }

    #[test]
    fn sent_at_once_and_after_each_delay() {
        let mut alert = alert();
        let sends = |alert: &Alert, minute| alert.needs_sending(at(minute), MINUTE);
        alert.advance(true, at(0), holds(1, 0));
        assert!(!sends(&alert, 0), "pending");
        alert.advance(true, at(1), holds(1, 0));
        assert!(sends(&alert, 1), "firing, never sent");
        alert.last_sent_at = Some(at(1));
        assert!(!sends(&alert, 1) && !sends(&alert, 2), "the delay is not over");
        assert!(sends(&alert, 3));
        alert.last_sent_at = Some(at(3));
        alert.advance(false, at(4), holds(1, 0));
        assert!(sends(&alert, 4), "resolved since it was sent");
        alert.last_sent_at = Some(at(4));
        assert!(!sends(&alert, 5) && sends(&alert, 6));
    }
}
