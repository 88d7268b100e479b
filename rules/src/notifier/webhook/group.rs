//! A group of alerts that a webhook sends together, and when (Alertmanager's aggregation groups and notification log).

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use model::{Labels, Timestamp};
use tokio::time::Instant;

use crate::Notification;

/// When a group is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) group_wait: Duration,
    pub(super) group_interval: Duration,
    pub(super) repeat_interval: Duration,
    pub(super) send_resolved: bool,
}

/// Alerts with the same values of the labels they are grouped by.
#[derive(Debug)]
pub(super) struct Group {
    /// The newest notification of each alert; a resolved one stays until that was sent.
    alerts: BTreeMap<Labels, Notification>,
    /// When it is looked at next.
    pub(super) due: Instant,
    /// The alerts that the last message called firing, and when that was.
    told: Option<(Instant, HashSet<Labels>)>,
    /// The receiver refused the last message.
    pub(super) is_refused: bool,
}

/// The alerts of one message; those that are not in it were not in the group either.
#[derive(Debug)]
pub(in crate::notifier) struct Told {
    firing: HashSet<Labels>,
    resolved: Vec<Notification>,
}

impl Group {
    pub(super) fn new(due: Instant) -> Self {
        Self { alerts: BTreeMap::new(), due, told: None, is_refused: false }
    }

    pub(super) fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Holds nothing, and nothing is to be taken back.
    pub(super) fn is_over(&self) -> bool {
        self.alerts.is_empty() && self.told.as_ref().is_none_or(|(_, firing)| firing.is_empty())
    }

    pub(super) fn holds(&self, labels: &Labels) -> bool {
        self.alerts.contains_key(labels)
    }

    /// Does the group or the receiver know this alert?
    pub(super) fn knows(&self, labels: &Labels) -> bool {
        self.holds(labels) || self.was_told(labels)
    }

    /// Takes the newest notification of an alert.
    pub(super) fn put(&mut self, alert: &Notification) {
        self.alerts.insert(alert.labels.clone(), alert.clone());
    }

    /// Every alert, with whether it fires now. One that was not repeated in time is over.
    pub(super) fn alerts(&self, now: Timestamp) -> impl Iterator<Item = (&Notification, bool)> {
        self.alerts.values().map(move |alert| (alert, !alert.is_resolved_at(now)))
    }

    /// How many alerts are in another state than the last message said; those that a message would only repeat do not count.
    pub(super) fn unsent(&self, send_resolved: bool, now: Timestamp) -> usize {
        let is_unsent = |(alert, fires): (&Notification, bool)| match fires {
            true => !self.was_told(&alert.labels),
            // Nobody has heard of an alert that is over before its first message.
            false => send_resolved && self.was_told(&alert.labels),
        };
        self.alerts(now).filter(|alert| is_unsent(*alert)).count()
    }

    /// Is there to be a message now?
    pub(super) fn needs_message(&self, waits: &Waits, now: Timestamp, at: Instant) -> bool {
        let repeats = || {
            let told = self.told.as_ref();
            told.is_some_and(|(when, _)| at.duration_since(*when) >= waits.repeat_interval)
                && self.alerts(now).any(|(_, fires)| fires)
        };
        self.unsent(waits.send_resolved, now) > 0 || repeats()
    }

    /// What a message of now says.
    pub(super) fn told(&self, now: Timestamp) -> Told {
        let firing = self.alerts(now).filter(|(_, fires)| *fires).map(|(alert, _)| alert.labels.clone()).collect();
        let resolved = self.alerts(now).filter(|(_, fires)| !fires).map(|(alert, _)| alert.clone()).collect();
        Told { firing, resolved }
    }

    /// A message was sent, or none was needed where `when` is `None`.
    pub(super) fn settle(&mut self, told: Told, when: Option<Instant>, due: Instant) {
        for resolved in &told.resolved {
            // It may fire again since.
            if self.alerts.get(&resolved.labels) == Some(resolved) {
                self.alerts.remove(&resolved.labels);
            }
        }
        (self.due, self.is_refused) = (due, false);
        match (when, &mut self.told) {
            (Some(when), _) => self.told = Some((when, told.firing)),
            // What was not said is over: it may fire as something new again.
            (None, Some((_, firing))) => firing.retain(|labels| told.firing.contains(labels)),
            (None, None) => {}
        }
    }

    /// Did the last message call this alert firing?
    fn was_told(&self, labels: &Labels) -> bool {
        self.told.as_ref().is_some_and(|(_, firing)| firing.contains(labels))
    }
}
