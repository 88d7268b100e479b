//! Objects of all kinds become jobs.

use operator::{Origin, Outcome, ReadyJob};
use serde_json::json;

use crate::world::{
    POD_MONITORS, PROBES, SCRAPE_CONFIGS, SERVICE_MONITORS, World, jobs_of, monitor, names_of, object, web,
};

#[test]
fn all_kinds_become_jobs_in_upstreams_order() {
    let two = json!({"selector": {}, "endpoints": [{"port": "a"}, {"port": "b"}]});
    let probe = json!({"prober": {"url": "exporter:9115"}, "targets": {"staticConfig": {"static": ["example.org"]}}});
    let world = World::new(&[
        (SCRAPE_CONFIGS, object("a", "static", json!({"staticConfigs": [{"targets": ["x:1"]}]}))),
        (PROBES, object("a", "site", probe)),
        (POD_MONITORS, object("a", "pods", json!({"selector": {}, "podMetricsEndpoints": [{"port": "m"}]}))),
        (SERVICE_MONITORS, object("a", "two", two)),
        (SERVICE_MONITORS, web("a", "one")),
        (SERVICE_MONITORS, web("a-b", "one")),
        (SERVICE_MONITORS, object("a", "none", json!({"selector": {}, "endpoints": []}))),
    ]);
    let outcome = world.runs(&[
        // `-` comes before `/`.
        "serviceMonitor/a-b/one/0",
        "serviceMonitor/a/one/0",
        "serviceMonitor/a/two/0",
        "serviceMonitor/a/two/1",
        "podMonitor/a/pods/0",
        "probe/a/site",
        "scrapeConfig/a/static",
    ]);
    assert!(outcome.is_complete && outcome.base.is_none() && outcome.prometheus.is_none());
    let objects: Vec<String> = outcome
        .objects
        .iter()
        .map(|one| format!("{} {} {}: {}", one.object, one.generation, one.state, one.jobs.join(" ")))
        .collect();
    assert_eq!(
        objects,
        [
            "ServiceMonitor a-b/one 1 accepted: serviceMonitor/a-b/one/0",
            "ServiceMonitor a/none 1 accepted: ",
            "ServiceMonitor a/one 1 accepted: serviceMonitor/a/one/0",
            "ServiceMonitor a/two 1 accepted: serviceMonitor/a/two/0 serviceMonitor/a/two/1",
            "PodMonitor a/pods 1 accepted: podMonitor/a/pods/0",
            "Probe a/site 1 accepted: probe/a/site",
            "ScrapeConfig a/static 1 accepted: scrapeConfig/a/static",
        ]
    );
    let kinds: Vec<_> = outcome.kinds.iter().map(|one| (one.kind.as_str(), one.objects, one.errors.len())).collect();
    let expected = [
        ("ServiceMonitor", 4, 0),
        ("PodMonitor", 1, 0),
        ("Probe", 1, 0),
        ("ScrapeConfig", 1, 0),
        ("PrometheusRule", 0, 0),
    ];
    assert_eq!(kinds, expected);
    // The interval is that of the configuration file.
    assert!(outcome.jobs.iter().all(|job| job.config.scrape_interval_ms == 20_000));
    assert_eq!(outcome.job("probe/a/site").unwrap().object, Some(outcome.objects[5].object.clone()));
}

/// Each rule with where it comes from: what it sets, or what it tests.
fn origins(job: &ReadyJob) -> Vec<String> {
    let shown = |(rule, origin): (&model::RelabelRule, &Origin)| {
        let spec = rule.spec();
        format!(
            "{} {}{} <- {origin}",
            spec.action,
            spec.source_labels.join(";"),
            match spec.target_label.as_str() {
                "" => format!(" {}", spec.regex.as_deref().unwrap_or_default()),
                target => format!(" -> {target}"),
            }
        )
    };
    assert_eq!(job.config.relabel_configs.len(), job.relabel_origins.len());
    job.config.relabel_configs.iter().zip(job.relabel_origins.iter()).map(shown).collect()
}

fn job<'o>(outcome: &'o Outcome, name: &str) -> &'o ReadyJob {
    outcome.job(name).unwrap_or_else(|| panic!("no job {name}: {:?}", names_of(outcome)))
}

