//! `promtool explain [--server=URL] monitor|rule|pod|service|target|job NAME`: asks a running server why something is scraped or is not,
//! and what a rule does.

use std::time::Duration;

use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::{SERVER, Server};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool explain [--server=http://localhost:9090] [--http.config.file=FILE] \
                                monitor|rule|pod|service|target|job NAME";

const FLAGS: Known = Known { values: &["server", http_config::FLAG], ..Known::NONE };

/// What can be asked about; the names of the parameters of `/api/v1/explain`.
const SUBJECTS: [&str; 6] = ["monitor", "rule", "pod", "service", "target", "job"];
const TIMEOUT: Duration = Duration::from_secs(30);

/// Prints the server's answer. It passes if there was one, whatever it says.
pub(crate) fn explain(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let server = flags.value("server").unwrap_or(SERVER);
    let [subject, name] = flags.exactly(["subject", "name"])?;
    if !SUBJECTS.contains(&subject) {
        return Err(Stop::Misuse(format!("{subject:?} cannot be explained")));
    }
    let http = http_config::of(&flags, server)?;
    let answer =
        Server::new(server, &http, TIMEOUT).and_then(|server| server.text("/api/v1/explain", &[(subject, name)]));
    let text = answer.map_err(|why| format!("cannot ask {server}: {why}"))?;
    write!(streams.out, "{text}")?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::server::tests::answering;

    fn run(args: &[&str]) -> (Outcome, String) {
        let ran = crate::testing::run(&[&["explain"], args].concat());
        (ran.outcome, ran.both)
    }

    #[test]
    fn the_answer_of_the_server_is_printed() {
        let (url, asked) = answering(vec![("200 OK", "why\n".to_owned())]);
        let server = format!("--server={url}");
        assert_eq!(run(&[&server, "monitor", "a/b"]), (Outcome::Passed, "why\n".to_owned()));
        let request = asked.join().unwrap().remove(0);
        assert!(request.starts_with("GET /prefix/api/v1/explain?monitor=a%2Fb HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("accept: text/plain"), "{request}");
    }

    #[test]
    fn misuse_and_silence_are_told() {
        for args in [&["monitor"][..], &["node", "a"], &["--other", "pod", "a/b"]] {
            let (outcome, text) = run(args);
            assert_eq!(outcome, Outcome::Misused, "{text}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (outcome, text) = run(&[&format!("--server=http://{closed}"), "pod", "a/b"]);
        assert_eq!(outcome, Outcome::Failed);
        assert!(text.starts_with("cannot ask http://127.0.0.1"), "{text}");
    }
}
