//! `promtool push metrics`: sends expositions to a server by remote write 1.0.

mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use model::Timestamp;
use remote::proto::Message as _;
use remote::snappy;

use self::request::request;
use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::Server;
use crate::streams::Streams;
use crate::text_format::families;
use crate::times::duration_flag;

pub(crate) const USAGE: &str = "usage: promtool push metrics [--http.config.file=FILE] [--label=NAME=VALUE]... [--timeout=30s] \
                                [--header=NAME=VALUE]... [--remote-write.path=/api/v1/write] URL [FILE...]";

const FLAGS: Known = Known {
    values: &[http_config::FLAG, "label", "timeout", "header", "protobuf_message", "remote-write.path"],
    ..Known::NONE
};
const TIMEOUT_NS: i64 = 30_000_000_000;
/// The message that is sent.
const MESSAGE: &str = "prometheus.WriteRequest";
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const ATTEMPT: HeaderName = HeaderName::from_static("retry-attempt");

/// When a failed request is sent again.
#[derive(Clone, Copy, Debug)]
struct Retries {
    n: u32,
    first: Duration,
    longest: Duration,
}

const RETRIES: Retries = Retries { n: 10, first: Duration::from_secs(1), longest: Duration::from_secs(10) };

/// Where and what is sent.
struct Push<'a> {
    server: Server,
    path: String,
    labels: BTreeMap<&'a str, &'a str>,
    retries: Retries,
}

/// Sends the files, or the standard input, a request for each.
pub(crate) fn metrics(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    run(&flags, RETRIES, streams)
}

fn run(flags: &Flags<'_>, retries: Retries, streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let push = Push::new(flags, retries)?;
    let files = flags.files.get(1..).unwrap_or_default();
    let mut outcome = Outcome::Passed;
    if files.is_empty() {
        let mut text = Vec::new();
        streams.input.read_to_end(&mut text).map_err(|error| format!("  FAILED: {error}"))?;
        writeln!(streams.out, "Parsing standard input")?;
        push.send(&text).map_err(|why| format!("  FAILED: {why}"))?;
        writeln!(streams.out, "  SUCCESS: metrics pushed to remote write.")?;
    }
    for file in files {
        let text = std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"));
        if text.is_ok() {
            writeln!(streams.out, "Parsing metrics file {file}")?;
        }
        match text.and_then(|text| push.send(&text)) {
            Ok(()) => writeln!(streams.out, "  SUCCESS: metrics file {file} pushed to remote write.")?,
            Err(why) => {
                writeln!(streams.err, "  FAILED: {why}")?;
                outcome = Outcome::Failed;
            }
        }
    }
    Ok(outcome)
}

impl<'a> Push<'a> {
    fn new(flags: &Flags<'a>, retries: Retries) -> Result<Self, Stop> {
        let url = flags.some_files("remote-write-url")?.first().copied().unwrap_or_default();
        if let Some(other) = flags.value("protobuf_message").filter(|message| *message != MESSAGE) {
            return Err(format!("  FAILED: invalid protobuf message {other:?}, must be {MESSAGE}").into());
        }
        let timeout = duration_flag(flags, "timeout")?.unwrap_or(TIMEOUT_NS);
        let timeout = Duration::from_nanos(u64::try_from(timeout).unwrap_or(0));
        let mut server = Server::new(url, &http_config::of(flags, url)?, timeout)?;
        flags.map("header")?.iter().try_for_each(|(name, value)| server.add_header(name, value))?;
        let mut labels = flags.map("label")?;
        if labels.is_empty() {
            labels.insert("job", "promtool");
        }
        let path = flags.value("remote-write.path").unwrap_or("/api/v1/write");
        let path = format!("/{}", path.trim_matches('/'));
        // A URL may have the path already.
        let path = if server.at("").path().ends_with(&path) { String::new() } else { path };
        Ok(Self { server, path, labels, retries })
    }

