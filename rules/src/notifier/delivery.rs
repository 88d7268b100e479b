//! One request to a receiver of alerts, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use config::HttpClientConfig;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http_client::{HttpClient, Resolver};
use model::Timestamp;
use url::Url;

/// As much of an answer is read: enough to say what is wrong in a log, and to use the connection again.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// As much of it is shown.
const SHOWN_CHARS_MAX: usize = 300;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has the alerts.
    Accepted,
    /// It will not take them, now or later.
    Refused(String),
    /// It may take them later; perhaps it said when.
    Failed(String, Option<Duration>),
}

/// Sends requests as one section of the configuration says.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Or why nothing can be sent.
    client: Result<HttpClient, String>,
    timeout: Duration,
}

impl Delivery {
    pub(super) fn new(config: &HttpClientConfig, timeout_ms: i64, user_agent: &str, resolver: &Resolver) -> Self {
        let client = HttpClient::new(config, user_agent, resolver).map_err(|error| model::with_causes(&error));
        Self { client, timeout: Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)) }
    }

    /// Sends nothing, for this reason.
    pub(super) fn impossible(why: &str) -> Self {
        Self { client: Err(why.to_owned()), timeout: Duration::ZERO }
    }

    /// Why nothing can be sent.
    pub(super) fn error(&self) -> Option<&str> {
        self.client.as_ref().err().map(String::as_str)
    }

    /// Sends a JSON document.
    pub(super) async fn post(&self, url: &Url, body: Bytes) -> Outcome {
        let client = match &self.client {
            Ok(client) => client,
            Err(why) => return Outcome::Refused(why.clone()),
        };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let exchange = async {
            // Also what is wrong on this side, such as a missing certificate file, may be right the next time.
            let mut answer = match client.post(url, &headers, body).await {
                Ok(answer) => answer,
                Err(error) => return Outcome::Failed(error.to_string(), None),
            };
            let (status, wait) = (answer.status(), answer.headers().get(RETRY_AFTER).and_then(retry_after));
            let mut said = Vec::new();
            while said.len() < ANSWER_BYTES_MAX
                && let Ok(Some(piece)) = answer.chunk().await
            {
                said.extend_from_slice(&piece);
            }
            match status.as_u16() {
                200..300 => Outcome::Accepted,
                429 | 500.. => Outcome::Failed(bad_status(&status.to_string(), &said), wait),
                _ => Outcome::Refused(bad_status(&status.to_string(), &said)),
            }
        };
        let late = || Outcome::Failed(format!("no answer within {:?}", self.timeout), None);
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| late())
    }
}

fn bad_status(status: &str, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    // One line: an error page is many.
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN_CHARS_MAX).collect();
    let colon = if said.is_empty() { "" } else { ": " };
    format!("bad response status {status}{colon}{said}")
}

/// Seconds, or a date.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    u64::try_from(Timestamp(date).saturating_since(Timestamp::now())).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let wait = |text| retry_after(&HeaderValue::from_static(text));
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert!(wait("Wed, 21 Oct 2099 07:28:00 GMT").is_some_and(|wait| wait > Duration::from_secs(86_400)));
        assert_eq!((wait("Wed, 21 Oct 2015 07:28:00 GMT"), wait("soon")), (None, None));
    }

    #[test]
    fn an_answer_is_shown_in_one_short_line() {
        assert_eq!(bad_status("400 Bad Request", b""), "bad response status 400 Bad Request");
        assert_eq!(bad_status("400 Bad Request", b"<html>\n\n  no"), "bad response status 400 Bad Request: <html> no");
        assert!(bad_status("500", &[b'x'; 4096]).len() < 400);
    }
}
