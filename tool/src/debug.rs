//! `promtool debug pprof|metrics|all SERVER`: what a server says of itself, as an archive.

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::StatusCode;
use http::header::HeaderMap;
use url::Url;

use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::Server;
use crate::streams::Streams;

pub(crate) const PPROF_USAGE: &str = "usage: promtool debug pprof [--http.config.file=FILE] SERVER";
pub(crate) const METRICS_USAGE: &str = "usage: promtool debug metrics [--http.config.file=FILE] SERVER";
pub(crate) const ALL_USAGE: &str = "usage: promtool debug all [--http.config.file=FILE] SERVER";

const FLAGS: Known = Known { values: &[http_config::FLAG], ..Known::NONE };
/// Profiles of the CPU take half a minute.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The archive, in the folder that the command runs in.
const ARCHIVE: &str = "debug.tar.gz";
const MODE: u32 = 0o666;
/// The most bytes that a profile may have.
const PROFILE_BYTES_MAX: u64 = 1 << 30;

/// What is asked of a server, and how the answer is kept.
struct Endpoint {
    path: &'static str,
    file: &'static str,
    /// Profiles are compressed; the archive is so as a whole.
    is_profile: bool,
    /// Only programs written in Go have it: others may answer 501.
    is_of_go: bool,
}

const fn profile(path: &'static str, file: &'static str) -> Endpoint {
    Endpoint { path, file, is_profile: true, is_of_go: false }
}

const PPROF: [Endpoint; 7] = [
    profile("/debug/pprof/profile?seconds=30", "cpu.pb"),
    profile("/debug/pprof/block", "block.pb"),
    profile("/debug/pprof/goroutine", "goroutine.pb"),
    profile("/debug/pprof/heap", "heap.pb"),
    profile("/debug/pprof/mutex", "mutex.pb"),
    profile("/debug/pprof/threadcreate", "threadcreate.pb"),
    Endpoint { path: "/debug/pprof/trace?seconds=30", file: "trace.pb", is_profile: false, is_of_go: true },
];
const METRICS: [Endpoint; 1] = [Endpoint { path: "/metrics", file: "metrics.txt", is_profile: false, is_of_go: false }];

/// Collects profiles.
pub(crate) fn pprof(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    collect(args, &[&PPROF], Path::new(ARCHIVE), streams)
}

/// Collects metrics.
pub(crate) fn metrics(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    collect(args, &[&METRICS], Path::new(ARCHIVE), streams)
}

/// Collects both.
pub(crate) fn all(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    collect(args, &[&PPROF, &METRICS], Path::new(ARCHIVE), streams)
}

fn collect(
    args: &[&str],
    endpoints: &[&[Endpoint]],
    archive: &Path,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let [url] = flags.exactly(["server"])?;
    let failed = |why: String| Stop::Failed(format!("error completing debug command: {why}"));
    let server = Server::new(url, &http_config::of(&flags, url)?, TIMEOUT).map_err(failed)?;
    let mut files = Vec::new();
    for endpoint in endpoints.iter().copied().flatten() {
        let full = format!("{}{}", url.trim_end_matches('/'), endpoint.path);
        writeln!(streams.out, "collecting: {full}")?;
        match body(&server, endpoint).map_err(failed)? {
            Some(body) => files.push((endpoint.file, body)),
            None => writeln!(streams.out, "left out: the server has no {}", endpoint.file)?,
        }
    }
    // Only now, so that a failure leaves no part of an archive.
    write_archive(&files, archive).map_err(|error| failed(format!("cannot write {}: {error}", archive.display())))?;
    let archive = archive.display().to_string();
    writeln!(streams.out, "Compiling debug information complete, all files written in {archive:?}.")?;
    Ok(Outcome::Passed)
}

