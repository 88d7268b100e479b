//! `http_sd_configs`: target groups in JSON from an HTTP endpoint (upstream: `discovery/http`).

use std::collections::BTreeSet;
use std::time::Duration;

use config::{HttpSdConfig, target_groups};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use model::TargetGroup;
use prometheus::IntCounter;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use crate::api::{Api, headers};
use crate::discoverer::{Context, Discoverer};
use crate::listed::groups_of;
use crate::refresh::{Found, Refresh, refresh_interval, refreshed};

/// The label that holds the URL a target is from.
const URL: &str = "__meta_url";
/// Header: how often the endpoint is asked, in seconds.
const INTERVAL: &str = "x-prometheus-refresh-interval-seconds";

pub(crate) fn new(config: &HttpSdConfig, context: &Context) -> Box<dyn Discoverer> {
    refreshed(Endpoint::new(config, context), config.refresh_interval_ms, context)
}

/// An endpoint, and what it said last.
struct Endpoint {
    url: String,
    api: Api,
    interval: Duration,
    failures: IntCounter,
    /// The hash of what it said last, if that was right.
    said: Option<u64>,
}

impl Endpoint {
    fn new(config: &HttpSdConfig, context: &Context) -> Self {
        let interval = refresh_interval(config.refresh_interval_ms);
        let api = Api::new(&config.http, interval, context);
        let failures = context.metrics.http_failures.clone();
        Self { url: config.url.clone(), api, interval, failures, said: None }
    }

    async fn ask(&self) -> Result<Vec<u8>, String> {
        let url = Url::parse(&self.url).map_err(|error| format!("url {:?}: {error}", self.url))?;
        let seconds = self.interval.as_secs_f64().to_string();
        let headers = headers([("accept", "application/json"), (INTERVAL, &seconds)])?;
        let answer = self.api.get(&url, &headers).await?;
        if answer.status != StatusCode::OK {
            return Err(format!("server returned HTTP status {}", answer.status));
        }
        let kind = answer.header(&CONTENT_TYPE);
        if is_json(kind) { Ok(answer.body) } else { Err(format!("unsupported content type {kind:?}")) }
    }

    /// The groups of an answer; `None` if it is the last one again.
    async fn groups(&mut self) -> Result<Option<Vec<TargetGroup>>, String> {
        let body = self.ask().await?;
        let hash = xxh3_64(&body);
        if self.said == Some(hash) {
            return Ok(None);
        }
        let groups = target_groups(&body, true)?;
        self.said = Some(hash);
        Ok(Some(groups_of(groups, URL, &self.url)))
    }
}

impl Refresh for Endpoint {
    const MECHANISM: &'static str = "http";

    fn refresh<'a>(&'a mut self, known: &'a BTreeSet<String>) -> BoxFuture<'a, Found> {
        async move {
            match self.groups().await {
                Ok(Some(groups)) => Found { groups, ..Found::default() },
                Ok(None) => Found { kept: known.iter().cloned().collect(), ..Found::default() },
                Err(error) => {
                    self.failures.inc();
                    Found::failed(error)
                }
            }
        }
        .boxed()
    }
}

/// JSON in UTF-8, as upstream takes it.
pub(crate) fn is_json(kind: &str) -> bool {
    let kind = kind.trim().to_ascii_lowercase();
    let Some(rest) = kind.strip_prefix("application/json") else { return false };
    let charset = || rest.strip_prefix(';')?.trim_start().strip_prefix("charset=");
    rest.is_empty() || charset().is_some_and(|charset| matches!(charset, "utf-8" | "\"utf-8\""))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kit::{Answer, Exporter};
    use parking_lot::Mutex;

    use super::*;
    use crate::recorded::context;

    fn endpoint(url: String) -> Endpoint {
        let config = HttpSdConfig { url, refresh_interval_ms: 60_000, http: config::HttpClientConfig::default() };
        Endpoint::new(&config, &context())
    }

    fn answer(status: &str, kind: &str, body: &str) -> Answer {
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n");
        Answer::Raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }

    #[tokio::test]
    async fn groups_come_stay_and_go() {
        let (says, asked) =
            (Arc::new(Mutex::new(answer("200 OK", "text/html", "[]"))), Arc::new(Mutex::new(String::new())));
        let (answers, heard) = (Arc::clone(&says), Arc::clone(&asked));
        let server = Exporter::start_with(move |head| {
            *heard.lock() = head.to_lowercase();
            answers.lock().clone()
        });
        let mut endpoint = endpoint(format!("http://{}/sd", server.address));
        let json = "application/json; charset=utf-8";
        let two = r#"[{"targets":["a:1","b:2"],"labels":{"zone":"x","__meta_url":"forged"}},{"targets":["c:3"]}]"#;
        let mut known = BTreeSet::new();
        let mut refresh = async |says_now: Answer| {
            *says.lock() = says_now;
            let found = endpoint.refresh(&known).await;
            if found.error.is_none() {
                known =
                    found.groups.iter().map(|group| group.source.clone()).chain(found.kept.iter().cloned()).collect();
            }
            (found, known.len(), endpoint.failures.get())
        };
        let (found, n_known, failures) = refresh(answer("200 OK", "text/html", "[]")).await;
        assert_eq!(found.error.as_deref(), Some("unsupported content type \"text/html\""));
        assert_eq!((n_known, failures), (0, 1));
        let (found, n_known, failures) = refresh(answer("200 OK", json, two)).await;
        assert_eq!((found.error, n_known, failures), (None, 2, 1));
        let url = format!("http://{}/sd", server.address);
        let group = &found.groups[0];
        assert_eq!((group.source.as_str(), group.targets.len()), (format!("{url}:0").as_str(), 2));
        assert_eq!((group.labels.value("zone"), group.labels.value(URL)), ("x", url.as_str()));
        assert!(asked.lock().contains("x-prometheus-refresh-interval-seconds: 60\r\n"), "{}", asked.lock());
        assert!(asked.lock().contains("accept: application/json\r\n"), "{}", asked.lock());
        // The same again is not parsed again, and nothing is lost.
        let (found, n_known, _) = refresh(answer("200 OK", json, two)).await;
        assert_eq!((found.groups.len(), n_known), (0, 2));
        for (status, body, told) in [
            ("503 Service Unavailable", "", "server returned HTTP status 503 Service Unavailable"),
            ("200 OK", "{}", "an object, where a list of groups belongs"),
            ("200 OK", "[null]", "nil target group item found"),
            ("200 OK", "[{", "EOF"),
        ] {
            let (found, n_known, _) = refresh(answer(status, json, body)).await;
            assert!(found.error.as_ref().is_some_and(|error| error.contains(told)), "{:?}", found.error);
            assert_eq!(n_known, 2, "{told}");
        }
        let (found, n_known, _) = refresh(answer("200 OK", "application/json", r#"[{"targets":["a:1"]}]"#)).await;
        assert_eq!((found.error, n_known), (None, 1));
        drop(server);
        let (found, n_known, failures) = refresh(Answer::Silence).await;
        assert!(found.error.as_ref().is_some_and(|error| error.contains("connection refused")), "{:?}", found.error);
        assert_eq!((n_known, failures), (1, 6));
    }

    #[test]
    fn json_in_utf_8_is_taken() {
        for kind in [
            "application/json",
            " Application/JSON ",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(kind), "{kind}");
        }
        for kind in [
            "",
            "text/json",
            "application/json; charset=latin1",
            "application/jsonl",
            "application/json;",
            "application/json; a=b",
        ] {
            assert!(!is_json(kind), "{kind}");
        }
    }
}
