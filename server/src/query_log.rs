//! The query log: a line of JSON for every query that ran, where `query_log_file` of the configuration says.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use prometheus::{Gauge, IntCounter, Registry};

use crate::api::format::{label_string, object, put};
use crate::clock::rfc3339;

/// What is told of a query besides its statistics.
#[derive(Debug)]
pub(crate) struct Ran<'a> {
    pub(crate) query: &'a str,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
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
        let line = line(ran, model::time::now_ms());
        let Some(file) = &mut *self.file() else { return };
        // One call, so that lines never mix.
        if let Err(error) = file.write_all(line.as_bytes()) {
            self.failures.inc();
            tracing::error!(err = %error, "can't log query");
        }
    }

    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(ran: &Ran<'_>, now_ms: i64) -> String {
    let mut out = String::new();
    let text = |out: &mut String, name: &str, value: &str| {
        put(out, format_args!("\"{name}\":"));
        label_string(out, value);
    };
    put(&mut out, format_args!("{{\"time\":\"{}\",\"level\":\"INFO\",", rfc3339(now_ms)));
    put(&mut out, format_args!("\"source\":\"query_log.rs\",\"msg\":\"promql query logged\","));
    put(&mut out, format_args!("\"params\":{{\"end\":\"{}\",", rfc3339(ran.end_ms)));
    text(&mut out, "query", ran.query);
    // Seconds, as upstream has it, cut to whole ones.
    put(&mut out, format_args!(",\"start\":\"{}\",\"step\":{}}}", rfc3339(ran.start_ms), ran.step_ms / 1000));
    if let Some(error) = &ran.error {
        out.push(',');
        text(&mut out, "error", error);
    }
    put(&mut out, format_args!(",\"stats\":{},", ran.stats));
    // There is no tracing here; upstream writes these without it, too.
    put(&mut out, format_args!("\"spanID\":\"{:016}\",\"traceID\":\"{:032}\",\"httpRequest\":", 0, 0));
    let request = [("clientIP", ran.client_ip), ("method", ran.method), ("path", ran.path)];
    object(&mut out, request, label_string);
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_upstreams_fields() {
        let ran = Ran {
            query: "up < \"a\"",
            start_ms: 0,
            end_ms: 60_500,
            step_ms: 1_500,
            error: Some("no".to_owned()),
            stats: "{}",
            client_ip: "::1",
            method: "GET",
            path: "/api/v1/query_range",
        };
        let expected = r#"{"time":"2023-11-14T22:13:20.123Z","level":"INFO","source":"query_log.rs","msg":"promql query logged","params":{"end":"1970-01-01T00:01:00.500Z","query":"up < \"a\"","start":"1970-01-01T00:00:00.000Z","step":1},"error":"no","stats":{},"spanID":"0000000000000000","traceID":"00000000000000000000000000000000","httpRequest":{"clientIP":"::1","method":"GET","path":"/api/v1/query_range"}}"#;
        assert_eq!(line(&ran, 1_700_000_000_123), format!("{expected}\n"));
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
