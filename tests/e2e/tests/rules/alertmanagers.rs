//! Real Alertmanagers get what fires and hear what is resolved, also those that were away.

use std::fs;

use kit::{Alertmanager, Http, eventually, free_port};
use serde_json::Value;

use crate::world::{FLAGS, Target, alerting, eventually_named, held, in_state, metric, program, sends_to, start};

const RULES: &str = "\
    {alert: Bad, expr: 'bad == 1', for: 1s, labels: {severity: page, drop: me}, annotations: {summary: '{{ $labels.i }} is bad'}}, \
    {alert: Worse, expr: 'worse == 1'}";

/// The groups of an Alertmanager: the name that they have in common, and how many alerts.
fn grouped(http: &Http) -> Result<Vec<(String, usize)>, String> {
    let (_, body) = http.get("/api/v2/alerts/groups")?;
    let groups: Vec<Value> = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
    let one = |group: &Value| {
        let name = group["labels"]["alertname"].as_str().unwrap_or_default().to_owned();
        (name, group["alerts"].as_array().map_or(0, Vec::len))
    };
    let mut groups: Vec<_> = groups.iter().map(one).collect();
    groups.sort();
    Ok(groups)
}

#[test]
fn alerts_fire_in_groups_and_are_resolved() {
    let Some(program) = program() else { return };
    let alertmanager = start(&program, free_port());
    let target = Target::start("bad{i=\"1\"} 1\nbad{i=\"2\"} 1\nworse{i=\"3\"} 1\n");
    let relabelled = "alert_relabel_configs: [{regex: drop, action: labeldrop}], ";
    let lines = sends_to(&[&alertmanager.address]).replace("alertmanagers:", &format!("{relabelled}alertmanagers:"));
    let weft = target.weft(&alerting(RULES), &lines, &FLAGS);
    let firing = eventually_named("all fire", &["Bad", "Bad", "Worse"], || held(&alertmanager));
    eventually("they are grouped", || match grouped(&alertmanager.http)? {
        groups if groups == [("Bad".to_owned(), 2), ("Worse".to_owned(), 1)] => Ok(()),
        groups => Err(format!("{groups:?}")),
    });
    let alerts = alertmanager.alerts().unwrap();
    let first = alerts.iter().find(|alert| alert["labels"]["i"] == "1").unwrap();
    assert_eq!(first["annotations"]["summary"], "1 is bad");
    assert_eq!((&first["labels"]["severity"], &first["labels"]["drop"]), (&"page".into(), &Value::Null));
    assert!(first["generatorURL"].as_str().unwrap().ends_with("/graph?g0.expr=bad+%3D%3D+1&g0.tab=1"), "{first}");
    // Pending takes a second, so what fires has not been firing since it was active.
    let active = in_state(&weft.http, "firing").unwrap();
    assert!(active[0].2 < firing[0].2, "{active:?} {firing:?}");
    target.set("bad{i=\"1\"} 0\nbad{i=\"2\"} 1\nworse{i=\"3\"} 0\n");
    let left = eventually_named("two are resolved", &["Bad"], || held(&alertmanager));
    assert_eq!(left, firing[1..2]);
    // A series that is gone resolves its alert, too.
    target.set("");
    eventually_named("all are resolved", &[], || held(&alertmanager));
    target.set("bad{i=\"2\"} 1\n");
    let again = eventually_named("it fires again", &["Bad"], || held(&alertmanager));
    assert!(again[0].2 > firing[1].2, "{again:?} {firing:?}");
    assert_eq!(metric(&weft.http, "prometheus_notifications_dropped_total"), 0.0);
}

