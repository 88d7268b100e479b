//! What is computed of the past.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Timestamp;
use parking_lot::Mutex;
use query::promqltest::SharedStore;
use query::{Engine, QueryOptions, Value};
use rules::{AlertSpec, AlertState, Clock, GroupSpec, RuleSpec};

use crate::world::{BEGIN, MINUTE, SECOND, Server, alert, clock, group, store};

/// What a query yields every ten seconds, up to so long after the begin: values, and where series end.
fn history(server: &Server, query: &str, until_ms: i64) -> Value {
    // From a minute on: the first evaluation is up to an interval after the begin.
    let options = QueryOptions { lookback_delta_ms: Some(35 * SECOND), ..QueryOptions::default() };
    let (start, end) = (BEGIN + MINUTE, BEGIN + until_ms);
    Engine::default().range(server.store.as_ref(), query, start, end, 10 * SECOND, &options).unwrap().value
}

/// The history of a group is what it would have recorded, had it been there.
#[tokio::test(start_paused = true)]
async fn history_is_computed_from_stored_data() {
    let rules = [
        RuleSpec::recording("job:up", "up > 0"),
        RuleSpec::recording("n", "count(job:up)"),
        RuleSpec::recording("late", "sum(up offset 1m)"),
    ];
    let hours = 3 * 60 * MINUTE;
    let history = |server: &Server, query: &str| history(server, query, hours);
    let live = Server::new(&store(), &clock());
    live.apply(&[group("g", &rules)]).await;
    live.pass(hours).await;
    // As if it had been added later, over the same data; and again, which changes nothing.
    let now = clock();
    let late: Clock = Arc::new(move || now() + hours);
    let later = Server::new(&store(), &late);
    let spec = GroupSpec { backfill_ms: Some(24 * 60 * MINUTE), ..group("g", &rules) };
    for _ in 0..2 {
        later.apply(std::slice::from_ref(&spec)).await;
        later.pass(10 * MINUTE).await;
        for query in ["job:up", "n", "late"] {
            let expected = history(&live, query);
            assert!(matches!(&expected, Value::Matrix(series) if series.iter().any(|one| one.points.len() > 1000)));
            assert_eq!(history(&later, query), expected, "{query}");
        }
        later.apply(&[]).await;
    }
    live.manager.shutdown().await;
    later.manager.shutdown().await;
}

/// The samples of the last hour of a metric.
fn samples(server: &Server, metric: &str) -> usize {
    samples_at(server, metric, (server.now)())
}

fn samples_at(server: &Server, metric: &str, ts: Timestamp) -> usize {
    let query = format!("sum(count_over_time({metric}[1h]))");
    let result = Engine::default().instant(server.store.as_ref(), &query, ts, &QueryOptions::default());
    let Value::Vector(found) = result.unwrap().value else { panic!("{query} is no vector") };
    found.first().map_or(0, |sample| sample.value as usize)
}

/// Rules of several kinds: a series of `job:up` ends at minute 30, `steps` is of the evaluation before, and two rules write one
/// metric.
fn rules() -> [RuleSpec; 6] {
    [
        RuleSpec::recording("job:up", "up"),
        RuleSpec::recording("n", "count(job:up)"),
        RuleSpec::recording("half", "up{job=\"a\"}"),
        RuleSpec::recording("half", "up{job=\"b\"}"),
        RuleSpec::recording("rarely", "up == 0"),
        RuleSpec::recording("late", "sum(up offset 1m)"),
    ]
}

/// A group that reads its own results: the evaluations cannot be computed side by side.
fn counting() -> [RuleSpec; 2] {
    [RuleSpec::recording("steps", "steps + seen or vector(1)"), RuleSpec::recording("seen", "count(up)")]
}

/// Runs two groups for 40 minutes, of which the server is down for some at minute 28.
async fn with_outage(outage_ms: i64) -> Server {
    let (store, now) = (store(), clock());
    let groups = [group("g", &rules()), group("counting", &counting())];
    let server = Server::new(&store, &now);
    server.apply(&groups).await;
    server.pass(28 * MINUTE).await;
    if outage_ms == 0 {
        server.pass(12 * MINUTE).await;
        return server;
    }
    server.manager.shutdown().await;
    server.pass(outage_ms).await;
    let server = Server::new(&store, &now);
    server.apply(&groups).await;
    server.pass(12 * MINUTE - outage_ms).await;
    server
}

