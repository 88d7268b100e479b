//! PrometheusRules on a real API server: their groups run, their alerts reach the Alertmanagers of the Prometheus object, a broken
//! one is set aside, and alerts go on after a restart.

use std::sync::{Arc, Mutex};

use kit::{Answer, Exporter, Weft, add_addresses, eventually};
use serde_json::{Value, json};

use crate::objects::{controllers, parse};
use crate::world::World;
use crate::{explain, start_weft_as};

const MANIFEST: &str = concat!(
    include_str!("../../../../deploy/kustomize/base/account.yaml"),
    "---\n",
    include_str!("../../../../deploy/kustomize/operator/rbac.yaml")
);
const OBJECTS: &str = include_str!("rules.yaml");
const FLAGS: [&str; 2] = ["--operator", "--operator.prometheus=monitoring/main"];
/// The groups of the objects that are selected and valid, by their names.
const GROUPS: [(&str, &str); 3] = [("enforced", "g"), ("plain", "answers"), ("plain", "waiting")];
/// Longer than a restart and the two evaluations before alerts are restored take.
const PENDING_S: f64 = 15.0;

pub fn of_objects() {
    add_addresses(&["10.244.0.30"]);
    let world = World::start();
    world.apply(&parse(MANIFEST));
    let token = world.plane.token("monitoring", "weft");
    let posted: Arc<Mutex<usize>> = Arc::default();
    let count = Arc::clone(&posted);
    let _alertmanager = Exporter::start_at("10.244.0.30:9093", move |head| {
        *count.lock().unwrap() += usize::from(head.starts_with("POST /api/v2/alerts"));
        Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec())
    });
    let mut objects = parse(OBJECTS);
    objects.extend(controllers(&objects));
    world.apply(&objects);
    let weft = start_weft_as(&world, "monitoring", Some(&token), &FLAGS[1..]);

    are_evaluated(&weft);
    are_sent(&weft, &posted);
    are_set_aside(&world, &weft, &objects);
    after_a_restart(weft);
}

fn are_evaluated(weft: &Weft) {
    println!("groups of objects are evaluated");
    groups_are(weft, &GROUPS);
    eventually("what is recorded", || match weft.http.query("one")?[0]["value"][1].as_str() {
        Some("1") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    says(weft, "enforced", "PrometheusRule monitoring/enforced is selected; 1 group, 1 rule.\n");
    let query = "sum(one{namespace=\"monitoring\"})";
    eventually("the namespace is enforced", || {
        let groups = weft.http.api("rules?rule_name[]=two")?;
        let rule = &groups["groups"][0]["rules"][0];
        if rule["query"] == query && rule["labels"] == json!({"namespace": "monitoring"}) {
            Ok(())
        } else {
            Err(groups.to_string())
        }
    });
}

fn are_sent(weft: &Weft, posted: &Mutex<usize>) {
    println!("alerts fire, and are sent");
    eventually("the alert", || {
        let alerts = weft.http.api("alerts")?;
        let is_it = |alert: &&Value| alert["labels"]["alertname"] == "Always" && alert["state"] == "firing";
        match alerts["alerts"].as_array().into_iter().flatten().find(is_it) {
            Some(alert) if alert["annotations"]["summary"] == "it is 1" => Ok(()),
            _ => Err(alerts.to_string()),
        }
    });
    eventually("the Alertmanager", || {
        let known = weft.http.api("alertmanagers")?;
        let url = &known["activeAlertmanagers"][0]["url"];
        if url == "http://10.244.0.30:9093/api/v2/alerts" && *posted.lock().unwrap() > 1 {
            Ok(())
        } else {
            Err(known.to_string())
        }
    });
}

fn are_set_aside(world: &World, weft: &Weft, objects: &[Value]) {
    println!("what is not valid is set aside");
    says(
        weft,
        "broken",
        "PrometheusRule monitoring/broken is not valid: group \"g\", rule 1, \"three\": could not parse expression: ",
    );
    says(weft, "broken", "rule 2, \"A\": annotation \"summary\": template: __alert_A:1: undefined variable \"$x\"");
    let selected =
        "is not selected: its labels do not match spec.ruleSelector: role=rules is required, it has role=rule, ";
    says(weft, "other", selected);
    let plain = |expr: &str| {
        let is_it = |object: &&Value| object["metadata"]["name"] == "plain";
        let mut object = objects.iter().find(is_it).unwrap().clone();
        object["spec"]["groups"][0]["rules"][0]["expr"] = json!(expr);
        object
    };
    world.apply(&[plain("2 +")]);
    says(weft, "plain", "is not valid, its last valid version goes on: group \"answers\", rule 1, \"one\": ");
    groups_are(weft, &GROUPS);
    world.apply(&[plain("2")]);
    eventually("the mended rule", || match weft.http.query("one")?[0]["value"][1].as_str() {
        Some("2") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Objects are seen after the first configuration is in force; their alerts are restored all the same.
fn after_a_restart(weft: Weft) {
    println!("alerts go on after a restart");
    eventually("it has been pending for long enough", || {
        let pending = "timestamp(ALERTS_FOR_STATE{alertname=\"Later\"}) - ALERTS_FOR_STATE";
        let result = weft.http.query(pending)?;
        let seconds = result[0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        if seconds >= PENDING_S { Ok(()) } else { Err(result.to_string()) }
    });
    let weft = weft.restart("TERM", &FLAGS);
    let begun = weft.http.api("status/runtimeinfo").unwrap()["startTime"].as_str().unwrap().to_owned();
    eventually("the alert is as old as before", || {
        let alerts = weft.http.api("alerts")?;
        let is_it = |alert: &&Value| alert["labels"]["alertname"] == "Later";
        let alert = alerts["alerts"].as_array().into_iter().flatten().find(is_it).ok_or("no alert")?;
        let since = alert["activeAt"].as_str().ok_or("no time")?;
        // As texts of one form, to the second.
        if since[..19] < begun[..19] { Ok(()) } else { Err(format!("{since}, begun {begun}")) }
    });
}

/// Waits until exactly these groups run, each of an object.
fn groups_are(weft: &Weft, expected: &[(&str, &str)]) {
    eventually("groups", || {
        let data = weft.http.api("rules")?;
        let groups = data["groups"].as_array().ok_or("no groups")?;
        let is = |(group, (object, name)): (&Value, &(&str, &str))| {
            let file = group["file"].as_str().unwrap_or_default();
            group["name"] == *name && file.starts_with(&format!("monitoring-{object}-")) && file.ends_with(".yaml")
        };
        let is_it = groups.len() == expected.len() && groups.iter().zip(expected).all(is);
        if is_it { Ok(()) } else { Err(data.to_string()) }
    });
}

fn says(weft: &Weft, name: &str, text: &str) {
    eventually(&format!("{name}: {text}"), || {
        let told = explain(weft, &format!("monitoring/{name}"));
        if told.contains(text) { Ok(()) } else { Err(told) }
    });
}
