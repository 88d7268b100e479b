//! `promtool explain [--server=URL] monitor|rule|pod|service|target|job NAME`: asks a running server why something is scraped or is not,
//! and what a rule does.

use std::io::{self, Write};
use std::time::Duration;

use url::Url;

use crate::Outcome;
use crate::server::{SERVER, Server};

pub(crate) const USAGE: &str =
    "usage: promtool explain [--server=http://localhost:9090] monitor|rule|pod|service|target|job NAME";

/// What can be asked about; the names of the parameters of `/api/v1/explain`.
const SUBJECTS: [&str; 6] = ["monitor", "rule", "pod", "service", "target", "job"];
const TIMEOUT: Duration = Duration::from_secs(30);

/// Prints the server's answer. It passes if there was one, whatever it says.
pub(crate) fn explain(args: &[&str], out: &mut dyn Write) -> io::Result<Outcome> {
    let (flags, words): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with("--"));
    let mut server = SERVER;
    for flag in flags {
        match flag.strip_prefix("--server=") {
            Some(url) => server = url,
            None => return misused(out, &format!("unknown flag {flag}")),
        }
    }
    let [subject, name] = words[..] else { return misused(out, "one subject and its name are needed") };
    if !SUBJECTS.contains(&subject) {
        return misused(out, &format!("{subject:?} cannot be explained"));
    }
    if Url::parse(server).is_err() {
        return misused(out, &format!("--server={server} is no URL"));
    }
    match Server::new(server, TIMEOUT).and_then(|server| server.text("/api/v1/explain", &[(subject, name)])) {
        Ok(text) => {
            write!(out, "{text}")?;
            Ok(Outcome::Passed)
        }
        Err(why) => {
            writeln!(out, "cannot ask {server}: {why}")?;
            Ok(Outcome::Failed)
        }
    }
}

fn misused(out: &mut dyn Write, why: &str) -> io::Result<Outcome> {
    writeln!(out, "{why}; {USAGE}")?;
    Ok(Outcome::Misused)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::server::tests::answering;

    fn run(args: &[&str]) -> (Outcome, String) {
        let mut out = Vec::new();
        let outcome = explain(args, &mut out).unwrap();
        (outcome, String::from_utf8(out).unwrap())
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
        for args in [&["monitor"][..], &["node", "a"], &["--other", "pod", "a/b"], &["--server=:", "pod", "a/b"]] {
            let (outcome, text) = run(args);
            assert_eq!(outcome, Outcome::Misused, "{text}");
            assert!(text.contains(USAGE), "{text}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (outcome, text) = run(&[&format!("--server=http://{closed}"), "pod", "a/b"]);
        assert_eq!(outcome, Outcome::Failed);
        assert!(text.starts_with("cannot ask http://127.0.0.1"), "{text}");
    }
}
