//! How the error of a failed watch reads, and how long to wait before the next attempt.

use std::time::Duration;

use kube::runtime::watcher;
use tokio::time::Instant;

/// The pauses of Prometheus' client: it starts with the first one, doubles it up to the longest, and starts again after a time
/// without a failure.
const FIRST: Duration = Duration::from_millis(800);
const LONGEST: Duration = Duration::from_secs(30);
const RESET_AFTER: Duration = Duration::from_secs(120);

/// How long to wait after a failure. A list that succeeds before its watch fails again does not shorten the pause.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    failed: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST, failed: None }
    }

    /// The pause after a failure now.
    pub(crate) fn pause(&mut self, now: Instant) -> Duration {
        if self.failed.is_none_or(|failed| now.duration_since(failed) >= RESET_AFTER) {
            self.next = FIRST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        // The time without a failure starts with the next attempt.
        self.failed = Some(now + pause);
        pause
    }
}

/// The message of the server, or why there is none, in words for an operator.
pub(crate) fn describe(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) => format!("cannot list: {}", of_client(error)),
        WatchStartFailed(error) | WatchFailed(error) => of_client(error),
        WatchError(status) => of_server(status),
        error => model::with_causes(error),
    }
}

pub(crate) fn of_client(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => of_server(status),
        error => model::with_causes(error),
    }
}

fn of_server(status: &kube::core::Status) -> String {
    let text = if status.message.is_empty() { &status.reason } else { &status.message };
    let hint = match status.code {
        403 => "; give its service account the right in a Role or ClusterRole",
        404 => "; the API server does not know the kind: its CustomResourceDefinition is not installed",
        _ => "",
    };
    format!("{text} (HTTP {}){hint}", status.code)
}

/// The HTTP status of the server's response, if it is one that failed.
pub(crate) fn status(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        WatchError(status) => Some(status.code),
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => match error {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        _ => None,
    }
}

/// Did the server refuse the credentials?
pub(crate) fn is_unauthorized(error: &watcher::Error) -> bool {
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
    fn the_message_of_the_server_is_kept() {
        let status = |code, message: &str| {
            let mut status = kube::core::Status::failure(message, "Forbidden");
            status.code = code;
            Box::new(status)
        };
        let message = "pods is forbidden: User \"u\" cannot list resource \"pods\" at the cluster scope";
        let forbidden = watcher::Error::InitialListFailed(kube::Error::Api(status(403, message)));
        let hint = "; give its service account the right in a Role or ClusterRole";
        assert_eq!(describe(&forbidden), format!("cannot list: {message} (HTTP 403){hint}"));
        let expired = watcher::Error::WatchError(status(410, ""));
        assert_eq!(describe(&expired), "Forbidden (HTTP 410)");
        assert!(is_unauthorized(&watcher::Error::WatchError(status(401, ""))) && !is_unauthorized(&forbidden));
    }
}
