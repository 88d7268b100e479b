//! Secrets and ConfigMaps that jobs need: they come, change, go, and may not be readable.

use operator::Outcome;
use serde_json::{Value, json};

use crate::world::{
    CONFIG_MAPS, PROMETHEUSES, SECRETS, SERVICE_MONITORS, World, changed, jobs_of, main_object, monitor, secret, web,
};

/// A monitor whose token is the key `t` of a Secret.
fn with_token(name: &str, secret: &str) -> Value {
    monitor("a", name, json!({"port": "web", "authorization": {"credentials": {"name": secret, "key": "t"}}}))
}

fn token(outcome: &Outcome, job: &str) -> String {
    let http = outcome.job(job).map(|job| job.config.http.clone());
    let authorization = http.and_then(|http| http.authorization);
    authorization.and_then(|one| one.credentials).map_or_else(|| "none".to_owned(), |one| one.expose().to_owned())
}

fn not_found(secret: &str) -> String {
    format!(
        "endpoints[0]: authorization: failed to get authorization token of type \"\": unable to get secret \"{secret}\": secrets \
         \"{secret}\" not found"
    )
}

const JOB: &str = "serviceMonitor/a/m/0";

#[test]
fn a_secret_comes_and_is_rotated_and_goes() {
    let world = World::new(&[
        (SERVICE_MONITORS, with_token("m", "s")),
        (SERVICE_MONITORS, web("a", "other")),
        (SERVICE_MONITORS, with_token("second", "of-another")),
        (SECRETS, secret("a", "of-another", &[("t", "x")])),
        // References do not leave the namespace.
        (SECRETS, secret("b", "s", &[("t", "of another namespace")])),
    ]);
    world.says("ServiceMonitor a/m", &format!("not valid: {}", not_found("s")));
    let before = jobs_of(&world.runs(&["serviceMonitor/a/other/0", "serviceMonitor/a/second/0"]));
    world.put(SECRETS, &secret("a", "s", &[("t", "first")]));
    let outcome = world.says("ServiceMonitor a/m", "accepted");
    assert_eq!((token(&outcome, JOB).as_str(), changed(&before, &jobs_of(&outcome))), ("first", vec![JOB.to_owned()]));
    let before = jobs_of(&outcome);
    world.put(SECRETS, &secret("a", "s", &[("t", "second"), ("other", "")]));
    let outcome = world.until("the token", |outcome| token(outcome, JOB), "second");
    assert_eq!(changed(&before, &jobs_of(&outcome)), [JOB]);
    world.api.remove(SECRETS, "a", "s");
    let why = format!("not valid, its last valid version goes on: {}", not_found("s"));
    let outcome = world.says("ServiceMonitor a/m", &why);
    assert_eq!(token(&outcome, JOB), "second");
    world.put(SECRETS, &secret("a", "s", &[("other", "")]));
    let why = "not valid, its last valid version goes on: endpoints[0]: authorization: failed to get authorization token of type \
               \"\": key \"t\" in secret \"s\" not found";
    world.says("ServiceMonitor a/m", why);
    world.put(SECRETS, &secret("a", "s", &[("t", "third")]));
    let outcome = world.says("ServiceMonitor a/m", "accepted");
    assert_eq!(token(&outcome, JOB), "third");
}

#[test]
fn only_secrets_that_are_named_are_read_and_each_by_its_name() {
    let world = World::new(&[
        (SERVICE_MONITORS, with_token("m", "s")),
        (SECRETS, secret("a", "s", &[("t", "x")])),
        (SECRETS, secret("a", "unnamed", &[("t", "x")])),
    ]);
    world.says("ServiceMonitor a/m", "accepted");
    let queries = world.api.queries("/api/v1/namespaces/a/secrets");
    assert_eq!(queries.len(), 1);
    assert!(queries[0].contains("fieldSelector=metadata.name%3Ds"), "{queries:?}");
    assert_eq!((world.api.n_lists(SECRETS), world.api.n_lists(CONFIG_MAPS)), (0, 0));
}

