//! A pod of the chart, started without a kubelet: its command line, its environment and its files.

use std::fs;
use std::path::Path;
use std::process::Command;

use kit::{Http, Process, Weft, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::helm::{NAMESPACE, of_kind};

/// Where a pod is, beside the API server.
pub const ADDRESS: &str = "10.244.0.3";
/// Folders of a pod, the longest first.
const FOLDERS: [&str; 2] = ["/etc/prometheus", "/prometheus"];

/// A running Weft.
pub struct Pod {
    pub http: Http,
    pub process: Process,
    _folder: TempDir,
}

/// The pod that the StatefulSet controller makes of the first StatefulSet of a release.
pub fn of(objects: &[Value]) -> Value {
    of_shard(objects, 0)
}

/// The same of one of its shards.
pub fn of_shard(objects: &[Value], shard: usize) -> Value {
    let set = of_kind(objects, "StatefulSet").nth(shard).unwrap();
    let name = format!("{}-0", set["metadata"]["name"].as_str().unwrap());
    let mut pod = set["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["namespace"] = json!(NAMESPACE);
    let claims = set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    let volumes = claims.map(|claim| {
        let volume = &claim["metadata"]["name"];
        let claim = format!("{}-{name}", volume.as_str().unwrap());
        json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
    });
    let mut all: Vec<Value> = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    all.extend(volumes);
    pod["spec"]["volumes"] = Value::Array(all);
    pod
}

/// Starts the container `weft` of a release's pod, with the rights of its account, and waits until it is ready.
#[track_caller]
pub fn start(cluster: &Cluster, objects: &[Value]) -> Pod {
    start_shard(cluster, objects, 0)
}

/// The same of one of its shards.
#[track_caller]
pub fn start_shard(cluster: &Cluster, objects: &[Value], shard: usize) -> Pod {
    let pod = of_shard(objects, shard);
    let container = weft(&pod);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("prometheus")).unwrap();
    write_config(objects, folder.path());
    let args = container["args"].as_array().unwrap();
    let mut command = Command::new(Weft::binary());
    command
        .args(args.iter().map(|arg| below(arg.as_str().unwrap(), folder.path())))
        .current_dir(folder.path().join("prometheus"))
        .envs(environment(&pod));
    if pod["spec"]["automountServiceAccountToken"] == true {
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap();
        command.envs(cluster.plane.as_a_pod(NAMESPACE, Some(&cluster.plane.token(NAMESPACE, account))));
    }
    let mut process = Process::start(&mut command, &folder.path().join("weft.log"));
    let http = Http::new(format!("http://{ADDRESS}:9090"));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().unwrap();
        eventually(&format!("{probe}, {path}"), || {
            assert!(process.ended().is_none(), "Weft ended:\n{}", process.output());
            match http.get(path) {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}\n{}", process.output())),
            }
        });
    }
    Pod { http, process, _folder: folder }
}

/// What the paths of a release begin with.
pub fn prefix(objects: &[Value]) -> String {
    let pod = of(objects);
    let path = weft(&pod)["readinessProbe"]["httpGet"]["path"].as_str().unwrap();
    path.strip_suffix("/-/ready").unwrap().to_owned()
}

/// The container of Weft.
pub fn weft(pod: &Value) -> &Value {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    containers.iter().find(|container| container["name"] == "weft").unwrap()
}

/// The files of the ConfigMap with the configuration, if the release has one.
fn write_config(objects: &[Value], folder: &Path) {
    let is_config = |map: &&Value| map["data"]["prometheus.yml"].is_string();
    let Some(map) = of_kind(objects, "ConfigMap").find(is_config) else { return };
    let config = folder.join("etc/prometheus/config");
    fs::create_dir_all(&config).unwrap();
    for (name, text) in map["data"].as_object().unwrap() {
        fs::write(config.join(name), below(text.as_str().unwrap(), folder)).unwrap();
    }
}

fn environment(pod: &Value) -> Vec<(String, String)> {
    let of = |variable: &Value| {
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("metadata.name") => &pod["metadata"]["name"],
            Some("metadata.namespace") => &pod["metadata"]["namespace"],
            Some(other) => panic!("the test does not know {other}"),
            None => &variable["value"],
        };
        (variable["name"].as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned())
    };
    weft(pod)["env"].as_array().unwrap().iter().map(of).collect()
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
