//! `promtool rules backfill --start=TIME [FILE…]`: has a running server compute the history of recording rules that it has
//! loaded, and shows how far it is. (Prometheus: `promtool tsdb create-blocks-from rules`, which writes blocks to be moved into the
//! data directory by hand.)

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use ::rules::{GroupSpec, LoadChecks};
use config::{RuleFile, RuleOptions};
use model::NameValidation;
use query::{Engine, EngineOptions};
use serde_json::Value;

use crate::features;
use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::{SERVER, Server};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool rules backfill [--url=http://localhost:9090] [--http.config.file=FILE] --start=TIME [--end=TIME] [--background] \
                                [--enable-feature=NAME,...] --group=NAME|FILE...";

const FLAGS: Known =
    Known { switches: &["background"], values: &["url", http_config::FLAG, "start", "end", "group"], ..Known::NONE };
const TIMEOUT: Duration = Duration::from_secs(30);
/// So often it is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The interval of groups of a file that have none; not looked at.
const INTERVAL_MS: i64 = 60_000;

/// A group that is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    name: String,
    /// Names and expressions of its recording rules, and the file, where they are known.
    rules: Option<(Vec<(String, String)>, String)>,
}

/// A group of the server.
#[derive(Debug, PartialEq, Eq)]
struct Loaded {
    name: String,
    file: String,
}

/// Asks for the history, and waits until it is complete.
pub(crate) fn backfill(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    features::known(&flags)?;
    flags.required("start")?;
    if flags.value("group").is_none() && flags.files.is_empty() {
        return Err(Stop::Misuse("groups or files are needed".to_owned()));
    }
    run(&flags, LOOK_EVERY, streams.out)
}

fn run(flags: &Flags<'_>, look_every: Duration, out: &mut dyn Write) -> Result<Outcome, Stop> {
    let url = flags.value("url").unwrap_or(SERVER);
    let http = http_config::of(flags, url)?;
    let begun = wanted(flags).and_then(|wanted| {
        let server = Server::new(url, &http, TIMEOUT)?;
        let groups = begin(&server, flags, &wanted)?;
        Ok((server, groups))
    });
    let (server, groups) = begun.map_err(|why| format!("cannot backfill on {url}: {why}"))?;
    for Loaded { name, file } in &groups {
        writeln!(out, "{name} in {file}: the server has begun")?;
    }
    if flags.is_on("background") {
        return Ok(Outcome::Passed);
    }
    let mut outcome = Outcome::Passed;
    for group in &groups {
        match follow(&server, group, look_every, out)? {
            Ok(true) => {}
            Ok(false) => outcome = Outcome::Failed,
            Err(why) => {
                writeln!(out, "cannot see how far {} is: {why}; the server goes on", group.name)?;
                outcome = Outcome::Failed;
            }
        }
    }
    Ok(outcome)
}

/// The groups of the command line.
fn wanted(flags: &Flags<'_>) -> Result<Vec<Wanted>, String> {
    let options = EngineOptions::default().with_features(flags.list("enable-feature").unwrap_or_default());
    let engine = Engine::new(options);
    let checks = LoadChecks::new(&engine);
    let options = RuleOptions { names: NameValidation::Utf8, ignore_unknown_fields: false, checks: &checks };
    let mut wanted: Vec<Wanted> =
        flags.values("group").map(|name| Wanted { name: name.to_owned(), rules: None }).collect();
    for path in &flags.files {
        let told = |errors: Vec<config::Error>| {
            errors.iter().map(|error| model::with_causes(error)).collect::<Vec<_>>().join("; ")
        };
        let file = RuleFile::load(Path::new(path), &options).map_err(told)?;
        let groups = GroupSpec::of_file(&file, INTERVAL_MS, &engine).map_err(|error| error.to_string())?;
        for group in groups {
            let rules = group.rules.into_iter().filter(|rule| !rule.is_alerting());
            let rules: Vec<_> = rules.map(|rule| (rule.name, rule.expr)).collect();
            if !rules.is_empty() {
                wanted.push(Wanted { name: group.name, rules: Some((rules, (*path).to_owned())) });
            }
        }
    }
    if wanted.is_empty() { Err("the files have no recording rules".to_owned()) } else { Ok(wanted) }
}

