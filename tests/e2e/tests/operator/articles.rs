//! The articles as they stand: their objects, programs that answer as theirs did, their queries, and their mistakes.

use std::collections::BTreeSet;
use std::fs;

use e2e::browser;
use e2e::guides::Guide;
use kit::{Answer, Exporter, Weft, add_addresses, eventually, skipped};
use serde_json::{Value, json};

use crate::etcd::Etcd;
use crate::objects::{GUIDES, articles, parse};
use crate::world::World;
use crate::{explain, start_weft};

const NODE_EXPORTER: &str = "\
# HELP node_load1 1m load average.\n# TYPE node_load1 gauge\nnode_load1 0.21\n\
# TYPE node_cpu_seconds_total counter\nnode_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 362812.78\n";
const FELIX: &str = "\
# HELP felix_active_local_endpoints Number of active endpoints on this host.\n\
# TYPE felix_active_local_endpoints gauge\nfelix_active_local_endpoints 1\n\
# HELP felix_active_local_policies Number of active policies on this host.\n\
# TYPE felix_active_local_policies gauge\nfelix_active_local_policies 0\n\
# HELP felix_active_local_selectors Number of active selectors on this host.\n\
# TYPE felix_active_local_selectors gauge\nfelix_active_local_selectors 0\n";
/// Kubenurse's page, without a line about types.
const KUBENURSE: &str = "\
kubenurse_errors_total{type=\"me_ingress\"} 2\nkubenurse_errors_total{type=\"api_server_dns\"} 0\n\
kubenurse_request_duration{type=\"api_server_direct\",quantile=\"0.5\"} 0.004\n\
kubenurse_request_duration{type=\"api_server_direct\",quantile=\"0.9\"} 0.007\n\
kubenurse_request_duration{type=\"api_server_direct\",quantile=\"0.99\"} 0.011\n\
kubenurse_request_duration{type=\"path_rain-kubernetes-2\",quantile=\"0.99\"} 0.002\n\
kubenurse_request_duration_sum{type=\"api_server_direct\"} 1.5\n\
kubenurse_request_duration_count{type=\"api_server_direct\"} 300\n";

/// What the articles look at, and how many series answer.
const QUERIES: [(&str, usize); 14] = [
    ("felix_active_local_endpoints", 1),
    ("felix_active_local_policies{pod=~\"calico-node-.*\"}", 1),
    ("felix_active_local_selectors{job=\"monitoring/felix\",namespace=\"kube-system\"}", 1),
    ("kubenurse_errors_total", 2),
    ("rate(kubenurse_errors_total[5m])", 2),
    ("kubenurse_request_duration{quantile=\"0.99\"}", 2),
    ("max by (type, quantile) (kubenurse_request_duration{type=\"api_server_direct\"})", 3),
    ("rate(kubenurse_request_duration_sum[5m]) / rate(kubenurse_request_duration_count[5m])", 1),
    ("kubenurse_request_duration{type=~\"path_.*\",job=\"kubenurse\"}", 1),
    ("node_load1{service=\"node-exporter-service\"}", 2),
    ("up{job=\"node-exporter-service\",endpoint=\"metrics\"} == 1", 2),
    ("etcd_server_has_leader{job=\"etcd-metrics\"}", 1),
    ("count(up{job=\"etcd-metrics\"} == 0)", 1),
    ("sum by (job) (up)", 4),
];

