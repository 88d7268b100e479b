//! The state of alerts after a restart, from what was stored of them. (Prometheus: `Group.RestoreForState` in
//! `rules/group.go`.)
//!
//! Time while the server was down does not count as pending. An alert that had been active for all of `for` keeps the time
//! since when; it fires at the next evaluation.

use std::collections::HashMap;
use std::time::Instant;

use model::labels::METRIC_NAME;
use model::{Labels, Timestamp};
use query::QueryOptions;

use crate::alert::Alert;
use crate::alerting::{ALERTS_FOR_STATE, Alerts};
use crate::context::{Context, Options};
use crate::error::EvaluationError;
use crate::group::Group;
use crate::rule::Rule;
use crate::selector::selector;

/// What is known of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// When it was last stored.
    stored_at: Timestamp,
    /// Since when it was active.
    active_at: Timestamp,
}

/// Restores the state of all alerts of a group.
pub(crate) fn restore(group: &Group, context: &Context, now: Timestamp) {
    let begun = Instant::now();
    for rule in &group.rules {
        let Some(alerts) = rule.alerts() else { continue };
        match known(context, alerts, now) {
            Ok(known) => alerts.for_each(|alert| restore_alert(alert, &known, (alerts.for_ms(), now), context.options)),
            // There is no second try: the alert is pending for its whole time.
            Err(error) => log(group, rule, &error),
        }
        alerts.set_restored(true);
    }
    group.restored(begun.elapsed());
}

fn log(group: &Group, rule: &Rule, error: &EvaluationError) {
    let (file, name, alert) = (&group.spec().file, &group.spec().name, &rule.spec.name);
    let error = model::with_causes(error);
    tracing::error!(file, group = name, alert, error, "Failed to restore 'for' state");
}

/// The last samples of the alerts of a rule, without those that had ended, by the labels of the alerts.
fn known(context: &Context, alerts: &Alerts, now: Timestamp) -> Result<HashMap<Labels, Known>, EvaluationError> {
    // An instant selector returns the last sample within the lookback delta, and nothing after a stale marker: such an alert
    // was over before the restart.
    let lookback_delta_ms = Some(context.options.outage_tolerance_ms.saturating_add(1));
    let options = || QueryOptions { lookback_delta_ms, ..QueryOptions::default() };
    let selector = selector(ALERTS_FOR_STATE, alerts.constant_labels());
    let ask = |text: &str| context.query_with(&context.prepare(text)?, now, options());
    let (values, times) = (ask(&selector)?, ask(&format!("timestamp({selector})"))?);
    let key = |labels: &Labels| labels.filtered(|name| name != METRIC_NAME);
    let mut known = HashMap::with_capacity(values.len());
    let times: HashMap<Labels, f64> = times.iter().map(|sample| (key(&sample.labels), sample.value)).collect();
    for sample in &values {
        let labels = key(&sample.labels);
        if let Some(stored_at) = times.get(&labels) {
            let seconds = |seconds: f64| Timestamp((seconds * 1000.0) as i64);
            let (stored_at, active_at) = (seconds(*stored_at), seconds(sample.value));
            known.insert(labels, Known { stored_at, active_at });
        }
    }
    Ok(known)
}

fn restore_alert(alert: &mut Alert, known: &HashMap<Labels, Known>, (for_ms, now): (i64, Timestamp), options: Options) {
    let Some(&Known { stored_at, active_at }) = known.get(&alert.labels) else { return };
    let left_ms = for_ms - stored_at.saturating_since(active_at);
    alert.active_at = if left_ms <= 0 {
        // It was firing.
        active_at
    } else if for_ms < options.grace_period_ms {
        // Less than the grace period altogether: it begins anew.
        return;
    } else if left_ms < options.grace_period_ms {
        now.saturating_add(options.grace_period_ms - for_ms)
    } else {
        active_at.saturating_add(now.saturating_since(stored_at))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    /// Minutes, before now, of the last sample and of the begin; of `for`; and of what `active_at` is then.
    #[track_caller]
    fn check((stored, active, for_minutes): (i64, i64, i64), expected: i64) {
        let now = Timestamp(1_000 * MINUTE);
        let before = |minutes: i64| now.saturating_sub(minutes * MINUTE);
        let labels = Labels::from_pairs([("alertname", "A")]);
        let known = [(labels.clone(), Known { stored_at: before(stored), active_at: before(active) })].into();
        let mut alert = Alert::new((labels, Labels::empty()), 0.0, before(1));
        restore_alert(&mut alert, &known, (for_minutes * MINUTE, now), Options::default());
        assert_eq!(alert.active_at, before(expected));
    }

    #[test]
    fn time_of_an_outage_does_not_count() {
        // Pending for 5 of 30 minutes, down for 10.
        check((10, 15, 30), 5);
        // 4 minutes were left, which is less than the grace period: 10 minutes from now.
        check((10, 36, 30), 20);
        // It was firing.
        check((10, 50, 30), 50);
        check((10, 20, 0), 20);
        // Shorter than the grace period: it begins anew, unless it was firing.
        check((2, 4, 5), 1);
        check((2, 7, 5), 7);
    }

    #[test]
    fn only_what_was_stored_is_restored() {
        let now = Timestamp(MINUTE);
        let mut alert = Alert::new((Labels::empty(), Labels::empty()), 0.0, now);
        restore_alert(&mut alert, &HashMap::new(), (MINUTE, now), Options::default());
        assert_eq!(alert.active_at, now);
    }
}
