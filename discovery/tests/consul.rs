//! Consul, followed by the manager: services come and go, and what was found stays while the server fails.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::Config;
use discovery::{Consumer, Manager, Options, Subscription};
use kit::{Answer, Exporter};
use prometheus::Registry;

/// What the server knows: the state, the services and the ports of the instances of each; nothing while it fails.
type State = Arc<Mutex<Option<(u64, Vec<(&'static str, u16)>)>>>;

fn answer(state: &State, path: &str) -> Answer {
    let state = state.lock().unwrap();
    let Some((index, services)) = &*state else {
        return Answer::Raw(
            b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno".to_vec(),
        );
    };
    let body = if path == "/v1/agent/self" {
        r#"{"Config": {"Datacenter": "north"}}"#.to_owned()
    } else if path.starts_with("/v1/catalog/services?") {
        let names: Vec<String> = services.iter().map(|(name, _)| format!("{name:?}: []")).collect();
        format!("{{{}}}", names.join(","))
    } else {
        let name = path.trim_start_matches("/v1/health/service/").split('?').next().unwrap();
        let of = services.iter().filter(|(service, _)| *service == name);
        let instances: Vec<String> = of
            .map(|(name, port)| {
                format!(r#"{{"Node": {{"Address": "{name}"}}, "Service": {{"Port": {port}}}, "Checks": []}}"#)
            })
            .collect();
        format!("[{}]", instances.join(","))
    };
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nX-Consul-Index: {index}\r\n");
    Answer::Raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// Waits until the job has these addresses.
async fn until(targets: &mut Subscription, expected: &[&str]) {
    let found = async {
        loop {
            let groups = targets.current();
            let all = groups.get("c").into_iter().flatten().flat_map(|group| &group.targets);
            let mut all: Vec<&str> = all.map(|target| target.own.value("__address__")).collect();
            all.sort_unstable();
            if all == expected {
                return;
            }
            assert!(targets.changed().await);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("the targets never came");
}

#[tokio::test]
async fn services_are_followed() {
    let state: State = Arc::new(Mutex::new(Some((1, vec![("a", 1), ("b", 2)]))));
    let answers = Arc::clone(&state);
    let server = Exporter::start(move |path| answer(&answers, path));
    let registry = Registry::new();
    let options = Options { debounce: Duration::from_millis(1), ..Options::default() };
    let mut manager = Manager::alone(options, &registry).unwrap();
    let mut targets = manager.subscribe(Consumer::SCRAPE);
    let yaml = format!(
        "scrape_configs: [{{job_name: c, consul_sd_configs: [{{server: '{}', refresh_interval: 5ms}}]}}]",
        server.address
    );
    let config = Config::parse(&yaml, Path::new("p.yml"), &|_| None).unwrap();
    let sd = &config.scrape_configs[0].sd;
    manager.apply(Consumer::SCRAPE, [("c", &**sd)]);
    until(&mut targets, &["a:1", "b:2"]).await;
    let groups = targets.current();
    let group = &groups["c"][0];
    assert_eq!((group.source.as_str(), group.labels.value("__meta_consul_dc")), ("a", "north"));
    *state.lock().unwrap() = Some((2, vec![("b", 3), ("b", 4), ("c", 5)]));
    until(&mut targets, &["b:3", "b:4", "c:5"]).await;
    *state.lock().unwrap() = None;
    let failed = async {
        while manager.health()[0].error.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), failed).await.expect("the failure was never told");
    let health = manager.health().remove(0);
    assert!(health.error.as_ref().unwrap().contains("500 Internal Server Error: no"), "{health:?}");
    assert!(health.stale_since.is_some() && health.n_targets == 3, "{health:?}");
    until(&mut targets, &["b:3", "b:4", "c:5"]).await;
    let families = registry.gather();
    let counted = |name: &str| families.iter().any(|family| family.name() == name);
    assert!(counted("prometheus_sd_consul_rpc_failures_total") && counted("prometheus_sd_consul_rpc_duration_seconds"));
    manager.shutdown().await;
}

#[tokio::test]
async fn named_services_need_no_catalog() {
    let state: State = Arc::new(Mutex::new(Some((1, vec![("a", 1), ("b", 2)]))));
    let paths = Arc::new(Mutex::new(Vec::new()));
    let (answers, heard) = (Arc::clone(&state), Arc::clone(&paths));
    let server = Exporter::start(move |path| {
        heard.lock().unwrap().push(path.to_owned());
        answer(&answers, path)
    });
    let options = Options { debounce: Duration::from_millis(1), ..Options::default() };
    let mut manager = Manager::alone(options, &Registry::new()).unwrap();
    let mut targets = manager.subscribe(Consumer::SCRAPE);
    let yaml = format!(
        "scrape_configs: [{{job_name: c, consul_sd_configs: [{{server: '{}', services: [b], refresh_interval: 5ms}}]}}]",
        server.address
    );
    let config = Config::parse(&yaml, Path::new("p.yml"), &|_| None).unwrap();
    manager.apply(Consumer::SCRAPE, [("c", &*config.scrape_configs[0].sd)]);
    until(&mut targets, &["b:2"]).await;
    assert!(!paths.lock().unwrap().iter().any(|path| path.contains("catalog")));
    manager.shutdown().await;
}
