//! Groups at their intervals, on a paused clock: what is stored, sent and kept over reloads and restarts.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

mod large;
mod past;
mod replay;
mod world;

use std::sync::Arc;

use model::Labels;
use parking_lot::Mutex;
use rules::{AlertState, Clock, GroupSpec, RuleSpec};

use world::{MINUTE, SECOND, Server, alert, clock, context, group, store};

#[tokio::test(start_paused = true)]
async fn recorded_series_are_stored_and_marked_stale() {
    let server = Server::new(&store(), &clock());
    server
        .apply(&[group("g", &[RuleSpec::recording("job:up", "up"), RuleSpec::recording("n", "count(job:up)")])])
        .await;
    assert!(server.values("job:up", "job").is_empty(), "not before the first slot");
    server.pass(MINUTE).await;
    assert_eq!(server.values("job:up", "job"), [("a".to_owned(), 1.0), ("b".to_owned(), 1.0)]);
    assert_eq!(server.values("n", "job"), [(String::new(), 2.0)], "a rule reads what an earlier one wrote");
    // The series of job b ends at minute 30; without a marker it would be found for five minutes more.
    server.pass(30 * MINUTE).await;
    assert_eq!(server.values("job:up", "job"), [("a".to_owned(), 1.0)]);
    let group = server.group("g");
    let status: Vec<_> = group.rules().map(|rule| (rule.health(), rule.last.unwrap().samples)).collect();
    assert_eq!(status, [("ok", 1), ("ok", 1)]);
    assert_eq!(group.history(0).len(), 62);
    assert_eq!(server.counter("prometheus_rule_group_iterations_total"), 62.0);
    assert_eq!(server.counter("prometheus_rule_group_iterations_missed_total"), 0.0);
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_pending_fires_and_is_resolved() {
    let server = Server::new(&store(), &clock());
    server.apply(&[group("g", &[alert("Down", "up == 0", 2 * MINUTE)])]).await;
    server.pass(10 * MINUTE).await;
    assert_eq!(server.alerts("g"), (AlertState::Inactive, Vec::new()));
    server.pass(MINUTE).await;
    let labels = Labels::from_pairs([("alertname", "Down"), ("job", "b")]);
    assert_eq!(server.alerts("g"), (AlertState::Pending, vec![(AlertState::Pending, labels.clone())]));
    assert_eq!(server.values("ALERTS", "alertstate"), [("pending".to_owned(), 1.0)]);
    assert!(server.take_sent().is_empty());
    server.pass(2 * MINUTE).await;
    assert_eq!(server.alerts("g").0, AlertState::Firing);
    assert_eq!(server.values("ALERTS", "alertstate"), [("firing".to_owned(), 1.0)], "the pending one is stale");
    let sent = server.take_sent();
    let first = &sent[0];
    let link = "http://weft:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1";
    assert_eq!((&first.labels, first.generator_url.as_ref()), (&labels, link));
    assert_eq!(first.ends_at - first.starts_at, 4 * MINUTE, "if nothing more is heard of it");
    let since = server.values("ALERTS_FOR_STATE", "job")[0].1;
    assert!((first.starts_at.as_seconds() - since - 120.0).abs() < 1.0, "since {since}");
    // Sent again after each minute: every third evaluation, as the minute must be over.
    server.pass(6 * MINUTE).await;
    assert_eq!(server.take_sent().len(), 4);
    server.pass(2 * MINUTE).await;
    let resolved = server.take_sent().into_iter().rfind(|sent| sent.is_resolved_at((server.now)())).unwrap();
    assert_eq!((&resolved.labels, resolved.starts_at), (&labels, first.starts_at));
    assert_eq!(server.alerts("g"), (AlertState::Inactive, Vec::new()));
    assert!(server.values("ALERTS", "alertstate").is_empty());
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_did_not_change() {
    let server = Server::new(&store(), &clock());
    let down = alert("Down", "up == 0", 2 * MINUTE);
    let groups = [group("same", std::slice::from_ref(&down)), group("changed", std::slice::from_ref(&down))];
    server.apply(&groups).await;
    server.pass(14 * MINUTE).await;
    assert_eq!((server.alerts("same").0, server.alerts("changed").0), (AlertState::Firing, AlertState::Firing));
    let (same, evaluated) = (server.group("same"), server.group("same").history(0).len());
    let more = [alert("Other", "up == 5", 0), alert("Down", "up < 1", 2 * MINUTE)];
    server.apply(&[groups[0].clone(), group("changed", &more)]).await;
    assert!(Arc::ptr_eq(&same, &server.group("same")) && same.history(0).len() == evaluated);
    // The rule that moved goes on with its alerts, and is sent no second time before its minute is over.
    let states: Vec<_> = server.group("changed").rules().map(|rule| rule.alerts.unwrap().1.len()).collect();
    assert_eq!(states, [0, 1]);
    server.take_sent();
    server.pass(30 * SECOND).await;
    assert!(server.take_sent().len() <= 2, "both are due once at most");
    // A query that is not valid changes nothing.
    let bad = vec![group("bad", &[RuleSpec::recording("a", "up +")])];
    let error = server.manager.apply(bad, context(&server.store, &server.sent)).await.unwrap_err();
    assert!(error.to_string().contains("parse error"), "{error}");
    assert_eq!(server.manager.groups().len(), 2);
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn series_of_removed_rules_go_stale() {
    let server = Server::new(&store(), &clock());
    let (a, b) = (RuleSpec::recording("a", "up"), RuleSpec::recording("b", "up"));
    server.apply(&[group("g", &[a.clone(), b.clone()]), group("gone", &[RuleSpec::recording("c", "up")])]).await;
    server.pass(2 * MINUTE).await;
    let counts = |server: &Server| ["a", "b", "c"].map(|name| server.values(name, "job").len());
    assert_eq!(counts(&server), [2, 2, 2]);
    // A rule is removed from one group, and the other one moves to a new name.
    server.apply(&[group("g", &[a]), group("renamed", &[RuleSpec::recording("c", "up")])]).await;
    server.pass(MINUTE).await;
    assert_eq!(counts(&server), [2, 0, 2]);
    server.pass(2 * MINUTE).await;
    assert_eq!(counts(&server), [2, 0, 2], "the renamed group goes on with the series");
    server.apply(&[]).await;
    assert!(server.manager.groups().is_empty());
    server.pass(30 * SECOND).await;
    assert_eq!(counts(&server), [2, 0, 2], "not before two intervals");
    server.pass(MINUTE).await;
    assert_eq!(counts(&server), [0, 0, 0]);
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn pending_time_survives_a_restart() {
    restart(false).await;
}

/// Objects of an API server are seen after the rule files are read.
#[tokio::test(start_paused = true)]
async fn pending_time_of_groups_that_come_late_survives_a_restart() {
    restart(true).await;
}

async fn restart(come_late: bool) {
    let (store, now) = (store(), clock());
    let groups = [group("g", &[alert("Down", "up == 0", 20 * MINUTE), RuleSpec::recording("r", "up")])];
    let server = Server::new(&store, &now);
    server.apply(&groups).await;
    // Down since minute 10.
    server.pass(14 * MINUTE).await;
    assert_eq!(server.alerts("g").0, AlertState::Pending);
    let since = server.values("ALERTS_FOR_STATE", "job")[0].1;
    server.manager.shutdown().await;
    server.pass(2 * MINUTE).await;
    let server = Server::new(&store, &now);
    if come_late {
        server.manager.set_starting(true);
        server.apply(&[]).await;
        server.manager.set_starting(false);
    }
    server.apply(&groups).await;
    server.pass(29 * SECOND).await;
    let stored = server.values("last_over_time(ALERTS_FOR_STATE[1h])", "job")[0].1;
    assert_eq!(stored, since, "not written before it is restored");
    server.pass(MINUTE).await;
    let restored = server.values("ALERTS_FOR_STATE", "job")[0].1;
    // The two minutes and the two evaluations before it was restored do not count.
    assert!(restored > since + 120.0 && restored < since + 240.0, "{since} {restored}");
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_fails_leaves_the_others_alone() {
    let server = Server::new(&store(), &clock());
    let rules = [
        RuleSpec::recording("bad", "up * on() up"),
        RuleSpec::recording("many", "up"),
        RuleSpec::recording("text", "\"a\""),
        RuleSpec::recording("good", "sum(up)"),
    ];
    server.apply(&[GroupSpec { limit: 1, ..group("g", &rules) }]).await;
    server.pass(MINUTE).await;
    let group = server.group("g");
    let errors: Vec<_> = group.rules().map(|rule| rule.last.unwrap().error).collect();
    assert!(errors[0].as_deref().unwrap().contains("many-to-many"), "{errors:?}");
    assert_eq!(errors[1].as_deref(), Some("exceeded limit of 1 with 2 series"));
    assert_eq!(errors[2].as_deref(), Some("rule result is not a vector or scalar"));
    assert_eq!(errors[3], None);
    assert_eq!(server.values("good", "job"), [(String::new(), 2.0)]);
    assert_eq!(server.counter("prometheus_rule_evaluation_failures_total"), 6.0);
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_reads_nothing_is_told() {
    let server = Server::new(&store(), &clock());
    let rules = [
        RuleSpec::alerting("Typo", "uq == 0"),
        RuleSpec::alerting("Down", "up == 5"),
        RuleSpec::alerting("Absent", "absent(up)"),
    ];
    server.apply(&[group("g", &rules)]).await;
    server.pass(MINUTE).await;
    let group = server.group("g");
    assert!(group.rules().all(|rule| !rule.has_unmatched), "nothing may have been scraped yet");
    server.pass(10 * MINUTE).await;
    assert_eq!(group.rules().map(|rule| rule.has_unmatched).collect::<Vec<_>>(), [true, false, false]);
    let unmatched = server.manager.unmatched(&group, 0).unwrap();
    assert_eq!(unmatched[0].reason, "there is no metric uq; the nearest name is up");
    // As soon as it yields something it is well.
    server.store.load("uq 0x100", ((server.now)(), SECOND)).unwrap();
    server.pass(MINUTE).await;
    assert!(!group.rules().next().unwrap().has_unmatched);
    server.manager.shutdown().await;
}

/// Two rules of a group write one series: the second one is told, and the sample of the first stays.
#[tokio::test(start_paused = true)]
async fn the_rule_whose_samples_were_refused_is_told() {
    let server = Server::new(&store(), &clock());
    let rules = [RuleSpec::recording("n", "sum(up)"), RuleSpec::recording("n", "sum(up) + 1")];
    server.apply(&[group("g", &rules)]).await;
    server.pass(MINUTE).await;
    let errors: Vec<_> = server.group("g").rules().map(|rule| rule.last.unwrap().error).collect();
    assert_eq!(errors, [None, Some("duplicate sample for timestamp".into())]);
    assert_eq!(server.values("n", "job"), [(String::new(), 2.0)]);
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_followed() {
    let (store, real) = (store(), clock());
    let shift = Arc::new(Mutex::new(0));
    let (shifted, by) = (Arc::clone(&real), Arc::clone(&shift));
    let now: Clock = Arc::new(move || shifted() + *by.lock());
    let server = Server::new(&store, &now);
    server.apply(&[group("g", &[RuleSpec::recording("r", "up")])]).await;
    server.pass(5 * MINUTE).await;
    let evaluations = || server.group("g").history(0).len();
    let before = evaluations();
    *shift.lock() = -3 * MINUTE;
    server.pass(3 * MINUTE).await;
    assert!(evaluations() >= before + 4, "{before} {}", evaluations());
    let last = server.group("g").history(0).pop().unwrap();
    assert!(last.ts <= (now)() && last.ts > (now)() - 31 * SECOND, "{last:?}");
    // A jump ahead is counted as missed, and evaluated once.
    *shift.lock() = 60 * MINUTE;
    server.pass(2 * MINUTE).await;
    assert!(server.counter("prometheus_rule_group_iterations_missed_total") > 100.0);
    server.manager.shutdown().await;
}
