//! The manager with real providers: static and file targets, and an API server of a few lines.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, ScrapeConfig};
use discovery::{Consumer, Manager, Options, Subscription};
use kit::KubeApi;
use kube_watch::Watches;
use model::TargetGroups;
use prometheus::Registry;

fn jobs(yaml: &str) -> Vec<Arc<ScrapeConfig>> {
    Config::parse(yaml, Path::new("/prometheus.yml"), &|_| None).unwrap().scrape_configs
}

fn manager() -> (Manager, Registry) {
    let _ = rustls_provider();
    let registry = Registry::new();
    let options = Options { debounce: Duration::from_millis(1), ..Options::default() };
    let watches = Watches::new(&registry).unwrap();
    (Manager::new(options, &registry, watches).unwrap(), registry)
}

/// kube speaks TLS through the process' default provider, even where it does not speak TLS.
fn rustls_provider() -> Result<(), ()> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| ())
}

/// The addresses of a job, sorted.
fn addresses(groups: &TargetGroups, job: &str) -> Vec<String> {
    let groups = groups.get(job).into_iter().flatten();
    let mut all: Vec<String> =
        groups.flat_map(|group| &group.targets).map(|t| t.own.value("__address__").to_owned()).collect();
    all.sort();
    all
}

/// Waits until a job has these addresses; never returns otherwise.
async fn until(targets: &mut Subscription, job: &str, expected: &[&str]) {
    let found = async {
        while addresses(&targets.current(), job) != expected {
            assert!(targets.changed().await);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("the targets never came");
}

/// Gives the jobs to the manager, as the server does.
fn apply(manager: &mut Manager, jobs: &[Arc<ScrapeConfig>]) {
    manager.apply(Consumer::SCRAPE, jobs.iter().map(|job| (job.job_name.as_str(), &*job.sd)));
}

#[tokio::test]
async fn static_targets_are_there_at_once_and_go_with_their_job() {
    let (mut manager, registry) = manager();
    let mut targets = manager.subscribe(Consumer::SCRAPE);
    apply(
        &mut manager,
        &jobs(
            "scrape_configs: [{job_name: a, static_configs: [{targets: ['x:1', 'y:1'], labels: {k: v}}, {targets: ['z:1']}]}, {job_name: b}]",
        ),
    );
    let now = targets.current();
    assert_eq!(addresses(&now, "a"), ["x:1", "y:1", "z:1"]);
    assert_eq!((now["a"][0].source.as_str(), now["a"][0].labels.value("k")), ("0", "v"));
    assert!(now["b"].is_empty(), "a job without discoveries is there, without targets");
    let gauge = |registry: &Registry| {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == "prometheus_sd_discovered_targets").unwrap();
        family.get_metric().iter().map(|metric| metric.get_gauge().get_value()).sum::<f64>()
    };
    assert_eq!(gauge(&registry), 3.0);
    apply(&mut manager, &jobs("scrape_configs: [{job_name: b, static_configs: [{targets: ['x:1']}]}]"));
    let now = targets.current();
    assert_eq!((now.len(), addresses(&now, "b")), (1, vec!["x:1".to_owned()]));
    assert_eq!(gauge(&registry), 1.0);
    manager.shutdown().await;
}

#[tokio::test]
async fn files_are_followed_and_broken_ones_keep_their_groups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.json");
    let write = |text: &str| {
        fs::write(folder.path().join("new"), text).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
    };
    write(r#"[{"targets":["a:1"]},{"targets":["b:1"]}]"#);
    let (mut manager, _registry) = manager();
    let mut targets = manager.subscribe(Consumer::SCRAPE);
    apply(
        &mut manager,
        &jobs(&format!(
            "scrape_configs: [{{job_name: f, file_sd_configs: [{{files: ['{}/*.json'], refresh_interval: 1s}}]}}]",
            folder.path().display()
        )),
    );
    until(&mut targets, "f", &["a:1", "b:1"]).await;
    write(r#"[{"targets":["c:1"]}]"#);
    until(&mut targets, "f", &["c:1"]).await;
    let place = format!("file_sd_configs ({}/*.json)", folder.path().display());
    let departed = |manager: &Manager| {
        let all = manager.departures(Consumer::SCRAPE, "f");
        let mut shown: Vec<_> = all.into_iter().map(|one| format!("{} {}", one.address, one.why)).collect();
        shown.sort();
        shown
    };
    let unlisted = |address: &str| format!("{address} {place} does not list it any more");
    assert_eq!(departed(&manager), [unlisted("a:1"), unlisted("b:1")]);
    let mut is_reported = async |broken: bool| {
        let reported = async {
            while manager.health()[0].error.is_some() != broken {
                // Not the next publication: the groups are the same as before.
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reported).await.expect("the file's state was never reported");
        assert_eq!(addresses(&targets.current(), "f"), ["c:1"]);
    };
    // The text of before comes again; then it is broken once more.
    for (text, is_broken) in [("{", true), (r#"[{"targets":["c:1"]}]"#, false), ("{", true)] {
        write(text);
        is_reported(is_broken).await;
    }
    assert!(manager.health()[0].error.as_ref().unwrap().contains("targets.json"));
    let source = manager.sources().remove(0);
    assert_eq!((source.kind, source.is_up(), source.n_objects), ("file", false, 1));
    assert!(source.asked.n_failures > 0 && source.asked.answered_at <= source.asked.at, "{source:?}");
    fs::remove_file(&path).unwrap();
    until(&mut targets, "f", &[]).await;
    assert_eq!(manager.health()[0].error, None);
    let emptied = format!("c:1 {place} answered, and listed no target at all");
    assert_eq!(departed(&manager), [unlisted("a:1"), unlisted("b:1"), emptied]);
    assert!(manager.sources()[0].is_up());
    manager.shutdown().await;
}

fn pod(name: &str, ip: &str, version: u32) -> String {
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"d","uid":"u","resourceVersion":"{version}"}},"spec":{{"nodeName":"n","containers":[{{"name":"c","image":"i","ports":[{{"containerPort":80,"protocol":"TCP"}}]}}]}},"status":{{"podIP":"{ip}","phase":"Running"}}}}"#
    )
}

