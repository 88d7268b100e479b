//! What a real Alertmanager makes of what is sent.

use kit::{Alertmanager, eventually, free_port};
use model::{Labels, Timestamp};
use rules::Notification;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::fixture::{Fixture, OK, Request, Server, firing, numbered, resolved};

/// The alerts of an Alertmanager, by name, with when they began.
fn alerts(alertmanager: &Alertmanager) -> Result<Vec<(String, String)>, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |alert: &Value| (text(&alert["labels"]["alertname"]), text(&alert["startsAt"]));
    let mut alerts: Vec<_> = alertmanager.alerts()?.iter().map(one).collect();
    alerts.sort();
    Ok(alerts)
}

/// Waits until an Alertmanager holds these alerts.
fn eventually_holds(alertmanager: &Alertmanager, expected: &[&Notification]) {
    let time = |ts: Timestamp| format!("{:.3}", jiff::Timestamp::from_millisecond(ts.0).unwrap());
    let one = |alert: &&Notification| (alert.labels.value("alertname").to_owned(), time(alert.starts_at));
    let expected: Vec<_> = expected.iter().map(one).collect();
    eventually("alerts are as sent", || {
        let found = alerts(alertmanager)?;
        if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
    });
}

/// A notifier whose only Alertmanager is at this address.
fn fixture(runtime: &Runtime, address: &str) -> Fixture {
    runtime.block_on(Fixture::with("", &[address.parse().unwrap()]))
}

#[test]
fn alerts_fire_are_resolved_and_fire_again() {
    let binary = match Alertmanager::binary() {
        Ok(binary) => binary,
        Err(why) => return kit::skipped(&why),
    };
    let (alertmanager, runtime) = (Alertmanager::start(&binary), Runtime::new().unwrap());
    let fixture = fixture(&runtime, &alertmanager.address);
    let (a, b) = (firing("a"), firing("b"));
    fixture.notifier.send(&[a.clone(), b.clone()]);
    eventually_holds(&alertmanager, &[&a, &b]);
    let labels = &alertmanager.alerts().unwrap()[0]["labels"];
    assert_eq!(labels["cluster"], "c");
    // All in one request: a new alert with the same labels, which is no part of the old one.
    let now = Timestamp::now();
    let again = Notification { starts_at: now, ..firing("a") };
    fixture.notifier.send(&[Notification { ends_at: now - 1, ..a }, resolved("b")]);
    fixture.notifier.send(std::slice::from_ref(&again));
    eventually_holds(&alertmanager, &[&again]);
}

#[test]
fn an_alertmanager_that_comes_back_gets_everything() {
    let binary = match Alertmanager::binary() {
        Ok(binary) => binary,
        Err(why) => return kit::skipped(&why),
    };
    let (port, runtime) = (free_port(), Runtime::new().unwrap());
    let fixture = fixture(&runtime, &format!("127.0.0.1:{port}"));
    let names = numbered(600);
    let sent: Vec<_> = names.iter().map(|name| firing(name)).collect();
    fixture.notifier.send(&sent);
    runtime.block_on(fixture.eventually_at_least("errors_total", 256.0));
    let alertmanager = Alertmanager::start_at(&binary, port, "route: {receiver: none}\nreceivers: [{name: none}]\n");
    let mut expected: Vec<_> = sent.iter().collect();
    expected.sort_by(|a, b| a.labels.cmp(&b.labels));
    eventually_holds(&alertmanager, &expected);
    assert!(fixture.metric("dropped_total") == 0.0);
}

/// Our webhook and Alertmanager's get the same alerts and send the same messages.
#[test]
fn messages_of_webhooks_are_alertmanagers() {
    let binary = match Alertmanager::binary() {
        Ok(binary) => binary,
        Err(why) => return kit::skipped(&why),
    };
    let runtime = Runtime::new().unwrap();
    let (mut ours, mut theirs) = runtime.block_on(async { (Server::start(OK).await, Server::start(OK).await) });
    let group = "group_by: [alertname], group_wait: 1s, group_interval: 1s";
    let config = format!(
        "route: {{receiver: chat, {group}}}\nreceivers: [{{name: chat, webhook_configs: [{{url: 'http://{}/'}}]}}]\n",
        theirs.address
    );
    let alertmanager = Alertmanager::start_at(&binary, free_port(), &config);
    let fixture = Fixture::new(|options| options.external_url = format!("http://{}", alertmanager.address));
    runtime.block_on(async {
        let webhook = format!("{{url: 'http://{}/', name: chat, {group}}}", ours.address);
        fixture.apply(&format!("alertmanagers: [{{}}], webhooks: [{webhook}]")).await;
        fixture.sync(&[&[alertmanager.address.parse().unwrap()]]).await;
    });
    let now = Timestamp::now();
    let alert = |instance: &str, summary: &str| Notification {
        labels: Labels::from_pairs([("alertname", "Down"), ("instance", instance), ("zone", "<ü&\"z\">")]),
        annotations: Labels::from_pairs([("summary", summary), ("runbook", "r")]),
        starts_at: now,
        ..firing("")
    };
    let both = [alert("a", "x"), alert("b", "y")];
    fixture.notifier.send(&both);
    let mut compare = || {
        let (ours, theirs) = runtime.block_on(async { (ours.request().await, theirs.request().await) });
        assert_eq!(message(&ours), message(&theirs));
        message(&ours)["alerts"].as_array().unwrap().iter().map(|alert| alert["status"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(compare(), ["firing", "firing"]);
    // One alone: Alertmanager takes the alerts of a request one by one, and might send a message in between.
    let [first, _] = both;
    fixture.notifier.send(&[Notification { ends_at: now, ..first }]);
    assert_eq!(compare(), ["resolved", "firing"]);
}

/// A message, in the form in which it can be compared.
fn message(request: &Request) -> Value {
    let mut body = request.body.clone();
    // Alertmanager gives its host name.
    body["externalURL"] = json!(null);
    body
}
