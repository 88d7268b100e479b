//! Dry runs: the same as live evaluation, and bounded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Labels, Timestamp};
use query::promqltest::SharedStore;
use query::{Bounds, Engine, EngineOptions, MemoryPool, QueryOptions, StillWanted};
use rules::{AlertSpec, Context, EvaluationError, Firing, GroupSpec, Replay, ReplayOutcome, ReplayedGroup, RuleSpec};

use crate::world::{BEGIN, MINUTE, Server, alert, clock, context, group};

const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `errors` of two jobs, a sample a minute for three days: each is in the result of `errors > 0` for several stretches, with a gap
/// of two minutes, shorter than `for`, longer, and to the end.
fn store() -> Arc<SharedStore> {
    let store = SharedStore::default();
    let load = |line: &str| store.load(line, (BEGIN, MINUTE)).unwrap();
    load(r#"errors{job="a"} 0x99 2x2 0x199 1x10 3x9 0x1 5x59 0x1499 1x199 stale 1x4 0x599 4x1639"#);
    load(r#"errors{job="b"} 0x1999 7x4 _x30 7x9 0x2000 1x3 0x400"#);
    Arc::new(store)
}

fn alerts() -> Vec<RuleSpec> {
    let labelled = RuleSpec {
        labels: vec![("severity".to_owned(), "{{ if gt $value 2.0 }}high{{ else }}low{{ end }}".to_owned())],
        ..alert("Labelled", "errors > 0", 2 * MINUTE)
    };
    let kept = |for_ms, keep_firing_for_ms| {
        let spec = AlertSpec { for_ms, keep_firing_for_ms, annotations: Vec::new() };
        RuleSpec { alert: Some(spec), ..RuleSpec::alerting("Kept", "job:errors > 0") }
    };
    vec![
        RuleSpec::recording("job:errors", "max by (job) (errors)"),
        alert("Now", "errors > 0", 0),
        alert("Held", "errors > 0", 5 * MINUTE),
        kept(3 * MINUTE, 10 * MINUTE),
        labelled,
        alert("Many", "count(ALERTS{alertname=\"Now\", alertstate=\"firing\"}) > 1", 0),
        alert("Fails", "errors * on() errors > 0", 0),
    ]
}

/// A group that reads its own results.
fn counting() -> GroupSpec {
    let rules = [RuleSpec::recording("steps", "steps + 1 or vector(1)"), alert("Steps", "steps % 1000 == 0", 0)];
    GroupSpec { interval_ms: MINUTE, ..group("counting", &rules) }
}

fn spec(rules: &[RuleSpec]) -> GroupSpec {
    GroupSpec { interval_ms: MINUTE, ..group("g", rules) }
}

fn bounds() -> Bounds {
    Engine::default().bounds(&QueryOptions { timeout: None, ..QueryOptions::default() })
}

fn replay(start: Timestamp, end: Timestamp) -> Replay {
    Replay { start, end, firings_max: 1000, bounds: bounds() }
}

fn dry(store: &Arc<SharedStore>) -> Context {
    context(store, &Arc::default())
}

/// The firings of the alerts of a name.
fn firings(groups: &[ReplayedGroup], name: &str) -> Vec<Firing> {
    let rules = groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.spec.name == name);
    let found = rules.flat_map(|rule| match &rule.outcome {
        ReplayOutcome::Alerted { firings, fired, .. } => {
            assert_eq!(firings.len(), *fired);
            firings.clone()
        }
        ReplayOutcome::Recorded { .. } => panic!("{name} is no alert"),
    });
    found.collect()
}

/// When an alert fires, and when it is resolved if it is.
type Times = BTreeMap<(Labels, Timestamp), Option<Timestamp>>;

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_days_is_what_live_evaluation_does() {
    let now = clock();
    let live = Server::new(&store(), &now);
    let groups = [spec(&alerts()), counting()].map(|spec| GroupSpec { interval_ms: 2 * MINUTE, ..spec });
    live.apply(&groups).await;
    live.pass(3 * DAY).await;
    let end = (now)();
    live.manager.shutdown().await;
    let mut expected = Times::new();
    for sent in live.take_sent() {
        let resolved_at = Some(sent.ends_at).filter(|ends_at| *ends_at <= end && sent.ends_at - sent.starts_at < DAY);
        let is_over = resolved_at.is_some_and(|at| sent.is_resolved_at(at));
        expected.insert((sent.labels.clone(), sent.starts_at), resolved_at.filter(|_| is_over));
    }
    let store = store();
    let groups = replay(BEGIN, end).run(groups.to_vec(), |_, _| true, &dry(&store)).unwrap();
    let mut found = Times::new();
    for name in ["Now", "Held", "Kept", "Labelled", "Many", "Steps", "Fails"] {
        for firing in firings(&groups, name) {
            found.insert((firing.labels, firing.fired_at), firing.resolved_at);
        }
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, resolved_at) in &found {
        // The end that is announced of a firing alert is in the future of its last notification.
        assert!(resolved_at.is_none() || expected[key] == *resolved_at, "{key:?} {resolved_at:?} {:?}", expected[key]);
    }
    assert!(found.len() > 15, "{found:?}");
    assert_eq!(groups[0].evaluations, 2160);
    let rules = || groups.iter().flat_map(|group| &group.rules);
    let rule = |name: &str| rules().find(|rule| rule.spec.name == name).unwrap();
    assert!(rule("Fails").failed > 1500 && rule("Fails").failure.as_ref().unwrap().contains("many-to-many"));
    assert!(matches!(rule("steps").outcome, ReplayOutcome::Recorded { samples: 2160, series: 1 }));
    // Nothing was written to the store.
    let names = model::Querier::label_values(
        store.as_ref(),
        "__name__",
        &model::Selection { start: Timestamp::MIN, end: Timestamp::MAX, matchers: &[] },
        0,
    );
    assert_eq!(names.unwrap(), ["errors"]);
}

#[test]
fn firings_have_their_times_and_their_highest_value() {
    let groups = replay(BEGIN, BEGIN + 8 * HOUR).run(vec![spec(&alerts())], |_, _| true, &dry(&store())).unwrap();
    let held = firings(&groups, "Held");
    assert_eq!(held.len(), 2, "{held:?}");
    let minutes = |ts: Timestamp| (ts - BEGIN) / MINUTE;
    let first = &held[0];
    // In the result from minute 303 to 323, and from 325 on.
    assert_eq!((minutes(first.active_at), minutes(first.fired_at)), (303, 308));
    assert_eq!((first.resolved_at.map(minutes), first.max_value), (Some(324), 3.0));
    assert_eq!(held[1].labels, Labels::from_pairs([("alertname", "Held"), ("job", "a")]));
    // Two minutes without errors are shorter than `keep_firing_for`.
    let kept = firings(&groups, "Kept");
    assert_eq!((kept.len(), kept[0].max_value), (1, 5.0));
    let rule = groups[0].rules.iter().find(|rule| rule.spec.name == "Held").unwrap();
    assert!(matches!(rule.outcome, ReplayOutcome::Alerted { only_pending: 1, .. }), "{rule:?}");
}

/// What is stored of a rule that is changed does not get in the way: neither at the times of the group nor at others.
#[tokio::test(start_paused = true)]
async fn what_was_recorded_before_is_hidden() {
    let now = clock();
    let live = Server::new(&store(), &now);
    let old = [RuleSpec::recording("job:errors", "max by (job) (errors) + 100"), alert("Now", "errors >= 0", 0)];
    live.apply(&[GroupSpec { name: "old".to_owned(), ..spec(&old) }]).await;
    live.pass(8 * HOUR).await;
    live.manager.shutdown().await;
    let on = |store: &Arc<SharedStore>, start| {
        let groups = replay(start, BEGIN + 8 * HOUR).run(vec![spec(&alerts())], |_, _| true, &dry(store)).unwrap();
        (firings(&groups, "Kept"), firings(&groups, "Many"))
    };
    assert_eq!(on(&live.store, BEGIN), on(&store(), BEGIN));
    // Before the begin it is what there is to read.
    let spec = spec(&[alert("Before", "max_over_time(job:errors{job=\"a\"}[1h]) > 50", 0)]);
    let recording = RuleSpec::recording("job:errors", "max by (job) (errors)");
    let rules = [vec![recording], spec.rules].concat();
    let start = BEGIN + 2 * HOUR;
    let groups = replay(start, BEGIN + 4 * HOUR).run(vec![group("g", &rules)], |_, _| true, &dry(&live.store)).unwrap();
    let before = firings(&groups, "Before");
    assert_eq!(before.len(), 1);
    let over = before[0].resolved_at.unwrap() - start;
    assert!((HOUR - 2 * MINUTE..=HOUR + MINUTE).contains(&over), "for as long as the range reaches back: {over}");
}

#[test]
fn a_rule_brings_those_that_it_reads() {
    let groups = vec![
        GroupSpec {
            name: "reader".to_owned(),
            ..spec(&[alert("Reads", "job:errors > 0", 0), alert("Other", "up", 0)])
        },
        spec(&alerts()),
    ];
    let end = BEGIN + 8 * HOUR;
    // A group that stands before the one that it reads.
    let all = replay(BEGIN, end).run(groups.clone(), |_, _| true, &dry(&store())).unwrap();
    assert_eq!(all.iter().map(|group| group.spec.name.as_str()).collect::<Vec<_>>(), ["reader", "g"]);
    assert!(!firings(&all, "Reads").is_empty());
    let only = replay(BEGIN, end).run(groups, |_, rule| rule.name == "Kept", &dry(&store())).unwrap();
    let names = |rules: Vec<&RuleSpec>| rules.into_iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(only[0].spec.rules.iter().collect()), ["job:errors", "Kept"]);
    assert_eq!(names(only[0].rules.iter().map(|rule| &rule.spec).collect()), ["Kept"]);
    assert_eq!(firings(&only, "Kept"), firings(&all, "Kept"));
}

