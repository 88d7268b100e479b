//! Remotes on a paused clock, with a store and a receiver of the test.

pub(super) mod world;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use model::{Exemplar, Labels, Timestamp};
use tokio::time::{Instant, sleep};

use super::transport::Outcome;
use super::{Commits, Manager};
use world::{BEGIN, Does, Receiver, Store, Value, config, manager, now, source_labels, until};

fn float(i: i64) -> Value {
    Value::Float(i as f64)
}

/// Scrapes some sources every second, for so many seconds.
async fn scrape(store: &Store, began: Instant, seconds: i64) {
    for _ in 0..seconds {
        let ts = now(began).0;
        for source in 0..4 {
            let samples: Vec<_> =
                (0..5).map(|metric| (source, metric, ts, float(ts % 1_000_000 + metric as i64))).collect();
            store.commit(&samples);
        }
        sleep(Duration::from_secs(1)).await;
    }
}

#[track_caller]
fn assert_all(store: &Store, receiver: &Receiver) {
    let (wanted, found) = (store.all(), receiver.samples.lock().clone());
    assert_eq!(found.len(), wanted.len());
    assert!(found == wanted);
}

struct World {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    receiver: Arc<Receiver>,
    began: Instant,
    settings: &'static str,
}

impl World {
    fn new(settings: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, store: Arc::default(), receiver: Arc::default(), began: Instant::now(), settings }
    }

    fn start(&self) -> Manager {
        let manager = manager(self.folder.path(), &self.store, self.began);
        manager.start_with(&config(self.settings), Arc::<Receiver>::clone(&self.receiver)).unwrap();
        manager
    }

    /// Ends a process without a word, and begins the next on the same data.
    async fn crash(&self, manager: Manager) -> Manager {
        drop(manager);
        tokio::task::yield_now().await;
        *self.store.commits.lock() = Arc::new(Commits::default());
        self.start()
    }

    async fn all_arrived(&self) {
        until("all samples arrived", || self.receiver.samples.lock().len() == self.store.len()).await;
        assert_all(&self.store, &self.receiver);
    }

    fn counted(&self, manager: &Manager) -> (u64, usize) {
        let status = &manager.status()[0];
        (status.pending_samples, status.shards)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_arrives_once_and_a_new_remote_begins_now() {
    let world = World::new("");
    world.store.commit(&[(1, 1, BEGIN - 60_000, float(1))]);
    let manager = world.start();
    scrape(&world.store, world.began, 30).await;
    until("all but the old sample", || world.receiver.samples.lock().len() == world.store.len() - 1).await;
    assert!(world.receiver.samples.lock().keys().all(|(_, ts)| *ts >= BEGIN));
    assert!(world.receiver.requests.lock().len() < 15, "samples are collected");
    assert!(*world.receiver.families.lock() >= 3, "metadata is sent");
    assert_eq!(world.counted(&manager).1, 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_caught_up_in_the_order_of_time() {
    for settings in ["", "protobuf_message: io.prometheus.write.v2.Request"] {
        let world = World::new(settings);
        let manager = world.start();
        scrape(&world.store, world.began, 20).await;
        *world.receiver.down.lock() = true;
        scrape(&world.store, world.began, 1_200).await;
        let status = manager.status().remove(0);
        assert!(status.behind_seconds > 1_150.0 && status.last_error.unwrap().0 == "connection refused");
        let reads = *world.store.reads.lock();
        scrape(&world.store, world.began, 100).await;
        assert!(*world.store.reads.lock() <= reads + 1, "nothing more is read while nothing is sent");
        *world.receiver.down.lock() = false;
        scrape(&world.store, world.began, 60).await;
        world.all_arrived().await;
        let taken = world.receiver.requests.lock().iter().filter(|(.., taken)| *taken).map(|(_, n, _)| *n).max();
        assert!(taken.unwrap() <= 2_000, "max_samples_per_send");
        assert!(manager.status()[0].behind_seconds < 15.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_holds_up_no_other() {
    let world =
        World::new("metadata_config: {send: false}, queue_config: {max_samples_per_send: 10, batch_send_deadline: 1s}");
    let _manager = world.start();
    let refused = || Does::Says(Outcome::Refused("server returned HTTP status 400: no".to_owned(), None));
    world.receiver.next.lock().push_back(refused());
    scrape(&world.store, world.began, 20).await;
    sleep(Duration::from_secs(10)).await;
    let requests = world.receiver.requests.lock().clone();
    let lost: usize = requests.iter().filter(|(.., taken)| !taken).map(|(_, n, _)| *n).sum();
    assert!(lost > 0 && lost <= 10, "{lost}");
    assert_eq!(world.receiver.samples.lock().len(), world.store.all().len() - lost);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for() {
    let world = World::new("metadata_config: {send: false}, queue_config: {retry_on_http_429: true}");
    let _manager = world.start();
    let wait = Some(Duration::from_secs(40));
    world.receiver.next.lock().push_back(Does::Says(Outcome::Failed("429".to_owned(), wait)));
    world.receiver.next.lock().push_back(Does::Says(Outcome::Failed("500".to_owned(), None)));
    scrape(&world.store, world.began, 60).await;
    world.all_arrived().await;
    let requests = world.receiver.requests.lock().clone();
    let gaps = requests.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(gaps >= Duration::from_secs(35), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_nothing_and_doubles_nothing() {
    let world = World::new("metadata_config: {send: false}, queue_config: {max_samples_per_send: 40, min_shards: 3}");
    let mut manager = world.start();
    for _ in 0..6 {
        // The receiver takes what the sender does not live to hear of, and other requests of that time never arrive.
        scrape(&world.store, world.began, 13).await;
        world.receiver.next.lock().push_back(Does::TakesAndFails);
        scrape(&world.store, world.began, 20).await;
        manager = world.crash(manager).await;
        world.receiver.next.lock().clear();
    }
    scrape(&world.store, world.began, 10).await;
    world.all_arrived().await;
    drop(manager);
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_is_sent_and_survives_a_crash() {
    let world = World::new("");
    let manager = world.start();
    scrape(&world.store, world.began, 30).await;
    world.all_arrived().await;
    // A source that is slow: each of its samples is stored well after its time.
    for i in 0..20 {
        let ts = now(world.began).0;
        world.store.commit(&[(9, 1, ts - 9_000, float(i)), (1, 9, ts - 14_000, float(i)), (1, 1, ts, float(ts))]);
        // One scrape that took long, and the next one.
        world.store.commit(&[(5, 1, ts - 2_500, float(i))]);
        world.store.commit(&[(5, 1, ts, float(i))]);
        sleep(Duration::from_secs(3)).await;
    }
    world.all_arrived().await;
    // Nobody sends meanwhile, and the notes of it are on disk.
    *world.receiver.down.lock() = true;
    let ts = now(world.began).0 - 8_000;
    world.store.commit(&[(9, 1, ts - 100, float(1)), (9, 2, ts - 50_000, float(2)), (8, 3, ts - 3_000_000, float(3))]);
    let manager = world.crash(manager).await;
    *world.receiver.down.lock() = false;
    world.all_arrived().await;
    sleep(Duration::from_secs(30)).await;
    let files = fs::read_dir(world.folder.path().join("remote_write")).unwrap().flatten();
    let files: Vec<_> = files.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten()).collect();
    assert_eq!(files.len(), 1, "the cursor alone: {files:?}");
    drop(manager);
}

#[tokio::test(start_paused = true)]
async fn late_samples_that_are_refused_hold_up_no_others() {
    let world = World::new("");
    let _manager = world.start();
    scrape(&world.store, world.began, 30).await;
    let ts = now(world.began).0;
    // The receiver has newer samples of the first series, and none of the second.
    world.store.commit(&[(1, 1, ts - 20_001, float(1)), (1, 77, ts - 20_001, float(2))]);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(world.receiver.samples.lock().len(), world.store.all().len() - 1);
}

#[tokio::test(start_paused = true)]
async fn more_than_fits_in_memory_is_sent_in_passes() {
    let world = World::new("queue_config: {max_samples_per_send: 500}");
    let manager = world.start();
    for scrape in 0..4 {
        let ts = now(world.began).0;
        let all: Vec<_> = (0..9_000).map(|metric| (1, 10 + metric, ts, float(scrape))).collect();
        world.store.commit(&all);
        sleep(Duration::from_secs(5)).await;
    }
    world.all_arrived().await;
    let manager = world.crash(manager).await;
    world.store.commit(&(0..9_000).map(|metric| (1, 10 + metric, now(world.began).0, float(9))).collect::<Vec<_>>());
    world.all_arrived().await;
    drop(manager);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_not_sent() {
    let world = World::new("queue_config: {sample_age_limit: 1m}");
    let _manager = world.start();
    *world.receiver.down.lock() = true;
    scrape(&world.store, world.began, 300).await;
    let back = now(world.began).0;
    *world.receiver.down.lock() = false;
    sleep(Duration::from_secs(30)).await;
    let samples = world.receiver.samples.lock();
    assert!(samples.len() > 4 * 5 * 40 && samples.keys().all(|(_, ts)| *ts >= back - 61_000), "{}", samples.len());
}

#[tokio::test(start_paused = true)]
async fn histograms_starts_and_exemplars_are_sent_if_asked_for() {
    for (settings, histograms, starts) in [
        ("send_native_histograms: true, send_exemplars: true", 6, 0),
        ("send_exemplars: true", 0, 0),
        ("send_native_histograms: true, send_exemplars: true, protobuf_message: io.prometheus.write.v2.Request", 6, 6),
    ] {
        let world = World::new(settings);
        let _manager = world.start();
        for _ in 0..6 {
            let ts = now(world.began).0;
            world.store.commit(&[(1, 1, ts, Value::Histogram(3.0)), (1, 7, ts, float(2))]);
            let labels = source_labels(1).joined(&Labels::from_pairs([("__name__", "metric_7")]));
            let exemplar =
                Exemplar { labels: Labels::from_pairs([("trace", "x")]), value: 1.0, ts: Timestamp(ts - 500) };
            world.store.exemplars.lock().push((labels, exemplar));
            sleep(Duration::from_secs(4)).await;
        }
        until("all samples", || world.receiver.samples.lock().len() == 6 + histograms).await;
        assert_eq!(world.receiver.starts.lock().len(), starts);
        let mut exemplars: Vec<i64> = world.receiver.exemplars.lock().iter().map(|(_, ts)| *ts).collect();
        let sent = exemplars.len();
        exemplars.sort_unstable();
        exemplars.dedup();
        assert_eq!((sent, exemplars.len()), (6, 6), "each once");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_sends_what_is_there_for_as_long_as_it_may() {
    let world = World::new("queue_config: {batch_send_deadline: 30s}");
    let manager = world.start();
    scrape(&world.store, world.began, 10).await;
    manager.shutdown(Duration::from_secs(60)).await;
    assert_all(&world.store, &world.receiver);
    // The receiver is away: the end does not wait for it, and the next start sends the rest.
    let manager = world.start();
    *world.receiver.down.lock() = true;
    scrape(&world.store, world.began, 10).await;
    let before = Instant::now();
    manager.shutdown(Duration::from_secs(60)).await;
    assert!(before.elapsed() >= Duration::from_secs(60) && before.elapsed() < Duration::from_secs(62));
    *world.receiver.down.lock() = false;
    let _manager = world.start();
    world.all_arrived().await;
}
