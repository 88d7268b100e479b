//! The notifier against real servers on the loopback interface, and against a real Alertmanager.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod alertmanager;
mod fixture;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fixture::{Fixture, OK, PATIENCE, Reply, Server, firing, numbered, resolved};

#[tokio::test]
async fn alerts_are_labelled_relabelled_and_posted() {
    let (mut one, mut other) = (Server::start(OK).await, Server::start(OK).await);
    let fixture = Fixture::new(|_| {});
    let drops = |name: &str| format!("{{action: drop, source_labels: [alertname], regex: {name}}}");
    let (all, others) = (drops("all"), drops("other"));
    fixture
        .apply(&format!(
            "alert_relabel_configs: [{all}, {{source_labels: [cluster], target_label: from}}],
  alertmanagers: [{{path_prefix: /am, basic_auth: {{username: u, password: p}}}},
    {{alert_relabel_configs: [{others}, {{action: labeldrop, regex: from}}]}}]"
        ))
        .await;
    fixture.sync(&[&[one.address], &[other.address]]).await;
    fixture.send(&["all", "other", "none"]);
    let request = one.request().await;
    assert!(request.head.starts_with("post /am/api/v2/alerts http/1.1\r\n"), "{}", request.head);
    for header in ["content-type: application/json", "user-agent: weft/test", "authorization: basic dtpw"] {
        assert!(request.head.lines().any(|line| line == header), "{header} in {}", request.head);
    }
    assert_eq!(request.names(), ["other", "none"]);
    let alert = &request.body[0];
    assert_eq!(alert["labels"], json!({"alertname": "other", "cluster": "c", "from": "c"}));
    assert_eq!(
        (&alert["annotations"], &alert["generatorURL"]),
        (&json!({"summary": "s"}), &json!("http://weft.test/graph"))
    );
    let request = other.request().await;
    assert!(request.head.starts_with("post /api/v2/alerts http/1.1\r\n"), "{}", request.head);
    let labels = request.body.as_array().unwrap().iter().map(|alert| &alert["labels"]).collect::<Vec<_>>();
    assert_eq!(labels, [&json!({"alertname": "none", "cluster": "c"})]);
    fixture.eventually("sent_total", 3.0).await;
    fixture.eventually("latency_seconds", 2.0).await;
    assert_eq!((fixture.metric("alertmanagers_discovered"), fixture.metric("errors_total")), (2.0, 0.0));
}

#[tokio::test]
async fn one_that_hangs_delays_no_other() {
    let (mut stuck, mut healthy) = (Server::start(Reply::Hang).await, Server::start(OK).await);
    let fixture = Fixture::with("timeout: 1h", &[stuck.address, healthy.address]).await;
    fixture.send(&["first"]);
    stuck.request().await;
    let names = numbered(1000);
    fixture.send(&names);
    let mut found = Vec::new();
    while found.len() < 1001 {
        let batch = healthy.request().await.names();
        assert!(batch.len() <= 256, "{}", batch.len());
        found.extend(batch);
    }
    assert_eq!((found[0].as_str(), &found[1..]), ("first", names.as_slice()));
    fixture.eventually("queue_length", 1000.0).await;
}

#[tokio::test]
async fn nothing_is_lost_while_an_alertmanager_is_away() {
    let address = Server::away().await;
    let fixture = Fixture::with("", &[address]).await;
    fixture.send(&["a", "b", "c"]);
    // Once it was tried, the batch is back in the queue.
    fixture.eventually("errors_total", 3.0).await;
    fixture.notifier.send(&[resolved("b"), firing("d")]);
    fixture.notifier.send(&[resolved("c")]);
    fixture.send(&["c"]);
    let mut back = Server::start_at(address, OK).await;
    assert_eq!(back.names(5).await, ["a", "b!", "c!", "c", "d"]);
    fixture.eventually("sent_total", 5.0).await;
    // All were sent once: the next request has nothing of it.
    fixture.send(&["e"]);
    assert_eq!(back.names(1).await, ["e"]);
    assert_eq!((fixture.metric("dropped_total"), fixture.metric("queue_length")), (0.0, 0.0));
}