#[test]
fn a_dry_run_stays_within_its_bounds() {
    let end = BEGIN + 3 * DAY;
    let run = |replay: Replay| replay.run(vec![spec(&alerts())], |_, _| true, &dry(&store()));
    let error = |bounds: Bounds| match run(Replay { bounds, ..replay(BEGIN, end) }) {
        Err(EvaluationError::Query(error)) => error,
        other => panic!("{other:?}"),
    };
    let late = Bounds { deadline: Some(std::time::Instant::now()), ..bounds() };
    assert!(matches!(error(late), query::Error::Timeout));
    // The client goes after a while.
    let asked = AtomicUsize::new(0);
    let wanted = StillWanted(Arc::new(move || asked.fetch_add(1, Ordering::Relaxed) < 500));
    assert!(matches!(error(Bounds { wanted: Some(wanted), ..bounds() }), query::Error::Canceled));
    let memory = Arc::new(MemoryPool::new(100_000, 100_000));
    let engine = Engine::new(EngineOptions { memory, ..EngineOptions::default() });
    let little = engine.bounds(&QueryOptions::default());
    assert!(matches!(error(little), query::Error::QueryMemory { .. } | query::Error::Memory { .. }));
    // All are counted, not all are listed.
    let groups = run(Replay { firings_max: 3, ..replay(BEGIN, end) }).unwrap();
    let (mut fired, mut listed) = (0, 0);
    for rule in &groups[0].rules {
        if let ReplayOutcome::Alerted { fired: count, firings, .. } = &rule.outcome {
            (fired, listed) = (fired + count, listed + firings.len());
        }
    }
    assert!(fired > 15 && listed == 3, "{fired} {listed}");
}
