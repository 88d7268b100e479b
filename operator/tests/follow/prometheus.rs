//! The Prometheus object: what it selects, what it sets, and what becomes of it when it is not valid, paused or gone.

use operator::Outcome;
use serde_json::{Value, json};

use crate::world::{
    NAMESPACES, PROMETHEUSES, SECRETS, SERVICE_MONITORS, World, jobs_of, labelled, main_object, monitor, names_of,
    namespace, secret, verdict_of, web,
};

/// Three monitors in two namespaces, and what becomes of them with these fields of the Prometheus object; `null` removes
/// one.
#[track_caller]
fn check(fields: Value, expected: &[(&str, &str)]) {
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(fields)),
        (NAMESPACES, namespace("monitoring", json!({"kubernetes.io/metadata.name": "monitoring"}))),
        (NAMESPACES, namespace("team-a", json!({"team": "a"}))),
        (SERVICE_MONITORS, labelled(web("monitoring", "own"), json!({"release": "stack"}))),
        (SERVICE_MONITORS, labelled(web("team-a", "right"), json!({"release": "stack"}))),
        (SERVICE_MONITORS, labelled(web("team-a", "typo"), json!({"release": "stakc"}))),
    ]);
    let see = |outcome: &Outcome| {
        let names = expected.iter().map(|(name, _)| *name);
        names
            .map(|name| format!("{name}: {}", verdict_of(outcome, &format!("ServiceMonitor {name}"))))
            .collect::<Vec<_>>()
    };
    let wanted: Vec<String> = expected.iter().map(|(name, verdict)| format!("{name}: {verdict}")).collect();
    let outcome = world.until("the verdicts", |outcome| see(outcome).join("\n"), &wanted.join("\n"));
    let accepted = expected.iter().filter(|(_, verdict)| *verdict == "accepted");
    let jobs: Vec<String> = accepted.map(|(name, _)| format!("serviceMonitor/{name}/0")).collect();
    assert_eq!(names_of(&outcome), jobs);
}

#[test]
fn no_selector_selects_nothing() {
    let why = "not selected: spec.serviceMonitorSelector is not set, which selects nothing; {} selects all objects of the kind";
    check(
        json!({"serviceMonitorSelector": null}),
        &[("monitoring/own", why), ("team-a/right", why), ("team-a/typo", why)],
    );
}

#[test]
fn an_empty_selector_selects_everything() {
    check(json!({}), &[("monitoring/own", "accepted"), ("team-a/right", "accepted"), ("team-a/typo", "accepted")]);
}

#[test]
fn without_a_selector_of_namespaces_only_its_own_is_looked_at() {
    let why = "not selected: spec.serviceMonitorNamespaceSelector is not set, so that only objects in the namespace monitoring are \
               selected; {} selects all namespaces";
    check(
        json!({"serviceMonitorNamespaceSelector": null}),
        &[("monitoring/own", "accepted"), ("team-a/right", why), ("team-a/typo", why)],
    );
}

#[test]
fn labels_select_objects_and_namespaces() {
    check(
        json!({"serviceMonitorSelector": {"matchLabels": {"release": "stack"}}}),
        &[
            ("monitoring/own", "accepted"),
            ("team-a/right", "accepted"),
            (
                "team-a/typo",
                "not selected: its labels do not match spec.serviceMonitorSelector: release=stack is required, it has \
                 release=stakc, which differs in one letter",
            ),
        ],
    );
    let why = "not selected: its namespace does not match spec.serviceMonitorNamespaceSelector: team=a is required, the namespace \
               has no label team";
    check(
        json!({"serviceMonitorNamespaceSelector": {"matchLabels": {"team": "a"}}}),
        &[("monitoring/own", why), ("team-a/right", "accepted"), ("team-a/typo", "accepted")],
    );
    let why = "not selected: spec.serviceMonitorSelector is not valid: \"Like\" is not a valid label selector operator";
    check(
        json!({"serviceMonitorSelector": {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}}),
        &[("monitoring/own", why), ("team-a/right", why), ("team-a/typo", why)],
    );
}

#[test]
fn labels_of_namespaces_select_and_deselect() {
    let selector = json!({"serviceMonitorNamespaceSelector": {
        "matchExpressions": [{"key": "tenant", "operator": "NotIn", "values": ["other"]}],
    }});
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(selector)),
        (NAMESPACES, namespace("a", json!({}))),
        (NAMESPACES, namespace("b", json!({"tenant": "other"}))),
        (SERVICE_MONITORS, web("a", "web")),
        (SERVICE_MONITORS, web("b", "web")),
        // It must not be selected until it is known that its namespace has no such label.
        (SERVICE_MONITORS, web("c", "web")),
    ]);
    world.runs(&["serviceMonitor/a/web/0"]);
    let required = "not selected: its namespace does not match spec.serviceMonitorNamespaceSelector: tenant notin (other) is \
                    required, ";
    world.says("ServiceMonitor b/web", &format!("{required}the namespace has tenant=other"));
    world.says("ServiceMonitor c/web", &format!("{required}the labels of its namespace are not known"));
    world.put(NAMESPACES, &namespace("a", json!({"tenant": "other"})));
    world.put(NAMESPACES, &namespace("b", json!({"tenant": "ours"})));
    world.put(NAMESPACES, &namespace("c", json!({})));
    world.runs(&["serviceMonitor/b/web/0", "serviceMonitor/c/web/0"]);
}

