//! The dashboards and rules, from the recordings.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// A dashboard.
pub struct Dashboard {
    /// Of its file.
    pub name: String,
    pub json: Value,
}

/// A PrometheusRule.
pub struct Rules {
    pub file: PathBuf,
    /// Record, expression and labels of each recording rule, in order.
    pub recording: Vec<(String, String, Value)>,
}

/// Those that are files of their own.
const FILES: [&str; 4] = [
    "manifests/calico/felix-dashboard.json",
    "manifests/calico/typha-dashboard.json",
    "manifests/calico/felix-k8sfv-k8s-scale-testing.json",
    "manifests/kubenurse/grafana-kubenurse.json",
];

/// All dashboards; `None` where the recordings are absent.
pub fn dashboards() -> Option<Vec<Dashboard>> {
    let definitions = kit::conformance_text("kube-prometheus/grafana-dashboardDefinitions.yaml")?;
    let mut all = Vec::new();
    for object in serde_saphyr::from_multiple::<Value>(&definitions).unwrap() {
        for map in object["items"].as_array().unwrap_or(&vec![object.clone()]) {
            for (name, text) in map["data"].as_object().unwrap() {
                let json = serde_json::from_str(text.as_str().unwrap()).unwrap();
                all.push(Dashboard { name: name.clone(), json });
            }
        }
    }
    for path in FILES {
        let name = path.rsplit('/').next().unwrap().to_owned();
        all.push(Dashboard { name, json: kit::conformance_json(path)? });
    }
    Some(all)
}

/// All rules of kube-prometheus.
pub fn rules() -> Option<Vec<Rules>> {
    let folder = kit::conformance("kube-prometheus")?;
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with("prometheusRule.yaml"));
    files.sort();
    let read = |file: PathBuf| {
        let object: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let groups = object["spec"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let text = |rule: &Value, field: &str| rule[field].as_str().map(str::to_owned);
        let recording = rules.filter_map(|rule| {
            Some((text(rule, "record")?, text(rule, "expr")?, rule.get("labels").cloned().unwrap_or_default()))
        });
        Rules { recording: recording.collect(), file }
    };
    Some(files.into_iter().map(read).collect())
}