/// Whoever may create a monitor somewhere must not have any number of Secrets read and held.
#[test]
fn secrets_that_only_monitors_name_which_are_not_selected_are_not_read() {
    let spec = json!({"serviceMonitorSelector": {"matchLabels": {"team": "a"}}, "serviceMonitorNamespaceSelector": {}});
    let mut selected = with_token("m", "s");
    selected["metadata"]["labels"] = json!({"team": "a"});
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(spec)),
        (SERVICE_MONITORS, selected),
        (SERVICE_MONITORS, with_token("other", "of-another")),
        (SECRETS, secret("a", "s", &[("t", "x")])),
        (SECRETS, secret("a", "of-another", &[("t", "y")])),
    ]);
    world.says("ServiceMonitor a/m", "accepted");
    let queries = world.api.queries(OF_A);
    assert!(queries.len() == 1 && queries[0].contains("fieldSelector=metadata.name%3Ds&"), "{queries:?}");
    let everything = json!({"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {}});
    world.put(PROMETHEUSES, &main_object(everything));
    let outcome = world.says("ServiceMonitor a/other", "accepted");
    assert_eq!(token(&outcome, "serviceMonitor/a/other/0"), "y");
}

const OF_A: &str = "/api/v1/namespaces/a/secrets";

#[test]
fn a_secret_that_may_not_be_read() {
    let objects = [(SERVICE_MONITORS, with_token("m", "s")), (SECRETS, secret("a", "s", &[("t", "x")]))];
    let world = World::with(&objects, |api, _| api.refuse(OF_A, 403));
    world.says(
        "ServiceMonitor a/m",
        "not valid: endpoints[0]: authorization: failed to get authorization token of type \"\": unable to get secret \"s\": \
         cannot watch secrets in namespace a: cannot list: no such right (HTTP 403); give its service account the right in a Role \
         or ClusterRole",
    );
    world.api.allow(OF_A);
    let outcome = world.says("ServiceMonitor a/m", "accepted");
    assert_eq!(token(&outcome, JOB), "x");
    // What was read stays known when the right is taken away.
    world.api.refuse(OF_A, 403);
    world.put(SERVICE_MONITORS, &with_token("second", "s"));
    world.put(SERVICE_MONITORS, &with_token("third", "unread"));
    world.says("ServiceMonitor a/second", "accepted");
    let why = "not valid: endpoints[0]: authorization: failed to get authorization token of type \"\": unable to get secret \
               \"unread\": cannot watch secrets in namespace a: cannot list: no such right (HTTP 403); give its service account the \
               right in a Role or ClusterRole";
    let outcome = world.says("ServiceMonitor a/third", why);
    assert_eq!(token(&outcome, JOB), "x");
}

#[test]
fn an_object_waits_for_its_secrets() {
    let objects = [(SERVICE_MONITORS, with_token("m", "s")), (SECRETS, secret("a", "s", &[("t", "x")]))];
    let world = World::with(&objects, |api, _| api.hold(OF_A));
    world.says("ServiceMonitor a/m", "the Secrets and ConfigMaps that it names are being read");
    world.runs(&[]);
    world.api.release(OF_A);
    world.says("ServiceMonitor a/m", "accepted");
    // A version that names another Secret: the former one runs meanwhile.
    world.api.hold(OF_A);
    world.put(SECRETS, &secret("a", "s2", &[("t", "y")]));
    world.put(SERVICE_MONITORS, &with_token("m", "s2"));
    let outcome = world.says("ServiceMonitor a/m", "the Secrets and ConfigMaps that it names are being read");
    assert_eq!(token(&outcome, JOB), "x");
    world.api.release(OF_A);
    let outcome = world.until("the token", |outcome| token(outcome, JOB), "y");
    assert_eq!(outcome.objects[0].state, operator::State::Accepted);
}

/// The version in force names a Secret that the present one does not.
#[test]
fn the_secrets_of_the_last_valid_version_are_still_followed() {
    let world = World::new(&[(SERVICE_MONITORS, with_token("m", "s")), (SECRETS, secret("a", "s", &[("t", "x")]))]);
    world.says("ServiceMonitor a/m", "accepted");
    world.put(SERVICE_MONITORS, &with_token("m", "none"));
    let why = format!("not valid, its last valid version goes on: {}", not_found("none"));
    world.says("ServiceMonitor a/m", &why);
    world.put(SECRETS, &secret("a", "s", &[("t", "rotated")]));
    world.until("the token", |outcome| token(outcome, JOB), "rotated");
    assert_eq!(crate::world::verdict_of(&world.outcome(), "ServiceMonitor a/m"), why);
    world.api.remove(SECRETS, "a", "s");
    world.put(SERVICE_MONITORS, &with_token("m", "none-either"));
    let why = format!("not valid, its last valid version goes on: {}", not_found("none-either"));
    let outcome = world.says("ServiceMonitor a/m", &why);
    assert_eq!(token(&outcome, JOB), "rotated");
}

fn with_files() -> Value {
    monitor(
        "a",
        "m",
        json!({
            "port": "web",
            "scheme": "https",
            "bearerTokenFile": "/etc/prometheus/secrets/etcd/token",
            "tlsConfig": {
                "caFile": "/etc/prometheus/configmaps/bundle/ca",
                "certFile": "/etc/prometheus/secrets/etcd/cert",
                "keyFile": "/etc/prometheus/secrets/etcd/key",
            },
        }),
    )
}

#[test]
fn mounted_secrets_stand_for_files() {
    let etcd = |token: &str| secret("monitoring", "etcd", &[("token", token), ("cert", "<cert>"), ("key", "<key>")]);
    let bundle = json!({"metadata": {"namespace": "monitoring", "name": "bundle"}, "data": {"ca": "<ca>"}});
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(json!({"secrets": ["etcd"], "configMaps": ["bundle"]}))),
        (SECRETS, etcd("first")),
        (CONFIG_MAPS, bundle),
        (SERVICE_MONITORS, with_files()),
        (SERVICE_MONITORS, web("a", "other")),
    ]);
    let outcome = world.says("ServiceMonitor a/m", "accepted");
    let http = &outcome.job(JOB).unwrap().config.http;
    let tls = http.tls.as_ref().unwrap();
    let key = tls.key.as_ref().map(|key| key.expose());
    assert_eq!((tls.ca.as_deref(), tls.cert.as_deref(), key), (Some("<ca>"), Some("<cert>"), Some("<key>")));
    assert_eq!((&tls.ca_file, &tls.cert_file, &tls.key_file), (&None, &None, &None));
    assert_eq!(token(&outcome, JOB), "first");
    let before = jobs_of(&outcome);
    world.put(SECRETS, &etcd("second"));
    let outcome = world.until("the token", |outcome| token(outcome, JOB), "second");
    assert_eq!(changed(&before, &jobs_of(&outcome)), [JOB], "a job without files stays as it is");
    world.put(SECRETS, &secret("monitoring", "etcd", &[("cert", "<cert>"), ("key", "<key>")]));
    let why = "not valid, its last valid version goes on: bearer_token_file names /etc/prometheus/secrets/etcd/token: key \
               \"token\" in secret \"etcd\" not found";
    let outcome = world.says("ServiceMonitor a/m", why);
    assert_eq!(token(&outcome, JOB), "second");
    world.put(SECRETS, &etcd("third"));
    world.until("the token", |outcome| token(outcome, JOB), "third");
    // The last valid version of the Prometheus object mounts what it mounted.
    world.put(PROMETHEUSES, &main_object(json!({"secrets": ["etcd"], "scrapeTimeout": "2m"})));
    world.prometheus_says("spec.scrapeTimeout: scrapeTimeout \"2m\" greater than scrapeInterval \"30s\"");
    world.put(SECRETS, &etcd("fourth"));
    world.until("the token", |outcome| token(outcome, JOB), "fourth");
    world.api.remove(PROMETHEUSES, "monitoring", "main");
    world.prometheus_says("there is no Prometheus object monitoring/main; --operator.prometheus names it");
    world.put(SECRETS, &etcd("fifth"));
    let outcome = world.until("the token", |outcome| token(outcome, JOB), "fifth");
    assert_eq!(outcome.objects[0].state, operator::State::Accepted);
}

/// What is not mounted is a file of the deployment.
#[test]
fn files_of_other_secrets_stay_files() {
    let world = World::of_prometheus(&[(PROMETHEUSES, main_object(json!({}))), (SERVICE_MONITORS, with_files())]);
    let outcome = world.says("ServiceMonitor a/m", "accepted");
    let tls = outcome.job(JOB).unwrap().config.http.tls.clone().unwrap();
    let path = |path: Option<std::path::PathBuf>| path.unwrap().display().to_string();
    assert_eq!(path(tls.ca_file), "/etc/prometheus/configmaps/bundle/ca");
    assert_eq!(path(tls.key_file), "/etc/prometheus/secrets/etcd/key");
}