#[test]
fn an_alertmanager_that_is_killed_gets_everything_when_it_is_back() {
    let Some(program) = program() else { return };
    let port = free_port();
    let alertmanager = start(&program, port);
    let target = Target::start("bad{i=\"1\"} 1\nworse{i=\"2\"} 1\nworse{i=\"3\"} 1\n");
    let weft = target.weft(&alerting(RULES), &sends_to(&[&alertmanager.address]), &FLAGS);
    let before = eventually_named("all fire", &["Bad", "Worse", "Worse"], || held(&alertmanager));
    // Ends by SIGKILL, and with it all that it had kept.
    drop(alertmanager);
    eventually("weft notices", || match metric(&weft.http, "prometheus_notifications_errors_total") {
        0.0 => Err("no error".to_owned()),
        _ => Ok(()),
    });
    // Meanwhile one is resolved, and one begins.
    target.set("bad{i=\"1\"} 1\nworse{i=\"2\"} 1\nworse{i=\"3\"} 0\nworse{i=\"4\"} 1\n");
    let now = || in_state(&weft.http, "firing");
    let firing = eventually("the new one fires", || match now()? {
        firing if firing.len() == 3 && firing[2].1 == "4" => Ok(firing),
        firing => Err(format!("{firing:?}")),
    });
    let alertmanager = start(&program, port);
    let after = eventually_named("all fire again", &["Bad", "Worse", "Worse"], || held(&alertmanager));
    assert_eq!(after[..2], before[..2], "those that went on began when they had begun");
    // Without `for` an alert fires when it is active.
    assert_eq!(after[2], firing[2]);
    assert_eq!(metric(&weft.http, "prometheus_notifications_dropped_total"), 0.0);
}

#[test]
fn one_that_is_away_keeps_no_other_from_hearing() {
    let Some(program) = program() else { return };
    let away = free_port();
    let here = start(&program, free_port());
    let target = Target::start("worse{i=\"1\"} 1\n");
    let weft = target.weft(&alerting(RULES), &sends_to(&[&format!("127.0.0.1:{away}"), &here.address]), &FLAGS);
    let first = eventually_named("it fires", &["Worse"], || held(&here));
    target.set("worse{i=\"1\"} 0\n");
    eventually_named("it is resolved", &[], || held(&here));
    target.set("worse{i=\"1\"} 0\nworse{i=\"2\"} 1\n");
    let second = eventually_named("another fires", &["Worse"], || held(&here));
    assert_ne!(first, second);
    let back = start(&program, away);
    eventually("the other has the same", || match held(&back)? {
        held if held == second => Ok(()),
        held => Err(format!("{held:?}")),
    });
    assert_eq!(metric(&weft.http, "prometheus_notifications_alertmanagers_discovered"), 2.0);
}

/// Found in files, which change; and what relabelling drops gets nothing.
#[test]
fn alertmanagers_are_discovered_and_relabelled() {
    let Some(program) = program() else { return };
    let [first, second, dropped]: [Alertmanager; 3] = std::array::from_fn(|_| start(&program, free_port()));
    let lines = "alerting:\n  alertmanagers:\n  - file_sd_configs: [{files: ['am*.json']}]\n    relabel_configs:\n    \
                 - {source_labels: [__meta_role], regex: unused, action: drop}\n    \
                 alert_relabel_configs: [{target_label: seen, replacement: 'yes'}]\n";
    let files =
        |role: &str, address: &str| format!(r#"{{"targets": ["{address}"], "labels": {{"__meta_role": "{role}"}}}}"#);
    let write = |folder: &std::path::Path, used: &Alertmanager| {
        let text = format!("[{}, {}]", files("used", &used.address), files("unused", &dropped.address));
        // Never half written where it is read.
        fs::write(folder.join("new"), text).unwrap();
        fs::rename(folder.join("new"), folder.join("am.json")).unwrap();
    };
    let target = Target::start("worse{i=\"1\"} 1\n");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &first);
    fs::write(folder.path().join("prometheus.yml"), target.config(lines)).unwrap();
    fs::write(folder.path().join("rules.yml"), alerting(RULES)).unwrap();
    let weft = kit::Weft::start_with(folder, &FLAGS, &[]);
    let held_by_first = eventually_named("it fires", &["Worse"], || held(&first));
    assert_eq!(first.alerts().unwrap()[0]["labels"]["seen"], "yes");
    write(weft.folder(), &second);
    let held_by_second = eventually_named("it fires there", &["Worse"], || held(&second));
    assert_eq!(held_by_first, held_by_second);
    assert_eq!(held(&dropped).unwrap(), []);
    let known = weft.http.api("alertmanagers").unwrap();
    let url = |alertmanager: &Alertmanager| format!("http://{}/api/v2/alerts", alertmanager.address);
    assert_eq!(known["activeAlertmanagers"], serde_json::json!([{"url": url(&second)}]));
    assert_eq!(known["droppedAlertmanagers"], serde_json::json!([{"url": url(&dropped)}]));
}
