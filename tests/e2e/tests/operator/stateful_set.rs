//! Weft as the image of a Prometheus object: what Prometheus-Operator puts into the StatefulSet is what Weft is started with.
//! There is no kubelet: the test lays out the volumes, starts the container's command line and asks what the probes ask.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use kit::{Http, Pki, Process, PrometheusOperator, Weft, add_addresses, eventually};
use serde_json::{Value, json};

use crate::objects::parse;
use crate::world::{World, data};

const OBJECTS: &str = include_str!("stateful_sets.yaml");
const NAMESPACE: &str = "image";
/// How many flags the objects make Prometheus-Operator pass.
const FLAGS_MIN: usize = 33;
/// Folders of a Prometheus pod.
const FOLDERS: [&str; 3] = ["/etc/prometheus", "/prometheus", "/var/log/prometheus"];

pub fn command_lines() {
    add_addresses(&["10.244.0.3"]);
    let world = World::start();
    let pki = Pki::new();
    let (certificate, key) = pki.server(&["10.244.0.3", "localhost"]);
    let objects = parse(OBJECTS);
    world.apply(&objects);
    world.apply(&[json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "server", "namespace": NAMESPACE},
        "stringData": {"ca": pki.ca(), "cert": certificate, "key": key, "storage": "type: FILESYSTEM"},
    })]);
    let _operator = PrometheusOperator::start(&PrometheusOperator::binary().unwrap(), &world.plane);
    let mut flags = BTreeSet::new();
    for object in objects.iter().filter(|object| object["kind"] == "Prometheus") {
        let name = object["metadata"]["name"].as_str().unwrap();
        let set = eventually("Prometheus-Operator makes a StatefulSet", || world.stateful_set(NAMESPACE, name));
        println!("{name}");
        let args = runs(&world, name, &set["spec"]["template"]["spec"], &pki);
        flags.extend(args.iter().filter_map(|arg| arg.split('=').next()).map(str::to_owned));
    }
    assert!(flags.len() >= FLAGS_MIN, "Prometheus-Operator passes only {} flags: {flags:?}", flags.len());
}

/// Starts the container named `prometheus` of a pod and asks its probes; returns its arguments.
fn runs(world: &World, name: &str, pod: &Value, pki: &Pki) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let containers = pod["containers"].as_array().unwrap();
    let container = containers.iter().find(|container| container["name"] == "prometheus").unwrap();
    lay_out(world, pod, container, folder.path());
    // What its sidecar writes.
    let config = world.generated(NAMESPACE, name).unwrap().replace("$(SHARD)", "0").replace("$(POD_NAME)", "pod-0");
    let written = folder.path().join("etc/prometheus/config_out/prometheus.env.yaml");
    fs::write(&written, below(&config, folder.path())).unwrap();

    let args: Vec<String> =
        container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned()).collect();
    let mut command = Command::new(Weft::binary());
    command
        .args(args.iter().map(|arg| below(arg, folder.path())))
        .current_dir(folder.path())
        .envs(world.plane.as_a_pod(NAMESPACE, None));
    let mut process = Process::start(&mut command, &folder.path().join("weft.log"));
    let mut answers = |probe: &str| {
        let (http, path) = handler(container, &container[probe], pki);
        eventually(&format!("{name}: {probe}, {path}"), || {
            assert!(process.ended().is_none(), "{name}: Weft ended:\n{}", process.output());
            match http.get(&path) {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}\n{}", process.output())),
            }
        });
        (http, path)
    };
    answers("startupProbe");
    answers("livenessProbe");
    let (http, path) = answers("readinessProbe");
    let prefix = path.trim_end_matches("/-/ready").to_owned();
    let (status, body) = http.get(&format!("{prefix}/api/v1/status/config")).unwrap();
    assert!(status == 200 && body.contains("serviceMonitor/image/secured/0"), "{name}: {status}: {body}");
    if args.iter().any(|arg| arg == "--web.enable-lifecycle") {
        let (status, body) = http.post(&format!("{prefix}/-/reload"), &[]).unwrap();
        assert_eq!(status, 200, "{name}: {body}\n{}", process.output());
    }
    let log = process.output();
    assert!(!log.contains("ERROR"), "{name}:\n{log}");
    args
}

/// The text with the folders of a pod in the place of this one.
fn below(text: &str, folder: &Path) -> String {
    let folder = folder.display().to_string();
    // `/prometheus` is a part of other paths; it begins one only behind these.
    FOLDERS.iter().fold(text.to_owned(), |text, of_pod| {
        ["=", " ", "\"", "'"]
            .iter()
            .fold(text, |text, before| text.replace(&format!("{before}{of_pod}"), &format!("{before}{folder}{of_pod}")))
    })
}

/// Writes what the volumes of a container hold, as a kubelet would.
fn lay_out(world: &World, pod: &Value, container: &Value, folder: &Path) {
    let empty = Vec::new();
    let volumes = pod["volumes"].as_array().unwrap_or(&empty);
    for mount in container["volumeMounts"].as_array().unwrap_or(&empty) {
        let path = folder.join(mount["mountPath"].as_str().unwrap().trim_start_matches('/'));
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap_or(&Value::Null);
        let mut files = of_source(world, volume);
        for source in volume["projected"]["sources"].as_array().unwrap_or(&empty) {
            files.extend(of_source(world, source));
        }
        let Some(one) = mount["subPath"].as_str().filter(|_| !files.is_empty()) else {
            fs::create_dir_all(&path).unwrap();
            files.iter().for_each(|(name, text)| fs::write(path.join(name), text).unwrap());
            continue;
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (_, text) = files.iter().find(|(name, _)| name == one).unwrap_or_else(|| panic!("no {one} in {volume}"));
        fs::write(&path, below(&String::from_utf8_lossy(text), folder)).unwrap();
    }
}

/// The files of a Secret or ConfigMap in a volume.
fn of_source(world: &World, source: &Value) -> Vec<(String, Vec<u8>)> {
    let secret = &source["secret"];
    let Some(name) = secret["secretName"].as_str().or(secret["name"].as_str()) else { return Vec::new() };
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}");
    let files = data(&eventually("a Secret of the pod", || world.get(&path)));
    let Some(items) = secret["items"].as_array() else { return files };
    let file = |item: &Value| {
        let (_, text) = files.iter().find(|(key, _)| item["key"] == **key)?;
        Some((item["path"].as_str()?.to_owned(), text.clone()))
    };
    items.iter().filter_map(file).collect()
}

/// Who answers a probe, and the path that it asks for.
fn handler(container: &Value, probe: &Value, pki: &Pki) -> (Http, String) {
    let Some(path) = probe["httpGet"]["path"].as_str() else {
        // A command that asks by curl or wget.
        let command = probe["exec"]["command"].as_array().unwrap().last().unwrap().as_str().unwrap();
        let url = command.split_whitespace().find(|word| word.starts_with("http://localhost:9090/")).unwrap();
        let path = url.trim_start_matches("http://localhost:9090").trim_end_matches(';');
        return (Http::new("http://127.0.0.1:9090"), path.to_owned());
    };
    let ports = container["ports"].as_array().unwrap();
    let port = &ports.iter().find(|port| port["name"] == probe["httpGet"]["port"]).unwrap()["containerPort"];
    let http = match probe["httpGet"]["scheme"].as_str() {
        Some("HTTPS") => Http::trusting(format!("https://10.244.0.3:{port}"), &pki.ca(), ""),
        _ => Http::new(format!("http://10.244.0.3:{port}")),
    };
    (http, path.to_owned())
}
