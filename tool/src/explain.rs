//! `promtool explain [--server=URL] monitor|rule|pod|service|target|job NAME`: asks a running server why something is scraped or is not,
//! and what a rule does.

use std::io::{self, Write};
use std::time::Duration;

use config::HttpClientConfig;
use http_client::{HttpClient, Resolver};
use url::Url;

use crate::Outcome;

pub(crate) const USAGE: &str =
    "usage: promtool explain [--server=http://localhost:9090] monitor|rule|pod|service|target|job NAME";

const SERVER: &str = "http://localhost:9090";
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
    let Ok(mut url) = Url::parse(&format!("{}/api/v1/explain", server.trim_end_matches('/'))) else {
        return misused(out, &format!("--server={server} is no URL"));
    };
    url.query_pairs_mut().append_pair(subject, name);
    match ask(&url) {
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

fn ask(url: &Url) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let client = HttpClient::new(&HttpClientConfig::default(), "promtool", &Resolver::system());
        let client = client.map_err(|error| model::with_causes(&error))?;
        let request = client.request(http::Method::GET, url).await.map_err(|error| model::with_causes(&error))?;
        let response = request.header("accept", "text/plain").timeout(TIMEOUT).send().await;
        let response = response.map_err(|error| model::with_causes(&error))?;
        let is_answer = response.status().is_success();
        let text = response.text().await.map_err(|error| model::with_causes(&error))?;
        if is_answer { Ok(text) } else { Err(text) }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn run(args: &[&str]) -> (Outcome, String) {
        let mut out = Vec::new();
        let outcome = explain(args, &mut out).unwrap();
        (outcome, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_answer_of_the_server_is_printed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("--server=http://{}/prefix/", listener.local_addr().unwrap());
        let answer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwhy\n").unwrap();
            String::from_utf8(request).unwrap()
        });
        assert_eq!(run(&[&server, "monitor", "a/b"]), (Outcome::Passed, "why\n".to_owned()));
        let request = answer.join().unwrap();
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
