//! Regular expressions against what Prometheus makes of them (`tests/goregex`): a recorded table, and new ones each time.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use model::regex::{CapturingRegex, Regex};
use serde_json::Value;

/// One expression; what is said of it that is not so.
fn faults(line: &Value, texts: &[&str]) -> Vec<String> {
    let pattern = line["pattern"].as_str().unwrap();
    let own = line["own"].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = texts.iter().copied().chain(own.iter().map(|text| text.as_str().unwrap())).collect();
    let mut faults = Vec::new();
    let mut compare = |what: &str, expected: &str, found: Result<Vec<bool>, String>| {
        let found = match found {
            Ok(matches) => matches.iter().map(|is| if *is { '1' } else { '0' }).collect(),
            Err(error) => format!("!{error}"),
        };
        if found == expected {
            return;
        }
        let differs = expected.chars().zip(found.chars()).position(|(a, b)| a != b);
        let text = differs.filter(|_| !found.starts_with('!') && !expected.starts_with('!')).map(|i| texts[i]);
        faults.push(format!("{what} {pattern:?} on {text:?}:\n  want {expected}\n  have {found}"));
    };
    let all = |is_match: &dyn Fn(&str) -> bool| texts.iter().map(|text| is_match(text)).collect();
    let matcher = Regex::new(pattern);
    let of_matcher = matcher.map(|regex| all(&|text| regex.is_match(text))).map_err(|error| error.to_string());
    let expected = line["matcher"].as_str().unwrap();
    compare("matcher", expected, of_matcher);
    let expected = line["relabel"].as_str().unwrap_or(expected);
    let tested = Regex::in_anchors(pattern);
    let tested = tested.map(|regex| all(&|text| regex.is_match(text))).map_err(|error| error.to_string());
    compare("in anchors", expected, tested);
    let capturing = CapturingRegex::new(pattern);
    let matches = capturing.as_ref().map(|regex| all(&|text| regex.is_match(text))).map_err(ToString::to_string);
    compare("capturing", expected, matches);
    for expanded in line["expanded"].as_array().into_iter().flatten() {
        let text = texts[usize::try_from(expanded["text"].as_u64().unwrap()).unwrap()];
        let template = expanded["template"].as_str().unwrap();
        let found = capturing.as_ref().ok().and_then(|regex| regex.expand(text, template));
        if found.as_deref() != expanded["result"].as_str() {
            faults.push(format!("{pattern:?} with {template:?} on {text:?}: {found:?}, not {}", expanded["result"]));
        }
    }
    faults
}

#[track_caller]
fn check(lines: impl BufRead, least: usize) {
    let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let texts = lines.next().unwrap();
    let texts: Vec<&str> = texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let (mut count, mut all) = (0, Vec::new());
    for line in lines {
        count += 1;
        all.extend(faults(&line, &texts));
    }
    assert!(
        all.is_empty(),
        "{} faults in {count} expressions, first:\n{}",
        all.len(),
        all[..all.len().min(30)].join("\n")
    );
    assert!(count >= least, "{count} expressions");
}

#[test]
fn recorded_expressions_are_those_of_prometheus() {
    check(&include_bytes!("data/regex.jsonl")[..], 2500);
}

/// As many as `WEFT_REGEX_COUNT` says, of `WEFT_REGEX_SEED`, by default a new one each time.
#[test]
fn random_expressions_are_those_of_prometheus() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("WEFT_REGEX_SEED").unwrap_or(u64::try_from(model::Timestamp::now().0).unwrap());
    let count = number("WEFT_REGEX_COUNT").unwrap_or(3000);
    let mut go = Command::new("go");
    go.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goregex")).env("GOFLAGS", "-mod=readonly");
    go.args(["run", ".", "-seed", &seed.to_string(), "-count", &count.to_string()]).stdout(Stdio::piped());
    let mut judge = match go.spawn() {
        Ok(judge) => judge,
        Err(error) if std::env::var_os("CI").is_none() => return eprintln!("SKIPPED: go: {error}"),
        Err(error) => panic!("go: {error}"),
    };
    eprintln!("WEFT_REGEX_SEED={seed}");
    check(BufReader::new(judge.stdout.take().unwrap()), usize::try_from(count).unwrap());
    assert!(judge.wait().unwrap().success());
}