pub fn as_they_stand() {
    add_addresses(&["10.168.0.6", "10.168.1.2", "10.168.0.15", "10.225.28.220", "10.225.28.171", "10.225.28.227"]);
    let world = World::start();
    let mut etcd = Etcd::start("10.225.28.171");
    world.apply(&objects_of_the_articles(&etcd));
    let pages = [
        ("10.168.0.6:9100", NODE_EXPORTER),
        ("10.168.1.2:9100", NODE_EXPORTER),
        ("10.225.28.220:9091", FELIX),
        ("10.168.0.15:8080", KUBENURSE),
    ];
    let answer = |page: &'static str| move |_: &str| Answer::Metrics(page.to_owned());
    let _exporters = pages.map(|(address, page)| Exporter::start_at(address, answer(page)));

    let mut said = BTreeSet::new();
    println!("by prometheus.yml");
    by_configuration(&world);

    println!("without a Prometheus object, and without Prometheus-Operator");
    let weft = start_weft(&world, "default", &[]);
    wait_for(&weft, 4);
    says(
        (&weft, &mut said),
        "ServiceMonitor default/etcd-servicemonitor is selected; 3 targets, 0 up, 3 down: https://10.225.28.171:2381/metrics: \
         cannot read ca_file /etc/prometheus/secrets/etcd-client-certs/ca.crt: No such file or directory (os error 2).",
    );
    drop(weft);

    println!("with the article's Prometheus object");
    let weft = start_weft(&world, "monitoring", &["--operator.prometheus=monitoring/prometheus"]);
    let targets = wait_for(&weft, 4);
    let of =
        |pool: &str| targets.iter().find(|target| target["scrapePool"] == pool).unwrap_or_else(|| panic!("{pool}"));
    let felix = &of("podMonitor/monitoring/felix/0")["labels"];
    assert_eq!(
        *felix,
        json!({
            "container": "calico-node", "endpoint": "http-metrics", "instance": "10.225.28.220:9091", "job": "monitoring/felix",
            "namespace": "kube-system", "pod": "calico-node-7xk2p",
        })
    );
    assert_eq!(of("serviceMonitor/monitoring/kubenurse/0")["labels"]["job"], "kubenurse");
    says(
        (&weft, &mut said),
        "ServiceMonitor default/etcd-servicemonitor is selected; 3 targets, 0 up, 3 down: https://10.225.28.171:2381/metrics: \
         Get \"https://10.225.28.171:2381/metrics\": dial tcp 10.225.28.171:2381: connect: connection refused.",
    );

    println!("one member of etcd listens outside");
    etcd.listen_outside();
    let targets = wait_for(&weft, 5);
    let etcds = targets.iter().filter(|target| target["scrapePool"] == "serviceMonitor/default/etcd-servicemonitor/0");
    let mut told: Vec<String> = etcds
        .map(|target| format!("{} {}", target["scrapeUrl"].as_str().unwrap(), target["lastError"].as_str().unwrap()))
        .collect();
    told.sort();
    let refused = |ip: &str| {
        format!(
            "https://{ip}:2381/metrics Get \"https://{ip}:2381/metrics\": dial tcp {ip}:2381: connect: connection refused"
        )
    };
    assert_eq!(
        told,
        ["https://10.225.28.171:2381/metrics ".to_owned(), refused("10.225.28.220"), refused("10.225.28.227")]
    );
    says(
        (&weft, &mut said),
        "ServiceMonitor default/etcd-servicemonitor is selected; 3 targets, 1 up, 2 down: https://10.225.28.220:2381/metrics: \
         Get \"https://10.225.28.220:2381/metrics\": dial tcp 10.225.28.220:2381: connect: connection refused.",
    );

    queries_answer(&weft);
    mistakes_are_named(&world, weft, &mut said);
    for quote in GUIDES.iter().flat_map(|name| Guide::read(name).quotes()) {
        assert!(said.contains(&quote), "a guide quotes what was not said: {quote}");
    }
}

