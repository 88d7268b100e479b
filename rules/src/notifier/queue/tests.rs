//! Single cases, and a model: an Alertmanager that is away now and then ends up with what rules say.

use std::collections::HashSet;
use std::sync::Arc;

use prometheus::Registry;
use proptest::prelude::*;

use super::*;
use crate::notifier::metrics::Metrics;

const NOW: Timestamp = Timestamp(1_000_000_000);

fn queue(capacity: usize, batch_size: usize) -> (Queue, Arc<Metrics>) {
    let metrics = Metrics::new(&Registry::new(), capacity).unwrap();
    (Queue::new(capacity, batch_size, metrics.of("http://a"), "http://a"), metrics)
}

/// An alert that fires from `starts_at`; negative times are before now.
fn firing(name: &str, starts_at: i64) -> Notification {
    Notification {
        labels: Labels::from_pairs([("alertname", name)]),
        annotations: Labels::empty(),
        starts_at: NOW + starts_at,
        ends_at: NOW + 240_000,
        generator_url: "".into(),
    }
}

fn resolved(name: &str, starts_at: i64, ends_at: i64) -> Notification {
    Notification { ends_at: NOW + ends_at, ..firing(name, starts_at) }
}

fn add(queue: &Queue, alerts: &[Notification]) {
    queue.add(alerts, NOW);
}

/// The next batch, as `name start` of its notifications, with `!` where they are resolved.
fn take(queue: &Queue, now: Timestamp) -> (Vec<(u64, Waiting)>, Vec<String>) {
    let Next::Send { batch, alerts, .. } = queue.next_at(now) else { return (Vec::new(), Vec::new()) };
    let shown = |one: &Notification| {
        let mark = if one.is_resolved_at(NOW) { "!" } else { "" };
        format!("{}{mark} {}", one.labels.value("alertname"), one.starts_at - NOW)
    };
    let shown: Vec<_> = batch.iter().flat_map(|(_, waiting)| waiting.notifications()).map(shown).collect();
    assert_eq!(shown.len(), alerts);
    (batch, shown)
}

fn taken(queue: &Queue) -> Vec<String> {
    take(queue, NOW).1
}

#[test]
fn a_newer_notification_replaces_an_older_one_where_that_stood() {
    let (queue, _metrics) = queue(10, 10);
    add(&queue, &[firing("a", -9), firing("b", -9)]);
    add(&queue, &[resolved("a", -9, -1)]);
    assert_eq!(queue.metrics.queue_length.get(), 2);
    assert_eq!(taken(&queue), ["a! -9", "b -9"]);
    assert_eq!((queue.metrics.queue_length.get(), taken(&queue).len()), (0, 0));
}

#[test]
fn a_resolution_is_sent_before_the_alert_fires_again() {
    let (queue, _metrics) = queue(10, 10);
    add(&queue, &[resolved("a", -9, -5), firing("b", -9)]);
    add(&queue, &[firing("a", -4)]);
    add(&queue, &[firing("a", -4)]);
    let (batch, shown) = take(&queue, NOW);
    assert_eq!(shown, ["a! -9", "a -4", "b -9"]);
    // While that is on its way, the alert is resolved and fires again.
    add(&queue, &[resolved("a", -4, -3)]);
    add(&queue, &[firing("a", -2)]);
    queue.failed(batch);
    assert_eq!(taken(&queue), ["a! -4", "a -2", "b -9"]);
}

#[test]
fn what_failed_stays_first_and_what_came_meanwhile_is_newer() {
    let (queue, _metrics) = queue(10, 2);
    add(&queue, &[firing("a", -9), firing("b", -9), firing("c", -9)]);
    let (batch, shown) = take(&queue, NOW);
    assert_eq!(shown, ["a -9", "b -9"]);
    add(&queue, &[resolved("b", -9, -1), firing("d", -1)]);
    queue.failed(batch);
    assert_eq!(taken(&queue), ["a -9", "b! -9"]);
    assert_eq!(taken(&queue), ["c -9", "d -1"]);
}

#[test]
fn a_resolution_that_failed_survives_what_fires_meanwhile() {
    let (queue, _metrics) = queue(10, 10);
    add(&queue, &[resolved("a", -9, -5)]);
    let (batch, _) = take(&queue, NOW);
    add(&queue, &[firing("a", -4)]);
    queue.failed(batch);
    assert_eq!(taken(&queue), ["a! -9", "a -4"]);
}

