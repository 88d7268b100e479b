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
    shard: u32,
    prometheus: Prometheus,
    weft: Weft,
}

impl Pair {
    /// Starts both, once Prometheus-Operator has generated a configuration.
    pub fn start(world: &World, name: &str, shard: u32) -> Self {
        let (namespace, object) = name.split_once('/').unwrap();
        let generated = eventually("Prometheus-Operator generates a configuration", || {
            let text = world.generated(namespace, object)?;
            if text.contains("scrape_configs") { Ok(text) } else { Err(text) }
        });
        let pod = format!("prometheus-{object}-0");
        let folder = mounted(world, namespace, object);
        let config = generated
            .replace("$(SHARD)", &shard.to_string())
            .replace("$(POD_NAME)", &pod)
            .replace(OF_A_POD, &format!("{}/", folder.path().display()));
        let mut environment = world.plane.as_a_pod(namespace, None).to_vec();
        let program = Prometheus::binary().unwrap();
        let prometheus = Prometheus::start_with(folder, &program, &config, &[], &environment);

        environment.extend([("SHARD", shard.to_string()), ("POD_NAME", pod)]);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("prometheus.yml"), "").unwrap();
        let flags = ["--operator", &format!("--operator.prometheus={name}")];
        let weft = Weft::start_with(folder, &flags, &environment);
        Self { name: name.to_owned(), shard, prometheus, weft }
    }

    /// Waits until both have the same targets and Prometheus has so many active and dropped ones.
    pub fn settle(&self, n: (usize, usize), objects: &[Value]) {
        let Self { name, shard, .. } = self;
        eventually(&format!("the same targets for {name}, shard {shard}"), || {
            let theirs = Targets::of(&self.prometheus.http)?;
            let ours = Targets::of(&self.weft.http)?;
            let found = differences(&ours, &theirs, objects);
            if !found.is_empty() {
                return Err(format!("{} differences:\n{}", found.len(), found.join("\n")));
            }
            if theirs.len() == n { Ok(()) } else { Err(format!("the same {:?} targets, not {n:?}", theirs.len())) }
        });
    }

    /// Both must run the same jobs, field by field: limits and credentials are not seen in targets.
    pub fn same_jobs(&self, objects: &[Value]) {
        let [ours, mut theirs] = [&self.weft.http, &self.prometheus.http].map(jobs);
        theirs.values_mut().for_each(|job| inline(job, self.prometheus.folder()));
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let found = names.into_iter().filter_map(|name| {
            let unlike = unlike(ours.get(name).unwrap_or(&Value::Null), theirs.get(name).unwrap_or(&Value::Null));
            let asked_for = asked_for(name, objects);
            (!unlike.is_empty()).then(|| format!("{name}\n  {}\n  asked for by {asked_for}", unlike.join("\n  ")))
        });
        let found: Vec<String> = found.collect();
        assert!(found.is_empty(), "{} jobs of {} differ:\n{}", found.len(), self.name, found.join("\n"));
    }
}

/// The jobs of the configuration in force.
fn jobs(http: &Http) -> BTreeMap<String, Value> {
    let yaml = http.api("status/config").unwrap();
    let config: Value = serde_saphyr::from_str(yaml["yaml"].as_str().unwrap()).unwrap();
    let jobs = config["scrape_configs"].as_array().unwrap().iter();
    jobs.map(|job| (job["job_name"].as_str().unwrap().to_owned(), job.clone())).collect()
}

/// Puts certificates in the place of the names of files in this folder, as Weft has them.
fn inline(value: &mut Value, folder: &Path) {
    match value {
        Value::Object(fields) => {
            for (field, inlined) in [("ca_file", "ca"), ("cert_file", "cert"), ("key_file", "key")] {
                let path = fields.get(field).and_then(Value::as_str).map(Path::new);
                if let Some(path) = path.filter(|path| path.starts_with(folder)) {
                    let text = fs::read_to_string(path).unwrap();
                    let shown = if inlined == "key" { "<secret>".to_owned() } else { text };
                    fields.remove(field);
                    fields.insert(inlined.to_owned(), shown.into());
                }
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
    for secret in world.list(namespace, "secrets").unwrap() {
        let of_object = secret["metadata"]["name"].as_str().unwrap_or_default();
        if of_object.starts_with(&assets) {
            write("certs", data(&secret));
        }
        write(&Path::new("secrets").join(of_object).display().to_string(), data(&secret));
    }
    folder
}
