//! Each mode, started with the arguments of its pod and the rights of its account: it scrapes itself and has the alerts.

use kit::eventually;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::helm::{NAMESPACE, parse, template, text, values};
use crate::pod::{self, ADDRESS, Pod};
use crate::rights;

const OFTEN: &str = "prometheus.prometheusSpec.scrapeInterval=1s,prometheus.prometheusSpec.evaluationInterval=1s";

pub fn all_modes() {
    let cluster = Cluster::start();
    for mode in ["operator", "namespace", "config"] {
        println!("{mode}");
        let objects = template(&["--set", &format!("mode={mode},{OFTEN}")]);
        cluster.apply(&objects);
        cluster.run_pod(&objects);
        match mode {
            "operator" => rights::complete(&cluster, rights::OPERATOR.1, true),
            "namespace" => {
                rights::complete(&cluster, &["--operator.prometheus=watch/weft", "--operator.namespaces=watch"], false)
            }
            _ => {}
        }
        let weft = pod::start(&cluster, &objects);
        scrapes_itself(&weft);
        has_the_alerts(&weft, mode);
        if mode != "config" {
            says_that_it_follows(&cluster);
        }
        log_is_clean(&weft, mode);
        drop(weft);
        cluster.end_pod(&objects);
        cluster.delete(&objects);
    }
    cluster.namespace("shop");
    let of_objects =
        ["given-job", "given-other-alertmanager", "given_alert_relabel", "given-remote", "given_external_label"];
    takes_everything(&cluster, "everything.yaml", &[&of_objects[..], &["given_replica: given-fullname-0"]].concat());
    let of_file = ["given-job", "given-additional-job", "given-alertmanager", "given_dropped", "given-queries.log"];
    takes_everything(&cluster, "everything-config.yaml", &[&of_file[..], &["given_replica: weft-0"]].concat());
}

/// Of two shards one scrapes the only target, and the other one knows of it.
pub fn shards() {
    let cluster = Cluster::start();
    let objects = template(&["--set", "prometheus.prometheusSpec.shards=2"]);
    cluster.apply(&objects);
    cluster.run_pod(&objects);
    rights::complete(&cluster, rights::OPERATOR.1, true);
    let scraped = [0, 1].map(|shard| {
        let weft = pod::start_shard(&cluster, &objects, shard);
        eventually("the target is found", || {
            let targets = weft.http.api("targets")?;
            let known = ["activeTargets", "droppedTargets"].map(|list| targets[list].as_array().unwrap().iter());
            let [active, dropped] = known.map(|list| list.filter(|one| one.to_string().contains(ADDRESS)).count());
            if active + dropped == 1 { Ok(active) } else { Err(targets.to_string()) }
        })
    });
    assert_eq!(scraped.iter().sum::<usize>(), 1, "{scraped:?}");
}

/// With every value set it starts, no flag or feature is without effect, and these words are in the configuration in force.
fn takes_everything(cluster: &Cluster, file: &str, words: &[&str]) {
    println!("{file}");
    let objects = template(&["--values", &values(file)]);
    cluster.apply(&objects);
    let weft = pod::start(cluster, &objects);
    let prefix = pod::prefix(&objects);
    eventually("the configuration has what the values say", || {
        let (_, config) = weft.http.get(&format!("{prefix}/api/v1/status/config"))?;
        let lost: Vec<_> = words.iter().filter(|word| !config.contains(**word)).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("{lost:?}: {config}\n{}", weft.process.output())) }
    });
    let log = weft.process.output();
    assert!(!log.contains("accepted and have no effect"), "{log}");
    drop(weft);
    cluster.delete(&objects);
}

fn scrapes_itself(weft: &Pod) {
    eventually("Weft scrapes itself", || {
        let targets = weft.http.api("targets?state=active")?;
        let [target] = targets["activeTargets"].as_array().unwrap().as_slice() else { return Err(targets.to_string()) };
        let is_right = target["labels"]["job"] == "weft" && target["health"] == "up";
        if is_right { Ok(()) } else { Err(target.to_string()) }
    });
}

fn has_the_alerts(weft: &Pod, mode: &str) {
    let mut expected = alerts();
    expected.retain(|alert| match mode {
        "config" => !alert.starts_with("WeftMonitor"),
        _ => true,
    });
    eventually("the alerts are evaluated", || {
        let rules = weft.http.api("rules")?;
        let groups = rules["groups"].as_array().unwrap();
        let all: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        let mut names: Vec<String> = all.iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect();
        names.sort_unstable();
        let is_right = names == expected && all.iter().all(|rule| rule["health"] == "ok");
        if is_right { Ok(()) } else { Err(rules.to_string()) }
    });
    // One fires always, and none of the others on a sound server.
    eventually("one alert fires", || {
        let firing = weft.http.query("ALERTS{alertstate=\"firing\"}")?;
        let names: Vec<&Value> = firing.as_array().unwrap().iter().map(|one| &one["metric"]["alertname"]).collect();
        if names == ["WeftWatchdog"] { Ok(()) } else { Err(format!("{names:?}")) }
    });
}

/// The names of the alerts in the file, sorted.
fn alerts() -> Vec<String> {
    let file = parse(&text("deploy/alerts/weft.yaml")).swap_remove(0);
    let groups = file["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let mut names: Vec<String> = rules.map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

/// The Prometheus object of the release is in force, and its monitor accepted.
fn says_that_it_follows(cluster: &Cluster) {
    let of =
        |plural: &str| cluster.get(&format!("/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/{plural}/weft"));
    eventually("the objects say so", || {
        let (object, monitor) = (of("prometheuses")?, of("servicemonitors")?);
        let is = |condition: &Value, kind: &str| condition["type"] == kind && condition["status"] == "True";
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let is_reconciled = list(&object["status"]["conditions"]).iter().any(|one| is(one, "Reconciled"));
        let bindings = list(&monitor["status"]["bindings"]);
        let is_accepted = bindings.iter().flat_map(|one| list(&one["conditions"])).any(|one| is(&one, "Accepted"));
        if is_reconciled && is_accepted { Ok(()) } else { Err(format!("{} {}", object["status"], monitor["status"])) }
    });
}

/// Nothing is missing, but what only a ClusterRole could give.
fn log_is_clean(weft: &Pod, mode: &str) {
    let of_cluster = [
        "may not list or watch nodes",
        "may not list or watch namespaces",
        "namespaces is forbidden",
        "`weft promtool rbac check`",
    ];
    // The definition of the kind fills in the name of a port.
    let always = ["not applied: portName:"];
    let expected = if mode == "namespace" { [&of_cluster[..], &always].concat() } else { always.to_vec() };
    let log = weft.process.output();
    let is_told = |line: &&str| line.contains("level=WARN") || line.contains("level=ERROR");
    let told = log.lines().filter(is_told).filter(|line| !expected.iter().any(|part| line.contains(part)));
    let told: Vec<&str> = told.collect();
    assert!(told.is_empty(), "{mode}: {}", told.join("\n"));
}