/// The answer; nothing where the server cannot have it.
fn body(server: &Server, endpoint: &Endpoint) -> Result<Option<Vec<u8>>, String> {
    let (path, query) =
        endpoint.path.split_once('?').map_or((endpoint.path, None), |(path, query)| (path, Some(query)));
    let mut url: Url = server.at(path);
    url.set_query(query);
    let reply = server.get_url(&url, HeaderMap::new());
    let reply = reply.map_err(|why| format!("error executing HTTP request: {why}"))?;
    if endpoint.is_of_go && reply.status == StatusCode::NOT_IMPLEMENTED {
        return Ok(None);
    }
    if !reply.status.is_success() {
        return Err(format!("{path} is answered with {}", reply.status));
    }
    if !endpoint.is_profile || !reply.body.starts_with(&[0x1f, 0x8b]) {
        return Ok(Some(reply.body));
    }
    let mut profile = Vec::new();
    let mut decoder = MultiGzDecoder::new(reply.body.as_slice()).take(PROFILE_BYTES_MAX);
    decoder.read_to_end(&mut profile).map_err(|error| format!("error post-processing HTTP response body: {error}"))?;
    Ok(Some(profile))
}

fn write_archive(files: &[(&str, Vec<u8>)], path: &Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(MODE);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    let bytes = archive.into_inner()?.finish()?;
    std::fs::File::create(path)?.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::server::tests::answering;
    use crate::testing::run;

    /// Runs the command with this archive.
    fn collected(url: &str, endpoints: &[&[Endpoint]], archive: &Path) -> Result<String, String> {
        let (mut input, mut out, mut err) = (io::empty(), Vec::new(), Vec::new());
        let check_web_tls = |_: &config::WebTls, _| Ok(());
        let mut streams = Streams { input: &mut input, out: &mut out, err: &mut err, check_web_tls };
        match collect(&[url], endpoints, archive, &mut streams) {
            Ok(_) => Ok(String::from_utf8(out).unwrap()),
            Err(stop) => Err(format!("{stop:?}")),
        }
    }

    #[test]
    fn answers_are_archived() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.tar.gz");
        let answers: Vec<_> = (0..8).map(|i| ("200 OK", format!("body {i}"))).collect();
        let (url, asked) = answering(answers);
        let out = collected(&url, &[&PPROF, &METRICS], &path).unwrap();
        assert!(out.starts_with(&format!("collecting: {url}debug/pprof/profile?seconds=30\n")), "{out}");
        assert!(out.ends_with(&format!("complete, all files written in \"{}\".\n", path.display())), "{out}");
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("GET /prefix/debug/pprof/profile?seconds=30 HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(asked[7].starts_with("GET /prefix/metrics HTTP/1.1\r\n"), "{}", asked[7]);
        let mut archive = tar::Archive::new(MultiGzDecoder::new(std::fs::File::open(&path).unwrap()));
        let files: BTreeMap<String, String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                assert_eq!(entry.header().mode().unwrap(), MODE);
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect();
        assert_eq!((files.len(), &*files["cpu.pb"], &*files["metrics.txt"]), (8, "body 0", "body 7"));
    }

    #[test]
    fn what_only_go_has_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.tar.gz");
        let (url, asked) = answering(vec![("501 Not Implemented", String::new()), ("200 OK", "m".to_owned())]);
        let out = collected(&url, &[&PPROF[6..], &METRICS], &path).unwrap();
        assert!(out.contains("seconds=30\nleft out: the server has no trace.pb\ncollecting"), "{out}");
        asked.join().unwrap();
        let mut archive = tar::Archive::new(MultiGzDecoder::new(std::fs::File::open(&path).unwrap()));
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [Path::new("metrics.txt")]);
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.tar.gz");
        let (url, asked) = answering(vec![("404 Not Found", String::new())]);
        let why = collected(&url, &[&PPROF], &path).unwrap_err();
        assert!(
            why.contains("error completing debug command: /debug/pprof/profile is answered with 404 Not Found"),
            "{why}"
        );
        asked.join().unwrap();
        assert!(!path.exists());
        assert_eq!(
            run(&["debug", "all"]).err,
            "promtool: error: required argument 'server' not provided, try --help\n"
        );
    }

    #[test]
    fn profiles_are_decompressed() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"profile").unwrap();
        let gzip = encoder.finish().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answered = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", gzip.len());
            stream.write_all(&[head.as_bytes(), &gzip].concat()).unwrap();
        });
        let flags = Flags::default();
        let server = Server::new(&url, &http_config::of(&flags, &url).unwrap(), TIMEOUT).unwrap();
        assert_eq!(body(&server, &PPROF[3]).unwrap().unwrap(), b"profile");
        answered.join().unwrap();
    }
}
