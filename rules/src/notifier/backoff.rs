//! How long to wait after a failed request.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
/// The most that `Retry-After` is followed: a server's mistake must not silence alerts for a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Pauses that double with each failure in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure; the server may have asked for a longer one.
    pub(super) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let pause = FIRST.saturating_mul(2u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        jittered(pause).max(asked)
    }

    /// A request succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Half of a pause to all of it, so that senders that failed together do not return together.
fn jittered(pause: Duration) -> Duration {
    // The keys of a hasher are random; nothing here needs more of a generator.
    let part = RandomState::new().hash_one(()) % 1024;
    pause / 2 + pause.mul_f64(part as f64 / 2048.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        for expected in [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let (pause, full) = (backoff.next(None), Duration::from_millis(expected));
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
        }
        backoff.failures = u32::MAX;
        assert!(backoff.next(None) <= LONGEST);
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
    }

    #[test]
    fn servers_may_ask_for_longer_pauses() {
        let pause = |seconds| Backoff::default().next(Some(Duration::from_secs(seconds)));
        assert_eq!(pause(7), Duration::from_secs(7));
        assert_eq!(pause(86_400), RETRY_AFTER_MAX);
        assert!(pause(0) >= FIRST / 2);
    }
}