const PODS: &str = "/api/v1/pods";
const ENDPOINTS: &str = "/api/v1/endpoints";
const SERVICES: &str = "/api/v1/services";

#[tokio::test]
async fn pods_come_and_go_and_two_jobs_share_a_watch() {
    let server = KubeApi::start();
    server.set(PODS, &[pod("a", "10.0.0.1", 1)]);
    let (mut manager, registry) = manager();
    let mut targets = manager.subscribe(Consumer::SCRAPE);
    let job = |name: &str, more: &str| {
        format!(
            "- job_name: {name}\n  kubernetes_sd_configs: [{{role: pod, api_server: 'http://{}'{more}}}]\n",
            server.addr
        )
    };
    // The second asks for nodes too, which the server refuses: the first does not notice.
    let yaml = format!("scrape_configs:\n{}{}", job("one", ""), job("two", ", attach_metadata: {node: true}"));
    apply(&mut manager, &jobs(&yaml));
    until(&mut targets, "one", &["10.0.0.1:80"]).await;
    server.event(PODS, "ADDED", &pod("b", "10.0.0.2", 2));
    until(&mut targets, "one", &["10.0.0.1:80", "10.0.0.2:80"]).await;
    server.event(PODS, "DELETED", &pod("a", "10.0.0.1", 3));
    until(&mut targets, "one", &["10.0.0.2:80"]).await;
    assert_eq!(addresses(&targets.current(), "two"), [""; 0], "the nodes are not known");
    assert_eq!(server.n_lists(PODS), 1, "both jobs share the watch");
    let errors = async {
        loop {
            let health = manager.health();
            let of = |job: &str| {
                health.iter().find(|one| one.used_by == [(Consumer::SCRAPE, job.to_owned())]).unwrap().error.clone()
            };
            assert_eq!(of("one"), None);
            match of("two") {
                Some(error) => return error,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(30), errors).await.expect("the refusal was never reported");
    assert!(error.contains("nodes") && error.contains("no such right") && !error.contains('{'), "{error}");
    assert_sources(&manager, &registry);
    let departed = manager.departures(Consumer::SCRAPE, "one");
    let shown: Vec<_> = departed.iter().map(|one| (&*one.source, &*one.address, &*one.why)).collect();
    assert_eq!(shown, [("pod/d/a", "10.0.0.1:80", "pod d/a was deleted, or is not selected any more")]);
    // What both configurations have runs on.
    apply(&mut manager, &jobs(&format!("scrape_configs:\n{}", job("one", ""))));
    server.event(PODS, "ADDED", &pod("c", "10.0.0.3", 4));
    until(&mut targets, "one", &["10.0.0.2:80", "10.0.0.3:80"]).await;
    assert_eq!(server.n_lists(PODS), 1);
    manager.shutdown().await;
}

/// The watch of pods is one source of both jobs, and what is refused is named, in the list and by a series.
fn assert_sources(manager: &Manager, registry: &Registry) {
    let sources = manager.sources();
    let of = |kind: &str| sources.iter().find(|source| source.kind == kind).unwrap();
    let jobs = |kind: &str| of(kind).used_by.iter().map(|(_, job)| job.clone()).collect::<Vec<_>>();
    assert_eq!(
        (sources.len(), jobs("pods"), jobs("nodes")),
        (2, vec!["one".into(), "two".into()], vec!["two".to_owned()])
    );
    let (pods, nodes) = (of("pods"), of("nodes"));
    assert!(pods.is_up() && pods.error.is_none() && pods.asked.answered_at.is_some(), "{pods:?}");
    assert_eq!((pods.n_objects, pods.refused.len(), pods.field), (1, 0, "kubernetes_sd_configs"));
    assert!(!nodes.is_up() && nodes.asked.n_failures > 0 && nodes.stale_since.is_some(), "{nodes:?}");
    assert_eq!((nodes.refused[0].resource, &nodes.refused[0].namespace), ("nodes", &None));
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == "weft_discovery_up").unwrap();
    let series = family.get_metric().iter().map(|metric| {
        let labels: Vec<&str> = metric.get_label().iter().map(|label| label.value()).collect();
        (labels.join(" "), metric.get_gauge().get_value())
    });
    let mut series: Vec<_> = series.collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    let one = |labels: &str, value| (labels.to_owned(), value);
    assert_eq!(series, [one("one pods scrape", 1.0), one("two nodes scrape", 0.0), one("two pods scrape", 1.0)]);
}

#[tokio::test]
async fn endpoints_follow_their_pods() {
    let server = KubeApi::start();
    server.set(PODS, &[pod("a", "10.0.0.1", 1)]);
    server.set(SERVICES, &[]);
    let endpoints = r#"{"kind":"Endpoints","apiVersion":"v1","metadata":{"name":"e","namespace":"d","resourceVersion":"1"},"subsets":[{"addresses":[{"ip":"10.0.0.1","targetRef":{"kind":"Pod","name":"a","namespace":"d"}}],"ports":[{"name":"m","port":9000,"protocol":"TCP"}]}]}"#;
    server.set(ENDPOINTS, &[endpoints.to_owned()]);
    let (mut manager, _registry) = manager();
    let mut targets = manager.subscribe(Consumer::SCRAPE);
    apply(
        &mut manager,
        &jobs(&format!(
            "scrape_configs: [{{job_name: e, kubernetes_sd_configs: [{{role: endpoints, api_server: 'http://{}'}}]}}]",
            server.addr
        )),
    );
    until(&mut targets, "e", &["10.0.0.1:80", "10.0.0.1:9000"]).await;
    server.event(PODS, "MODIFIED", &pod("a", "10.0.0.9", 2));
    until(&mut targets, "e", &["10.0.0.1:9000", "10.0.0.9:80"]).await;
    manager.shutdown().await;
}

/// Alerting, remote write and whatever comes later get target groups as scraping does, of the same discoveries.
#[tokio::test]
async fn consumers_share_discoveries_and_not_their_keys() {
    let server = KubeApi::start();
    server.set(PODS, &[pod("a", "10.0.0.1", 1)]);
    let (mut manager, registry) = manager();
    let other = Consumer::new("other");
    let (mut scraping, mut others) = (manager.subscribe(Consumer::SCRAPE), manager.subscribe(other));
    let yaml = |name: &str, more: &str| {
        format!(
            "scrape_configs: [{{job_name: {name}, kubernetes_sd_configs: [{{role: pod, api_server: 'http://{}'}}]{more}}}]",
            server.addr
        )
    };
    apply(&mut manager, &jobs(&yaml("one", ", static_configs: [{targets: ['x:1']}]")));
    let wanted = jobs(&yaml("one", ""));
    manager.apply(other, wanted.iter().map(|job| ("am", &*job.sd)));
    until(&mut scraping, "one", &["10.0.0.1:80", "x:1"]).await;
    until(&mut others, "am", &["10.0.0.1:80"]).await;
    assert_eq!((others.current().len(), server.n_lists(PODS)), (1, 1));
    assert_eq!(manager.health().len(), 2, "both use one discovery of pods, and one the static one");
    // One consumer leaves; the other's discovery runs on.
    manager.apply(Consumer::SCRAPE, []);
    assert!(scraping.current().is_empty());
    server.event(PODS, "ADDED", &pod("b", "10.0.0.2", 2));
    until(&mut others, "am", &["10.0.0.1:80", "10.0.0.2:80"]).await;
    assert_eq!(server.n_lists(PODS), 1);
    let families = registry.gather();
    let found = families.iter().find(|family| family.name() == "prometheus_sd_discovered_targets").unwrap();
    let labels: Vec<&str> = found.get_metric()[0].get_label().iter().map(|label| label.value()).collect();
    assert_eq!((found.get_metric().len(), labels), (1, vec!["am", "other"]));
    manager.shutdown().await;
}
