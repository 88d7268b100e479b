//! `promtool check healthy`, `promtool check ready`: is a server alive, does it take requests?

use std::time::Duration;

use http::StatusCode;
use http::header::HeaderMap;

use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::{SERVER, Server};
use crate::streams::Streams;

pub(crate) const HEALTHY_USAGE: &str =
    "usage: promtool check healthy [--url=http://localhost:9090] [--http.config.file=FILE]";
pub(crate) const READY_USAGE: &str =
    "usage: promtool check ready [--url=http://localhost:9090] [--http.config.file=FILE]";

const FLAGS: Known = Known { values: &["url", http_config::FLAG], ..Known::NONE };
const TIMEOUT: Duration = Duration::from_secs(10);

/// Is the server alive?
pub(crate) fn healthy(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    check(args, "/-/healthy", streams)
}

/// Does the server take requests?
pub(crate) fn ready(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    check(args, "/-/ready", streams)
}

fn check(args: &[&str], path: &str, streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let [] = flags.exactly([])?;
    let url = flags.value("url").unwrap_or(SERVER);
    let server = Server::new(url, &http_config::of(&flags, url)?, TIMEOUT)?;
    let reply = server.get(path, &[], HeaderMap::new())?;
    if reply.status != StatusCode::OK {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        return Err(format!("check failed: URL={url}, status={}", reply.status.as_u16()).into());
    }
    // To the standard error, as upstream does.
    writeln!(streams.err, "  SUCCESS:  {}", String::from_utf8_lossy(&reply.body))?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crate::server::tests::answering;
    use crate::testing::run;

    #[test]
    fn the_server_is_asked() {
        let (url, asked) = answering(vec![
            ("200 OK", "Weft is Healthy.\n".to_owned()),
            ("503 Service Unavailable", "not ready".to_owned()),
        ]);
        let ran = run(&["check", "healthy", "--url", &url]);
        assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (0, "  SUCCESS:  Weft is Healthy.\n\n", ""));
        let ran = run(&["check", "ready", &format!("--url={url}")]);
        assert_eq!((ran.code, ran.err), (1, format!("check failed: URL={url}, status=503\n")));
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("GET /prefix/-/healthy HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(asked[1].starts_with("GET /prefix/-/ready HTTP/1.1\r\n"), "{}", asked[1]);
    }

    #[test]
    fn the_http_configuration_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("http.yml");
        std::fs::write(&file, "basic_auth: {username: ann, password: pw}\n").unwrap();
        let (url, asked) = answering(vec![("200 OK", String::new())]);
        let ran = run(&["check", "healthy", "--url", &url, "--http.config.file", file.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let request = asked.join().unwrap().remove(0);
        assert!(request.contains("authorization: Basic YW5uOnB3\r\n"), "{request}");
    }

    #[test]
    fn silence_is_told() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let ran = run(&["check", "ready", &format!("--url={closed}")]);
        let told = format!("Get \"http://{closed}/-/ready\": dial tcp {closed}: connect: connection refused\n");
        assert_eq!((ran.code, ran.err), (1, told));
        assert_eq!(run(&["check", "ready", "http://x"]).err, "promtool: error: unexpected http://x, try --help\n");
    }
}
