//! Changes while Weft runs, with the rights of the manifest in `deploy/kustomize/operator`: definitions that come late, Secrets that are
//! rotated, deleted and forbidden, a monitor that becomes invalid, and an API server that is killed.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kit::{Answer, Exporter, Weft, add_addresses, eventually};
use serde_json::{Value, json};

use crate::objects::{controllers, parse};
use crate::world::{KINDS, World};
use crate::{explain, start_weft_as};

const MANIFEST: &str = concat!(
    include_str!("../../../../deploy/kustomize/base/account.yaml"),
    "---\n",
    include_str!("../../../../deploy/kustomize/operator/rbac.yaml")
);
/// A target that anyone may scrape, one that asks for a password, and the monitors of both.
const OBJECTS: &str = include_str!("changes.yaml");
/// Monitors that each are valid for Prometheus-Operator and not for Prometheus.
const REFUSED: &str = include_str!("refused.yaml");
const OPEN: &str = "serviceMonitor/monitoring/open/0";
const SECURED: &str = "serviceMonitor/monitoring/secured/0";

/// A target that accepts one password, and how often it has.
#[derive(Default)]
struct Door {
    password: Mutex<String>,
    accepted: Mutex<usize>,
}

impl Door {
    fn answer(&self, head: &str) -> Answer {
        let password = self.password.lock().unwrap();
        let right = BASE64_STANDARD.encode(format!("weft:{password}"));
        if head.contains(&right) {
            *self.accepted.lock().unwrap() += 1;
            return Answer::Metrics("opened 1\n".to_owned());
        }
        Answer::Raw(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec())
    }

    /// Accepts another password from now on.
    fn change(&self, password: &str) {
        password.clone_into(&mut self.password.lock().unwrap());
        *self.accepted.lock().unwrap() = 0;
    }

    /// Waits until the password has been accepted some times more.
    fn opens(&self) {
        *self.accepted.lock().unwrap() = 0;
        eventually("the target is scraped with the right password", || match *self.accepted.lock().unwrap() {
            n if n >= 3 => Ok(()),
            n => Err(format!("{n} times")),
        });
    }
}

pub fn while_it_runs() {
    add_addresses(&["10.244.0.20", "10.244.0.21"]);
    let mut world = World::without_definitions();
    world.apply(&parse(MANIFEST));
    let token = world.plane.token("monitoring", "weft");
    let door = Arc::new(Door::default());
    door.change("first");
    let _open = Exporter::start_at("10.244.0.20:9100", |_| Answer::Metrics("open 1\n".to_owned()));
    let at_door = Arc::clone(&door);
    let _secured = Exporter::start_at("10.244.0.21:9100", move |head| at_door.answer(head));
    let weft = start_weft_as(&world, "monitoring", Some(&token), &[]);

    println!("definitions that come after the start are picked up");
    logs(&weft, &["servicemonitors", "404"]);
    world.define(&KINDS);
    let mut objects = parse(OBJECTS);
    objects.extend(controllers(&objects));
    world.apply(&objects);
    world.apply(&[secret("first")]);
    wait_for(&weft, &[OPEN, SECURED]);
    let begin = now(&weft);
    secrets_change(&world, &weft, &door);
    becomes_invalid(&world, &weft, &objects);

    refused_as_a_whole(&world, &weft);

    println!("the API server is killed and starts again");
    let meanwhile = || {
        door.opens();
        wait_for(&weft, &[OPEN, SECURED]);
    };
    world.plane.restart_api_server(meanwhile);
    rotate(&world, &door, "fourth");
    wait_for(&weft, &[OPEN, SECURED]);

    println!("the Secrets are forbidden");
    let binding = of_manifest("RoleBinding");
    world.plane.delete(&binding);
    // Watches that were allowed go on until they are opened again.
    world.plane.restart_api_server(|| {});
    logs(&weft, &["secrets \"door\" is forbidden"]);
    door.opens();
    wait_for(&weft, &[OPEN, SECURED]);

    println!("nothing was lost, doubled or marked as stale");
    is_steady(&weft, begin, "open");

    println!("a start without the Secrets");
    let weft = weft.restart("TERM", &["--operator"]);
    says(&weft, "monitoring/secured", "forbidden");
    wait_for(&weft, &[OPEN]);
    world.apply(&[binding]);
    wait_for(&weft, &[OPEN, SECURED]);
    drop(weft);
    in_one_namespace(&world, &token);
}

/// An object of the manifest.
fn of_manifest(kind: &str) -> Value {
    parse(MANIFEST).into_iter().find(|object| object["kind"] == kind).unwrap()
}

fn rotate(world: &World, door: &Door, password: &str) {
    door.change(password);
    world.apply(&[secret(password)]);
    door.opens();
}

fn secrets_change(world: &World, weft: &Weft, door: &Door) {
    println!("a Secret is rotated");
    rotate(world, door, "second");

    println!("a Secret is deleted, and comes again with another value");
    world.plane.delete(&secret("second"));
    says(
        weft,
        "monitoring/secured",
        "is not valid, its last valid version goes on: endpoints[0]: basicAuth: failed to get basic auth username: \
         unable to get secret \"door\": secrets \"door\" not found; 1 target, 1 up.",
    );
    door.opens();
    rotate(world, door, "third");
}