    /// Sends an exposition, and again when the server cannot take it now.
    fn send(&self, text: &[u8]) -> Result<(), String> {
        let message = request(&families(text)?, &self.labels, Timestamp::now().0).encode_to_vec();
        let body = snappy::encoded(&message).map_err(|error| error.to_string())?;
        let mut pause = self.retries.first;
        for attempt in 0.. {
            let mut headers = HeaderMap::from_iter([
                (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
                (CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
                (VERSION, HeaderValue::from_static("0.1.0")),
            ]);
            if attempt > 0 {
                headers.insert(ATTEMPT, HeaderValue::from(attempt));
            }
            let (why, again) = match self.server.post_body(&self.path, body.clone(), headers) {
                Ok(reply) if reply.status.is_success() => return Ok(()),
                Ok(reply) => {
                    let told = String::from_utf8_lossy(&reply.body).into_owned();
                    let again = reply.status.is_server_error() || reply.status.as_u16() == 429;
                    (format!("server returned HTTP status {}: {told}", reply.status), again)
                }
                Err(why) => (why, true),
            };
            if !again || attempt >= self.retries.n {
                return Err(why);
            }
            self.server.rest(pause);
            pause = (pause * 2).min(self.retries.longest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use remote::proto::write::WriteRequest;

    use super::*;
    use crate::server::tests::answering_bytes;
    use crate::testing::{run, run_with};

    /// The message in a request that was sent.
    fn sent(request: &[u8]) -> WriteRequest {
        let at = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let body = snappy::decoded(&request[at..], snappy::S2).unwrap();
        WriteRequest::decode(&*body).unwrap()
    }

    #[test]
    fn files_are_sent_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        std::fs::write(&good, "a 1 5\n").unwrap();
        std::fs::write(&bad, "a\n").unwrap();
        let (url, asked) = answering_bytes(vec![("204 No Content", String::new())]);
        let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
        let ran = run(&["push", "metrics", "--label", "x=y", "--header=X-Scope-OrgID:a", &url, good, bad, "/no/such"]);
        let out = format!(
            "Parsing metrics file {good}\n  SUCCESS: metrics file {good} pushed to remote write.\nParsing metrics file {bad}\n"
        );
        assert_eq!((ran.code, ran.out), (1, out));
        let lines: Vec<&str> = ran.err.lines().collect();
        assert!(lines[0].starts_with("  FAILED: text format parsing error in line 1: "), "{}", ran.err);
        assert!(lines[1].starts_with("  FAILED: cannot read /no/such: "), "{}", ran.err);
        let request = asked.join().unwrap().remove(0);
        let head = String::from_utf8_lossy(&request).to_lowercase();
        for part in [
            "post /prefix/api/v1/write http/1.1\r\n",
            "content-encoding: snappy\r\n",
            "content-type: application/x-protobuf\r\n",
            "x-prometheus-remote-write-version: 0.1.0\r\n",
            "x-scope-orgid: a\r\n",
        ] {
            assert!(head.contains(part), "{head}");
        }
        let message = sent(&request);
        let labels: Vec<_> = message.timeseries[0].labels.iter().map(|label| (&*label.name, &*label.value)).collect();
        assert_eq!(labels, [("__name__", "a"), ("x", "y")]);
        assert_eq!((message.timeseries[0].samples[0].value, message.timeseries[0].samples[0].timestamp), (1.0, 5));
    }

    #[test]
    fn the_standard_input_is_sent() {
        let (url, asked) = answering_bytes(vec![("400 Bad Request", "out of order\n".to_owned())]);
        let ran = run_with(&["push", "metrics", &format!("{url}api/v1/write")], b"a 1\n");
        assert_eq!((ran.code, ran.out.as_str()), (1, "Parsing standard input\n"));
        assert_eq!(ran.err, "  FAILED: server returned HTTP status 400 Bad Request: out of order\n\n");
        let request = asked.join().unwrap().remove(0);
        assert!(request.starts_with(b"POST /prefix/api/v1/write HTTP/1.1\r\n"), "not twice the path");
        let message = sent(&request);
        assert_eq!(message.timeseries[0].labels[1].value, "promtool");
        let ran = run_with(&["push", "metrics", "--protobuf_message=io.prometheus.write.v2.Request", &url], b"");
        assert!(ran.code == 1 && ran.err.contains("invalid protobuf message"), "{}", ran.err);
    }

    #[test]
    fn a_server_that_is_busy_is_asked_again() {
        let (url, asked) = answering_bytes(vec![
            ("503 Service Unavailable", String::new()),
            ("429 Too Many Requests", String::new()),
            ("200 OK", String::new()),
            ("500 Internal Server Error", "no".to_owned()),
        ]);
        let retries = |n| Retries { n, first: Duration::ZERO, longest: Duration::ZERO };
        let flags = Flags::parse(&[&*url], FLAGS).unwrap();
        assert_eq!(Push::new(&flags, retries(2)).unwrap().send(b"a 1\n"), Ok(()));
        let failed = Push::new(&flags, retries(0)).unwrap().send(b"a 1\n");
        assert_eq!(failed, Err("server returned HTTP status 500 Internal Server Error: no".to_owned()));
        let asked = asked.join().unwrap();
        assert!(String::from_utf8_lossy(&asked[2]).contains("retry-attempt: 2\r\n"));
    }
}
