//! The alerts that wait to be sent to one Alertmanager.
//!
//! An alert is known by its labels and stands in the queue once, where its oldest notification that was not sent stood. Which
//! notifications one place holds follows from what Alertmanager does with each:
//!
//! - Firing after firing, or resolved after anything: the newer one says all. Alertmanager keeps the earliest `startsAt` it was
//!   told of an alert and takes the newer `endsAt`, so the older one would change nothing.
//! - Firing after resolved: both are kept and sent in this order. Without the resolution, Alertmanager would merge the new alert
//!   with the one it knows, as the times of both overlap (what it knows ends at the `endsAt` that was announced last), and go on
//!   with the old `startsAt`.
//!
//! So a place holds two notifications at most, however long an Alertmanager is away. What is sent twice because an answer was lost
//! is no second alert: labels and `startsAt` are the same.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use model::{Labels, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::alerts_json::alerts_json;
use super::metrics::ReceiverMetrics;
use super::send_loop::{Next, Outbox};
use crate::Notification;

/// How long after its end a notification is still sent: as long as rules repeat that an alert is resolved. An older one could
/// replace what Alertmanager has learnt meanwhile from another server with the same alerts, which then is newer.
const SENT_AFTER_END_MS: i64 = 15 * 60 * 1000;

/// A bounded queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    capacity: usize,
    batch_size: usize,
    woken: Notify,
    metrics: ReceiverMetrics,
    receiver: String,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    alerts: BTreeMap<u64, Waiting>,
    by_labels: HashMap<Labels, u64>,
    next_place: u64,
}

/// What is to be sent of one alert.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Sent before `newest`, which fires again.
    resolution: Option<Notification>,
    newest: Notification,
    /// Told apart when it was queued: the end of a firing one may pass while it waits.
    is_resolved: bool,
}

impl Waiting {
    fn new(newest: Notification, now: Timestamp) -> Self {
        let is_resolved = newest.is_resolved_at(now);
        Self { resolution: None, newest, is_resolved }
    }

    /// Takes over what a newer one of the same alert says.
    fn update(&mut self, newer: Self) {
        let resolution = match newer.resolution {
            Some(resolution) => Some(resolution),
            None if newer.is_resolved => None,
            None if self.is_resolved => Some(self.newest.clone()),
            None => self.resolution.take(),
        };
        *self = Self { resolution, ..newer };
    }

    /// In the order of sending.
    fn notifications(&self) -> impl Iterator<Item = &Notification> {
        self.resolution.iter().chain([&self.newest])
    }
}

impl State {
    fn push(&mut self, waiting: Waiting) {
        match self.by_labels.get(&waiting.newest.labels).and_then(|place| self.alerts.get_mut(place)) {
            Some(older) => older.update(waiting),
            None => {
                let place = self.next_place;
                self.next_place += 1;
                self.insert(place, waiting);
            }
        }
    }

    /// Puts an alert back that could not be sent; what came meanwhile is newer.
    fn put_back(&mut self, place: u64, mut waiting: Waiting) {
        let newer = self.by_labels.get(&waiting.newest.labels).and_then(|place| self.alerts.remove(place));
        if let Some(newer) = newer {
            waiting.update(newer);
        }
        self.insert(place, waiting);
    }

    fn insert(&mut self, place: u64, waiting: Waiting) {
        self.by_labels.insert(waiting.newest.labels.clone(), place);
        self.alerts.insert(place, waiting);
    }

    fn pop(&mut self) -> Option<(u64, Waiting)> {
        let (place, waiting) = self.alerts.pop_first()?;
        self.by_labels.remove(&waiting.newest.labels);
        Some((place, waiting))
    }

    /// Drops the oldest where there are more than this; how many.
    fn shrink_to(&mut self, capacity: usize) -> usize {
        let over = self.alerts.len().saturating_sub(capacity);
        for _ in 0..over {
            self.pop();
        }
        over
    }

