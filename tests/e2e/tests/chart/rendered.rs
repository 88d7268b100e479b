//! What Helm makes of the chart, and what it refuses.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::helm::{checkout, of_kind, one, parse, printed, run, template, template_of, text, values};

/// Arguments for each mode, and for files with every value.
pub const CASES: [&[&str]; 7] = [
    &[],
    &["--set", "mode=namespace"],
    &["--set", "mode=namespace,prometheusOperator.namespaces.additional={shop}"],
    &["--set", "mode=config"],
    &["--set", "prometheus.prometheusSpec.replicas=2,prometheus.prometheusSpec.shards=3"],
    &["--values", "everything.yaml"],
    &["--values", "everything-config.yaml"],
];

/// A case with the paths of its files.
pub fn arguments(case: &[&str]) -> Vec<String> {
    case.iter().map(|arg| if arg.ends_with(".yaml") { values(arg) } else { (*arg).to_owned() }).collect()
}

/// The objects of a case.
#[track_caller]
pub fn case(case: &[&str]) -> Vec<Value> {
    let args = arguments(case);
    template(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

pub fn lints_and_renders() {
    let chart = checkout("deploy/helm/weft");
    for one in CASES {
        let args = arguments(one);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        printed(&[&["lint", "--strict", chart.to_str().unwrap()], &*args].concat());
        assert!(!template(&args).is_empty(), "{one:?}");
    }
    every_value_is_given();
    what_is_given_is_rendered();
    files_are_those_of_the_checkout();
    modes_differ_in_rights();
    a_packed_chart_is_the_same();
}

/// Each value of values.yaml stands in one of the files that set everything.
fn every_value_is_given() {
    let read = |yaml: &str| parse(yaml).swap_remove(0);
    let defaults = read(&text("deploy/helm/weft/values.yaml"));
    let given =
        ["everything.yaml", "everything-config.yaml"].map(|name| read(&fs::read_to_string(values(name)).unwrap()));
    let mut absent = Vec::new();
    collect_absent(&defaults, &given.iter().collect::<Vec<_>>(), "", &mut absent);
    assert_eq!(absent, [""; 0], "set them in tests/e2e/tests/chart/everything.yaml");
}

fn collect_absent(defaults: &Value, given: &[&Value], path: &str, absent: &mut Vec<String>) {
    let Some(fields) = defaults.as_object().filter(|fields| !fields.is_empty()) else { return };
    for (name, default) in fields {
        let path = format!("{path}.{name}");
        let below: Vec<&Value> = given.iter().filter_map(|given| given.get(name)).collect();
        let is_empty = |value: &&Value| matches!(value.to_string().as_str(), "{}" | "[]" | "\"\"");
        if below.iter().all(is_empty) {
            absent.push(path);
        } else {
            collect_absent(default, &below, &path, absent);
        }
    }
}

/// Every text that the files give and that begins with `given` is somewhere in what is rendered.
fn what_is_given_is_rendered() {
    for name in ["everything.yaml", "everything-config.yaml"] {
        let text = fs::read_to_string(values(name)).unwrap();
        let rendered =
            printed(&["template", "weft", checkout("deploy/helm/weft").to_str().unwrap(), "--values", &values(name)]);
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
        let given: BTreeSet<&str> = words.filter(|word| word.starts_with("given")).collect();
        assert!(given.len() > 20, "{name} gives {given:?}");
        let lost: Vec<_> = given.iter().filter(|word| !rendered.contains(**word)).collect();
        assert!(lost.is_empty(), "{name}: {lost:?} is not rendered");
    }
}

/// Alerts and dashboards are those of `deploy`, each of them.
fn files_are_those_of_the_checkout() {
    let objects = case(&[]);
    let alerts = parse(&text("deploy/alerts/weft.yaml")).swap_remove(0);
    assert_eq!(one(&objects, "PrometheusRule")["spec"], alerts);
    let mut found = 0;
    for entry in fs::read_dir(checkout("deploy/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut maps =
            of_kind(&objects, "ConfigMap").filter(|map| map["metadata"]["labels"]["grafana_dashboard"] == "1");
        let data = maps.find_map(|map| map["data"][name].as_str()).unwrap_or_else(|| panic!("no ConfigMap has {name}"));
        let [ours, theirs] =
            [data, &fs::read_to_string(&path).unwrap()].map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(ours, theirs, "{name}");
        found += 1;
    }
    assert!(found >= 4, "{found} dashboards");
    let config = case(&["--set", "mode=config"]);
    let mut maps = of_kind(&config, "ConfigMap").filter_map(|map| map["data"]["rules-weft.yaml"].as_str());
    let mut groups = parse(maps.next().unwrap()).swap_remove(0);
    let mut all = alerts["groups"].as_array().unwrap().clone();
    all.retain(|group| group["name"] != "weft.operator");
    assert_eq!(groups["groups"].take(), Value::Array(all));
}

fn modes_differ_in_rights() {
    let kinds = |set: &str| {
        let objects = case(&["--set", set]);
        let named = objects.iter().map(|object| object["kind"].as_str().unwrap().to_owned());
        named.filter(|kind| kind.ends_with("Role")).collect::<Vec<_>>()
    };
    assert_eq!(kinds("mode=operator"), ["ClusterRole", "Role"]);
    assert_eq!(kinds("mode=namespace"), ["Role", "Role"]);
    assert_eq!(kinds("mode=config"), [""; 0]);
    let discovery = "mode=config,prometheus.prometheusSpec.additionalScrapeConfigs[0].job_name=a,\
                     prometheus.prometheusSpec.additionalScrapeConfigs[0].kubernetes_sd_configs[0].role=pod";
    assert_eq!(kinds(discovery), ["ClusterRole"]);
    assert_eq!(kinds("global.rbac.create=false"), [""; 0]);
}

/// In the archive the links are files.
fn a_packed_chart_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    printed(&[
        "package",
        checkout("deploy/helm/weft").to_str().unwrap(),
        "--destination",
        folder.path().to_str().unwrap(),
    ]);
    let archive = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let with_kinds = ["--include-crds"];
    assert_eq!(template_of(&archive, &with_kinds), template(&with_kinds));
    let names = of_kind(&template(&with_kinds), "CustomResourceDefinition").count();
    assert_eq!(names, 6);
}

pub fn refuses_mistakes() {
    for (set, part) in [
        ("prometheus.prometheusSpec.retentionTime=5d", "retentionTime"),
        ("prometheus.prometheusSpec.scrapeInterval=often", "scrapeInterval"),
        ("prometheus.ingres.enabled=true", "ingres"),
        ("mode=cluster", "mode"),
        ("serverFiles.prometheus\\.yml.global.scrape_interval=1m", "serverFiles has no effect with mode: operator"),
        ("mode=config,prometheus.prometheusSpec.shards=2", "prometheusSpec.shards"),
        ("mode=config,prometheus.prometheusSpec.additionalConfig.tsdb.a=b", "additionalConfig has no effect"),
        ("prometheus.prometheusSpec.additionalConfig.scrapeInterval=1m", "additionalConfig.scrapeInterval"),
        ("prometheus.prometheusSpec.additionalConfig.ruleSelector.a=b", "additionalConfig.ruleSelector"),
        ("mode=namespace,prometheus.additionalRulesForClusterRole[0].verbs[0]=get", "there is no ClusterRole"),
    ] {
        let output = run(&["template", "weft", checkout("deploy/helm/weft").to_str().unwrap(), "--set", set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{set}: {said}");
    }
}