#[test]
fn without_the_object_nothing_runs_until_it_is_there() {
    let world = World::of_prometheus(&[(SERVICE_MONITORS, web("a", "web"))]);
    let missing = "there is no Prometheus object monitoring/main; --operator.prometheus names it";
    let outcome = world.prometheus_says(missing);
    assert!(outcome.jobs.is_empty() && outcome.base.is_none() && outcome.is_complete);
    assert_eq!(outcome.kinds[0].objects, 1);
    world.put(PROMETHEUSES, &main_object(json!({})));
    let outcome = world.runs(&["serviceMonitor/a/web/0"]);
    assert_eq!(outcome.prometheus.as_ref().unwrap().error, None);
    assert_eq!(outcome.jobs[0].config.scrape_interval_ms, 30_000, "that of the object, not that of the file");
    let before = jobs_of(&outcome);
    world.api.remove(PROMETHEUSES, "monitoring", "main");
    let outcome = world.prometheus_says(missing);
    assert!(crate::world::changed(&before, &jobs_of(&outcome)).is_empty() && outcome.base.is_some());
    // Monitors still come and go by what it selected.
    world.put(SERVICE_MONITORS, &web("a", "new"));
    world.runs(&["serviceMonitor/a/new/0", "serviceMonitor/a/web/0"]);
}

#[test]
fn without_the_kind_of_the_object_that_is_what_is_said() {
    let path = "/apis/monitoring.coreos.com/v1/namespaces/monitoring/prometheuses";
    let world = World::with(&[], |api, options| {
        api.refuse(path, 404);
        options.prometheus = Some(("monitoring".to_owned(), "main".to_owned()));
    });
    world.prometheus_says(
        "the API server does not know prometheuses (its CustomResourceDefinition is not installed); they are picked up when it is",
    );
}

fn external_labels(outcome: &Outcome) -> String {
    let base = outcome.base.as_ref();
    base.map_or_else(|| "no base".to_owned(), |base| (*base.global.external_labels).to_string())
}

#[test]
fn placeholders_of_external_labels_are_what_the_server_is() {
    let labels = json!({"externalLabels": {"cluster": "c", "shard": "$(SHARD)", "unknown": "$(OTHER)"}});
    let world = World::of_prometheus(&[(PROMETHEUSES, main_object(labels))]);
    world.until(
        "the labels",
        external_labels,
        "{cluster=\"c\", prometheus=\"monitoring/main\", prometheus_replica=\"weft-0\", shard=\"0\", unknown=\"$(OTHER)\"}",
    );
}

#[test]
fn an_object_that_is_not_valid_stays_what_it_was() {
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(json!({"externalLabels": {"v": "1"}}))),
        (SERVICE_MONITORS, web("a", "web")),
    ]);
    let outcome = world.runs(&["serviceMonitor/a/web/0"]);
    let (before, labels) = (jobs_of(&outcome), external_labels(&outcome));
    let same = |outcome: &Outcome| {
        crate::world::changed(&before, &jobs_of(outcome)).is_empty() && external_labels(outcome) == labels
    };
    for (fields, error) in [
        (
            json!({"scrapeTimeout": "1m", "externalLabels": {"v": "2"}}),
            "spec.scrapeTimeout: scrapeTimeout \"1m\" greater than scrapeInterval \"30s\"",
        ),
        (json!({"shards": "two"}), "spec.shards: invalid type: string \"two\", expected i64"),
        (
            json!({"remoteWrite": [{"url": "http://x", "writeRelabelConfigs": [{"regex": "("}]}]}),
            "Prometheus monitoring/main: remote_write[0].write_relabel_configs[0].regex: error parsing regexp: missing closing ): \
             `^(?s:()$`",
        ),
        (
            json!({"remoteWrite": [{"url": "http://x", "basicAuth": {"username": {"name": "s", "key": "u"}}}]}),
            "spec.remoteWrite[0]: basicAuth: failed to get basic auth username: unable to get secret \"s\": secrets \"s\" not found",
        ),
        (
            json!({"apiserverConfig": {"host": "https://x", "authorization": {"credentials": {"name": "s", "key": "t"}}}}),
            "spec.apiserverConfig: authorization: failed to get authorization token of type \"\": unable to get secret \"s\": \
             secrets \"s\" not found",
        ),
        (
            json!({"scrapeClasses": [{"name": "a", "relabelings": [{"action": "hashmod", "targetLabel": "x"}]}]}),
            "spec.scrapeClasses[0]: relabelings: [0]: relabel configuration for hashmod requires non-zero modulus",
        ),
        (
            json!({"scrapeClasses": [{"name": "a", "default": true}, {"name": "b", "default": true}]}),
            "spec.scrapeClasses: multiple default scrape classes defined",
        ),
    ] {
        world.put(PROMETHEUSES, &main_object(fields));
        let outcome = world.prometheus_says(error);
        assert!(same(&outcome), "{error}: {}", external_labels(&outcome));
    }
    world.put(PROMETHEUSES, &main_object(json!({"externalLabels": {"v": "1"}})));
    let outcome = world.prometheus_says("");
    assert!(same(&outcome));
}

