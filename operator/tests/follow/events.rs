//! Events of objects that are not valid.

use kit::eventually;
use serde_json::json;

use crate::world::{EVENTS, SERVICE_MONITORS, World, monitor, web};

/// The notes of all Events about `ServiceMonitor a/bad`.
fn notes(world: &World) -> Vec<String> {
    let of = |event: &serde_json::Value| {
        let about = ["apiVersion", "kind", "namespace", "name", "uid"].map(|field| event["regarding"][field].as_str());
        assert_eq!(about, ["monitoring.coreos.com/v1", "ServiceMonitor", "a", "bad", "bad"].map(Some));
        assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("InvalidConfiguration")));
        assert_eq!(event["reportingController"], "weft");
        event["note"].as_str().unwrap().to_owned()
    };
    world.api.objects(EVENTS).iter().map(of).collect()
}

#[track_caller]
fn has_notes(world: &World, expected: &[&str]) {
    eventually("Events", || {
        let notes = notes(world);
        if notes == expected { Ok(()) } else { Err(format!("{notes:#?}")) }
    });
}

#[test]
fn each_reason_of_an_invalid_monitor_is_an_event() {
    let world = World::new(&[(SERVICE_MONITORS, web("a", "good"))]);
    world.api.serve(EVENTS);
    world.put(SERVICE_MONITORS, &monitor("a", "bad", json!({"port": 80})));
    let first = "not valid: spec.endpoints[0].port: invalid type: integer `80`, expected a string";
    has_notes(&world, &[first]);
    world.put(SERVICE_MONITORS, &monitor("a", "bad", json!({"path": 80})));
    let second = "not valid: spec.endpoints[0].path: invalid type: integer `80`, expected a string";
    has_notes(&world, &[first, second]);
    // Good ones have none, and it is not repeated with every look.
    world.put(SERVICE_MONITORS, &web("a", "other"));
    world.runs(&["serviceMonitor/a/good/0", "serviceMonitor/a/other/0"]);
    has_notes(&world, &[first, second]);
}

#[test]
fn without_the_right_monitors_work_as_ever() {
    let world = World::new(&[(SERVICE_MONITORS, web("a", "good"))]);
    world.api.serve(EVENTS);
    world.api.refuse("/apis/events.k8s.io/v1/namespaces/a/events", 403);
    world.put(SERVICE_MONITORS, &monitor("a", "bad", json!({"port": 80})));
    world.says(
        "ServiceMonitor a/bad",
        "not valid: spec.endpoints[0].port: invalid type: integer `80`, expected a string",
    );
    world.put(SERVICE_MONITORS, &web("a", "other"));
    world.runs(&["serviceMonitor/a/good/0", "serviceMonitor/a/other/0"]);
    has_notes(&world, &[]);
}