#[test]
fn every_rule_names_the_field_that_asks_for_it() {
    let spec = json!({
        "selector": {
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}],
        },
        "jobLabel": "app",
        "targetLabels": ["team"],
        "podTargetLabels": ["version"],
        "endpoints": [{"port": "first"}, {
            "targetPort": 8080,
            "relabelings": [{"action": "labeldrop", "regex": "pod"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "go_.*"}],
        }],
    });
    let world = World::new(&[(SERVICE_MONITORS, object("a", "web", spec))]);
    let outcome = world.says("ServiceMonitor a/web", "accepted");
    let job = job(&outcome, "serviceMonitor/a/web/1");
    assert_eq!(
        origins(job),
        [
            "replace job -> __tmp_prometheus_job_name <- job name",
            "keep __meta_kubernetes_service_label_app;__meta_kubernetes_service_labelpresent_app (web);true \
             <- spec.selector.matchLabels[\"app\"]",
            "drop __meta_kubernetes_service_labelpresent_old true <- spec.selector.matchExpressions[0]",
            "keep __meta_kubernetes_pod_container_port_number 8080 <- spec.endpoints[1].targetPort",
            "replace __meta_kubernetes_endpoint_address_target_kind;__meta_kubernetes_endpoint_address_target_name -> node \
             <- node and pod of the endpoint",
            "replace __meta_kubernetes_endpoint_address_target_kind;__meta_kubernetes_endpoint_address_target_name -> pod \
             <- node and pod of the endpoint",
            "replace __meta_kubernetes_namespace -> namespace <- namespace, service, pod and container",
            "replace __meta_kubernetes_service_name -> service <- namespace, service, pod and container",
            "replace __meta_kubernetes_pod_name -> pod <- namespace, service, pod and container",
            "replace __meta_kubernetes_pod_container_name -> container <- namespace, service, pod and container",
            "drop __meta_kubernetes_pod_phase (Failed|Succeeded) <- spec.endpoints[1].filterRunning",
            "replace __meta_kubernetes_service_label_team -> team <- spec.targetLabels[0]",
            "replace __meta_kubernetes_pod_label_version -> version <- spec.podTargetLabels[0]",
            "replace __meta_kubernetes_service_name -> job <- job from the name of the Service",
            "replace __meta_kubernetes_service_label_app -> job <- spec.jobLabel",
            "replace  -> endpoint <- spec.endpoints[1].targetPort",
            "labeldrop  pod <- spec.endpoints[1].relabelings[0]",
            "replace __address__;__tmp_hash -> __tmp_hash <- spec.shards of the Prometheus object",
            "hashmod __tmp_hash -> __tmp_hash <- spec.shards of the Prometheus object",
            "keep __tmp_hash;__tmp_disable_sharding 0;|.+;.+ <- spec.shards of the Prometheus object",
        ]
    );
    let metric_origins: Vec<String> = job.metric_relabel_origins.iter().map(ToString::to_string).collect();
    assert_eq!(metric_origins, ["spec.endpoints[1].metricRelabelings[0]"]);
}

/// Upstream takes it for the name of a port, which no container has. What it then does is what is asserted.
#[test]
fn a_number_as_text_is_the_name_of_a_port() {
    let world = World::new(&[(SERVICE_MONITORS, monitor("a", "text", json!({"targetPort": "8080"})))]);
    let outcome = world.says("ServiceMonitor a/text", "accepted");
    let rules = origins(job(&outcome, "serviceMonitor/a/text/0"));
    let expected = "keep __meta_kubernetes_pod_container_port_name 8080 <- spec.endpoints[0].targetPort";
    assert!(rules.contains(&expected.to_owned()), "{rules:?}");
}

#[test]
fn a_name_may_be_as_long_as_kubernetes_allows() {
    let name = "n".repeat(253);
    let spec = json!({"selector": {}, "endpoints": [{"port": "web"}]});
    let world = World::new(&[(SERVICE_MONITORS, object("a", &name, spec))]);
    world.runs(&[&format!("serviceMonitor/a/{name}/0")]);
}

#[test]
fn one_monitor_may_have_thousands_of_endpoints() {
    let endpoints: Vec<_> = (0..10_000).map(|i| json!({"port": format!("p{i}")})).collect();
    let many = json!({"selector": {}, "endpoints": endpoints});
    let world = World::new(&[(SERVICE_MONITORS, object("a", "many", many)), (SERVICE_MONITORS, web("b", "web"))]);
    let outcome = world.says("ServiceMonitor a/many", "accepted");
    assert_eq!(outcome.jobs.len(), 10_001);
    assert_eq!(names_of(&outcome)[9_999..], ["serviceMonitor/a/many/9999", "serviceMonitor/b/web/0"]);
}

#[test]
fn what_does_not_change_is_not_made_again() {
    let web_config = json!({"staticConfigs": [{"targets": ["x:1"]}]});
    let world = World::new(&[
        (SERVICE_MONITORS, web("a", "one")),
        (SERVICE_MONITORS, web("a", "two")),
        (SCRAPE_CONFIGS, object("a", "static", web_config)),
    ]);
    let outcome = world.runs(&["serviceMonitor/a/one/0", "serviceMonitor/a/two/0", "scrapeConfig/a/static"]);
    let before = jobs_of(&outcome);
    let origins = std::sync::Arc::clone(&outcome.jobs[0].relabel_origins);
    world.fence();
    let n_calls = world.n_calls();
    let again = world.apply("global: {scrape_interval: 20s}");
    assert!(crate::world::changed(&before, &jobs_of(&again)).is_empty());
    assert!(std::sync::Arc::ptr_eq(&origins, &again.jobs[0].relabel_origins), "nothing was generated again");
    // Another version that asks for the same: new labels and a new resource version.
    world.put(SERVICE_MONITORS, &crate::world::labelled(web("a", "one"), json!({"l": "1"})));
    let outcome = world.fence();
    assert!(crate::world::changed(&before, &jobs_of(&outcome)).is_empty());
    assert_eq!(world.n_calls(), n_calls, "nobody is told of changes that are none");
    // And one that does not.
    let mut other = web("a", "two");
    other["metadata"]["generation"] = json!(2);
    other["spec"]["endpoints"][0]["path"] = json!("/other");
    world.put(SERVICE_MONITORS, &other);
    let outcome = world.fence();
    assert_eq!(crate::world::changed(&before, &jobs_of(&outcome)), ["serviceMonitor/a/two/0"]);
    assert_eq!(world.n_calls(), n_calls + 1);
    // What all jobs inherit makes all of them again.
    let outcome = world.apply("global: {scrape_interval: 10s}");
    assert!(outcome.jobs.iter().all(|job| job.config.scrape_interval_ms == 10_000));
}