/// The jobs that the guides have for who does not want monitors.
fn by_configuration(world: &World) {
    let guides = GUIDES.map(Guide::read);
    let configurations: Vec<&str> = guides.iter().flat_map(Guide::configurations).collect();
    assert_eq!(configurations.len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let global = "global: {scrape_interval: 2s, scrape_timeout: 2s}\n";
    fs::write(folder.path().join("prometheus.yml"), format!("{global}{}", configurations[0])).unwrap();
    let weft = Weft::start_with(folder, &[], &world.plane.as_a_pod("default", None));
    answers(&weft, "felix_active_local_endpoints{job=\"felix\",pod=\"calico-node-7xk2p\"}", |n| n == 1);
}

fn queries_answer(weft: &Weft) {
    println!("the articles' queries answer");
    QUERIES.iter().for_each(|(query, n)| answers(weft, query, |found| found == *n));
    for guide in GUIDES.map(Guide::read) {
        guide.queries().for_each(|query| answers(weft, query, |found| found > 0));
    }
}

fn answers(weft: &Weft, query: &str, so: impl Fn(usize) -> bool) {
    eventually(query, || {
        let result = weft.http.query(query)?;
        if result.as_array().is_some_and(|found| so(found.len())) { Ok(()) } else { Err(result.to_string()) }
    });
}

fn mistakes_are_named(world: &World, weft: Weft, said: &mut BTreeSet<String>) {
    println!("the articles' mistakes");
    for (object, told) in mistakes() {
        world.apply(&[object]);
        says((&weft, said), told);
    }
    println!("the articles in the browser");
    match browser::missing() {
        None => browser::run("e2e:cluster", &[("WEFT_URL", &format!("http://{}", weft.address))]),
        Some(why) => skipped(why),
    }
    drop(weft);
    let weft = start_weft(world, "default", &["--operator.prometheus=default/prometheus"]);
    wait_for(&weft, 2);
    says(
        (&weft, said),
        "ServiceMonitor default/etcd-servicemonitor is not selected: its labels do not match spec.serviceMonitorSelector: \
         team=node-exporter is required, it has team=etcd-expoter.",
    );
}

/// Waits until the first line of what is said of a monitor is this sentence, which names the monitor.
fn says((weft, said): (&Weft, &mut BTreeSet<String>), told: &str) {
    said.insert(told.to_owned());
    let name = told.split_whitespace().nth(1).unwrap();
    eventually(told, || {
        let text = explain(weft, name);
        if text.lines().next() == Some(told) { Ok(()) } else { Err(text) }
    });
}

/// The articles leave the interval to its default of 30 seconds, which nothing here depends on.
fn objects_of_the_articles(etcd: &Etcd) -> Vec<Value> {
    let mut objects = articles(etcd.pki());
    let prometheuses = objects.iter_mut().filter(|object| object["kind"] == "Prometheus");
    prometheuses.for_each(|object| object["spec"]["scrapeInterval"] = "2s".into());
    objects
}

/// Monitors as the articles had them at first, and what is said of them.
fn mistakes() -> [(Value, &'static str); 4] {
    let monitor = |name: &str, spec: &str, told: &'static str| {
        let yaml = format!(
            "{{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {{name: {name}, namespace: default}}, spec: {spec}}}"
        );
        (parse(&yaml).remove(0), told)
    };
    [
        monitor(
            "slip",
            "{selector: {matchLabels: {team: etcd-expoter}}, endpoints: [{port: metrics}]}",
            "ServiceMonitor default/slip is selected; no targets: nothing that was found has what \
             spec.selector.matchLabels[\"team\"] asks for, \"etcd-expoter\": Service default/etcd-metrics has \"etcd-exporter\", \
             Service default/kubernetes has no such label.",
        ),
        monitor(
            "plain",
            "{selector: {matchLabels: {team: etcd-exporter}}, endpoints: [{port: metrics}]}",
            "ServiceMonitor default/plain is selected; 3 targets, 0 up, 3 down: http://10.225.28.171:2381/metrics: \
             Get \"http://10.225.28.171:2381/metrics\": EOF: the connection was closed before an answer came; \
             set scheme: https if the port speaks TLS.",
        ),
        monitor(
            "port",
            "{selector: {matchLabels: {name: node-exporter-service}}, endpoints: [{port: metrcs}]}",
            "ServiceMonitor default/port is selected; no targets: spec.endpoints[0].port \"metrcs\" does not exist on \
             Service default/node-exporter-service: there are metrics.",
        ),
        monitor(
            "no-client-certificate",
            "{selector: {matchLabels: {team: etcd-exporter}}, endpoints: [{port: metrics, scheme: https, tlsConfig: {insecureSkipVerify: true}}]}",
            "ServiceMonitor default/no-client-certificate is selected; 3 targets, 0 up, 3 down: \
             https://10.225.28.171:2381/metrics: Get \"https://10.225.28.171:2381/metrics\": remote error: tls: \
             certificate required; it wants another client certificate: see tls_config.cert_file.",
        ),
    ]
}

/// Waits until so many targets are up, and all others have been tried.
fn wait_for(weft: &Weft, up: usize) -> Vec<Value> {
    eventually("targets", || {
        let data = weft.http.api("targets?state=active")?;
        let targets = data["activeTargets"].as_array().ok_or("no targets")?;
        let count = |health: &str| targets.iter().filter(|target| target["health"] == health).count();
        let told = || targets.iter().map(|t| format!("{} {}", t["scrapeUrl"], t["lastError"])).collect::<Vec<_>>();
        if count("up") == up && count("unknown") == 0 { Ok(targets.clone()) } else { Err(told().join("\n")) }
    })
}
