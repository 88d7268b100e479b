//! What a failed watch is told as, and when it is tried again.

use std::time::Duration;

use kube::runtime::watcher;
use tokio::time::Instant;

/// The pauses are those of upstream's client: the first, the longest, and after how long without a failure the next begins
/// with the first again.
const FIRST: Duration = Duration::from_millis(800);
const LONGEST: Duration = Duration::from_secs(30);
const FORGOTTEN: Duration = Duration::from_secs(120);

/// How long to wait after a failure. That a list begins, or succeeds before its watch fails, makes no pause shorter.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    failed: Option<Instant>,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST, failed: None }
    }

    /// The pause after a failure now.
    pub(super) fn pause(&mut self, now: Instant) -> Duration {
        if self.failed.is_none_or(|failed| now.duration_since(failed) >= FORGOTTEN) {
            self.next = FIRST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        // Counted from when the next attempt begins.
        self.failed = Some(now + pause);
        pause
    }
}

/// What the server said, or why it said nothing; never as the library's structures look.
pub(super) fn told(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) => format!("cannot list: {}", of_client(error)),
        WatchStartFailed(error) | WatchFailed(error) => of_client(error),
        WatchError(status) => of_server(status),
        error => model::with_causes(error),
    }
}

fn of_client(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => of_server(status),
        error => model::with_causes(error),
    }
}

fn of_server(status: &kube::core::Status) -> String {
    let text = if status.message.is_empty() { &status.reason } else { &status.message };
    let hint = match status.code {
        403 => "; give its service account the right in a Role or ClusterRole",
        _ => "",
    };
    format!("{text} (HTTP {}){hint}", status.code)
}

/// Are the credentials no longer taken?
pub(super) fn is_unauthorized(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        WatchError(status) => status.code == 401,
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.code == 401) || matches!(error, kube::Error::Auth(_))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_has_gone_well_for_long() {
        let mut backoff = Backoff::new();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for well in [0, 0, 1, 60, 0, 0, 0, 119, 120, 0] {
            now += Duration::from_secs(well);
            let pause = backoff.pause(now);
            now += pause;
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 800, 1_600]);
    }

    #[test]
    fn what_the_server_said_is_told_in_its_words() {
        let status = |code, message: &str| {
            let mut status = kube::core::Status::failure(message, "Forbidden");
            status.code = code;
            Box::new(status)
        };
        let message = "pods is forbidden: User \"u\" cannot list resource \"pods\" at the cluster scope";
        let forbidden = watcher::Error::InitialListFailed(kube::Error::Api(status(403, message)));
        let hint = "; give its service account the right in a Role or ClusterRole";
        assert_eq!(told(&forbidden), format!("cannot list: {message} (HTTP 403){hint}"));
        let expired = watcher::Error::WatchError(status(410, ""));
        assert_eq!(told(&expired), "Forbidden (HTTP 410)");
        assert!(is_unauthorized(&watcher::Error::WatchError(status(401, ""))) && !is_unauthorized(&forbidden));
    }
}
