//! The same objects for Weft and for Prometheus-Operator with Prometheus: all targets must be the same.

use kit::{Answer, Exporter, Pki, Prometheus, PrometheusOperator, Random, add_addresses};
use serde_json::{Value, json};

use crate::monitors::{Servers, monitors};
use crate::objects;
use crate::pair::Pair;
use crate::population::population;
use crate::world::{self, World};
use crate::{manifests, objects::parse};

const SEED: u64 = 20;
const PROMETHEUSES: &str = include_str!("prometheuses.yaml");

/// Why it cannot run.
pub fn cannot() -> Option<String> {
    world::cannot().or_else(|| PrometheusOperator::binary().err()).or_else(|| Prometheus::binary().err())
}

/// One control plane for all objects; they are there when Prometheus-Operator starts, so that what it generates first is all.
pub fn same_targets() {
    let world = World::start();
    add_addresses(&["10.168.0.6", "10.168.1.2", "10.168.0.15", "10.225.28.220", "10.225.28.171", "10.225.28.227"]);

    println!("the objects of the articles");
    let pki = Pki::new();
    let articles = objects::articles(&pki);
    let only: &[(&str, &str)] = &[("SHARD", "0")];
    let pairs = [("default/prometheus", only, (2, 4)), ("monitoring/prometheus", only, (7, 14))];
    compare(&world, &articles, &pairs);

    println!("the manifests of kube-prometheus");
    // It names files that only the other Prometheus object mounts: Prometheus would leave out the whole job, Weft shows its
    // targets and why they cannot be scraped.
    let etcd = articles.iter().find(|object| object["metadata"]["name"] == "etcd-servicemonitor").unwrap();
    world.plane.delete(etcd);
    compare(&world, &manifests::kube_prometheus(), &[("monitoring/k8s", only, (46, 370))]);

    println!("random monitors");
    let discovery = Exporter::start(|path| Answer::Raw(discovered(path)));
    let servers = Servers { discovery: discovery.address.clone(), api: world.plane.url() };
    let mut random = Random::new(SEED);
    let (certificate, key) = pki.client("scraper");
    let data = json!({
        "user": "someone", "password": "a $1 password", "token": "a-token", "id": "client", "broken": "no certificate",
        "ca": pki.ca(), "cert": certificate, "key": key, "api-ca": world.plane.ca_pem, "api-token": world.plane.admin_token(),
    });
    let mut objects = population(&mut random, &data);
    objects.extend(parse(PROMETHEUSES));
    objects.extend(credentials(&objects));
    objects.extend(monitors(&mut random, &servers));
    let other: &[(&str, &str)] = &[("SHARD", "1")];
    let pairs = [
        ("gen-p/plain", only, (300, 700)),
        ("gen-p/strict", only, (100, 100)),
        ("gen-p/sharded", only, (120, 900)),
        ("gen-p/sharded", other, (120, 900)),
        ("gen-p/classes", only, (250, 700)),
    ];
    compare(&world, &objects, &pairs);
}

/// A Prometheus object, what its pod is told, and how many active and dropped targets there are at least.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], (usize, usize));

/// Applies objects, and compares what both make of Prometheus objects among them.
fn compare(world: &World, objects: &[Value], cases: &[Case<'_>]) {
    world.apply(objects);
    let _operator = PrometheusOperator::start(&PrometheusOperator::binary().unwrap(), &world.plane);
    let start = |(name, told, n): &Case<'_>| (Pair::start(world, name, told), *n);
    let pairs: Vec<_> = cases.iter().map(start).collect();
    for (pair, n) in pairs {
        pair.same_jobs(objects);
        pair.settle(n, objects);
    }
}

/// What `http_sd_configs` find.
fn discovered(path: &str) -> Vec<u8> {
    let body = format!(
        r#"[{{"targets": ["10.244.20.5:9100", "a.example"], "labels": {{"of": "{path}"}}}}, {{"targets": []}}]"#
    );
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The Secret with credentials once more, where the Prometheus objects are.
fn credentials(objects: &[Value]) -> Option<Value> {
    let mut secret = objects.iter().find(|object| object["kind"] == "Secret")?.clone();
    secret["metadata"]["namespace"] = "gen-p".into();
    Some(secret)
}