#[test]
fn a_full_queue_drops_the_oldest() {
    let (queue, _metrics) = queue(2, 10);
    let all: Vec<_> = ["a", "b", "c"].iter().map(|name| firing(name, -9)).collect();
    add(&queue, &all);
    assert_eq!(queue.metrics.dropped.get(), 1);
    let (batch, shown) = take(&queue, NOW);
    assert_eq!(shown, ["b -9", "c -9"]);
    add(&queue, &[firing("d", -1)]);
    queue.failed(batch);
    assert_eq!((taken(&queue), queue.metrics.dropped.get()), (vec!["c -9".to_owned(), "d -1".to_owned()], 2));
}

#[test]
fn an_alert_that_is_repeated_for_ever_takes_one_place() {
    let (queue, _metrics) = queue(2, 10);
    for i in 0..1000 {
        add(&queue, &[resolved("a", i, i - 1), firing("a", i)]);
    }
    let state = queue.state.lock();
    assert_eq!((state.alerts.len(), state.by_labels.len()), (1, 1));
    drop(state);
    assert_eq!((taken(&queue).len(), queue.metrics.dropped.get()), (2, 0));
}

#[test]
fn what_ended_long_ago_is_not_sent() {
    let (queue, _metrics) = queue(10, 10);
    add(&queue, &[firing("a", -9), resolved("b", -9, -1), firing("c", -9)]);
    add(&queue, &[firing("b", 0)]);
    // The ends that were announced for those which fire are 240 s ahead; the resolution of b is the first to expire.
    let later = NOW + SENT_AFTER_END_MS;
    let (batch, shown) = take(&queue, later);
    assert_eq!(shown, ["a -9", "b 0", "c -9"]);
    queue.failed(batch);
    assert_eq!(take(&queue, later + 240_000).1.len(), 0);
    assert_eq!((queue.metrics.dropped.get(), queue.metrics.queue_length.get()), (3, 0));
}

#[test]
fn a_batch_has_room_for_a_resolution_and_what_follows() {
    let (queue, _metrics) = queue(10, 2);
    add(&queue, &[firing("a", -9), resolved("b", -9, -5), firing("c", -9)]);
    add(&queue, &[firing("b", -4)]);
    assert_eq!(taken(&queue), ["a -9"]);
    assert_eq!(taken(&queue), ["b! -9", "b -4"]);
    assert_eq!(taken(&queue), ["c -9"]);
}

/// Alertmanager's store of alerts (`provider/mem`, `Alert.Merge`), with the rules for alerts that servers send.
#[derive(Default)]
struct Store(HashMap<Labels, (Timestamp, Timestamp)>);

impl Store {
    fn put(&mut self, alert: &Notification, now: Timestamp) {
        let (mut starts_at, mut ends_at) = (alert.starts_at, alert.ends_at);
        if let Some((old_start, old_end)) = self.0.get(&alert.labels).copied() {
            let overlaps = ends_at > old_start && ends_at < old_end || starts_at > old_start && starts_at < old_end;
            let is_over = |end| end <= now;
            // Only a resolution shortens what was announced before.
            if overlaps && is_over(ends_at) == is_over(old_end) {
                ends_at = ends_at.max(old_end);
            }
            if overlaps {
                starts_at = starts_at.min(old_start);
            }
        }
        self.0.insert(alert.labels.clone(), (starts_at, ends_at));
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// An alert begins to fire or is resolved.
    Turn(usize),
    /// Time passes, and the rules send what they send again and again.
    Evaluate,
    /// A request begins, unless one is under way.
    Take,
    /// The request under way ends.
    End { accepted: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..ALERTS).prop_map(Step::Turn),
        Just(Step::Evaluate),
        Just(Step::Take),
        any::<bool>().prop_map(|accepted| Step::End { accepted }),
    ];
    prop::collection::vec(step, 0..200)
}

const ALERTS: usize = 4;
/// Well below the time for which an alert is announced to fire, with `AWAY_MAX` between two accepted requests.
const INTERVAL_MS: i64 = 10_000;
const AWAY_MAX_MS: i64 = 150_000;

/// A queue, its rules and its Alertmanager.
struct World {
    queue: Queue,
    store: Store,
    now: Timestamp,
    accepted_at: Timestamp,
    /// By alert: when it began, and when it was resolved.
    alerts: [Option<(Timestamp, Option<Timestamp>)>; ALERTS],
    under_way: Option<Vec<(u64, Waiting)>>,
}