/// Finds the groups on the server, and asks for their history.
fn begin(server: &Server, flags: &Flags<'_>, wanted: &[Wanted]) -> Result<Vec<Loaded>, String> {
    let data = server.data("/api/v1/rules", &[("type", "record")])?;
    let groups = data["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found = Vec::new();
    for one in wanted {
        let loaded = groups.iter().find(|group| is_same(one, group)).ok_or_else(|| not_loaded(one))?;
        let text = |field: &str| loaded[field].as_str().unwrap_or_default().to_owned();
        found.push(Loaded { name: text("name"), file: text("file") });
    }
    let times = ["start", "end"].into_iter().filter_map(|name| Some((name, flags.values(name).next_back()?)));
    let times: Vec<(&str, &str)> = times.collect();
    for Loaded { name, file } in &found {
        let form = [&times[..], &[("rule_group[]", name), ("file[]", file)]].concat();
        server.post("/api/v1/admin/rules/backfill", &form)?;
    }
    Ok(found)
}

fn not_loaded(wanted: &Wanted) -> String {
    let name = &wanted.name;
    match &wanted.rules {
        None => format!("no group {name:?} with recording rules is loaded"),
        Some((_, file)) => {
            format!("group {name:?} of {file} is not loaded as it is there: add the file to rule_files, and reload")
        }
    }
}

/// Is a group of the server the one that is meant? By its rules, as the path of the file is another one there.
fn is_same(wanted: &Wanted, group: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rules = group["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rules: Vec<_> = rules.iter().map(|rule| (text(&rule["name"]), text(&rule["query"]))).collect();
    group["name"] == wanted.name.as_str() && wanted.rules.as_ref().is_none_or(|(wanted, _)| *wanted == rules)
}

/// Prints how far a group is until it is complete; `true` if no rule has failed.
fn follow(
    server: &Server,
    Loaded { name, file }: &Loaded,
    look_every: Duration,
    out: &mut dyn Write,
) -> io::Result<Result<bool, String>> {
    let filter = [("type", "record"), ("rule_group[]", name), ("file[]", file)];
    let mut shown = None;
    loop {
        let data = match server.data("/api/v1/rules", &filter) {
            Ok(data) => data,
            Err(why) => return Ok(Err(why)),
        };
        let backfill = &data["groups"][0]["backfill"];
        let Some(state) = backfill["state"].as_str() else { return Ok(Err("it is not loaded any more".to_owned())) };
        let number = |field: &str| backfill[field].as_u64().unwrap_or_default();
        let (done, total) = (number("evaluations"), number("evaluationsTotal"));
        if state == "complete" {
            writeln!(out, "{name} in {file}: complete, {done} evaluations")?;
            let failures = backfill["failures"].as_array().map(Vec::as_slice).unwrap_or_default();
            for failure in failures {
                let (rule, error) = (failure["rule"].as_str(), failure["error"].as_str());
                writeln!(out, "  {}: {}", rule.unwrap_or_default(), error.unwrap_or_default())?;
            }
            return Ok(Ok(failures.is_empty()));
        }
        let percent = (done * 100).checked_div(total).unwrap_or(0);
        if shown != Some(percent) && total > 0 {
            shown = Some(percent);
            let reached = backfill["reached"].as_str().unwrap_or_default();
            writeln!(out, "{name} in {file}: {done} of {total} evaluations ({percent} %), up to {reached}")?;
        }
        server.rest(look_every);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::tests::answering;

    const FILE: &str = "groups: [{name: g, rules: [{record: a, expr: 'sum( up )'}, {alert: B, expr: up == 0}]}, \
                        {name: none, rules: [{alert: B, expr: up == 0}]}]\n";

    fn data(data: &Value) -> (&'static str, String) {
        ("200 OK", json!({"status": "success", "data": data}).to_string())
    }

    /// The group of the file as a server has it, with the state of its backfill.
    fn loaded(expr: &str, backfill: &Value) -> (&'static str, String) {
        let group =
            json!({"name": "g", "file": "/etc/r.yml", "rules": [{"name": "a", "query": expr}], "backfill": backfill});
        data(&json!({"groups": [{"name": "g", "file": "/other.yml", "rules": []}, group]}))
    }

    fn progress(done: u64, failures: &Value) -> (&'static str, String) {
        let state = if done == 200 { "complete" } else { "running" };
        let backfill = json!({
            "state": state, "evaluations": done, "evaluationsTotal": 200, "reached": format!("t{done}"), "failures": failures,
        });
        data(&json!({"groups": [{"name": "g", "backfill": backfill}]}))
    }

    fn run(args: &[&str]) -> (Outcome, String) {
        let mut out = Vec::new();
        let flags = Flags::parse(args, FLAGS).unwrap();
        match super::run(&flags, Duration::ZERO, &mut out) {
            Ok(outcome) => (outcome, String::from_utf8(out).unwrap()),
            Err(Stop::Failed(why)) => (Outcome::Failed, why),
            Err(stop) => panic!("{stop:?}"),
        }
    }

    fn file() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), FILE).unwrap();
        file
    }

    #[test]
    fn the_groups_of_a_file_are_asked_for_and_followed() {
        let (file, begun) = (file(), data(&json!({"groups": []})));
        let none = json!([]);
        let waiting = data(&json!({"groups": [{"name": "g", "backfill": {"state": "running", "left": 1}}]}));
        let answers = vec![
            loaded("sum(up)", &Value::Null),
            begun,
            waiting,
            progress(1, &none),
            progress(1, &none),
            progress(100, &none),
            progress(200, &json!([{"rule": "a", "error": "too much"}])),
        ];
        let (url, asked) = answering(answers);
        let (outcome, text) = run(&["--url", &url, "--start=1", "--end=2", file.path().to_str().unwrap()]);
        let expected = "g in /etc/r.yml: the server has begun\n\
                        g in /etc/r.yml: 1 of 200 evaluations (0 %), up to t1\n\
                        g in /etc/r.yml: 100 of 200 evaluations (50 %), up to t100\n\
                        g in /etc/r.yml: complete, 200 evaluations\n  a: too much\n";
        assert_eq!((outcome, text.as_str()), (Outcome::Failed, expected));
        let asked = asked.join().unwrap();
        assert!(asked[1].starts_with("POST /prefix/api/v1/admin/rules/backfill "), "{}", asked[1]);
        assert!(asked[1].ends_with("start=1&end=2&rule_group%5B%5D=g&file%5B%5D=%2Fetc%2Fr.yml"), "{}", asked[1]);
        assert!(asked[3].contains("rule_group%5B%5D=g&file%5B%5D=%2Fetc%2Fr.yml "), "{}", asked[3]);
    }

    #[test]
    fn a_group_by_its_name_goes_on_in_the_background() {
        let (url, asked) = answering(vec![loaded("sum(up)", &Value::Null), data(&json!({}))]);
        let (outcome, text) = run(&["--url", &url, "--start=1", "--group=g", "--background"]);
        assert_eq!((outcome, text.as_str()), (Outcome::Passed, "g in /other.yml: the server has begun\n"));
        assert!(asked.join().unwrap()[1].contains("start=1&rule_group"), "without an end");
    }

    #[test]
    fn what_is_not_loaded_is_told() {
        let file = file();
        let path = file.path().to_str().unwrap();
        let (url, asked) = answering(vec![loaded("sum(down)", &Value::Null)]);
        let (outcome, text) = run(&["--url", &url, "--start=1", path]);
        assert!(outcome == Outcome::Failed && text.contains("is not loaded as it is there: add the file"), "{text}");
        asked.join().unwrap();
        let (url, asked) = answering(vec![data(&json!({"groups": []}))]);
        let (_, text) = run(&["--url", &url, "--start=1", "--group=x"]);
        assert!(text.ends_with("no group \"x\" with recording rules is loaded"), "{text}");
        asked.join().unwrap();
        let (outcome, text) = run(&["--start=1", "/no/such.yml"]);
        assert!(outcome == Outcome::Failed && text.contains("/no/such.yml"), "{text}");
    }

    #[test]
    fn misuse_is_told() {
        for args in [&[][..], &["--start=1"], &["--group=g"], &["--start=1", "--group=g", "--eval-interval=1m"]] {
            let ran = crate::testing::run(&[&["rules", "backfill"], args].concat());
            assert_eq!(ran.outcome, Outcome::Misused, "{args:?}");
        }
    }
}
