//! One request to a receiver, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use config::RemoteWriteConfig;
use futures::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_client::{HttpClient, Resolver, answer};
use url::Url;

use super::encode::Protocol;
use super::window::Counts;

/// As much of an error page is shown.
const SHOWN_CHARS_MAX: usize = 500;
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const RETRY_ATTEMPT: HeaderName = HeaderName::from_static("retry-attempt");
const WRITTEN: [HeaderName; 3] = [
    HeaderName::from_static("x-prometheus-remote-write-samples-written"),
    HeaderName::from_static("x-prometheus-remote-write-histograms-written"),
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written"),
];

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver took it; of version 2.0 it says how much was written.
    Accepted(Option<Counts>),
    /// It will not take it, now or later; some of it may be written all the same.
    Refused(String, Option<Counts>),
    /// It may take it later; perhaps it said when.
    Failed(String, Option<Duration>),
}

/// What requests are made with.
pub(super) trait Transport: Send + Sync + std::fmt::Debug {
    /// Sends a body; `attempt` counts the attempts before this.
    fn post(&self, body: Bytes, protocol: Protocol, attempt: u32) -> BoxFuture<'_, Outcome>;
}

/// HTTP, as one section of the configuration says.
#[derive(Debug)]
pub(super) struct HttpTransport {
    /// Or why nothing can be sent.
    client: Result<HttpClient, String>,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    retry_on_429: bool,
}

impl HttpTransport {
    /// # Errors
    /// When the URL or a header cannot be one.
    pub(super) fn new(config: &RemoteWriteConfig, user_agent: &str, resolver: &Resolver) -> Result<Self, String> {
        let url = Url::parse(&config.url).map_err(|error| format!("{}: {error}", config.url))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let invalid = || format!("header {name:?} is not valid");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| invalid())?);
        }
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        let resolver = if config.round_robin_dns { resolver.in_turn() } else { resolver.clone() };
        let client = match unserved(config) {
            Some(name) => Err(format!("{name} is not built in: nothing is sent to this server")),
            None => HttpClient::new(&config.http, user_agent, &resolver).map_err(|error| model::with_causes(&error)),
        };
        let timeout = Duration::from_millis(u64::try_from(config.remote_timeout_ms).unwrap_or(0));
        Ok(Self { client, url, headers, timeout, retry_on_429: config.queue_config.retry_on_http_429 })
    }

    async fn exchange(&self, body: Bytes, protocol: Protocol, attempt: u32) -> Outcome {
        let client = match &self.client {
            Ok(client) => client,
            Err(why) => return Outcome::Failed(why.clone(), None),
        };
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(protocol.content_type()));
        headers.insert(VERSION, HeaderValue::from_static(protocol.version()));
        if attempt > 0 {
            headers.insert(RETRY_ATTEMPT, HeaderValue::from(attempt));
        }
        // Also what is wrong on this side, such as a missing certificate file, may be right the next time.
        let mut response = match client.post(&self.url, &headers, body).await {
            Ok(response) => response,
            Err(error) => return Outcome::Failed(error.to_string(), None),
        };
        let status = response.status();
        let (wait, written) = (answer::retry_after(response.headers()), written(response.headers()));
        let said = answer::excerpt(&mut response, SHOWN_CHARS_MAX).await;
        let bad_status = || format!("server returned HTTP status {status}: {said}");
        match status.as_u16() {
            200..300 => Outcome::Accepted(written),
            500..600 => Outcome::Failed(bad_status(), wait),
            429 if self.retry_on_429 => Outcome::Failed(bad_status(), wait),
            _ => Outcome::Refused(bad_status(), written),
        }
    }
}

impl Transport for HttpTransport {
    fn post(&self, body: Bytes, protocol: Protocol, attempt: u32) -> BoxFuture<'_, Outcome> {
        let late = || Outcome::Failed(format!("no answer within {:?} (remote_timeout)", self.timeout), None);
        Box::pin(async move {
            let exchange = self.exchange(body, protocol, attempt);
            tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| late())
        })
    }
}

/// The authentication that a section asks for and that there is not.
fn unserved(config: &RemoteWriteConfig) -> Option<&'static str> {
    let ways = [("sigv4", &config.sigv4), ("azuread", &config.azuread), ("google_iam", &config.google_iam)];
    ways.into_iter().find_map(|(name, way)| way.is_some().then_some(name))
}