impl World {
    fn send(&self, alert: usize) {
        let Some((starts_at, resolved_at)) = self.alerts[alert] else { return };
        // Rules repeat for a quarter of an hour that an alert is resolved; here shorter, so that none is too old to be sent.
        if resolved_at.is_some_and(|resolved_at| self.now - resolved_at > SENT_AFTER_END_MS - 2 * AWAY_MAX_MS) {
            return;
        }
        let ends_at = resolved_at.unwrap_or(self.now + 240_000);
        let alert = Notification { starts_at, ends_at, ..firing(&format!("a{alert}"), 0) };
        self.queue.add(&[alert], self.now);
    }

    fn take(&mut self) {
        if self.under_way.is_none()
            && let Next::Send { batch, .. } = self.queue.next_at(self.now)
        {
            self.under_way = Some(batch);
        }
    }

    fn end(&mut self, accepted: bool) {
        let Some(batch) = self.under_way.take() else { return };
        if !accepted {
            return self.queue.failed(batch);
        }
        let mut seen = HashSet::new();
        for alert in batch.iter().flat_map(|(_, waiting)| waiting.notifications()) {
            assert!(seen.insert((alert.labels.clone(), alert.is_resolved_at(self.now))), "twice: {alert:?}");
            self.store.put(alert, self.now);
        }
    }

    fn drain(&mut self) {
        while self.under_way.is_some() || !self.queue.state.lock().alerts.is_empty() {
            self.take();
            self.end(true);
        }
        self.accepted_at = self.now;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Turn(alert) => {
                // No two events at one time.
                self.now += 1;
                let state = &mut self.alerts[*alert];
                *state = match *state {
                    Some((starts_at, None)) => Some((starts_at, Some(self.now))),
                    _ => Some((self.now + 1, None)),
                };
                self.now += 1;
                self.send(*alert);
            }
            Step::Evaluate => {
                self.now += INTERVAL_MS;
                (0..ALERTS).for_each(|alert| self.send(alert));
                if self.now - self.accepted_at > AWAY_MAX_MS {
                    self.drain();
                }
            }
            Step::Take => self.take(),
            Step::End { accepted } => self.end(*accepted),
        }
    }
}

proptest! {
    #[test]
    fn an_alertmanager_knows_in_the_end_what_fires_and_since_when(steps in steps()) {
        let (queue, _metrics) = queue(10, 2);
        let mut world = World {
            queue,
            store: Store::default(),
            now: NOW,
            accepted_at: NOW,
            alerts: [None; ALERTS],
            under_way: None,
        };
        steps.iter().for_each(|step| world.step(step));
        world.drain();
        for (i, state) in world.alerts.iter().enumerate() {
            let known = world.store.0.get(&Labels::from_pairs([("alertname", format!("a{i}"))])).copied();
            match *state {
                None => prop_assert_eq!(known, None),
                Some((_, Some(_))) => prop_assert!(known.is_some_and(|(_, ends_at)| ends_at <= world.now)),
                Some((starts_at, None)) => {
                    prop_assert!(known.is_some_and(|(_, ends_at)| ends_at > world.now), "{:?}", known);
                    prop_assert_eq!(known.map(|(starts_at, _)| starts_at), Some(starts_at));
                }
            }
        }
        prop_assert_eq!(world.queue.metrics.dropped.get(), 0);
    }
}

/// Hours of rules on the clock of a test, with an Alertmanager that is away from the second to the sixth.
mod hours {
    use parking_lot::Mutex;
    use query::promqltest::SharedStore;

    use super::*;
    use crate::context::Context;
    use crate::context::tests::context;
    use crate::{GroupSpec, RuleSpec, Simulation};

    const MINUTE: i64 = 60_000;
    const STEP: i64 = 30_000;
    const AWAY: std::ops::Range<i64> = 120..360;
    const END: i64 = 420;

    fn at(minute: i64) -> Timestamp {
        NOW + minute * MINUTE
    }

    /// The rules, their queue, and the Alertmanager with the notifications that it got.
    struct Hours {
        rules: Simulation,
        sent: Arc<Mutex<Vec<Notification>>>,
        queue: Queue,
        _metrics: Arc<Metrics>,
        store: Store,
        got: Vec<(Timestamp, Notification)>,
        longest: usize,
    }

    impl Hours {
        /// An alert for each series of `bad`, given by `job` and values a minute.
        fn new(series: &[(&str, &str)], capacity: usize) -> Self {
            let store = Arc::<SharedStore>::default();
            for (job, values) in series {
                store.load(&format!("bad{{job=\"{job}\"}} {values}"), (at(0), MINUTE)).unwrap();
            }
            let sent: Arc<Mutex<Vec<Notification>>> = Arc::default();
            let collect = Arc::clone(&sent);
            let notify = Arc::new(move |alerts: &[Notification]| collect.lock().extend_from_slice(alerts));
            let (file, name, rules) = ("r.yml".into(), "g".into(), vec![RuleSpec::alerting("Bad", "bad > 0")]);
            let spec =
                GroupSpec { file, name, interval_ms: STEP, query_offset_ms: None, backfill_ms: None, limit: 0, rules };
            let rules = Simulation::new(vec![spec], Context { notify, ..context(&store) }).unwrap();
            let (queue, metrics) = queue(capacity, 64);
            let (store, got) = (Store::default(), Vec::new());
            Self { rules, sent, queue, _metrics: metrics, store, got, longest: 0 }
        }