fn becomes_invalid(world: &World, weft: &Weft, objects: &[Value]) {
    println!("a monitor becomes invalid");
    let is_open = |object: &&Value| object["metadata"]["name"] == "open" && object["kind"] == "ServiceMonitor";
    let monitor = |regex: &str| {
        let mut monitor = objects.iter().find(is_open).unwrap().clone();
        monitor["spec"]["endpoints"][0]["relabelings"] =
            json!([{"sourceLabels": ["a"], "regex": regex, "targetLabel": "b"}]);
        monitor
    };
    world.apply(&[monitor("(")]);
    says(weft, "monitoring/open", "is not valid, its last valid version goes on: endpoints[0]: relabelConfigs: [0]: ");
    wait_for(weft, &[OPEN, SECURED]);
    world.apply(&[monitor("(.*)")]);
    says(weft, "monitoring/open", "is selected; 1 target, 1 up.");
}

/// Prometheus-Operator lets these through, and Prometheus then refuses the whole configuration.
fn refused_as_a_whole(world: &World, weft: &Weft) {
    println!("monitors for which Prometheus would refuse its configuration");
    for (object, told) in parse(REFUSED).iter().zip([
        "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
        "utf8 metric names requested but validation scheme is not set to UTF8",
    ]) {
        world.apply(std::slice::from_ref(object));
        says(weft, &format!("monitoring/{}", object["metadata"]["name"].as_str().unwrap()), told);
        wait_for(weft, &[OPEN, SECURED]);
        world.plane.delete(object);
    }
}

/// Whoever may read one namespace only gets its monitors, and what they find there.
fn in_one_namespace(world: &World, token: &str) {
    println!("rights in one namespace only");
    world.plane.delete(&of_manifest("ClusterRoleBinding"));
    let mut binding = of_manifest("RoleBinding");
    binding["metadata"]["name"] = "weft".into();
    binding["roleRef"]["name"] = "weft".into();
    world.apply(&[binding]);
    let weft = start_weft_as(world, "monitoring", Some(token), &[]);
    wait_for(&weft, &[OPEN, SECURED]);
    drop(weft);

    println!("a flag says which namespace: nothing is asked for that is forbidden");
    let flags = ["--operator.namespaces=monitoring", "--operator.kubelet-service="];
    let weft = start_weft_as(world, "monitoring", Some(token), &flags);
    wait_for(&weft, &[OPEN, SECURED]);
    let (_, metrics) = weft.http.get("/metrics").unwrap();
    let failures = metrics.lines().find(|line| line.starts_with("prometheus_sd_kubernetes_failures_total "));
    assert_eq!(failures, Some("prometheus_sd_kubernetes_failures_total 0"));
}

fn secret(password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "door", "namespace": "monitoring"},
        "stringData": {"user": "weft", "password": password},
    })
}

/// Waits until exactly these pools have a target each, and all are up.
fn wait_for(weft: &Weft, pools: &[&str]) {
    eventually("targets", || {
        let data = weft.http.api("targets?state=active")?;
        let targets = data["activeTargets"].as_array().ok_or("no targets")?;
        let mut up: Vec<&str> =
            targets.iter().filter(|t| t["health"] == "up").filter_map(|t| t["scrapePool"].as_str()).collect();
        up.sort_unstable();
        let told = || targets.iter().map(|t| format!("{} {}", t["scrapePool"], t["lastError"])).collect::<Vec<_>>();
        if up == pools && targets.len() == pools.len() { Ok(()) } else { Err(told().join("\n")) }
    });
}

/// Waits until what is said of a monitor contains a text.
fn says(weft: &Weft, monitor: &str, text: &str) {
    eventually(&format!("{monitor}: {text}"), || {
        let told = explain(weft, monitor);
        if told.contains(text) { Ok(()) } else { Err(told) }
    });
}

/// Waits until one line of the log has these words.
fn logs(weft: &Weft, words: &[&str]) {
    eventually(&format!("the log says {words:?}"), || {
        let log = weft.process.output().replace("\\\"", "\"");
        let is_it = |line: &str| words.iter().all(|word| line.contains(word));
        if log.lines().any(is_it) { Ok(()) } else { Err(log) }
    });
}

/// The time of the newest sample.
fn now(weft: &Weft) -> f64 {
    eventually("a sample", || {
        let result = weft.http.query("timestamp(up{job=\"open\"})")?;
        result[0]["value"][1].as_str().and_then(|text| text.parse().ok()).ok_or_else(|| result.to_string())
    })
}

/// A stale marker or a target that is scraped twice shows at one of the steps.
fn is_steady(weft: &Weft, begin: f64, job: &str) {
    let end = now(weft);
    let (from, steps) = (begin.ceil(), (end - begin.ceil()).floor());
    let path = format!("query_range?query=count(up%7Bjob=%22{job}%22%7D==1)&start={from}&end={}&step=1", from + steps);
    let result = weft.http.api(&path).unwrap();
    let values = result["result"][0]["values"].as_array().unwrap();
    let ones = values.iter().filter(|value| value[1] == "1").count();
    assert_eq!((ones as f64, values.len() as f64), (steps + 1.0, steps + 1.0), "{result}");
}
