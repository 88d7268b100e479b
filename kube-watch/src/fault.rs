//! Why a request failed, in words, and what that means for the next one; and how long to wait before it.

use std::time::Duration;

use kube::core::Status;
use tokio::time::Instant;

/// The pauses of Prometheus' client: it starts with the first one ([`Limits::pause`](crate::Limits)), doubles it up to the longest,
/// and starts again after a time without a failure.
const LONGEST: Duration = Duration::from_secs(30);
const RESET_AFTER: Duration = Duration::from_secs(120);
/// No server makes a watch wait longer, whatever its `Retry-After` says.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

const UNAUTHORIZED: u16 = 401;
pub(crate) const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    /// The HTTP status of the server's response, if there was one.
    pub(crate) status: Option<u16>,
    /// How long the server asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The credentials were refused or cannot be read; only a new client reads them again.
    pub(crate) is_of_credentials: bool,
    /// A watch can go on where it ended. Otherwise what happened meanwhile is unknown, and a list is needed.
    pub(crate) is_resumable: bool,
}

impl Fault {
    /// One after which nothing is certain.
    pub(crate) fn new(message: String) -> Self {
        Self { message, status: None, retry_after: None, is_of_credentials: false, is_resumable: false }
    }

    /// What the server sent is not what it should be.
    pub(crate) fn garbage(what: &str, error: &serde_json::Error) -> Self {
        Self::new(format!("the server sent {what} that cannot be read: {}", without_values(&error.to_string())))
    }

    /// There was no response.
    pub(crate) fn of_client(error: &kube::Error) -> Self {
        let is_of_credentials = matches!(error, kube::Error::Auth(_));
        Self { is_of_credentials, is_resumable: true, ..Self::new(model::with_causes(error)) }
    }

    /// Why a request of kube's own client failed.
    pub(crate) fn of_request(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_server(status.code, status, None),
            error => Self::of_client(error),
        }
    }

    /// The server did not answer in time.
    pub(crate) fn silent(within: Duration) -> Self {
        Self { is_resumable: true, ..Self::new(format!("no answer within {within:?}")) }
    }

    /// The server's response, by its message.
    pub(crate) fn of_server(code: u16, status: &Status, retry_after: Option<u64>) -> Self {
        let text = if status.message.is_empty() { &status.reason } else { &status.message };
        let hint = match code {
            FORBIDDEN => "; give its service account the right in a Role or ClusterRole",
            NOT_FOUND => "; the API server does not know the kind: its CustomResourceDefinition is not installed",
            _ => "",
        };
        // Priority and fairness says it in the header, others in the details.
        let in_details = status.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
        let retry_after = retry_after.or(in_details).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Self {
            message: format!("{text} (HTTP {code}){hint}"),
            status: Some(code),
            retry_after: retry_after.map(|after| after.min(RETRY_AFTER_MAX)),
            is_of_credentials: code == UNAUTHORIZED,
            // Busy, or not ready yet. Other statuses may be about the version that a watch starts at, as 410 is.
            is_resumable: matches!(code, UNAUTHORIZED | 429 | 503),
        }
    }

    pub(crate) fn is_forbidden(&self) -> bool {
        self.status == Some(FORBIDDEN)
    }

    /// A fault of listing says so.
    pub(crate) fn while_listing(self) -> Self {
        Self { message: format!("cannot list: {}", self.message), ..self }
    }
}

/// How long to wait after a failure. A list that succeeds before its watch fails again does not shorten the pause.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    next: Duration,
    failed: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(first: Duration) -> Self {
        Self { first, next: first, failed: None }
    }

    /// The pause after a failure now.
    pub(crate) fn pause(&mut self, now: Instant) -> Duration {
        if self.failed.is_none_or(|failed| now.duration_since(failed) >= RESET_AFTER) {
            self.next = self.first;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        // The time without a failure starts with the next attempt.
        self.failed = Some(now + pause);
        pause
    }

    /// The pause after this fault: at least what the server asks for.
    pub(crate) fn pause_after(&mut self, fault: &Fault, now: Instant) -> Duration {
        self.pause(now).max(fault.retry_after.unwrap_or_default())
    }
}

/// The text of a parser's error without the texts it quotes: these may be part of a Secret.
pub(crate) fn without_values(error: &str) -> String {
    let mut shown = String::new();
    let mut rest = error;
    while let Some((before, quoted)) = rest.split_once('"') {
        shown.push_str(before);
        shown.push('…');
        // A quote within the text is escaped.
        let mut escaped = false;
        let end = quoted.find(|c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = end.map_or("", |end| &quoted[end + 1..]);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(800);

    #[test]
    fn pauses_grow_until_it_has_gone_well_for_long() {
        let mut backoff = Backoff::new(FIRST);
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
        let of = |code, message: &str| Fault::of_server(code, &Status::failure(message, "Forbidden"), None);
        let message = "pods is forbidden: User \"u\" cannot list resource \"pods\" at the cluster scope";
        let forbidden = of(403, message);
        let hint = "; give its service account the right in a Role or ClusterRole";
        assert_eq!(forbidden.clone().while_listing().message, format!("cannot list: {message} (HTTP 403){hint}"));
        assert!(forbidden.is_forbidden() && !forbidden.is_of_credentials);
        let expired = of(410, "");
        assert_eq!((expired.message.as_str(), expired.is_resumable), ("Forbidden (HTTP 410)", false));
        assert!(of(401, "").is_of_credentials && of(503, "").is_resumable && !of(500, "").is_resumable);
    }

    #[test]
    fn a_server_that_asks_to_wait_is_given_the_time() {
        let of = |status: &Status, header| Fault::of_server(429, status, header).retry_after;
        let mut status = Status::failure("busy", "TooManyRequests");
        assert_eq!((of(&status, None), of(&status, Some(0))), (None, None));
        assert_eq!(of(&status, Some(7)), Some(Duration::from_secs(7)));
        assert_eq!(of(&status, Some(u64::MAX)), Some(RETRY_AFTER_MAX));
        status.details = Some(serde_json::from_str(r#"{"retryAfterSeconds":3}"#).unwrap());
        assert_eq!(of(&status, None), Some(Duration::from_secs(3)));
        let (mut backoff, now) = (Backoff::new(FIRST), Instant::now());
        let fault = Fault::of_server(429, &status, None);
        assert!(fault.is_resumable && backoff.pause_after(&fault, now) == Duration::from_secs(3));
        assert_eq!(backoff.pause_after(&Fault::new(String::new()), now), FIRST * 2);
    }

    #[test]
    fn an_error_quotes_no_values() {
        assert_eq!(
            without_values(r#"invalid type: string "a\"b", expected "c" at 1"#),
            "invalid type: string …, expected … at 1"
        );
        assert_eq!(without_values(r#"open "end"#), "open …");
    }
}