/// How much the receiver says it has written, if it says anything of it.
fn written(headers: &HeaderMap) -> Option<Counts> {
    let number = |name: &HeaderName| headers.get(name).map(|value| value.to_str().ok()?.parse().ok());
    let [samples, histograms, exemplars] = WRITTEN.each_ref().map(number);
    if samples.is_none() && histograms.is_none() && exemplars.is_none() {
        return None;
    }
    let or_none = |number: Option<Option<u64>>| number.flatten().unwrap_or(0);
    Some(Counts { samples: or_none(samples), histograms: or_none(histograms), exemplars: or_none(exemplars) })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kit::{Answer, Exporter};

    use super::*;

    fn config(text: &str) -> RemoteWriteConfig {
        let text = format!("remote_write: [{{{text}}}]");
        config::Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap().remote_write.remove(0)
    }

    async fn post(config: &RemoteWriteConfig, protocol: Protocol, attempt: u32) -> Outcome {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let transport = HttpTransport::new(config, "Weft/test", &Resolver::system()).unwrap();
        transport.post(Bytes::from_static(b"body"), protocol, attempt).await
    }

    /// What becomes of a request that gets this answer.
    async fn outcome(answer: &'static str, settings: &str) -> (Outcome, String) {
        let heads = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&heads);
        let server = Exporter::start_with(move |head| {
            *seen.lock().unwrap() = head.to_lowercase();
            Answer::Raw(answer.replace('|', "\r\n").into_bytes())
        });
        let config = config(&format!("url: 'http://{}/write', {settings}", server.address));
        let outcome = post(&config, Protocol::V2, 3).await;
        let heads = heads.lock().unwrap().clone();
        (outcome, heads)
    }

    #[tokio::test]
    async fn answers_say_what_becomes_of_a_request() {
        let of = async |answer, settings| outcome(answer, settings).await.0;
        let ok = "HTTP/1.1 204 No Content|X-Prometheus-Remote-Write-Samples-Written: 7|X-Prometheus-Remote-Write-Exemplars-Written: x||";
        let written = Counts { samples: 7, ..Counts::default() };
        assert_eq!(of(ok, "").await, Outcome::Accepted(Some(written)));
        assert_eq!(of("HTTP/1.1 200 OK|Content-Length: 0||", "").await, Outcome::Accepted(None));
        let refused = |text: &str| Outcome::Refused(format!("server returned HTTP status {text}"), None);
        let bad = "HTTP/1.1 400 Bad Request|Content-Length: 22||out of order\n  sample\n";
        assert_eq!(of(bad, "").await, refused("400 Bad Request: out of order sample"));
        let failed = |text: &str, seconds: u64| {
            Outcome::Failed(format!("server returned HTTP status {text}"), Some(Duration::from_secs(seconds)))
        };
        let many = "HTTP/1.1 429 Too Many Requests|Retry-After: 9|Content-Length: 0||";
        assert_eq!(of(many, "").await, refused("429 Too Many Requests: "));
        assert_eq!(of(many, "queue_config: {retry_on_http_429: true}").await, failed("429 Too Many Requests: ", 9));
        let busy = "HTTP/1.1 503 Service Unavailable|Retry-After: 120|Content-Length: 4||busy";
        assert_eq!(of(busy, "").await, failed("503 Service Unavailable: busy", 120));
        assert!(matches!(of("HTTP/1.1 302 Found|Location: /x|Content-Length: 0||", "").await, Outcome::Refused(..)));
        assert!(matches!(of("no HTTP at all||", "").await, Outcome::Failed(_, None)));
    }

    #[tokio::test]
    async fn a_request_says_what_it_is() {
        let (_, head) = outcome("HTTP/1.1 200 OK|Content-Length: 0||", "headers: {X-Tenant: a}").await;
        for line in [
            "post /write http/1.1",
            "content-type: application/x-protobuf;proto=io.prometheus.write.v2.request",
            "content-encoding: snappy",
            "x-prometheus-remote-write-version: 2.0.0",
            "retry-attempt: 3",
            "user-agent: weft/test",
            "x-tenant: a",
        ] {
            assert!(head.contains(line), "{line}\n{head}");
        }
    }

    #[tokio::test]
    async fn no_answer_is_a_failure_that_passes() {
        let config = config(&format!("url: 'http://127.0.0.1:{}/'", kit::free_port()));
        let Outcome::Failed(why, None) = post(&config, Protocol::V1, 0).await else { panic!("nobody listens") };
        assert!(why.contains("refused"), "{why}");
        let silent = Exporter::start(|_| Answer::Silence);
        let config = self::config(&format!("url: 'http://{}/', remote_timeout: 50ms", silent.address));
        let Outcome::Failed(why, None) = post(&config, Protocol::V1, 0).await else { panic!("nobody answers") };
        assert_eq!(why, "no answer within 50ms (remote_timeout)");
    }
}
