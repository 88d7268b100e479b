//! One request to a receiver of alerts, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use config::HttpClientConfig;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http_client::{HttpClient, Resolver, answer};
use url::Url;

/// As much of an error page is shown.
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
            let mut response = match client.post(url, &headers, body).await {
                Ok(response) => response,
                Err(error) => return Outcome::Failed(error.to_string(), None),
            };
            let (status, wait) = (response.status(), answer::retry_after(response.headers()));
            let said = answer::excerpt(&mut response, SHOWN_CHARS_MAX).await;
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

fn bad_status(status: &str, said: &str) -> String {
    let colon = if said.is_empty() { "" } else { ": " };
    format!("bad response status {status}{colon}{said}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_status_is_told_with_what_the_receiver_says() {
        assert_eq!(bad_status("400 Bad Request", ""), "bad response status 400 Bad Request");
        assert_eq!(bad_status("400 Bad Request", "<html> no"), "bad response status 400 Bad Request: <html> no");
    }
}
