//! `cargo xtask demo`: everything that it promises is there, and nothing is left of it after Ctrl-C.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::browser;
use kit::{ControlPlane, Http, Process, Weft, eventually, skipped};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::Value;

/// The targets of each pool, and how many of them are up.
const POOLS: [(&str, (usize, usize)); 7] = [
    ("podMonitor/kube-system/felix/0", (3, 3)),
    ("podMonitor/shop/payments/0", (1, 0)),
    ("serviceMonitor/default/apiserver/0", (1, 1)),
    ("serviceMonitor/kube-system/etcd/0", (3, 3)),
    ("serviceMonitor/kube-system/kubenurse/0", (3, 3)),
    ("serviceMonitor/monitoring/node-exporter/0", (3, 3)),
    ("serviceMonitor/monitoring/weft/0", (1, 1)),
];

/// What is said of the monitors with a mistake, in one sentence.
const MISTAKES: [(&str, &[&str]); 3] = [
    (
        "shop/cart",
        &[
            "ServiceMonitor shop/cart is selected; no targets: nothing that was found has what \
             spec.selector.matchLabels[\"app\"] asks for, \"cart\": Service ",
            "Service shop/cart has no such label",
            "Service shop/checkout has \"checkout\"",
        ],
    ),
    (
        "shop/checkout",
        &[
            "ServiceMonitor shop/checkout is selected; no targets: spec.endpoints[0].port \"metrcs\" does not exist on Service \
           shop/checkout: there are metrics.",
        ],
    ),
    (
        "shop/payments",
        &["PodMonitor shop/payments is selected; 1 target, 0 up, 1 down: http://10.244.2.23:8081/metrics: Get \
           \"http://10.244.2.23:8081/metrics\": dial tcp 10.244.2.23:8081: connect: connection refused."],
    ),
];

/// What there is to see.
const QUERIES: [&str; 6] = [
    "instance:node_cpu_utilisation:rate1m < 1",
    "felix_active_local_endpoints{node=\"worker-1\"}",
    "kubenurse_request_duration{quantile=\"0.99\",type=\"api_server_dns\"}",
    "etcd_server_has_leader{job=\"etcd\"} == 1",
    "apiserver_request_total{job=\"apiserver\"}",
    "ALERTS{alertname=\"TargetDown\",alertstate=\"firing\",namespace=\"shop\"}",
];

/// Why there can be no demo.
fn cannot() -> Option<String> {
    let runs = Command::new("unshare").args(["--net", "--mount", "true"]).status().is_ok_and(|status| status.success());
    ControlPlane::programs().err().or_else(|| (!runs).then(|| "no right to unshare".to_owned()))
}

/// Starts one in a folder; its temporary files go to `tmp` there.
fn start(folder: &Path) -> Process {
    fs::create_dir(folder.join("tmp")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.arg("--listen=127.0.0.1:0").env("TMPDIR", folder.join("tmp")).env("WEFT_BIN", Weft::binary());
    Process::start(&mut command, &folder.join("log"))
}

#[test]
fn its_children_end_with_it_if_it_is_killed() {
    if let Some(why) = cannot() {
        return skipped(&why);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(folder.path());
    let started = eventually("etcd and the API server are started", || {
        assert!(demo.ended().is_none(), "the demo ended:\n{}", demo.output());
        let children = children(demo.id());
        let has = |wanted: &str| children.values().any(|(name, _)| name == wanted);
        if has("etcd") && has("kube-apiserver") && has("demo") { Ok(children) } else { Err(format!("{children:?}")) }
    });
    demo.signal("KILL");
    demo.wait();
    eventually("they end", || {
        let left: Vec<_> = started.iter().filter(|(id, known)| stat(**id).as_ref() == Some(known)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn everything_is_there_and_nothing_is_left() {
    if let Some(why) = cannot() {
        return skipped(&why);
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, temporary) = (start(folder.path()), folder.path().join("tmp"));
    let url = eventually("the demo is ready", || {
        let output = demo.output();
        assert!(demo.ended().is_none(), "the demo ended:\n{output}");
        output.lines().find_map(|line| line.strip_prefix("Weft is at ")).map(str::to_owned).ok_or(output)
    });
    let http = Http::new(url);
    targets(&http);
    mistakes_are_named(&http);
    for query in QUERIES {
        eventually(query, || match http.query(query)? {
            Value::Array(found) if !found.is_empty() => Ok(()),
            _ => Err("nothing".to_owned()),
        });
    }
    match browser::missing() {
        None => browser::run("e2e:demo", &[("WEFT_URL", http.base())]),
        Some(why) => skipped(why),
    }

    let children = children(demo.id());
    let mut names: Vec<&str> = children.values().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["demo", "etcd", "kube-apiserver", "weft"], "{}", demo.output());
    assert!(fs::read_dir(&temporary).unwrap().count() > 1);
    // Not its children, which a terminal would tell, too.
    demo.signal("INT");
    let status = demo.wait();
    assert!(status.success(), "{status}:\n{}", demo.output());
    let left: Vec<_> = children.iter().filter(|(id, known)| stat(**id).as_ref() == Some(known)).collect();
    assert!(left.is_empty(), "{left:?}");
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(http.get("/-/healthy").is_err(), "somebody listens still");
}

fn targets(http: &Http) {
    let expected = BTreeMap::from(POOLS.map(|(pool, counts)| (pool.to_owned(), counts)));
    eventually("all targets", || {
        let data = http.api("targets?state=active")?;
        let mut found: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for target in data["activeTargets"].as_array().ok_or("no targets")? {
            let counts = found.entry(target["scrapePool"].as_str().unwrap().to_owned()).or_default();
            counts.0 += 1;
            counts.1 += usize::from(target["health"] == "up");
        }
        if found == expected { Ok(()) } else { Err(format!("{found:#?}")) }
    });
}

fn mistakes_are_named(http: &Http) {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/plain"))]);
    for (monitor, told) in MISTAKES {
        eventually(monitor, || {
            let (_, _, body) = http.page(&format!("/api/v1/explain?monitor={monitor}"), &headers)?;
            let text = String::from_utf8_lossy(&body).into_owned();
            let first = text.lines().next().unwrap_or_default();
            if told.iter().all(|part| first.contains(part)) { Ok(()) } else { Err(text) }
        });
    }
}

/// Name and start of a process, which tell it from a later one with its id.
fn stat(id: u32) -> Option<(String, String)> {
    let text = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).ok()?;
    let (name, rest) = text.split_once('(')?.1.rsplit_once(") ")?;
    // The 22nd field; the name is the second.
    Some((name.to_owned(), rest.split(' ').nth(19)?.to_owned()))
}

/// The children of a process by their ids.
fn children(of: u32) -> BTreeMap<u32, (String, String)> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_child = |id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("PPid:")).is_some_and(|parent| parent.trim() == of.to_string())
    };
    ids.filter(is_child).filter_map(|id| Some((id, stat(id)?))).collect()
}
