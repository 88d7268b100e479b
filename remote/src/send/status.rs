//! How the sending to a remote goes, for who asks.

use model::Timestamp;
use parking_lot::Mutex;

/// The state of one remote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteStatus {
    /// Its name, as in metrics.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Everything before this is acknowledged, but for samples that came late.
    pub sent_until: Timestamp,
    /// How far that is behind what is stored, seconds.
    pub behind_seconds: f64,
    /// Samples that are not yet acknowledged: those that were read, and about how many are still to be read.
    pub pending_samples: u64,
    /// Samples that were acknowledged each second lately.
    pub samples_per_second: f64,
    /// In how many seconds it will have caught up, if it goes on like this; `None` where it does not.
    pub eta_seconds: Option<f64>,
    /// Requests that are made at once.
    pub shards: usize,
    /// The last error and when it was.
    pub last_error: Option<(String, Timestamp)>,
}

/// What a remote says of itself.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) sent_until: Timestamp,
    /// Read and not acknowledged.
    pub(super) pending: u64,
    /// How far back in time what is read reaches.
    pub(super) read_until: Timestamp,
    pub(super) came_per_second: f64,
    pub(super) sent_per_second: f64,
    pub(super) shards: usize,
    pub(super) last_error: Option<(String, Timestamp)>,
}

impl Progress {
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock());
    }

    pub(super) fn status(&self, (name, url): (&str, &str), newest: Timestamp) -> RemoteStatus {
        let state = self.0.lock().clone();
        let seconds = |from: Timestamp| newest.saturating_since(from).max(0) as f64 / 1000.0;
        let pending = state.pending as f64 + seconds(state.read_until) * state.came_per_second;
        let gain = state.sent_per_second - state.came_per_second;
        let eta_seconds = match pending {
            0.0 => Some(0.0),
            // What is on its way in the usual course of things is not behind.
            pending if gain <= 0.0 => (seconds(state.sent_until) < KEEPS_UP && pending > 0.0).then_some(0.0),
            pending => Some(pending / gain),
        };
        RemoteStatus {
            name: name.to_owned(),
            url: url.to_owned(),
            sent_until: state.sent_until,
            behind_seconds: seconds(state.sent_until),
            pending_samples: pending as u64,
            samples_per_second: state.sent_per_second,
            eta_seconds,
            shards: state.shards,
            last_error: state.last_error,
        }
    }
}

/// Who is no further behind than this, seconds, keeps up.
const KEEPS_UP: f64 = 30.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_samples_are_read_ones_and_estimated_ones() {
        let progress = Progress::default();
        progress.update(|state| {
            *state = State {
                sent_until: Timestamp(100_000),
                read_until: Timestamp(110_000),
                pending: 50,
                came_per_second: 10.0,
                sent_per_second: 60.0,
                shards: 2,
                last_error: Some(("busy".to_owned(), Timestamp(1))),
            };
        });
        let status = progress.status(("a", "http://h/"), Timestamp(200_000));
        assert_eq!((status.behind_seconds, status.pending_samples, status.eta_seconds), (100.0, 950, Some(19.0)));
        progress.update(|state| state.sent_per_second = 0.0);
        assert_eq!(progress.status(("a", "u"), Timestamp(200_000)).eta_seconds, None, "nothing is sent");
        assert_eq!(progress.status(("a", "u"), Timestamp(110_000)).eta_seconds, Some(0.0), "it keeps up");
    }
}
