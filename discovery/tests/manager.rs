//! The manager with real providers: static and file targets, and an API server of a few lines.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use config::{Config, ScrapeConfig};
use discovery::{Manager, Options};
use model::TargetGroups;
use prometheus::Registry;
use tokio::sync::watch::Receiver;

fn jobs(yaml: &str) -> Vec<Arc<ScrapeConfig>> {
    Config::parse(yaml, Path::new("/prometheus.yml"), &|_| None).unwrap().scrape_configs
}

fn manager() -> (Manager, Registry) {
    let _ = rustls_provider();
    let registry = Registry::new();
    let options = Options { debounce: Duration::from_millis(1) };
    (Manager::new(options, &registry).unwrap(), registry)
}

/// kube speaks TLS through the process' default provider, even where it does not speak TLS.
fn rustls_provider() -> Result<(), ()> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| ())
}

/// The addresses of a job, sorted.
fn addresses(groups: &TargetGroups, job: &str) -> Vec<String> {
    let groups = groups.get(job).into_iter().flatten();
    let mut all: Vec<String> =
        groups.flat_map(|group| &group.targets).map(|t| t.value("__address__").to_owned()).collect();
    all.sort();
    all
}

/// Waits until a job has these addresses; never returns otherwise.
async fn until(targets: &mut Receiver<Arc<TargetGroups>>, job: &str, expected: &[&str]) {
    let found = targets.wait_for(|groups| addresses(groups, job) == expected);
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("the targets never came").unwrap();
}

#[tokio::test]
async fn static_targets_are_there_at_once_and_go_with_their_job() {
    let (mut manager, registry) = manager();
    let targets = manager.targets();
    manager.apply(&jobs("scrape_configs: [{job_name: a, static_configs: [{targets: ['x:1', 'y:1'], labels: {k: v}}, {targets: ['z:1']}]}, {job_name: b}]"));
    let now = targets.borrow().clone();
    assert_eq!(addresses(&now, "a"), ["x:1", "y:1", "z:1"]);
    assert_eq!((now["a"][0].source.as_str(), now["a"][0].labels.value("k")), ("0", "v"));
    assert!(now["b"].is_empty(), "a job without discoveries is there, without targets");
    let gauge = |registry: &Registry| {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == "prometheus_sd_discovered_targets").unwrap();
        family.get_metric().iter().map(|metric| metric.get_gauge().get_value()).sum::<f64>()
    };
    assert_eq!(gauge(&registry), 3.0);
    manager.apply(&jobs("scrape_configs: [{job_name: b, static_configs: [{targets: ['x:1']}]}]"));
    let now = targets.borrow().clone();
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
    let mut targets = manager.targets();
    manager.apply(&jobs(&format!(
        "scrape_configs: [{{job_name: f, file_sd_configs: [{{files: ['{}/*.json'], refresh_interval: 1s}}]}}]",
        folder.path().display()
    )));
    until(&mut targets, "f", &["a:1", "b:1"]).await;
    write(r#"[{"targets":["c:1"]}]"#);
    until(&mut targets, "f", &["c:1"]).await;
    write("{");
    let broken = async {
        while manager.health()[0].error.is_none() {
            targets.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), broken).await.expect("the broken file was never reported");
    assert_eq!(addresses(&targets.borrow(), "f"), ["c:1"]);
    assert!(manager.health()[0].error.as_ref().unwrap().contains("targets.json"));
    fs::remove_file(&path).unwrap();
    until(&mut targets, "f", &[]).await;
    assert_eq!(manager.health()[0].error, None);
    manager.shutdown().await;
}

/// An API server that lists what it is told, lets every watch wait, and refuses what it does not know.
struct ApiServer {
    addr: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    /// List by path.
    lists: BTreeMap<String, String>,
    /// Events that watches of a path get, once.
    events: BTreeMap<String, Vec<String>>,
    /// How often each path was listed.
    n_lists: BTreeMap<String, usize>,
    is_over: bool,
}