#[tokio::test(start_paused = true)]
async fn evaluations_missed_in_a_restart_are_made_up() {
    let unbroken = with_outage(0).await;
    // Over before the next slot, after some of them, and behind the end of a series.
    for outage_ms in [SECOND, 31 * SECOND, 100 * SECOND, 5 * MINUTE, 11 * MINUTE] {
        let server = with_outage(outage_ms).await;
        for metric in ["job:up", "n", "half", "rarely", "late", "steps", "seen"] {
            let expected = history(&unbroken, metric, 40 * MINUTE);
            assert!(matches!(&expected, Value::Matrix(series) if !series.is_empty()), "{metric}");
            assert_eq!(history(&server, metric, 40 * MINUTE), expected, "{metric} after {outage_ms} ms");
            let count = |server: &Server| samples_at(server, metric, BEGIN + 40 * MINUTE);
            assert_eq!(count(&server), count(&unbroken), "{metric} after {outage_ms} ms");
        }
        let evaluated = server.group("g").history(0);
        let expected = (12 * MINUTE - outage_ms) / (30 * SECOND);
        assert!((expected..=expected + 1).contains(&(evaluated.len() as i64)), "live ones are the others");
        assert_eq!(server.counter("prometheus_rule_group_iterations_missed_total"), 0.0);
        let made_up = server.counter("weft_rule_group_backfilled_iterations_total") as i64 / 2;
        assert!((made_up - outage_ms / (30 * SECOND)).abs() <= 1, "{made_up} after {outage_ms} ms");
        server.manager.shutdown().await;
    }
    unbroken.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn only_what_was_evaluated_before_is_made_up() {
    let (store, now) = (store(), clock());
    let old = RuleSpec::recording("old", "up");
    let server = Server::new(&store, &now);
    server.apply(&[group("g", std::slice::from_ref(&old))]).await;
    server.pass(10 * MINUTE).await;
    server.manager.shutdown().await;
    server.pass(5 * MINUTE).await;
    let server = Server::new(&store, &now);
    let groups =
        [group("g", &[old, RuleSpec::recording("new", "up")]), group("other", &[RuleSpec::recording("more", "up")])];
    server.apply(&groups).await;
    server.pass(MINUTE).await;
    assert_eq!(samples(&server, "old"), 2 * 32, "two series, from the begin on");
    assert_eq!(samples(&server, "new"), 2 * 12, "as far as its group was evaluated");
    assert_eq!(samples(&server, "more"), 2 * 2);
    server.manager.shutdown().await;
    // More than an hour is not made up.
    server.pass(70 * MINUTE).await;
    let server = Server::new(&store, &now);
    server.apply(&groups).await;
    server.pass(MINUTE).await;
    assert_eq!(samples(&server, "old"), 2, "job b has ended");
    server.manager.shutdown().await;
}

/// Another group writes the same metric, and has made up its evaluations first.
#[tokio::test(start_paused = true)]
async fn groups_that_write_one_metric_make_up_their_own_evaluations() {
    let (store, now) = (store(), clock());
    let groups = ["a", "b"].map(|job| group(job, &[RuleSpec::recording("job:up", &format!("up{{job=\"{job}\"}}"))]));
    for minutes in [10, 10] {
        let server = Server::new(&store, &now);
        server.apply(&groups).await;
        server.pass(5 * MINUTE).await;
        server.manager.shutdown().await;
        server.pass((minutes - 5) * MINUTE).await;
    }
    let server = Server::new(&store, &now);
    server.apply(&groups).await;
    server.pass(MINUTE).await;
    for job in ["a", "b"] {
        assert_eq!(samples(&server, &format!("job:up{{job=\"{job}\"}}")), 42, "{job}");
    }
    server.manager.shutdown().await;
}

/// The state of alerts is restored as of Prometheus: an outage does not count as pending, and nobody hears of what has passed
/// meanwhile.
#[tokio::test(start_paused = true)]
async fn alerts_are_not_made_up() {
    let (store, now) = (store(), clock());
    let groups = [group("g", &[alert("Down", "up == 0", 5 * MINUTE), RuleSpec::recording("n", "count(up)")])];
    let server = Server::new(&store, &now);
    server.apply(&groups).await;
    server.pass(9 * MINUTE).await;
    server.manager.shutdown().await;
    // Down from minute 10 to 20.
    server.pass(12 * MINUTE).await;
    let server = Server::new(&store, &now);
    server.apply(&groups).await;
    server.pass(5 * MINUTE).await;
    assert_eq!(samples(&server, "n"), 52);
    assert_eq!(samples(&server, "{__name__=~\"ALERTS.*\"}"), 0);
    assert!(server.take_sent().is_empty());
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn slots_that_a_stall_has_missed_are_made_up() {
    let (store, real) = (store(), clock());
    let shift = Arc::new(Mutex::new(0));
    let (shifted, by) = (Arc::clone(&real), Arc::clone(&shift));
    let now: Clock = Arc::new(move || shifted() + *by.lock());
    let server = Server::new(&store, &now);
    server.apply(&[group("g", &[RuleSpec::recording("r", "up{job=\"a\"}")])]).await;
    server.pass(5 * MINUTE).await;
    *shift.lock() = 20 * MINUTE;
    server.pass(5 * MINUTE).await;
    assert_eq!(samples(&server, "r"), 60);
    assert_eq!(server.counter("prometheus_rule_group_iterations_missed_total"), 40.0);
    assert_eq!(server.counter("weft_rule_group_backfilled_iterations_total"), 40.0);
    server.manager.shutdown().await;
}

/// Days in which the server is restarted, stands still, and an alert goes through all its states every day: no evaluation of a
/// recording rule is missing, and nobody hears twice of an alert.
#[tokio::test(start_paused = true)]
async fn days_with_restarts_and_stalls() {
    const HOUR: i64 = 60 * MINUTE;
    let store = Arc::<SharedStore>::default();
    store.load("m 1x4500", (BEGIN - MINUTE, MINUTE)).unwrap();
    // Every day from hour 5 on: 40 minutes, and 20 again after 10.
    let day = "0x299 1x39 0x9 1x19 0x1069";
    store.load(&format!("bad {day} {day} {day}"), (BEGIN, MINUTE)).unwrap();
    let spec = AlertSpec { for_ms: 15 * MINUTE, keep_firing_for_ms: 15 * MINUTE, annotations: Vec::new() };
    let rules = [
        RuleSpec { alert: Some(spec), ..RuleSpec::alerting("Bad", "bad > 0") },
        RuleSpec::recording("n", "count(m)"),
        RuleSpec::recording("twice", "n + n"),
        RuleSpec::recording("steps", "last_over_time(steps[6m]) + 1 or vector(1)"),
    ];
    let groups = [GroupSpec { interval_ms: 5 * MINUTE, ..group("g", &rules) }];
    let (real, shift) = (clock(), Arc::new(Mutex::new(0)));
    let (shifted, by) = (Arc::clone(&real), Arc::clone(&shift));
    let now: Clock = Arc::new(move || shifted() + *by.lock());
    let (mut server, mut sent, mut states) = (Server::new(&store, &now), Vec::new(), BTreeSet::new());
    server.apply(&groups).await;
    let mut hour = 0;
    while (now)() < BEGIN + 72 * HOUR {
        // A restart every nine hours, and a stall every seven.
        if hour % 9 == 8 {
            server.manager.shutdown().await;
            sent.extend(server.take_sent());
            server.pass([MINUTE, 7 * MINUTE, 23 * MINUTE][hour / 9 % 3]).await;
            server = Server::new(&store, &now);
            server.apply(&groups).await;
        }
        if hour % 7 == 3 {
            *shift.lock() += [6 * MINUTE, 31 * MINUTE][hour / 7 % 2];
        }
        for _ in 0..12 {
            server.pass(5 * MINUTE).await;
            states.extend(server.group("g").rules().next().unwrap().alerts.map(|(state, _)| state));
        }
        hour += 1;
    }
    sent.extend(server.take_sent());
    let evaluations = ((now)() - BEGIN) / (5 * MINUTE);
    for metric in ["n", "twice", "steps"] {
        let query = format!("count_over_time({metric}[4d])");
        let (_, count) = server.values(&query, "")[0];
        assert!((evaluations..=evaluations + 1).contains(&(count as i64)), "{metric}: {count} of {evaluations}");
    }
    let (_, steps) = server.values("steps", "")[0];
    assert!((evaluations..=evaluations + 1).contains(&(steps as i64)), "{steps} of {evaluations}");
    assert_eq!(states.into_iter().collect::<Vec<_>>(), [AlertState::Inactive, AlertState::Pending, AlertState::Firing]);
    let fired: BTreeSet<i64> = sent.iter().map(|alert| (alert.starts_at - BEGIN) / HOUR).collect();
    let begins: BTreeSet<_> = sent.iter().map(|alert| alert.starts_at).collect();
    assert_eq!((fired.into_iter().collect::<Vec<_>>(), begins.len()), (vec![5, 29, 53], 3), "{begins:?}");
    let resolved: BTreeSet<_> =
        sent.iter().filter(|alert| alert.is_resolved_at((now)())).map(|alert| alert.starts_at).collect();
    assert_eq!(resolved, begins);
    server.manager.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_range_that_is_asked_for_is_computed_through_a_reload() {
    let hours = 180 * MINUTE;
    let real = clock();
    let now: Clock = Arc::new(move || real() + hours);
    let server = Server::new(&store(), &now);
    let groups = |rules: &[RuleSpec]| [group("g", rules)];
    let [up, n, ..] = rules();
    server.apply(&groups(std::slice::from_ref(&up))).await;
    assert_eq!(server.group("g").backfill(), None);
    assert!(server.manager.backfill(&server.group("g"), BEGIN, Some(BEGIN + 120 * MINUTE)));
    assert_eq!(server.group("g").backfill().unwrap().1, 1);
    // It has begun at most; the group that replaces this one goes on, with a rule more.
    server.apply(&groups(&[up, n])).await;
    server.pass(10 * MINUTE).await;
    let (status, left) = server.group("g").backfill().unwrap();
    let status = status.unwrap();
    assert_eq!((left, status.evaluations, status.failures), (0, status.evaluations_total, Vec::new()));
    for metric in ["job:up{job=\"a\"}", "n"] {
        let counts = [60, 120, 180].map(|minute| samples_at(&server, metric, BEGIN + minute * MINUTE));
        assert_eq!(counts, [120, 120, 0], "{metric}: an hour each, and nothing behind the end");
    }
    // Requests that wait are bounded.
    let asked = (0..40).filter(|i| server.manager.backfill(&server.group("g"), BEGIN + *i, None)).count();
    assert!((16..=17).contains(&asked), "{asked}");
    server.manager.shutdown().await;
}
