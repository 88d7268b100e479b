//! What is followed without a Prometheus object, and how flags narrow it.

use operator::objects::LabelSelector;
use serde_json::json;

use crate::world::{NAMESPACES, POD_MONITORS, SERVICE_MONITORS, World, labelled, namespace, object, web};

fn selector(json: serde_json::Value) -> LabelSelector {
    serde_json::from_value(json).unwrap()
}

#[test]
fn without_a_prometheus_object_flags_select() {
    let objects = [
        (SERVICE_MONITORS, labelled(web("a", "one"), json!({"team": "x"}))),
        (SERVICE_MONITORS, labelled(web("b", "two"), json!({"taem": "x"}))),
        (POD_MONITORS, object("b", "pods", json!({"podMetricsEndpoints": [{"port": "m"}]}))),
    ];
    // The right to read namespaces is not needed.
    let world = World::with(&objects, |api, _| api.refuse(NAMESPACES, 403));
    world.runs(&["serviceMonitor/a/one/0", "serviceMonitor/b/two/0", "podMonitor/b/pods/0"]);
    let world = World::with(&objects, |_, options| options.selector = selector(json!({"matchLabels": {"team": "x"}})));
    world.runs(&["serviceMonitor/a/one/0"]);
    let why = "not selected: its labels do not match spec.serviceMonitorSelector: team=x is required, it has taem=x, whose name \
               differs in one letter";
    world.says("ServiceMonitor b/two", why);
}

#[test]
fn only_the_namespaces_that_flags_name_are_looked_at() {
    let objects = [
        (SERVICE_MONITORS, web("a", "one")),
        (SERVICE_MONITORS, web("b", "two")),
        (SERVICE_MONITORS, web("c", "three")),
    ];
    let world = World::with(&objects, |_, options| options.namespaces = vec!["a".to_owned(), "c".to_owned()]);
    let outcome = world.runs(&["serviceMonitor/a/one/0", "serviceMonitor/c/three/0"]);
    assert_eq!((outcome.objects.len(), world.api.n_lists(SERVICE_MONITORS)), (2, 0));
    world.put(SERVICE_MONITORS, &web("b", "more"));
    world.put(SERVICE_MONITORS, &web("c", "more"));
    world.runs(&["serviceMonitor/a/one/0", "serviceMonitor/c/more/0", "serviceMonitor/c/three/0"]);
}

/// A Prometheus object whose selector needs labels that cannot be read says so, and not that they are wrong.
#[test]
fn namespaces_that_cannot_be_read_are_the_reason() {
    let fields = json!({"serviceMonitorNamespaceSelector": {"matchLabels": {"team": "a"}}});
    let objects = [
        (crate::world::PROMETHEUSES, crate::world::main_object(fields)),
        (NAMESPACES, namespace("a", json!({"team": "a"}))),
        (SERVICE_MONITORS, web("a", "web")),
    ];
    let world = World::with(&objects, |api, options| {
        api.refuse(NAMESPACES, 403);
        options.prometheus = Some(("monitoring".to_owned(), "main".to_owned()));
    });
    let why = "not selected: its namespace does not match spec.serviceMonitorNamespaceSelector: team=a is required, the labels of \
               its namespace are not known: cannot watch namespaces: cannot list: no such right (HTTP 403); give its service \
               account the right in a Role or ClusterRole";
    world.says("ServiceMonitor a/web", why);
    world.api.allow(NAMESPACES);
    world.runs(&["serviceMonitor/a/web/0"]);
}
