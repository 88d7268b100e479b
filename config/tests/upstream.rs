//! Configurations of upstream: what loads, what is refused and why, and how the loaded one is printed.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::Config;
use model::{Labels, LabelsBuilder, relabel};
use serde_json::Value;

/// Upstream's data, or `None` where it is not there.
fn folder() -> Option<PathBuf> {
    kit::conformance("")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Errors of the whole chain, in one line.
fn full(error: &config::Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// The part of upstream's message that ours must hold too. What Go's YAML library says of types is its own; of unknown
/// fields only the type's name is.
fn expected_part(message: &str) -> String {
    let last = message.lines().find(|line| line.trim_start().starts_with("line ")).unwrap_or(message);
    let last = last.trim_start();
    let said = last.split_once(": ").filter(|_| last.starts_with("line ")).map_or(last, |(_, said)| said);
    if let Some((field, _)) = said.split_once(" not found in type") {
        return format!("{field} not found");
    }
    if let Some((field, _)) = said.split_once(" in type ") {
        return field.to_owned();
    }
    if said.starts_with("cannot unmarshal") || said == "unmarshal errors" {
        return "cannot unmarshal".to_owned();
    }
    if let Some((_, rest)) = said.strip_prefix("\"testdata/").and_then(|said| said.split_once("\": ")) {
        // The file stands before ours too, in another form.
        return rest.to_owned();
    }
    match said.split_once(": `") {
        Some((kind, _)) if said.starts_with("error parsing regexp") => kind.to_owned(),
        _ => {
            said.strip_prefix("parsing YAML file ").and_then(|s| s.split_once(": ")).map_or(said, |(_, s)| s).to_owned()
        }
    }
}

/// Fails when the differences are not exactly those that are known.
#[track_caller]
fn check_known(found: &[(String, String)], known: &[(&str, &str)]) {
    let ids: BTreeSet<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
    let known_ids: BTreeSet<&str> = known.iter().map(|(id, _)| *id).collect();
    let new: Vec<String> = found
        .iter()
        .filter(|(id, _)| !known_ids.contains(id.as_str()))
        .map(|(id, why)| format!("{id}: {why}"))
        .collect();
    assert!(new.is_empty(), "{} new differences:\n{}", new.len(), new.join("\n"));
    let fixed: Vec<&&str> = known_ids.difference(&ids).collect();
    assert!(fixed.is_empty(), "no longer different, take off the list: {fixed:?}");
}

fn difference(expected: &str, got: &str) -> Option<String> {
    let (mut left, mut right) = (expected.lines(), got.lines());
    for n in 1.. {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some(format!("line {n}: expected {a:?}, got {b:?}")),
        }
    }
    None
}

/// Differences of the inline documents, with the reason.
const KNOWN_INLINE: &[(&str, &str)] = &[
    ("inline-003", "a document that holds nothing gives the defaults, as an empty file does"),
    ("inline-009", "the YAML parser has its own words for a tab"),
    ("inline-055", OPENMETRICS_2),
    ("inline-135", OPENMETRICS_2),
    ("inline-170", "upstream was recorded with fewer discoveries; ours knows them all"),
];

#[test]
fn inline_documents() {
    let Some(folder) = folder() else { return };
    let mut found = Vec::new();
    for case in json(&folder.join("config/inline_cases.json")).as_array().unwrap() {
        let id = case["id"].as_str().unwrap().to_owned();
        let name = case["name"].as_str().unwrap();
        let result = Config::parse(case["config"].as_str().unwrap(), Path::new("prometheus.yml"), &|_| None);
        let why = match (&result, case["loaded"].as_str(), case["error"].as_str()) {
            (Ok(config), Some(loaded), _) => difference(loaded, &config.to_yaml()),
            (Err(error), _, Some(message)) => {
                let (got, part) = (full(error), expected_part(message));
                (!got.contains(&part)).then(|| format!("expected an error with {part:?}, got {got:?}"))
            }
            (Ok(_), _, message) => Some(format!("loaded; expected {message:?}")),
            (Err(error), ..) => Some(format!("refused: {}", full(error))),
        };
        found.extend(why.map(|why| (id, format!("({name}) {why}"))));
    }
    check_known(&found, KNOWN_INLINE);
}

/// Differences of the files, with the reason.
const KNOWN_FILES: &[(&str, &str)] = &[
    ("oci_authentication_method.bad.yml", CLOUD),
    ("labelmap.bad.yml", "!!binary is refused as such"),
    ("labelname.bad.yml", "!!binary is refused as such"),
    ("labelvalue.bad.yml", "!!binary is refused as such"),
    ("static_config.bad.yml", "!!binary is refused as such, before the fields"),
    ("scrape_config_files_fallback_scrape_protocol1.bad.yml", OPENMETRICS_2),
    ("scrape_config_files_scrape_protocols.bad.yml", OPENMETRICS_2),
    ("scrape_config_files_glob.good.yml", "upstream was recorded with fewer discoveries; ours knows them all"),
];
const OPENMETRICS_2: &str = "recorded with 3.14; since 3.15 the list of protocols has OpenMetricsText2.0.0 too";
const CLOUD: &str = "the fields of cloud discoveries, which are not served, are not checked";

#[test]
fn files() {
    let Some(folder) = folder() else { return };
    let base = folder.join("config");
    let prefix = format!("{}/testdata/", base.display());
    let mut found = Vec::new();
    for case in json(&base.join("index.json"))["files"].as_array().unwrap() {
        // There is no agent mode.
        if case["agent_mode"] == Value::Bool(true) {
            continue;
        }
        let id = case["file"].as_str().unwrap();
        let path = base.join(id);
        let text = std::fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap();
        let env = |name: &str| (name == "TEST").then(|| case["env"]["TEST"].as_str().unwrap_or_default().to_owned());
        let result = Config::parse(&text, &path, &env);
        let message = case["error_contains"].as_str().or(case["recorded_error"].as_str());
        let ok = case["result"] == "ok" || (message.is_none() && case["result"] != "error");
        let why = match (&result, message) {
            (Ok(config), None) if ok => case["expected_loaded"].as_str().and_then(|expected| {
                let expected = std::fs::read_to_string(base.join(expected)).unwrap();
                difference(&expected.replace("testdata/", ""), &config.to_yaml().replace(&prefix, ""))
            }),
            (Err(error), Some(message)) => {
                let (got, part) = (full(error).replace(&prefix, "testdata/"), expected_part(message));
                (!got.contains(&part)).then(|| format!("expected an error with {part:?}, got {got:?}"))
            }
            (Ok(_), message) => Some(format!("loaded; expected {message:?}")),
            (Err(error), None) => Some(format!("refused: {}", full(error))),
        };
        found.extend(why.map(|why| (id.trim_start_matches("testdata/").to_owned(), why)));
    }
    check_known(&found, KNOWN_FILES);
}

/// Documents of upstream that are wrong in more than one way, and in how many.
const SEVERAL: &[(&str, usize)] = &[
    // Its URL is none, too.
    ("testdata/empty_rw_relabel_config.bad.yml", 2),
    // Nor has it a user and a password.
    ("testdata/uyuni_no_server.bad.yml", 3),
];

/// Upstream's documents are wrong in one way each: whatever else was told would be a consequence. Many have no names of jobs.
#[test]
fn one_fault_is_told_once() {
    let Some(folder) = folder() else { return };
    let mut found = Vec::new();
    let mut check = |id: &str, text: &str, path: &Path| {
        let Err(error) = Config::parse(text, path, &|_| Some("x".to_owned())) else { return };
        let known = SEVERAL.iter().find(|(known, _)| *known == id).map_or(1, |(_, n)| *n);
        let is_other = |fault: &&config::Error| !fault.to_string().ends_with("job_name is empty");
        let n_others = error.faults().iter().filter(is_other).count();
        if n_others.max(1) != known {
            found.push(format!("{id}: {error}"));
        }
    };
    for case in json(&folder.join("config/inline_cases.json")).as_array().unwrap() {
        check(case["id"].as_str().unwrap(), case["config"].as_str().unwrap(), Path::new("prometheus.yml"));
    }
    for case in json(&folder.join("config/index.json"))["files"].as_array().unwrap() {
        let id = case["file"].as_str().unwrap();
        let path = folder.join("config").join(id);
        let text = std::fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap();
        check(id, &text, &path);
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[test]
fn relabelling_as_it_is_written() {
    let Some(folder) = folder() else { return };
    let mut n_run = 0;
    for case in json(&folder.join("relabel/cases.json")).as_array().unwrap() {
        let Some(rules) = case["configs_yaml"].as_str() else { continue };
        let id = &case["id"];
        let scheme = case["name_validation_scheme"].as_str().unwrap();
        let escaping = if scheme == "legacy" { "underscores" } else { "allow-utf-8" };
        let text = format!(
            "scrape_configs:\n- job_name: x\n  metric_name_validation_scheme: {scheme}\n  metric_name_escaping_scheme: {escaping}\n  relabel_configs:\n{}",
            rules.lines().map(|line| format!("  {line}\n")).collect::<String>()
        );
        n_run += 1;
        let config = match (Config::parse(&text, Path::new("c.yml"), &|_| None), case["error"].as_str()) {
            (Ok(config), None) => config,
            (Err(error), Some(message)) => {
                let part = expected_part(message);
                assert!(full(&error).contains(&part), "{id}: expected {part:?}, got {}", full(&error));
                continue;
            }
            (result, message) => panic!("{id}: {result:?}, expected {message:?}"),
        };
        let pairs = case["input"].as_object().unwrap().iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap()));
        let mut labels = LabelsBuilder::new(&Labels::from_pairs(pairs));
        let kept = relabel(&mut labels, &config.scrape_configs[0].relabel_configs).is_kept();
        assert_eq!(kept, case.get("drop").is_none(), "{id}");
        if kept {
            let output = case["output"].as_object().unwrap();
            let got: Vec<(&str, &str)> = labels.iter().collect();
            let mut expected: Vec<(&str, &str)> =
                output.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())).collect();
            expected.sort_unstable();
            assert_eq!(got, expected, "{id}");
        }
    }
    assert_eq!(n_run, 85);
}
