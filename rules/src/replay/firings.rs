//! When the alerts of a rule would have fired.

use std::collections::HashMap;

use model::{Labels, Timestamp};

use super::outcome::{Firing, ReplayOutcome};
use crate::alert::AlertState;
use crate::alerting::Alerts;

/// About how much memory an alert takes beside its labels.
const ALERT_BYTES: usize = 256;

/// The alerts of a rule: those that are active now, and what has passed.
#[derive(Debug, Default)]
pub(super) struct Firings {
    open: HashMap<Labels, Open>,
    fired: usize,
    only_pending: usize,
    listed: Vec<Firing>,
}

/// An active alert.
#[derive(Debug)]
struct Open {
    active_at: Timestamp,
    fired_at: Option<Timestamp>,
    max_value: f64,
    /// The evaluation that saw it last.
    seen_at: Timestamp,
    /// Is there room to list it?
    is_listed: bool,
}

impl Firings {
    /// Looks at the alerts after an evaluation. `room` is for how many more there is room in the list. Returns about how much memory
    /// is taken by those that are new.
    pub(super) fn follow(&mut self, alerts: &Alerts, ts: Timestamp, room: &mut usize) -> usize {
        let mut bytes = 0;
        alerts.for_each(|alert| {
            if !alert.is_active() {
                return;
            }
            let open = self.open.entry(alert.labels.clone()).or_insert_with(|| {
                bytes += ALERT_BYTES + 2 * alert.labels.as_text().len();
                Open {
                    active_at: alert.active_at,
                    fired_at: None,
                    max_value: alert.value,
                    seen_at: ts,
                    is_listed: false,
                }
            });
            open.seen_at = ts;
            open.max_value = open.max_value.max(alert.value);
            if alert.state == AlertState::Firing && open.fired_at.is_none() {
                open.fired_at = Some(ts);
                self.fired += 1;
                open.is_listed = *room > 0;
                *room = room.saturating_sub(1);
            }
        });
        let gone = self.open.extract_if(|_, open| open.seen_at != ts);
        for (labels, open) in gone {
            self.only_pending += usize::from(open.fired_at.is_none());
            self.listed.extend(open.firing(labels, Some(ts)));
        }
        bytes
    }

    /// What has passed, with what is firing still.
    pub(super) fn outcome(mut self) -> ReplayOutcome {
        let open = std::mem::take(&mut self.open);
        self.listed.extend(open.into_iter().filter_map(|(labels, open)| open.firing(labels, None)));
        self.listed.sort_by(|a, b| (a.fired_at, &a.labels).cmp(&(b.fired_at, &b.labels)));
        ReplayOutcome::Alerted { fired: self.fired, only_pending: self.only_pending, firings: self.listed }
    }
}

impl Open {
    fn firing(self, labels: Labels, resolved_at: Option<Timestamp>) -> Option<Firing> {
        let Self { active_at, fired_at, max_value, is_listed, .. } = self;
        is_listed.then_some(Firing { labels, active_at, fired_at: fired_at?, resolved_at, max_value })
    }
}
