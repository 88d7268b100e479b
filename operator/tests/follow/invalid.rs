//! An object that is not valid changes nothing but itself, and goes on as it was when it was valid.

use serde_json::{Value, json};

use crate::world::{
    Jobs, SECRETS, SERVICE_MONITORS, World, changed, jobs_of, labelled, main_object, monitor, object, secret, web,
};
use crate::world::{NAMESPACES, PROMETHEUSES, namespace};

/// What is said of a monitor `a/bad` with such an endpoint, beside two that are valid.
#[track_caller]
fn check(endpoint: Value, verdict: &str) {
    let world = World::new(&[
        (SERVICE_MONITORS, web("a", "before")),
        (SERVICE_MONITORS, web("b", "behind")),
        (SECRETS, secret("a", "known", &[("key", "value"), ("pem", "no certificate")])),
    ]);
    let outcome = world.runs(&["serviceMonitor/a/before/0", "serviceMonitor/b/behind/0"]);
    let before = jobs_of(&outcome);
    world.put(SERVICE_MONITORS, &monitor("a", "bad", endpoint));
    let outcome = world.says("ServiceMonitor a/bad", verdict);
    assert!(changed(&before, &jobs_of(&outcome)).is_empty());
    let bad = outcome.objects.iter().find(|one| one.object.name == "bad").unwrap();
    assert!(bad.jobs.is_empty());
}

#[test]
fn a_regular_expression_that_is_none() {
    check(
        json!({"relabelings": [{"action": "keep", "sourceLabels": ["a"], "regex": "("}]}),
        "not valid: endpoints[0]: relabelConfigs: [0]: invalid regex ( for relabel configuration: error parsing regexp: missing \
         closing ): `^(?s:()$`",
    );
}

#[test]
fn fields_of_a_wrong_type() {
    check(json!({"port": 80}), "not valid: spec.endpoints[0].port: invalid type: integer `80`, expected a string");
    check(
        json!({"tlsConfig": {"serverName": ["a"]}}),
        "not valid: spec.endpoints[0].tlsConfig: invalid type: sequence, expected a string",
    );
}

#[test]
fn secrets_that_are_not_there() {
    let of = |name: &str, key: &str| json!({"authorization": {"credentials": {"name": name, "key": key}}});
    check(
        of("known", "other"),
        "not valid: endpoints[0]: authorization: failed to get authorization token of type \"\": key \"other\" in secret \
         \"known\" not found",
    );
    check(
        of("unknown", "key"),
        "not valid: endpoints[0]: authorization: failed to get authorization token of type \"\": unable to get secret \
         \"unknown\": secrets \"unknown\" not found",
    );
}

#[test]
fn a_certificate_that_is_none() {
    check(
        json!({"tlsConfig": {"ca": {"secret": {"name": "known", "key": "pem"}}}}),
        "not valid: endpoints[0]: tlsConfig: ca <secret=known,key=pem>: failed to decode PEM block",
    );
}

/// A version of `a/web` with this timeout: more than the interval of 20 seconds is not valid.
fn version(generation: u32, timeout: &str) -> Value {
    let mut object = monitor("a", "web", json!({"port": "web", "scrapeTimeout": timeout}));
    object["metadata"]["generation"] = json!(generation);
    object
}

const TOO_LONG: &str = "endpoints[0]: scrapeTimeout \"1m\" greater than scrapeInterval \"20s\"";

fn going_on(why: &str) -> String {
    format!("not valid, its last valid version goes on: {why}")
}

#[test]
fn what_was_valid_goes_on_until_it_is_valid_again_or_gone() {
    let world = World::new(&[(SERVICE_MONITORS, version(1, "5s")), (SERVICE_MONITORS, web("b", "other"))]);
    let names = ["serviceMonitor/a/web/0", "serviceMonitor/b/other/0"];
    let before = jobs_of(&world.runs(&names));
    world.fence();
    let n_calls = world.n_calls();
    world.put(SERVICE_MONITORS, &version(2, "1m"));
    let outcome = world.says("ServiceMonitor a/web", &going_on(TOO_LONG));
    assert!(changed(&before, &jobs_of(&outcome)).is_empty());
    let state = &outcome.objects[0];
    assert_eq!((state.generation, state.jobs.as_slice()), (2, [names[0].to_owned()].as_slice()));
    world.fence();
    assert_eq!(world.n_calls(), n_calls, "the configuration is the same");
    world.put(SERVICE_MONITORS, &version(3, "6s"));
    let outcome = world.says("ServiceMonitor a/web", "accepted");
    assert_eq!(changed(&before, &jobs_of(&outcome)), [names[0]]);
    world.put(SERVICE_MONITORS, &version(4, "1m"));
    world.says("ServiceMonitor a/web", &going_on(TOO_LONG));
    // The last valid version inherits what is inherited now.
    let outcome = world.apply("global: {scrape_interval: 15s}");
    assert_eq!(crate::world::verdict_of(&outcome, "ServiceMonitor a/web"), going_on(&TOO_LONG.replace("20s", "15s")));
    let config = &outcome.job(names[0]).unwrap().config;
    assert_eq!((config.scrape_interval_ms, config.scrape_timeout_ms), (15_000, 6_000));
    world.api.remove(SERVICE_MONITORS, "a", "web");
    world.runs(&[names[1]]);
    assert_eq!(crate::world::verdict_of(&world.outcome(), "ServiceMonitor a/web"), "unknown");
    // One that comes back is another object: what the former one was has ended.
    world.put(SERVICE_MONITORS, &version(5, "1m"));
    let outcome = world.says("ServiceMonitor a/web", &format!("not valid: {}", TOO_LONG.replace("20s", "15s")));
    assert_eq!(jobs_of(&outcome).len(), 1);
}