    /// Takes the oldest alerts out, so many notifications at most; and how many were too old to be sent.
    fn take(&mut self, batch_size: usize, now: Timestamp) -> (Vec<(u64, Waiting)>, usize) {
        let (mut batch, mut notifications, mut late) = (Vec::new(), 0, 0);
        let is_late = |one: &Notification| one.is_resolved_at(now.saturating_sub(SENT_AFTER_END_MS));
        while notifications < batch_size {
            let Some((place, mut waiting)) = self.pop() else { break };
            if is_late(&waiting.newest) {
                late += 1;
                continue;
            }
            waiting.resolution = waiting.resolution.filter(|resolution| !is_late(resolution));
            let more = waiting.notifications().count();
            if notifications > 0 && notifications + more > batch_size {
                // A resolution stays with what follows it.
                self.insert(place, waiting);
                break;
            }
            notifications += more;
            batch.push((place, waiting));
        }
        (batch, late)
    }
}

impl Queue {
    pub(super) fn new(capacity: usize, batch_size: usize, metrics: ReceiverMetrics, receiver: &str) -> Self {
        Self {
            state: Mutex::default(),
            capacity,
            batch_size,
            woken: Notify::new(),
            metrics,
            receiver: receiver.to_owned(),
        }
    }

    /// Queues notifications; where there is no room for all, the oldest are dropped.
    pub(super) fn add(&self, alerts: &[Notification], now: Timestamp) {
        let dropped = self.changed(|state| {
            let mut dropped = 0;
            for alert in alerts {
                state.push(Waiting::new(alert.clone(), now));
                dropped += state.shrink_to(self.capacity);
            }
            dropped
        });
        if dropped > 0 {
            tracing::warn!(alertmanager = %self.receiver, count = dropped, "alerts dropped: the queue is full");
        }
        self.woken.notify_one();
    }

    /// Changes the queue, and counts what it holds afterwards and what was dropped.
    fn changed(&self, change: impl FnOnce(&mut State) -> usize) -> usize {
        let mut state = self.state.lock();
        let before = state.alerts.len();
        let dropped = change(&mut state);
        self.metrics.length_changed(before, state.alerts.len());
        self.metrics.dropped.inc_by(dropped as u64);
        dropped
    }

    fn next_at(&self, now: Timestamp) -> Next<Vec<(u64, Waiting)>> {
        let mut batch = Vec::new();
        let late = self.changed(|state| {
            let (taken, late) = state.take(self.batch_size, now);
            batch = taken;
            late
        });
        if late > 0 {
            tracing::warn!(alertmanager = %self.receiver, count = late, "alerts dropped: they ended too long ago");
        }
        if batch.is_empty() {
            return Next::Nothing;
        }
        let body = alerts_json(batch.iter().flat_map(|(_, waiting)| waiting.notifications()));
        let alerts = batch.iter().map(|(_, waiting)| waiting.notifications().count()).sum();
        Next::Send { batch, body: Bytes::from(body), alerts }
    }
}

impl Outbox for Queue {
    type Batch = Vec<(u64, Waiting)>;

    fn next(&self, _: bool) -> Next<Self::Batch> {
        self.next_at(Timestamp::now())
    }

    fn accepted(&self, _: Self::Batch) {}

    /// Alertmanager refuses a request for one bad alert, but takes the others.
    fn refused(&self, _: Self::Batch) {}

    fn failed(&self, batch: Self::Batch) {
        let dropped = self.changed(|state| {
            for (place, waiting) in batch {
                state.put_back(place, waiting);
            }
            state.shrink_to(self.capacity)
        });
        if dropped > 0 {
            tracing::warn!(alertmanager = %self.receiver, count = dropped, "alerts dropped: the queue is full");
        }
    }

    fn clear(&self) -> usize {
        let mut left = 0;
        self.changed(|state| {
            left = std::mem::take(state).alerts.len();
            // The loop counts what it did not send.
            0
        });
        left
    }

    fn woken(&self) -> &Notify {
        &self.woken
    }

    fn metrics(&self) -> &ReceiverMetrics {
        &self.metrics
    }
}

#[cfg(test)]
mod tests;