#[tokio::test]
async fn what_fails_is_sent_again() {
    let failing = [
        (Reply::Status("500 Oops"), "10s"),
        (Reply::Status("503 Away"), "10s"),
        (Reply::Close, "10s"),
        (Reply::Hang, "1s"),
    ];
    for (reply, timeout) in failing {
        let mut server = Server::start(reply).await;
        let fixture = Fixture::with(&format!("timeout: {timeout}"), &[server.address]).await;
        fixture.send(&["a"]);
        assert_eq!(server.request().await.names(), ["a"], "{reply:?}");
        server.reply(OK);
        assert_eq!(server.request().await.names(), ["a"], "{reply:?}");
        fixture.eventually("sent_total", 1.0).await;
        assert_eq!((fixture.metric("errors_total"), fixture.metric("dropped_total")), (1.0, 0.0), "{reply:?}");
    }
}

#[tokio::test]
async fn what_is_refused_is_not_sent_again() {
    for reply in [Reply::Status("400 Bad Request"), Reply::Status("302 Found\r\nlocation: /login")] {
        let mut server = Server::start(reply).await;
        let fixture = Fixture::with("", &[server.address]).await;
        fixture.send(&["a"]);
        assert_eq!(server.request().await.names(), ["a"]);
        server.reply(OK);
        fixture.eventually("dropped_total", 1.0).await;
        fixture.send(&["b"]);
        assert_eq!(server.request().await.names(), ["b"]);
        assert_eq!(fixture.metric("errors_total"), 1.0);
    }
}

