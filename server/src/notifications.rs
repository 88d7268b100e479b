//! What the server tells people who look at it: that a configuration could not be loaded, that it starts or ends. Shown by
//! `/api/v1/notifications`, and sent to whoever listens as it changes.

use std::sync::Arc;

use anyhow::Result;
use model::Timestamp;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge, Registry};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::clock::rfc3339;

/// The texts, of which each stands at most once.
pub(crate) const STARTING: &str = "Weft is starting.";
pub(crate) const RELOAD_FAILED: &str = "Configuration reload has failed.";
pub(crate) const SHUTTING_DOWN: &str = "Weft is shutting down; requests in progress are answered.";
pub(crate) const OUT_OF_MEMORY: &str =
    "The kernel killed the process before this one for want of memory; the log says which queries ran.";

/// How many a listener may be behind before it misses some. There are fewer texts than this, so all current ones fit.
const QUEUE: usize = 16;

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Notification {
    text: &'static str,
    /// When it was last raised.
    date: String,
    /// False in the last update of one that is over.
    active: bool,
}

/// The notifications in force, and who listens.
#[derive(Clone, Debug)]
pub(crate) struct Notifications(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    max_listeners: usize,
    n_listeners: IntGauge,
    sent: IntCounter,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct State {
    current: Vec<Notification>,
    listeners: Vec<(u64, mpsc::Sender<Notification>)>,
    next: u64,
}

/// A listener; gone when dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    of: Notifications,
    id: u64,
    updates: mpsc::Receiver<Notification>,
}

impl Notifications {
    /// None in force, for at most this many listeners at once.
    pub(crate) fn new(max_listeners: usize, registry: &Registry) -> Result<Self> {
        let n_listeners = IntGauge::new(
            "prometheus_api_notification_active_subscribers",
            "Clients that listen to notifications now.",
        )?;
        let counter = |name: &str, help: &str| IntCounter::new(name, help);
        let sent =
            counter("prometheus_api_notification_updates_sent_total", "Notifications that were to go to a listener.")?;
        let dropped = counter(
            "prometheus_api_notification_updates_dropped_total",
            "Notifications that a listener missed because it is too slow.",
        )?;
        registry.register(Box::new(n_listeners.clone()))?;
        registry.register(Box::new(sent.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        Ok(Self(Arc::new(Shared { state: Mutex::default(), max_listeners, n_listeners, sent, dropped })))
    }

    /// Raises a notification; one that stands already gets a new date.
    pub(crate) fn raise(&self, text: &'static str) {
        let mut state = self.0.state.lock();
        state.current.retain(|one| one.text != text);
        let raised = Notification { text, date: rfc3339(Timestamp::now()), active: true };
        state.current.push(raised.clone());
        self.tell(&state, &raised);
    }

    /// Takes a notification back, if it stands.
    pub(crate) fn take_back(&self, text: &str) {
        let mut state = self.0.state.lock();
        if let Some(at) = state.current.iter().position(|one| one.text == text) {
            let over = Notification { active: false, ..state.current.remove(at) };
            self.tell(&state, &over);
        }
    }

    fn tell(&self, state: &State, update: &Notification) {
        for (_, listener) in &state.listeners {
            self.0.sent.inc();
            // Never waits: one slow client must not hold up a reload.
            if listener.try_send(update.clone()).is_err() {
                self.0.dropped.inc();
            }
        }
    }

    /// Those in force, by the time they were raised.
    pub(crate) fn current(&self) -> Vec<Notification> {
        self.0.state.lock().current.clone()
    }

    /// Listens from now on, beginning with those in force; `None` when as many listen as may.
    pub(crate) fn listen(&self) -> Option<Listener> {
        let mut state = self.0.state.lock();
        if state.listeners.len() >= self.0.max_listeners {
            return None;
        }
        let (sender, updates) = mpsc::channel(QUEUE);
        for one in &state.current {
            sender.try_send(one.clone()).ok();
        }
        let id = state.next;
        state.next += 1;
        state.listeners.push((id, sender));
        self.0.n_listeners.set(count(&state));
        Some(Listener { of: self.clone(), id, updates })
    }
}

fn count(state: &State) -> i64 {
    i64::try_from(state.listeners.len()).unwrap_or(i64::MAX)
}

impl Listener {
    /// The next update.
    pub(crate) async fn next(&mut self) -> Option<Notification> {
        self.updates.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.of.0.state.lock();
        state.listeners.retain(|(id, _)| *id != self.id);
        self.of.0.n_listeners.set(count(&state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[Notification]) -> Vec<(&str, bool)> {
        all.iter().map(|one| (one.text, one.active)).collect()
    }

    fn heard(listener: &mut Listener) -> Vec<Notification> {
        std::iter::from_fn(|| listener.updates.try_recv().ok()).collect()
    }

    #[test]
    fn listeners_hear_what_stands_and_what_changes() {
        let all = Notifications::new(2, &Registry::new()).unwrap();
        all.raise(STARTING);
        let mut one = all.listen().unwrap();
        all.raise(RELOAD_FAILED);
        all.take_back(STARTING);
        all.take_back(STARTING);
        assert_eq!(texts(&heard(&mut one)), [(STARTING, true), (RELOAD_FAILED, true), (STARTING, false)]);
        assert_eq!(texts(&all.current()), [(RELOAD_FAILED, true)]);
        let mut other = all.listen().unwrap();
        assert_eq!(texts(&heard(&mut other)), [(RELOAD_FAILED, true)]);
        assert!(all.listen().is_none());
        assert_eq!(all.0.n_listeners.get(), 2);
        drop(one);
        assert_eq!(all.0.n_listeners.get(), 1);
        assert!(all.listen().is_some());
    }

    #[test]
    fn a_slow_listener_misses_updates_that_are_counted() {
        let all = Notifications::new(1, &Registry::new()).unwrap();
        let mut slow = all.listen().unwrap();
        for _ in 0..QUEUE + 3 {
            all.raise(RELOAD_FAILED);
        }
        assert_eq!((all.0.sent.get(), all.0.dropped.get()), (QUEUE as u64 + 3, 3));
        assert_eq!(heard(&mut slow).len(), QUEUE);
        assert_eq!(texts(&all.current()), [(RELOAD_FAILED, true)]);
    }
}