/// Both changes may be seen at once.
#[test]
fn an_object_that_is_created_anew_has_no_past() {
    let world = World::new(&[(SERVICE_MONITORS, version(1, "5s"))]);
    world.runs(&["serviceMonitor/a/web/0"]);
    let mut other = version(1, "1m");
    other["metadata"]["uid"] = json!("another one");
    world.api.remove(SERVICE_MONITORS, "a", "web");
    world.put(SERVICE_MONITORS, &other);
    world.says("ServiceMonitor a/web", &format!("not valid: {TOO_LONG}"));
    world.runs(&[]);
}

#[test]
fn what_is_no_longer_selected_ends() {
    let labels = |value: &str| labelled(version(1, "5s"), json!({"team": value}));
    let selector = json!({"serviceMonitorSelector": {"matchLabels": {"team": "one"}}});
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(selector)),
        (NAMESPACES, namespace("a", json!({}))),
        (SERVICE_MONITORS, labels("one")),
    ]);
    world.runs(&["serviceMonitor/a/web/0"]);
    world.put(SERVICE_MONITORS, &labels("two"));
    let verdict =
        "not selected: its labels do not match spec.serviceMonitorSelector: team=one is required, it has team=two";
    world.says("ServiceMonitor a/web", verdict);
    world.runs(&[]);
    // Selected again and not valid: the version from before does not come back.
    world.put(SERVICE_MONITORS, &labelled(version(2, "1m"), json!({"team": "one"})));
    world.says(
        "ServiceMonitor a/web",
        "not valid: endpoints[0]: scrapeTimeout \"1m\" greater than scrapeInterval \"30s\"",
    );
    world.runs(&[]);
}

fn with_file(generation: u32, timeout: &str) -> Value {
    let endpoint = json!({"port": "web", "scrapeTimeout": timeout, "bearerTokenFile": "/var/run/token"});
    let mut object = monitor("a", "files", endpoint);
    object["metadata"]["generation"] = json!(generation);
    object
}

#[test]
fn what_the_prometheus_object_forbids_does_not_go_on() {
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(json!({}))),
        (SERVICE_MONITORS, with_file(1, "5s")),
        (SERVICE_MONITORS, web("b", "other")),
    ]);
    let names = ["serviceMonitor/a/files/0", "serviceMonitor/b/other/0"];
    let before: Jobs = jobs_of(&world.runs(&names));
    world.put(SERVICE_MONITORS, &with_file(2, "1m"));
    let too_long = TOO_LONG.replace("20s", "30s");
    world.says("ServiceMonitor a/files", &going_on(&too_long));
    // A change of the Prometheus object that forbids nothing ends nothing.
    world.put(PROMETHEUSES, &main_object(json!({"externalLabels": {"cluster": "one"}})));
    let label = |outcome: &operator::Outcome| {
        outcome.base.as_ref().map(|base| format!("{:?}", base.global.external_labels)).unwrap_or_default()
    };
    world.until("external labels", |outcome| label(outcome).contains("cluster").to_string(), "true");
    let outcome = world.says("ServiceMonitor a/files", &going_on(&too_long));
    assert!(changed(&before, &jobs_of(&outcome)).is_empty());
    world.put(PROMETHEUSES, &main_object(json!({"arbitraryFSAccessThroughSMs": {"deny": true}})));
    let why = "endpoints[0]: it accesses file system via bearer token file which Prometheus specification prohibits";
    world.says("ServiceMonitor a/files", &format!("not valid: {why}"));
    let outcome = world.runs(&[names[1]]);
    assert_eq!(changed(&before, &jobs_of(&outcome)), [names[0]]);
}

/// The selector of one monitor is not that of others.
#[test]
fn selectors_that_are_none() {
    let broken = json!({"selector": {"matchLabels": {"app": "not a value"}}, "endpoints": [{"port": "web"}]});
    let world = World::new(&[(SERVICE_MONITORS, object("a", "broken", broken)), (SERVICE_MONITORS, web("a", "web"))]);
    world.says(
        "ServiceMonitor a/broken",
        "not valid: values[0][app]: Invalid value: \"not a value\": a valid label must be an empty string or consist of \
         alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    );
    world.runs(&["serviceMonitor/a/web/0"]);
}
