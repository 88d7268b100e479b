//! `promtool rules replay [FILE…]`: asks a running server what rules would have done, over what it has stored: those of the files,
//! or those that it has loaded.

use std::time::Duration;

use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::{SERVER, Server};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool rules replay [--url=http://localhost:9090] [--http.config.file=FILE] [--start=TIME] [--end=TIME] [--rule=NAME]... \
                                [--group=NAME]... [--limit=N] [FILE...]";

const FLAGS: Known =
    Known { values: &["url", http_config::FLAG, "start", "end", "rule", "group", "limit"], ..Known::NONE };
/// The parameters of the server, by the flags that set them.
const PARAMETERS: [(&str, &str); 5] =
    [("start", "start"), ("end", "end"), ("rule", "rule_name[]"), ("group", "rule_group[]"), ("limit", "limit")];
/// The server has a timeout of its own.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Prints the server's answer. It passes if there was one, whatever it says.
pub(crate) fn replay(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let url = flags.value("url").unwrap_or(SERVER);
    let http = http_config::of(&flags, url)?;
    let read = |file: &&str| std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"));
    let texts: Vec<String> = flags.files.iter().map(read).collect::<Result<_, _>>()?;
    let given = PARAMETERS.iter().flat_map(|(flag, name)| flags.values(flag).map(move |value| (*name, value)));
    let mut form: Vec<(&str, &str)> = given.collect();
    form.extend(texts.iter().map(|text| ("rules", text.as_str())));
    form.extend(flags.files.iter().map(|file| ("rules_name", *file)));
    let answer =
        Server::new(url, &http, TIMEOUT).and_then(|server| server.post_for_text("/api/v1/rules/replay", &form));
    let text = answer.map_err(|why| format!("cannot replay rules on {url}: {why}"))?;
    write!(streams.out, "{text}")?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::answering;

    fn run(args: &[&str]) -> (Outcome, String) {
        let ran = crate::testing::run(&[&["rules", "replay"], args].concat());
        (ran.outcome, ran.both)
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
        assert!(outcome == Outcome::Misused && text.contains("unknown long flag '--rules=x'"), "{text}");
    }
}