        fn run(mut self) -> Self {
            for ts in (0..END * MINUTE / STEP).map(|step| NOW + step * STEP) {
                assert_eq!(self.rules.evaluate_at(ts), []);
                let sent = std::mem::take(&mut *self.sent.lock());
                self.queue.add(&sent, ts);
                let is_away = AWAY.contains(&((ts - NOW) / MINUTE));
                while let Next::Send { batch, .. } = self.queue.next_at(ts) {
                    if is_away {
                        self.queue.failed(batch);
                        break;
                    }
                    for alert in batch.iter().flat_map(|(_, waiting)| waiting.notifications()) {
                        self.store.put(alert, ts);
                        self.got.push((ts, alert.clone()));
                    }
                }
                self.longest = self.longest.max(self.queue.state.lock().alerts.len());
            }
            self
        }

        /// What the Alertmanager was told of a job since it is back: minutes of the begin, and of the end where it is over.
        fn told(&self, job: &str) -> Vec<(i64, Option<i64>)> {
            let minutes = |ts: Timestamp| (ts - NOW) / MINUTE;
            let of_job =
                |(ts, alert): &&(Timestamp, Notification)| alert.labels.value("job") == job && *ts >= at(AWAY.end);
            let mut told: Vec<_> = self
                .got
                .iter()
                .filter(of_job)
                .map(|(ts, alert)| {
                    (minutes(alert.starts_at), alert.is_resolved_at(*ts).then(|| minutes(alert.ends_at)))
                })
                .collect();
            // What is repeated.
            told.dedup();
            told
        }

        /// Since when the Alertmanager has a job firing in the end.
        fn known(&self, job: &str) -> Option<i64> {
            let labels = Labels::from_pairs([("alertname", "Bad"), ("job", job)]);
            let (starts_at, ends_at) = self.store.0.get(&labels).copied()?;
            (ends_at > at(END)).then_some((starts_at - NOW) / MINUTE)
        }
    }

    #[test]
    fn an_alertmanager_that_was_away_hears_what_is_still_of_use() {
        let hours = Hours::new(
            &[
                ("steady", "0x9 1x500"),
                ("over", "1x199 0x300"),
                ("just:over", "1x349 0x300"),
                ("unheard", "0x199 1x20 0x300"),
                ("again", "1x199 0x59 1x300"),
                ("new", "0x299 1x300"),
            ],
            1000,
        )
        .run();
        assert_eq!((hours.told("steady"), hours.known("steady")), (vec![(10, None)], Some(10)));
        // It ended by itself in the Alertmanager, hours ago.
        assert_eq!((hours.told("over"), hours.known("over")), (vec![], None));
        assert_eq!((hours.told("just:over"), hours.known("just:over")), (vec![(0, Some(350))], None));
        assert_eq!((hours.told("unheard"), hours.known("unheard")), (vec![], None));
        assert_eq!((hours.told("again"), hours.known("again")), (vec![(260, None)], Some(260)));
        assert_eq!((hours.told("new"), hours.known("new")), (vec![(300, None)], Some(300)));
        assert!(hours.longest <= 6, "each has one place: {}", hours.longest);
    }

    /// More alerts than there is room for while it is away: what fires in the end has its place.
    #[test]
    fn a_queue_stays_within_its_bound_for_hours() {
        let jobs = |prefix: &str| -> Vec<String> { (0..40).map(|i| format!("{prefix}{i}")).collect() };
        let (early, late) = (jobs("early"), jobs("late"));
        let early_series = early.iter().map(|job| (job.as_str(), "0x129 1x99 0x300"));
        let series: Vec<_> = early_series.chain(late.iter().map(|job| (job.as_str(), "0x229 1x300"))).collect();
        let hours = Hours::new(&series, 60).run();
        assert_eq!(hours.longest, 60);
        assert!(hours.queue.metrics.dropped.get() > 0);
        assert!(early.iter().all(|job| hours.told(job).is_empty()));
        assert!(late.iter().all(|job| hours.known(job) == Some(230) && hours.told(job) == [(230, None)]));
    }
}
