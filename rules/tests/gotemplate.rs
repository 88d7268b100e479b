//! Templates of alerts against what Prometheus makes of them (`tests/gotemplate`).
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use model::{Labels, Timestamp};
use query::Sample;
use rules::{Template, TemplateData};
use serde_json::Value;

const NOW: Timestamp = Timestamp(1_353_755_652_123);
const EXTERNAL_URL: &str = "http://localhost:9090/a%20b/prom";

fn sample(labels: &[(&str, &str)], value: f64) -> Sample {
    Sample { labels: Labels::from_pairs(labels.iter().copied()), ts: NOW, value, histogram: None }
}

/// Every query is answered by its text alone, as in `tests/gotemplate/main.go`.
fn answer(query: &str) -> Result<Vec<Sample>, String> {
    match query {
        "none" => Ok(Vec::new()),
        "fails" => Err("it fails".to_owned()),
        _ => Ok(vec![
            sample(&[("__name__", "m"), ("host", "b"), ("n", "1")], 21.0),
            sample(&[("__name__", "m"), ("host", "a"), ("n", "2")], 0.5),
            sample(&[("__name__", "m"), ("host", "c"), ("__value__", "x")], 1e9),
        ]),
    }
}

fn expanded(text: &str) -> String {
    let instance = "node-1.example.com:9100";
    let labels = [("instance", instance), ("job", "node"), ("severity", "a<b>&\"c\""), ("é", "ü")];
    let data = TemplateData {
        sample: &sample(&labels, 1234.5678),
        external_labels: &Labels::from_pairs([("region", "eu")]),
        external_url: EXTERNAL_URL,
        now: NOW,
        query: &answer,
        still_wanted: &|| true,
    };
    let template = Template::parse("__alert_A", text);
    template.and_then(|template| template.expand(&data)).unwrap_or_else(|error| format!("!{error}"))
}

/// What is known to differ, or differs from run to run.
fn is_incomparable(text: &str, result: &str) -> bool {
    let has = |parts: &[&str]| parts.iter().any(|part| result.contains(part));
    // Results of queries that are printed as a list are addresses upstream, and so are pointers with most verbs.
    let lists = text.contains("query") && text.contains("print") && (has(&["0x", "0X", "%!"]) || text.contains("len"));
    let addresses = lists || has(&["[0x", "[0X", "%5B0x", "&{", "(0x", "=0x", "= 0x"]);
    // Texts that are not UTF-8: here they have U+FFFD.
    let cut = has(&["\u{fffd}", "\\x"]);
    // The insides of times.
    let insides = text.contains("toTime") && text.contains("printf") && text.contains('%');
    // What an element of `args` is, upstream does not always see.
    let elements = text.contains("args") && result.contains("type interface {}");
    addresses || cut || insides || elements
}

/// As many random templates as `WEFT_TEMPLATE_COUNT` says, of `WEFT_TEMPLATE_SEED`.
#[test]
fn templates_are_those_of_prometheus() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let seed = number("WEFT_TEMPLATE_SEED", 1);
    let count = number("WEFT_TEMPLATE_COUNT", 2000);
    let mut go = Command::new("go");
    go.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/gotemplate")).env("GOFLAGS", "-mod=readonly");
    go.args(["run", ".", "-seed", &seed.to_string(), "-count", &count.to_string()]).stdout(Stdio::piped());
    let mut judge = match go.spawn() {
        Ok(judge) => judge,
        Err(error) => return kit::skipped(&format!("go: {error}")),
    };
    let (mut compared, mut expansions, mut faults) = (0, 0, Vec::new());
    for line in BufReader::new(judge.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let [text, expected] = ["text", "result"].map(|field| line[field].as_str().unwrap());
        let found = expanded(text);
        if is_incomparable(text, expected) {
            continue;
        }
        compared += 1;
        expansions += u64::from(!expected.starts_with('!'));
        if found != expected {
            faults.push(format!("{text:?}\n  want {expected:.600?}\n  have {found:.600?}"));
        }
    }
    assert!(judge.wait().unwrap().success());
    let shown = faults[..faults.len().min(30)].join("\n");
    assert!(faults.is_empty(), "{} of {compared}, WEFT_TEMPLATE_SEED={seed}, first:\n{shown}", faults.len());
    // A generator that only makes errors would compare nothing.
    assert!(compared > count / 2 && expansions > count / 10, "{expansions} expansions of {compared}");
}