#[test]
fn additional_jobs_follow_their_secret() {
    let jobs = |text: &str| secret("monitoring", "jobs", &[("k", text)]);
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(json!({"additionalScrapeConfigs": {"name": "jobs", "key": "k"}}))),
        (SECRETS, jobs("- {job_name: extra, static_configs: [{targets: ['x:1']}]}")),
        (SERVICE_MONITORS, web("a", "web")),
    ]);
    let names = ["serviceMonitor/a/web/0", "extra"];
    let outcome = world.runs(&names);
    assert_eq!(outcome.jobs[1].object, None);
    let before = jobs_of(&outcome);
    let outcome = world.fence();
    assert!(crate::world::changed(&before, &jobs_of(&outcome)).is_empty(), "they are not read again");
    world.put(SECRETS, &jobs("- {job_name: extra, scrape_interval: never}"));
    let outcome = world.prometheus_says(
        "spec.additionalScrapeConfigs, job extra: scrape_interval: not a valid duration string: \"never\"; write it as 30s, 5m or \
         1h30m",
    );
    assert!(crate::world::changed(&before, &jobs_of(&outcome)).is_empty());
    world.put(SECRETS, &jobs("- {job_name: other, static_configs: [{targets: ['x:1']}]}"));
    let outcome = world.runs(&["serviceMonitor/a/web/0", "other"]);
    assert_eq!(outcome.prometheus.as_ref().unwrap().error, None);
    world.api.remove(SECRETS, "monitoring", "jobs");
    world.prometheus_says("spec.additionalScrapeConfigs: unable to get secret \"jobs\": secrets \"jobs\" not found");
    world.runs(&["serviceMonitor/a/web/0", "other"]);
    world.put(PROMETHEUSES, &main_object(json!({})));
    let outcome = world.runs(&["serviceMonitor/a/web/0"]);
    assert_eq!(outcome.prometheus.as_ref().unwrap().error, None);
}

#[test]
fn a_paused_object_changes_nothing() {
    let token = json!({"port": "web", "authorization": {"credentials": {"name": "s", "key": "t"}}});
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(json!({"externalLabels": {"v": "1"}}))),
        (SERVICE_MONITORS, monitor("a", "web", token)),
        (SECRETS, secret("a", "s", &[("t", "x")])),
    ]);
    world.says("ServiceMonitor a/web", "accepted");
    let outcome = world.runs(&["serviceMonitor/a/web/0"]);
    let (before, labels) = (jobs_of(&outcome), external_labels(&outcome));
    world.put(PROMETHEUSES, &main_object(json!({"externalLabels": {"v": "2"}, "paused": true})));
    let paused = |outcome: &Outcome| outcome.prometheus.as_ref().is_some_and(|one| one.is_paused).to_string();
    world.until("paused", paused, "true");
    world.put(SECRETS, &secret("a", "s", &[("t", "y")]));
    world.put(SERVICE_MONITORS, &web("a", "new"));
    let n_objects = |outcome: &Outcome| outcome.kinds[0].objects.to_string();
    let outcome = world.until("the new monitor", n_objects, "2");
    assert!(crate::world::changed(&before, &jobs_of(&outcome)).is_empty());
    assert_eq!((external_labels(&outcome), outcome.objects.len()), (labels, 1));
    world.put(PROMETHEUSES, &main_object(json!({"externalLabels": {"v": "2"}})));
    let outcome = world.runs(&["serviceMonitor/a/new/0", "serviceMonitor/a/web/0"]);
    assert!(external_labels(&outcome).contains("v=\"2\""));
}

#[test]
fn an_object_that_is_paused_from_the_start_is_made_once() {
    let world = World::of_prometheus(&[
        (PROMETHEUSES, main_object(json!({"paused": true}))),
        (SERVICE_MONITORS, web("a", "web")),
    ]);
    world.runs(&["serviceMonitor/a/web/0"]);
}

#[test]
fn fields_without_effect_are_named() {
    let fields =
        json!({"replicas": 2, "image": "x", "web": {"pageTitle": "x"}, "logLevel": "debug", "retention": "1d"});
    let world = World::of_prometheus(&[(PROMETHEUSES, main_object(fields))]);
    let see = |outcome: &Outcome| match &outcome.prometheus {
        Some(state) => state.not_applied.join("\n"),
        None => "unknown".to_owned(),
    };
    world.until(
        "not applied",
        see,
        "image, replicas: they shape pods, which the Deployment of Weft does\n\
         logLevel, web: they are flags of the process; set them in the Deployment of Weft",
    );
}
