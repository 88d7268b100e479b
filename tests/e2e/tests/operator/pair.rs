//! Prometheus on what Prometheus-Operator generates, beside Weft on the objects: one Prometheus object, one shard.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kit::{Http, Prometheus, Weft, eventually};
use serde_json::Value;
use tempfile::TempDir;

use crate::targets::{Targets, asked_for, differences, unlike};
use crate::world::{World, data};

/// The folder of a Prometheus pod whose content Prometheus-Operator names.
const OF_A_POD: &str = "/etc/prometheus/";

/// A Prometheus object, and the two that follow it.
pub struct Pair {
    /// `namespace/name`.
    name: String,
    /// What tells it from other servers of the object.
    told: String,
    prometheus: Prometheus,
    weft: Weft,
}

impl Pair {
    /// Starts both, once Prometheus-Operator has generated a configuration.
    pub fn start(world: &World, name: &str, told: &[(&str, &str)]) -> Self {
        let (namespace, object) = name.split_once('/').unwrap();
        let generated = eventually("Prometheus-Operator generates a configuration", || {
            let text = world.generated(namespace, object)?;
            if text.contains("scrape_configs") { Ok(text) } else { Err(text) }
        });
        let pod = format!("prometheus-{object}-0");
        let folder = mounted(world, namespace, object);
        let told: Vec<(&str, String)> =
            told.iter().map(|(name, value)| (*name, (*value).to_owned())).chain([("POD_NAME", pod)]).collect();
        let config = generated.replace(OF_A_POD, &format!("{}/", folder.path().display()));
        let config = told.iter().fold(config, |text, (name, value)| text.replace(&format!("$({name})"), value));
        let mut environment = world.plane.as_a_pod(namespace, None).to_vec();
        let program = Prometheus::binary().unwrap();
        let prometheus = Prometheus::start_with(folder, &program, &config, &[], &environment);

        environment.extend(told.iter().cloned());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("prometheus.yml"), "").unwrap();
        let flags = ["--operator", &format!("--operator.prometheus={name}")];
        let weft = Weft::start_with(folder, &flags, &environment);
        Self { name: name.to_owned(), told: format!("{told:?}"), prometheus, weft }
    }

    /// Waits until both have the same targets and Prometheus has at least so many active and dropped ones.
    pub fn settle(&self, n: (usize, usize), objects: &[Value]) {
        let Self { name, told, .. } = self;
        eventually(&format!("the same targets for {name}, {told}"), || {
            let theirs = Targets::of(&self.prometheus.http)?;
            let ours = Targets::of(&self.weft.http)?;
            let found = differences(&ours, &theirs, objects);
            if !found.is_empty() {
                return Err(format!("{} scrape pools differ:\n{}", found.len(), found.join("\n")));
            }
            let (active, dropped) = theirs.len();
            if active < n.0 || dropped < n.1 {
                return Err(format!("the same {active} active and {dropped} dropped targets"));
            }
            println!("{name}, {told}: {active} active and {dropped} dropped targets are the same");
            Ok(())
        });
    }

    /// Both must come to run the same jobs, field by field: limits and credentials are not seen in targets.
    pub fn same_jobs(&self, objects: &[Value]) {
        eventually(&format!("the same jobs for {}, {}", self.name, self.told), || {
            let found = self.unlike_jobs(objects);
            if found.is_empty() { Ok(()) } else { Err(format!("{} jobs differ:\n{}", found.len(), found.join("\n"))) }
        });
    }

    fn unlike_jobs(&self, objects: &[Value]) -> Vec<String> {
        let [ours, mut theirs] = [&self.weft.http, &self.prometheus.http].map(jobs);
        theirs.values_mut().for_each(|job| inline(job, self.prometheus.folder()));
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let found = names.into_iter().filter_map(|name| {
            let unlike = unlike(ours.get(name).unwrap_or(&Value::Null), theirs.get(name).unwrap_or(&Value::Null));
            let asked_for = asked_for(name, objects);
            (!unlike.is_empty()).then(|| format!("{name}\n  {}\n  asked for by {asked_for}", unlike.join("\n  ")))
        });
        found.collect()
    }
}

/// The jobs of the configuration in force.
fn jobs(http: &Http) -> BTreeMap<String, Value> {
    let yaml = http.api("status/config").unwrap();
    let config: Value = serde_saphyr::from_str(yaml["yaml"].as_str().unwrap()).unwrap();
    let jobs = config["scrape_configs"].as_array().into_iter().flatten();
    jobs.map(|job| (job["job_name"].as_str().unwrap().to_owned(), job.clone())).collect()
}

/// Puts certificates in the place of the names of files in this folder, as Weft has them; a file that is not there keeps the
/// name that it has in a pod.
fn inline(value: &mut Value, folder: &Path) {
    match value {
        Value::Object(fields) => {
            for (field, inlined) in [("ca_file", "ca"), ("cert_file", "cert"), ("key_file", "key")] {
                let path = fields.get(field).and_then(Value::as_str).map(Path::new);
                let Some(below) = path.and_then(|path| path.strip_prefix(folder).ok()) else { continue };
                let (shown, as_field) = match fs::read_to_string(folder.join(below)) {
                    Ok(_) if inlined == "key" => ("<secret>".to_owned(), inlined),
                    Ok(text) => (text, inlined),
                    Err(_) => (format!("{OF_A_POD}{}", below.display()), field),
                };
                fields.remove(field);
                fields.insert(as_field.to_owned(), shown.into());
            }
            fields.values_mut().for_each(|value| inline(value, folder));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| inline(value, folder)),
        _ => {}
    }
}

/// The files that the pod would have: assets that Prometheus-Operator makes, and what the object mounts.
fn mounted(world: &World, namespace: &str, name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |below: &str, data: Vec<(String, Vec<u8>)>| {
        let below = folder.path().join(below);
        fs::create_dir_all(&below).unwrap();
        data.into_iter().for_each(|(key, value)| fs::write(below.join(key), value).unwrap());
    };
    let assets = format!("prometheus-{name}-tls-assets");
    let path = format!("/apis/monitoring.coreos.com/v1/namespaces/{namespace}/prometheuses/{name}");
    let object = world.get(&path).unwrap();
    let named = object["spec"]["secrets"].as_array().cloned().unwrap_or_default();
    for secret in world.secrets(namespace).unwrap() {
        let of_object = secret["metadata"]["name"].as_str().unwrap_or_default();
        if of_object.starts_with(&assets) {
            write("certs", data(&secret));
        } else if named.iter().any(|name| name == of_object) {
            write(&format!("secrets/{of_object}"), data(&secret));
        }
    }
    folder
}
