//! How long to wait after a failed request.

use std::time::Duration;

use config::QueueConfig;

/// The most that `Retry-After` is followed: a receiver's mistake must not stop the sending for a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Pauses that double with each failure in a row, from `min_backoff` to `max_backoff`.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn new(config: &QueueConfig) -> Self {
        let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        Self { next: ms(config.min_backoff_ms).max(Duration::from_millis(1)), max: ms(config.max_backoff_ms) }
    }

    /// The pause after one more failure: as long as the receiver asks for, if it does.
    pub(super) fn pause(&mut self, retry_after: Option<Duration>) -> Duration {
        let pause = match retry_after {
            Some(asked) if !asked.is_zero() => asked.min(RETRY_AFTER_MAX),
            _ => self.next,
        };
        self.next = (pause * 2).min(self.max).max(Duration::from_millis(1));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_receivers_may_ask_for_others() {
        let (min_backoff_ms, max_backoff_ms) = (30, 5_000);
        let text = "remote_write: [{url: 'http://h/'}]";
        let config = config::Config::parse(text, "p.yml".as_ref(), &|_| None).unwrap();
        let queue = QueueConfig { min_backoff_ms, max_backoff_ms, ..config.remote_write[0].queue_config.clone() };
        let mut backoff = Backoff::new(&queue);
        for expected in [30, 60, 120, 240, 480, 960, 1920, 3840, 5000, 5000] {
            assert_eq!(backoff.pause(None), Duration::from_millis(expected));
        }
        assert_eq!(backoff.pause(Some(Duration::from_secs(1))), Duration::from_secs(1));
        assert_eq!(backoff.pause(Some(Duration::ZERO)), Duration::from_secs(2));
        assert_eq!(backoff.pause(Some(Duration::from_secs(86_400))), RETRY_AFTER_MAX);
        assert_eq!(backoff.pause(None), Duration::from_secs(5));
    }
}
