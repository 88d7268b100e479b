//! Watches of an API server of a few lines: sharing, scopes, errors.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::Arc;
use std::time::Duration;

use kit::KubeApi;
use kube_watch::{Changes, Key, Limits, Meta, Scope, Watch, Watches, resource, trimmed};
use prometheus::Registry;

trimmed!(
    /// As a consumer declares a kind.
    Secret { metadata: Meta, data: std::collections::BTreeMap<String, String> }
);
resource!(Secret, "", "v1", "secrets", namespaced);

const ALL: &str = "/api/v1/secrets";
const OF_A: &str = "/api/v1/namespaces/a/secrets";

fn secret(name: &str, value: &str, version: u32) -> String {
    format!(
        r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"a","resourceVersion":"{version}"}},"data":{{"k":"{value}"}}}}"#
    )
}

fn watches() -> (Arc<Watches>, Registry) {
    // kube needs the process' default provider of TLS, even for plain HTTP.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let registry = Registry::new();
    (Watches::new(&registry).unwrap(), registry)
}

fn server_of(server: &KubeApi) -> kube_watch::ApiServer {
    kube_watch::ApiServer { api_server: Some(format!("http://{}", server.addr)), ..kube_watch::ApiServer::default() }
}

/// The objects by name with their values, once they are these.
async fn until(watch: &Watch<Secret>, changes: &Changes<u8>, expected: &[(&str, &str)]) {
    let found = async {
        loop {
            let all = watch.all();
            let now: Vec<(&str, &str)> =
                all.iter().map(|secret| (kube_watch::name(&secret.metadata), secret.data["k"].as_str())).collect();
            if now == expected {
                return;
            }
            changes.wait().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("the objects never came");
}

#[tokio::test]
async fn consumers_of_the_same_objects_share_one_watch_until_the_last_is_gone() {
    let server = KubeApi::start();
    server.set(ALL, &[secret("x", "1", 1)]);
    let (watches, registry) = watches();
    let (one, two) = (Arc::new(Changes::default()), Arc::new(Changes::default()));
    let first: Watch<Secret> = watches.watch(&server_of(&server), Scope::default());
    first.notify(&one, 1);
    let second: Watch<Secret> = watches.watch(&server_of(&server), Scope::default());
    second.notify(&two, 2);
    until(&first, &one, &[("x", "1")]).await;
    until(&second, &two, &[("x", "1")]).await;
    assert!(first.get(&Key::new("a", "x")).is_some() && first.get(&Key::new("b", "x")).is_none());
    one.take();
    two.take();
    drop(first);
    server.event(ALL, "MODIFIED", &secret("x", "2", 2));
    until(&second, &two, &[("x", "2")]).await;
    assert_eq!(two.take().into_iter().collect::<Vec<_>>(), [(2, Key::new("a", "x"))]);
    assert_eq!(server.n_lists(ALL), 1, "one watch for both, and it goes on for the one that is left");
    drop(second);
    let third: Watch<Secret> = watches.watch(&server_of(&server), Scope::default());
    third.notify(&one, 3);
    until(&third, &one, &[("x", "1")]).await;
    assert_eq!(server.n_lists(ALL), 2, "the last consumer ended it");
    let families = registry.gather();
    let events = families.iter().find(|family| family.name() == "prometheus_sd_kubernetes_events_total").unwrap();
    let labels = events.get_metric()[0].get_label();
    assert_eq!(labels.iter().map(|label| label.value()).collect::<Vec<_>>(), ["update", "secret"]);
}

#[tokio::test]
async fn a_single_object_is_asked_for_by_name() {
    let server = KubeApi::start();
    server.set(OF_A, &[secret("x", "1", 1)]);
    let (watches, _registry) = watches();
    let changes = Arc::new(Changes::default());
    let watch: Watch<Secret> = watches.watch(&server_of(&server), Scope::object("a", "x"));
    watch.notify(&changes, 1);
    until(&watch, &changes, &[("x", "1")]).await;
    let other: Watch<Secret> = watches.watch(&server_of(&server), Scope::namespace("a"));
    other.notify(&changes, 2);
    until(&other, &changes, &[("x", "1")]).await;
    let queries = server.queries(OF_A);
    assert!(queries[0].contains("fieldSelector=metadata.name%3Dx"), "{queries:?}");
    assert!(queries.len() == 2 && !queries[1].contains("fieldSelector"), "another scope is another watch: {queries:?}");
}

/// One watch at once: `x` has it, and `y` is listed this often.
async fn named(server: &KubeApi, poll: Duration) -> (Arc<Watches>, Arc<Changes<u8>>, [Watch<Secret>; 2]) {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    ["x", "y"].iter().for_each(|name| server.put(ALL, &parsed(name, "1")));
    let limits = Limits { named_watches: 1, poll, ..Limits::default() };
    let watches = Watches::with_limits(&Registry::new(), limits).unwrap();
    let changes = Arc::new(Changes::default());
    let x: Watch<Secret> = watches.watch(&server_of(server), Scope::named("a", "x"));
    x.notify(&changes, 1);
    until(&x, &changes, &[("x", "1")]).await;
    let y: Watch<Secret> = watches.watch(&server_of(server), Scope::named("a", "y"));
    y.notify(&changes, 2);
    until(&y, &changes, &[("y", "1")]).await;
    (watches, changes, [x, y])
}

fn parsed(name: &str, value: &str) -> serde_json::Value {
    serde_json::from_str(&secret(name, value, 1)).unwrap()
}

#[tokio::test]
async fn named_objects_beyond_the_bound_are_listed_again() {
    let server = KubeApi::start();
    let (_watches, changes, [_x, y]) = named(&server, Duration::from_millis(10)).await;
    server.put(ALL, &parsed("y", "2"));
    until(&y, &changes, &[("y", "2")]).await;
    let lists_of =
        |name: &str| server.queries(OF_A).iter().filter(|query| query.contains(&format!("%3D{name}&"))).count();
    assert_eq!(lists_of("x"), 1, "one is watched");
    assert!(lists_of("y") > 1, "the other one is listed again");
}

#[tokio::test]
async fn a_named_object_is_watched_once_another_one_is_not_any_more() {
    let server = KubeApi::start();
    let (_watches, changes, [x, y]) = named(&server, Duration::from_secs(3_600)).await;
    server.put(ALL, &parsed("y", "2"));
    drop(x);
    until(&y, &changes, &[("y", "2")]).await;
    assert_eq!(server.n_lists(OF_A), 2, "each once");
}

#[tokio::test]
async fn a_refusal_is_reported_in_the_words_of_the_server() {
    let server = KubeApi::start();
    let (watches, _registry) = watches();
    let changes = Arc::new(Changes::default());
    let watch: Watch<Secret> = watches.watch(&server_of(&server), Scope::namespace("a"));
    watch.notify(&changes, 1);
    let failed = async {
        while !watch.is_settled() {
            changes.wait().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), failed).await.expect("the refusal was never reported");
    let error = watch.error().unwrap();
    let expected = "cannot watch secrets in namespace a: cannot list: no such right (HTTP 403); give its service account the right";
    assert!(error.starts_with(expected), "{error}");
    assert!(watch.all().is_empty());
}
