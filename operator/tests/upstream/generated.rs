//! The configuration that upstream generates from the same objects.

use std::fs;

use config::Yaml;
use kit::conformance;
use operator::objects::Meta;
use operator::{Generator, Placeholders, Resolver, Selected};
use serde_json::{Map, Value, json};

use crate::cases::{Case, documents};

/// YAML as JSON. Scalars become text, because the type of one depends on the field that it is read into.
fn plain(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Text(text) | Yaml::Raw(text) => scalar(text),
        Yaml::List(items) => Value::Array(items.iter().map(plain).collect()),
        Yaml::Flow(items) => json!(items),
        Yaml::Map(pairs) => Value::Object(pairs.iter().map(|(key, value)| (key.to_string(), plain(value))).collect()),
    }
}

/// JSON with its scalars as text.
fn texts(value: &Value) -> Value {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => Value::Array(items.iter().map(texts).collect()),
        Value::Object(pairs) => Value::Object(pairs.iter().map(|(key, value)| (key.clone(), texts(value))).collect()),
        Value::Null => Value::Null,
        other => scalar(&other.to_string()),
    }
}

/// Numbers with a fraction are compared by value: upstream prints the rounding of its quantities.
fn scalar(text: &str) -> Value {
    match text.parse::<f64>() {
        Ok(number) if text.contains('.') && number.is_finite() => json!(format!("{number:.9}")),
        _ => json!(text),
    }
}

/// An agent has neither rules nor alerts nor a store, and its jobs are in another order.
fn agent_part(mut configuration: Map<String, Value>) -> Map<String, Value> {
    let jobs = configuration.get("scrape_configs").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut jobs: Vec<Value> = jobs;
    jobs.sort_by_key(|job| job["job_name"].to_string());
    configuration.insert("scrape_configs".to_owned(), json!(jobs));
    configuration.retain(|key, _| matches!(key.as_str(), "global" | "scrape_configs" | "remote_write"));
    if let Some(global) = configuration.get_mut("global").and_then(Value::as_object_mut) {
        global.remove("evaluation_interval");
    }
    configuration
}

/// Where two values differ.
fn difference(ours: &Value, upstream: &Value, path: &str, out: &mut Vec<String>) {
    match (ours, upstream) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let null = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                difference(a, b, &format!("{path}.{key}"), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                difference(a, b, &format!("{path}[{i}]"), out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(format!("{path}: {a} here, {b} upstream")),
    }
}

/// The configuration of a case. Its own tests of upstream give objects that are selected; those of a whole operator do not.
fn generate(case: &Case) -> Result<Yaml, String> {
    let mut case = case.clone();
    if case.meta["selection_applied"] == true {
        let before = case.clone();
        let is_used = |kind: &str, meta: &Meta| {
            let name = format!("{}/{}", meta.namespace, meta.name);
            before.verdict(kind, &name, true) == Some(Ok(()))
        };
        case.service_monitors.retain(|one| is_used("ServiceMonitor", &one.metadata));
        case.pod_monitors.retain(|one| is_used("PodMonitor", &one.metadata));
        case.probes.retain(|one| is_used("Probe", &one.metadata));
        case.scrape_configs.retain(|one| is_used("ScrapeConfig", &one.metadata));
    }
    let generator = Generator::new(&case.prometheus, &case.assets, case.options());
    let selected = Selected {
        service_monitors: &case.service_monitors,
        pod_monitors: &case.pod_monitors,
        probes: &case.probes,
        scrape_configs: &case.scrape_configs,
    };
    let generated = generator.jobs(selected).and_then(|jobs| {
        for job in &jobs {
            let name = plain(&job.yaml)["job_name"].as_str().unwrap_or_default().to_owned();
            assert_eq!(job.name, name);
            let rules = |field: &str| plain(&job.yaml)[field].as_array().map_or(0, Vec::len);
            assert_eq!(rules("relabel_configs"), job.relabel_origins.len(), "{name}");
            assert_eq!(rules("metric_relabel_configs"), job.metric_relabel_origins.len(), "{name}");
        }
        generator.configuration(&jobs, &case.rule_files())
    });
    let generated = generated.map_err(|error| error.to_string())?;
    if case.meta["generator_options"]["inline_tls_config"] != true {
        return Ok(generated);
    }
    let placeholders = Placeholders::default();
    let resolver = Resolver::new(&case.prometheus, &case.assets, &placeholders);
    resolver.resolve(&generated).map_err(|error| error.to_string())
}

fn check(case: &Case, expected: &Value) -> Vec<String> {
    let mut ours = match generate(case) {
        Ok(ours) => plain(&ours).as_object().cloned().unwrap(),
        Err(error) => return vec![error],
    };
    let mut expected = texts(expected).as_object().cloned().unwrap();
    if case.meta["mode"] == "agent" {
        (ours, expected) = (agent_part(ours), agent_part(expected));
    }
    let mut out = Vec::new();
    difference(&Value::Object(ours), &Value::Object(expected), "", &mut out);
    out
}

/// Upstream generates something for an old version of Prometheus, and nothing for one that knows the field.
const IS_REFUSED_TODAY: [&str; 1] = ["OTLPConfig_Config_ignore_resource_attributes_wrong_prom"];

#[test]
fn the_same_configuration_is_generated() {
    let Some(root) = conformance("operator/cases") else { return };
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let (mut n_checked, mut failures) = (0, Vec::new());
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let case = Case::read(&folder);
        n_checked += 1;
        if case.meta["expect_error"] == true || IS_REFUSED_TODAY.contains(&name.as_str()) {
            if let Ok(generated) = generate(&case) {
                failures.push(format!("{name}\n    is generated here: {}", generated.print()));
            }
            continue;
        }
        let recorded = ["expected_latest.yaml", "expected.yaml"].map(|name| folder.join(name));
        let expected = documents(recorded.iter().find(|path| path.exists()).unwrap()).remove(0);
        let differences = check(&case, &expected);
        if !differences.is_empty() {
            failures.push(format!("{name}\n    {}", differences.join("\n    ")));
        }
    }
    assert!(failures.is_empty(), "{} of {n_checked} differ:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(n_checked, 553, "cases went missing");
}
