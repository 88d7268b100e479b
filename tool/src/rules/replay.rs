//! `promtool rules replay [FILE…]`: asks a running server what rules would have done, over what it has stored: those of the files,
//! or those that it has loaded.

use std::io::{self, Write};
use std::time::Duration;

use crate::Outcome;
use crate::flags::{Flags, Known};
use crate::server::{SERVER, Server};

pub(crate) const USAGE: &str = "usage: promtool rules replay [--url=http://localhost:9090] [--start=TIME] [--end=TIME] [--rule=NAME]... \
                                [--group=NAME]... [--limit=N] [FILE...]";

const FLAGS: Known = Known { switches: &[], values: &["url", "start", "end", "rule", "group", "limit"] };
/// The parameters of the server, by the flags that set them.
const PARAMETERS: [(&str, &str); 5] =
    [("start", "start"), ("end", "end"), ("rule", "rule_name[]"), ("group", "rule_group[]"), ("limit", "limit")];
/// The server has a timeout of its own.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Prints the server's answer. It passes if there was one, whatever it says.
pub(crate) fn replay(args: &[&str], out: &mut dyn Write) -> io::Result<Outcome> {
    let flags = match Flags::parse(args, FLAGS) {
        Ok(flags) => flags,
        Err(stop) => return stop.tell(USAGE, out),
    };
    let url = flags.values("url").next_back().unwrap_or(SERVER);
    let mut texts = Vec::new();
    for file in &flags.files {
        match std::fs::read_to_string(file) {
            Ok(text) => texts.push(text),
            Err(error) => {
                writeln!(out, "cannot read {file}: {error}")?;
                return Ok(Outcome::Failed);
            }
        }
    }
    let given = PARAMETERS.iter().flat_map(|(flag, name)| flags.values(flag).map(move |value| (*name, value)));
    let mut form: Vec<(&str, &str)> = given.collect();
    form.extend(texts.iter().map(|text| ("rules", text.as_str())));
    form.extend(flags.files.iter().map(|file| ("rules_name", *file)));
    let answer = Server::new(url, TIMEOUT).and_then(|server| server.post_for_text("/api/v1/rules/replay", &form));
    match answer {
        Ok(text) => {
            write!(out, "{text}")?;
            Ok(Outcome::Passed)
        }
        Err(why) => {
            writeln!(out, "cannot replay rules on {url}: {why}")?;
            Ok(Outcome::Failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::answering;

    fn run(args: &[&str]) -> (Outcome, String) {
        let mut out = Vec::new();
        let outcome = replay(args, &mut out).unwrap();
        (outcome, String::from_utf8(out).unwrap())
    }

    #[test]
    fn files_are_sent_and_the_answer_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.yml");
        std::fs::write(&file, "groups: []\n").unwrap();
        let file = file.display().to_string();
        let (url, asked) = answering(vec![("200 OK", "would have\n".to_owned())]);
        let url = format!("--url={url}");
        let args = [&*url, "--start", "1", "--end=2", "--rule", "A", "--rule=B", "--group=g", "--limit=5", &*file];
        assert_eq!(run(&args), (Outcome::Passed, "would have\n".to_owned()));
        let request = asked.join().unwrap().remove(0);
        assert!(request.starts_with("POST /prefix/api/v1/rules/replay HTTP/1.1\r\n"), "{request}");
        let form = "start=1&end=2&rule_name%5B%5D=A&rule_name%5B%5D=B&rule_group%5B%5D=g&limit=5&rules=groups%3A+%5B%5D%0A&rules_name=";
        assert!(request.contains(form) && request.contains("accept: text/plain"), "{request}");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let refusal = r#"{"status":"error","errorType":"bad_data","error":"there is no rule"}"#;
        let (url, asked) = answering(vec![("400 Bad Request", refusal.to_owned())]);
        let told = format!("cannot replay rules on {url}: there is no rule\n");
        assert_eq!(run(&["--url", &url]), (Outcome::Failed, told));
        asked.join().unwrap();
        let (outcome, text) = run(&["/no/such/file.yml"]);
        assert!(outcome == Outcome::Failed && text.starts_with("cannot read /no/such/file.yml: "), "{text}");
        assert_eq!(run(&["--url=:"]).0, Outcome::Failed);
        let (outcome, text) = run(&["--rules=x"]);
        assert!(outcome == Outcome::Misused && text.contains(USAGE), "{text}");
    }
}
