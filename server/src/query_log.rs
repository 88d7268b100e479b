//! The query log: a line of JSON for every query that ran, where `query_log_file` of the configuration says.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use model::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use prometheus::{Gauge, IntCounter, Registry};
use serde::Serialize;

use crate::api::format::{Raw, serialize_plain};
use crate::clock::rfc3339;

/// What is told of a query besides its statistics.
#[derive(Debug)]
pub(crate) struct Ran<'a> {
    pub(crate) query: &'a str,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// 0 of an instant query.
    pub(crate) step_ms: i64,
    pub(crate) error: Option<String>,
    /// JSON.
    pub(crate) stats: &'a str,
    pub(crate) client_ip: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
}

/// Where the lines go, if anywhere.
#[derive(Debug)]
pub(crate) struct QueryLog {
    file: Mutex<Option<File>>,
    enabled: Gauge,
    failures: IntCounter,
}

impl QueryLog {
    pub(crate) fn new(registry: &Registry) -> Result<Self> {
        let enabled = Gauge::new("prometheus_engine_query_log_enabled", "1 when queries are written to a file.")?;
        let failures =
            IntCounter::new("prometheus_engine_query_log_failures_total", "Queries that could not be written there.")?;
        registry.register(Box::new(enabled.clone()))?;
        registry.register(Box::new(failures.clone()))?;
        Ok(Self { file: Mutex::new(None), enabled, failures })
    }

    /// Opens a file to write to, or none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(&self, path: Option<&Path>) -> Result<Option<File>> {
        let open = |path: &Path| {
            let file = File::options().append(true).create(true).open(path);
            file.with_context(|| format!("can't create json log file (query_log_file): open {}", path.display()))
        };
        path.map(open).transpose()
    }

    /// Writes to this file from now on, or to none.
    pub(crate) fn write_to(&self, file: Option<File>) {
        self.enabled.set(f64::from(u8::from(file.is_some())));
        *self.file() = file;
    }

    /// Is there a file?
    pub(crate) fn is_open(&self) -> bool {
        self.file().is_some()
    }

    /// Writes a line.
    pub(crate) fn write(&self, ran: &Ran<'_>) {
        // Made before the lock is taken: queries end side by side.
        let line = line(ran, Timestamp::now());
        let Some(file) = &mut *self.file() else { return };
        // One call, so that lines never mix.
        if let Err(error) = file.write_all(line.as_bytes()) {
            self.failures.inc();
            tracing::error!(err = %error, "can't log query");
        }
    }

    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock()
    }
}

/// A line as upstream writes it.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    source: &'static str,
    msg: &'static str,
    params: ParamsJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    stats: Raw<'a>,
    /// There is no tracing here; upstream writes zeros without it, too.
    #[serde(rename = "spanID")]
    span_id: &'static str,
    #[serde(rename = "traceID")]
    trace_id: &'static str,
    #[serde(rename = "httpRequest")]
    http_request: HttpRequest<'a>,
}

#[derive(Serialize)]
struct ParamsJson<'a> {
    end: String,
    query: &'a str,
    start: String,
    /// Seconds, cut to whole ones.
    step: i64,
}

#[derive(Serialize)]
struct HttpRequest<'a> {
    #[serde(rename = "clientIP")]
    client_ip: &'a str,
    method: &'a str,
    path: &'a str,
}

fn line(ran: &Ran<'_>, now: Timestamp) -> String {
    let line = Line {
        time: rfc3339(now),
        level: "INFO",
        source: "query_log.rs",
        msg: "promql query logged",
        params: ParamsJson {
            end: rfc3339(ran.end),
            query: ran.query,
            start: rfc3339(ran.start),
            step: ran.step_ms / 1000,
        },
        error: ran.error.as_deref(),
        stats: Raw(ran.stats),
        span_id: "0000000000000000",
        trace_id: "00000000000000000000000000000000",
        http_request: HttpRequest { client_ip: ran.client_ip, method: ran.method, path: ran.path },
    };
    let mut out = String::new();
    serialize_plain(&mut out, &line);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_upstreams_fields() {
        let ran = Ran {
            query: "up < \"a\"",
            start: Timestamp::EPOCH,
            end: Timestamp(60_500),
            step_ms: 1_500,
            error: Some("no".to_owned()),
            stats: "{}",
            client_ip: "::1",
            method: "GET",
            path: "/api/v1/query_range",
        };
        let expected = r#"{"time":"2023-11-14T22:13:20.123Z","level":"INFO","source":"query_log.rs","msg":"promql query logged","params":{"end":"1970-01-01T00:01:00.500Z","query":"up < \"a\"","start":"1970-01-01T00:00:00.000Z","step":1},"error":"no","stats":{},"spanID":"0000000000000000","traceID":"00000000000000000000000000000000","httpRequest":{"clientIP":"::1","method":"GET","path":"/api/v1/query_range"}}"#;
        assert_eq!(line(&ran, Timestamp(1_700_000_000_123)), format!("{expected}\n"));
    }

    #[test]
    fn a_file_that_cannot_be_opened_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = QueryLog::new(&Registry::new()).unwrap();
        let path = folder.path().join("queries.log");
        log.write_to(log.open(Some(&path)).unwrap());
        let absent = folder.path().join("none/queries.log");
        let error = format!("{:#}", log.open(Some(&absent)).unwrap_err());
        assert!(error.contains("query_log_file") && error.contains(&absent.display().to_string()), "{error}");
        assert!(log.is_open() && log.enabled.get() > 0.0);
        log.write_to(log.open(None).unwrap());
        assert!(!log.is_open() && log.enabled.get() == 0.0);
    }
}
