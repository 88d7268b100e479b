//! What of a group's past is still to be computed, and how far that is.

use std::collections::VecDeque;
use std::sync::Arc;

use model::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Begin, and end where it is not the present.
pub(crate) type Range = (Timestamp, Option<Timestamp>);

/// Ranges of time that wait at once.
const WAITING_MAX: usize = 16;

/// How far the computation of a group's past is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillStatus {
    /// The first evaluation.
    pub start: Timestamp,
    /// Behind the last one.
    pub end: Timestamp,
    /// Behind the last one that was computed.
    pub reached: Timestamp,
    /// How many were computed.
    pub evaluations: u64,
    /// How many there are.
    pub evaluations_total: u64,
    /// The rules that failed at some time, and why they did the last time.
    pub failures: Vec<(String, Arc<str>)>,
}

/// The ranges of time of a group that were asked for, and the status of the one that is, or was last, computed.
#[derive(Debug, Default)]
pub(crate) struct BackfillQueue {
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Range>,
    /// One is being computed.
    is_running: bool,
    status: Option<BackfillStatus>,
}

impl BackfillQueue {
    /// Adds a range; `false` where too many wait. One that waits already is not added twice.
    pub(crate) fn push(&self, range: Range) -> bool {
        let mut state = self.state.lock();
        if !state.waiting.contains(&range) {
            if state.waiting.len() >= WAITING_MAX {
                return false;
            }
            state.waiting.push_back(range);
        }
        self.woken.notify_one();
        true
    }

    /// Takes the next range; waits until there is one.
    pub(crate) async fn next(&self) -> Range {
        loop {
            let next = {
                let mut state = self.state.lock();
                let next = state.waiting.pop_front();
                state.is_running = next.is_some();
                next
            };
            match next {
                Some(range) => return range,
                None => self.woken.notified().await,
            }
        }
    }

    pub(crate) fn set_status(&self, status: BackfillStatus) {
        self.state.lock().status = Some(status);
    }

    /// How far the last one is, and how many are not complete; `None` where there was none.
    pub(crate) fn status(&self) -> Option<(Option<BackfillStatus>, usize)> {
        let state = self.state.lock();
        let left = state.waiting.len() + usize::from(state.is_running);
        (left > 0 || state.status.is_some()).then(|| (state.status.clone(), left))
    }

    /// Goes on where that of a group ended that this one replaces.
    pub(crate) fn take_over(&self, from: &Self) {
        let mut from = from.state.lock();
        let mut state = self.state.lock();
        state.waiting = std::mem::take(&mut from.waiting);
        // What was begun is begun anew: what was stored stays.
        let begun = from.status.take().filter(|status| status.evaluations < status.evaluations_total);
        state.waiting.extend(begun.map(|status| (status.start, Some(status.end))));
    }
}