#[tokio::test]
async fn a_server_may_say_when_to_come_back() {
    let mut server = Server::start(Reply::Status("429 Too Many Requests\r\nretry-after: 1")).await;
    let fixture = Fixture::with("", &[server.address]).await;
    fixture.send(&["a"]);
    server.request().await;
    let asked = Instant::now();
    server.reply(OK);
    fixture.send(&["b"]);
    assert_eq!(server.request().await.names(), ["a", "b"]);
    assert!(asked.elapsed() >= Duration::from_millis(900), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_queue_is_bounded() {
    let mut server = Server::start(Reply::Hang).await;
    let fixture = Fixture::new(|options| options.queue_capacity = 10);
    fixture.apply("alertmanagers: [{timeout: 1s}]").await;
    fixture.sync(&[&[server.address]]).await;
    fixture.send(&["first"]);
    server.request().await;
    server.reply(OK);
    let names = numbered(1000);
    for some in names.chunks(20) {
        fixture.send(some);
    }
    assert_eq!((fixture.metric("queue_length"), fixture.metric("queue_capacity")), (10.0, 10.0));
    // The first one is the oldest when its request has failed.
    assert_eq!(server.names(10).await, names[990..]);
    assert_eq!(fixture.metric("dropped_total"), 991.0);
}

#[tokio::test]
async fn an_unchanged_section_keeps_its_queue() {
    let address = Server::away().await;
    let fixture = Fixture::with("path_prefix: /kept", &[address]).await;
    fixture.send(&["a"]);
    fixture.eventually("errors_total", 1.0).await;
    // It stands elsewhere now.
    let mut new = Server::start(OK).await;
    fixture.apply("alertmanagers: [{}, {path_prefix: /kept}]").await;
    assert_eq!(fixture.notifier.alertmanagers().active, [format!("http://{address}/kept/api/v2/alerts")]);
    fixture.sync(&[&[new.address], &[address]]).await;
    fixture.send(&["b"]);
    assert_eq!(new.names(1).await, ["b"]);
    let mut back = Server::start_at(address, OK).await;
    assert_eq!(back.names(2).await, ["a", "b"]);
    fixture.eventually("sent_total", 3.0).await;
    // The section is gone, and with it its loop and its metrics.
    fixture.apply("alertmanagers: [{}]").await;
    fixture.eventually("sent_total", 1.0).await;
    assert_eq!(fixture.notifier.alertmanagers().active, [format!("http://{}/api/v2/alerts", new.address)]);
}

#[tokio::test]
async fn an_alertmanager_that_is_gone_gets_nothing_more() {
    let (mut one, mut other) = (Server::start(OK).await, Server::start(OK).await);
    let rule = format!("{{action: drop, source_labels: [__address__], regex: '{}'}}", other.address);
    let fixture = Fixture::with(&format!("relabel_configs: [{rule}]"), &[one.address, other.address]).await;
    let listed = fixture.notifier.alertmanagers();
    assert_eq!(listed.active, [format!("http://{}/api/v2/alerts", one.address)]);
    assert_eq!(listed.dropped, [format!("http://{}/api/v2/alerts", other.address)]);
    fixture.send(&["a"]);
    assert_eq!(one.names(1).await, ["a"]);
    fixture.apply("alertmanagers: [{}]").await;
    fixture.sync(&[&[other.address]]).await;
    fixture.send(&["b"]);
    assert_eq!(other.names(1).await, ["b"]);
    fixture.notifier.shutdown().await;
    assert!(one.seen.try_recv().is_err() && other.seen.try_recv().is_err());
}

#[tokio::test]
async fn queues_are_drained_at_the_end() {
    let mut server = Server::start(Reply::Status("500 Oops")).await;
    let fixture = Fixture::with("", &[server.address]).await;
    let names = numbered(600);
    fixture.send(&names);
    server.request().await;
    server.reply(OK);
    fixture.notifier.shutdown().await;
    let mut found = Vec::new();
    while let Ok(request) = server.seen.try_recv() {
        found.extend(request.names());
    }
    assert_eq!(found, names);
    // What comes after the end goes nowhere.
    fixture.send(&["late"]);
    fixture.sync(&[&[server.address]]).await;
    assert!(fixture.notifier.alertmanagers().active.is_empty() && server.seen.try_recv().is_err());
}

#[tokio::test]
async fn the_end_does_not_wait_for_one_that_hangs() {
    let mut server = Server::start(Reply::Hang).await;
    let fixture = Fixture::new(|options| options.drain_on_shutdown = false);
    fixture.apply("alertmanagers: [{timeout: 1h}]").await;
    fixture.sync(&[&[server.address]]).await;
    fixture.send(&["a"]);
    server.request().await;
    fixture.send(&["b"]);
    tokio::time::timeout(PATIENCE, fixture.notifier.shutdown()).await.expect("an end");
    assert!(server.seen.try_recv().is_err());
}

/// The clock goes on where all wait for it, so ten seconds are over at once.
#[tokio::test(start_paused = true)]
async fn draining_ends_in_bounded_time() {
    let server = Server::start(Reply::Hang).await;
    let fixture = Fixture::with("timeout: 1h", &[server.address]).await;
    fixture.send(&["a"]);
    let began = tokio::time::Instant::now();
    fixture.notifier.shutdown().await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn requests_that_cannot_be_signed_are_not_sent() {
    let mut server = Server::start(OK).await;
    let fixture = Fixture::with("sigv4: {region: r}", &[server.address]).await;
    fixture.send(&["a"]);
    fixture.eventually("dropped_total", 1.0).await;
    assert!(server.seen.try_recv().is_err());
}

#[tokio::test]
async fn a_webhook_gets_groups() {
    let mut server = Server::start(Reply::Status("503 Away")).await;
    let fixture = Fixture::new(|_| {});
    let url = format!("http://{}/hook?token=secret", server.address);
    fixture
        .apply(&format!("webhooks: [{{url: '{url}', name: chat, group_wait: 0s, group_by: [alertname, cluster]}}]"))
        .await;
    fixture.notifier.send(&[firing("a"), resolved("unknown")]);
    let first = server.request().await;
    server.reply(OK);
    let again = server.request().await;
    assert!(again.head.starts_with("post /hook?token=secret http/1.1\r\n"), "{}", again.head);
    assert_eq!(first.body, again.body);
    let expected = [
        ("receiver", "chat"),
        ("status", "firing"),
        ("version", "4"),
        ("externalURL", "http://weft.test"),
        ("groupKey", "{}:{alertname=\"a\", cluster=\"c\"}"),
    ];
    for (name, value) in expected {
        assert_eq!(again.body[name], value);
    }
    assert_eq!(again.body["alerts"][0]["labels"]["cluster"], "c");
    fixture.eventually("sent_total", 1.0).await;
    // The end waits for no interval.
    fixture.notifier.send(&[resolved("a")]);
    fixture.notifier.shutdown().await;
    assert_eq!(server.request().await.body["status"], "resolved");
    assert!(server.seen.try_recv().is_err());
}
