//! Logs as Prometheus writes them: `time=… level=INFO source=file:line msg="…" key=value`, or the same as JSON.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, Layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::clock::rfc3339;

/// How a line is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `key=value`, quoted where needed.
    Logfmt,
    /// One object a line.
    Json,
}

/// What is logged from now on; it may be changed while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Logs what is at least so severe.
    pub(crate) fn set(&self, level: &str) {
        // It fails when logging has ended, and with it the server.
        self.0.reload(filter(level)).ok();
    }
}

/// Starts logging to the standard error stream.
pub(crate) fn start(level: &str, format: Format) -> anyhow::Result<LogLevel> {
    let (filter, handle) = reload::Layer::new(filter(level));
    let layer = Layer::default().event_format(Lines(format)).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(layer).try_init()?;
    Ok(LogLevel(handle))
}

fn filter(level: &str) -> EnvFilter {
    // Libraries are quieter than we are: their details help nobody who runs a cluster.
    let quiet = "hyper=info,reqwest=info,h2=info,rustls=info,kube=error,tower=info,notify=info";
    // A directive is for all names that begin with its own, and `kube` is the library.
    EnvFilter::new(format!("{level},{quiet},kube_watch={level}"))
}

struct Lines(Format);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let meta = event.metadata();
        let level = match *meta.level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        let file = meta.file().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let mut fields = Fields(vec![
            ("time", rfc3339(model::Timestamp::now())),
            ("level", level.to_owned()),
            ("source", format!("{file}:{}", meta.line().unwrap_or_default())),
            ("msg", String::new()),
        ]);
        event.record(&mut fields);
        writeln!(out, "{}", line(&fields.0, self.0))
    }
}

struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.to_owned());
    }
}

impl Fields {
    fn put(&mut self, name: &'static str, value: String) {
        match name {
            "message" => self.0[3].1 = value,
            _ => self.0.push((name, value)),
        }
    }
}

fn line(fields: &[(&str, String)], format: Format) -> String {
    let mut out = String::new();
    for (i, (name, value)) in fields.iter().enumerate() {
        let between = if i == 0 { "" } else { [" ", ","][usize::from(format == Format::Json)] };
        let text = match format {
            Format::Logfmt if plain(value) => format!("{name}={value}"),
            Format::Logfmt => format!("{name}={value:?}"),
            Format::Json => format!("\"{name}\":{}", serde_json::Value::from(value.as_str())),
        };
        out.push_str(between);
        out.push_str(&text);
    }
    if format == Format::Json { format!("{{{out}}}") } else { out }
}

fn plain(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let fields = [("level", "INFO".to_owned()), ("msg", "a \"b\"".to_owned()), ("n", "1".to_owned())];
        assert_eq!(line(&fields, Format::Logfmt), r#"level=INFO msg="a \"b\"" n=1"#);
        assert_eq!(line(&fields, Format::Json), r#"{"level":"INFO","msg":"a \"b\"","n":"1"}"#);
    }

    #[test]
    fn what_we_say_of_kubernetes_is_logged_and_what_the_library_says_is_not() {
        use tracing::{Level, enabled};

        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter("info")), || {
            assert!(enabled!(target: "kube_watch::watch", Level::WARN) && enabled!(target: "discovery", Level::INFO));
            assert!(!enabled!(target: "kube_watch::watch", Level::DEBUG));
            assert!(!enabled!(target: "kube_client::client", Level::WARN));
        });
    }
}
