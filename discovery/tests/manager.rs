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
    fs::remove_file(&path).unwrap();
    until(&mut targets, "f", &[]).await;
    assert_eq!(manager.health()[0].error, None);
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
    let (mut manager, _registry) = manager();
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
    // What both configurations have runs on.
    apply(&mut manager, &jobs(&format!("scrape_configs:\n{}", job("one", ""))));
    server.event(PODS, "ADDED", &pod("c", "10.0.0.3", 4));
    until(&mut targets, "one", &["10.0.0.2:80", "10.0.0.3:80"]).await;
    assert_eq!(server.n_lists(PODS), 1);
    manager.shutdown().await;
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