impl ApiServer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.0.lock().unwrap().is_over {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = serve(stream, &shared);
                });
            }
        });
        Self { addr, state }
    }

    fn set(&self, path: &str, items: &[String]) {
        let list = format!(
            r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"1"}},"items":[{}]}}"#,
            items.join(",")
        );
        self.state.0.lock().unwrap().lists.insert(path.to_owned(), list);
    }

    fn event(&self, path: &str, kind: &str, object: &str) {
        let event = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        self.state.0.lock().unwrap().events.entry(path.to_owned()).or_default().push(event);
        self.state.1.notify_all();
    }

    fn n_lists(&self, path: &str) -> usize {
        self.state.0.lock().unwrap().n_lists.get(path).copied().unwrap_or_default()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.state.0.lock().unwrap().is_over = true;
        self.state.1.notify_all();
        drop(TcpStream::connect(self.addr));
    }
}

fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut state = shared.0.lock().unwrap();
        if !query.contains("watch=true") {
            *state.n_lists.entry(path.to_owned()).or_default() += 1;
            let (status, body) = match state.lists.get(path) {
                Some(list) => ("200 OK", list.clone()),
                None => (
                    "403 Forbidden",
                    r#"{"kind":"Status","status":"Failure","message":"no such right","reason":"Forbidden","code":403}"#
                        .to_owned(),
                ),
            };
            drop(state);
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )?;
            continue;
        }
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
        loop {
            for event in state.events.remove(path).unwrap_or_default() {
                write!(stream, "{:x}\r\n{event}\r\n", event.len())?;
            }
            if state.is_over {
                return Ok(());
            }
            state = shared.1.wait(state).unwrap();
        }
    }
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
    let server = ApiServer::start();
    server.set(PODS, &[pod("a", "10.0.0.1", 1)]);
    let (mut manager, _registry) = manager();
    let mut targets = manager.targets();
    let job = |name: &str, more: &str| {
        format!(
            "- job_name: {name}\n  kubernetes_sd_configs: [{{role: pod, api_server: 'http://{}'{more}}}]\n",
            server.addr
        )
    };
    // The second asks for nodes too, which the server refuses: the first does not notice.
    let yaml = format!("scrape_configs:\n{}{}", job("one", ""), job("two", ", attach_metadata: {node: true}"));
    manager.apply(&jobs(&yaml));
    until(&mut targets, "one", &["10.0.0.1:80"]).await;
    server.event(PODS, "ADDED", &pod("b", "10.0.0.2", 2));
    until(&mut targets, "one", &["10.0.0.1:80", "10.0.0.2:80"]).await;
    server.event(PODS, "DELETED", &pod("a", "10.0.0.1", 3));
    until(&mut targets, "one", &["10.0.0.2:80"]).await;
    assert_eq!(addresses(&targets.borrow(), "two"), [""; 0], "the nodes are not known");
    assert_eq!(server.n_lists(PODS), 1, "both jobs share the watch");
    let errors = async {
        loop {
            let health = manager.health();
            let of = |job: &str| health.iter().find(|one| one.jobs == [job]).unwrap().error.clone();
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
    manager.apply(&jobs(&format!("scrape_configs:\n{}", job("one", ""))));
    server.event(PODS, "ADDED", &pod("c", "10.0.0.3", 4));
    until(&mut targets, "one", &["10.0.0.2:80", "10.0.0.3:80"]).await;
    assert_eq!(server.n_lists(PODS), 1);
    manager.shutdown().await;
}

#[tokio::test]
async fn endpoints_follow_their_pods() {
    let server = ApiServer::start();
    server.set(PODS, &[pod("a", "10.0.0.1", 1)]);
    server.set(SERVICES, &[]);
    let endpoints = r#"{"kind":"Endpoints","apiVersion":"v1","metadata":{"name":"e","namespace":"d","resourceVersion":"1"},"subsets":[{"addresses":[{"ip":"10.0.0.1","targetRef":{"kind":"Pod","name":"a","namespace":"d"}}],"ports":[{"name":"m","port":9000,"protocol":"TCP"}]}]}"#;
    server.set(ENDPOINTS, &[endpoints.to_owned()]);
    let (mut manager, _registry) = manager();
    let mut targets = manager.targets();
    manager.apply(&jobs(&format!(
        "scrape_configs: [{{job_name: e, kubernetes_sd_configs: [{{role: endpoints, api_server: 'http://{}'}}]}}]",
        server.addr
    )));
    until(&mut targets, "e", &["10.0.0.1:80", "10.0.0.1:9000"]).await;
    server.event(PODS, "MODIFIED", &pod("a", "10.0.0.9", 2));
    until(&mut targets, "e", &["10.0.0.1:9000", "10.0.0.9:80"]).await;
    manager.shutdown().await;
}
