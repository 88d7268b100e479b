//! The scrape loop of one target: waits for the next tick, fetches, and passes the body on to be appended. Step 3 of the
//! scrape path.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http_client::Connection;
use model::{Appender, Timestamp, with_causes};
use parking_lot::Mutex;
use prometheus::Histogram;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::failure_log::FailureLogs;
use crate::fetch::{FetchError, Room};
use crate::job_settings::JobSettings;
use crate::lost::Lost;
use crate::metadata::MetadataCache;
use crate::metrics::Metrics;
use crate::request::Request;
use crate::schedule::{TickTimes, aligned, until_next_ns};
use crate::scrape_append::{Fetched, Limit, Outcome, ScrapeAppend};
use crate::scrape_cache::ScrapeCache;
use crate::staleness_handover::{HandedOver, HandoverSlot, Handovers};
use crate::target::Target;
use crate::threads::{READ_HERE_BYTES, Threads, Turn};

/// Bodies above this size, and those of targets whose last one took longer than that, are read by few workers.
const VERY_LARGE_BYTES: usize = 16 << 20;
const SLOW_WORK: Duration = Duration::from_millis(100);

/// Where reading a body takes longer than that, a worker reads the target's next one, whatever its size.
const READ_HERE_FOR: Duration = Duration::from_millis(5);

/// A target whose turn comes within this, or within a quarter of its interval, waits for it.
const AT_ONCE_APART_MAX: Duration = Duration::from_secs(2);

/// How far two readings of the wall clock may be apart from what was between them.
const CLOCK_GRAIN: Duration = Duration::from_millis(2);

/// The mode of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Scrape.
    Run,
    /// The target is gone. It scrapes no more; two ticks and a tenth of the interval later its series are marked stale, as of
    /// the first of these ticks, unless another goes on with them. `Run` before that takes it back.
    End,
    /// End after a scrape that is under way, without markers: another loop takes over.
    Stop,
    /// End at once: the server shuts down.
    Abort,
}

/// The state that all loops of a server share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) metrics: Metrics,
    pub(crate) threads: Arc<Threads>,
    pub(crate) workers: Workers,
    pub(crate) room: Room,
    pub(crate) failure_logs: FailureLogs,
    pub(crate) handovers: Handovers,
    pub(crate) lost: Arc<Lost>,
    /// The wall clock.
    pub(crate) now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// An instant, and what the wall clock said then.
    pub(crate) known: (Instant, Timestamp),
    /// Of the offsets at which targets are scraped; from [`crate::server_seed`].
    pub(crate) seed: Arc<AtomicU64>,
    /// [`crate::Options::at_once_after`].
    pub(crate) at_once_after: Option<Duration>,
}

/// Who may do work that is too long for the threads that scrape: as much at once as there are cores, and half of that for what
/// takes very long, so that it does not hold up the rest.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    any: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

impl Workers {
    pub(crate) fn new(cores: usize) -> Self {
        Self { any: Arc::new(Semaphore::new(cores)), slow: Arc::new(Semaphore::new(cores.div_ceil(2))) }
    }

    /// Waits for a worker for a body of that size, of a target whose last one took so long; none once the server ends.
    async fn for_body(&self, bytes: usize, last_work: Duration) -> Option<OwnedSemaphorePermit> {
        let slow = bytes > VERY_LARGE_BYTES || last_work > SLOW_WORK;
        let workers = if slow { &self.slow } else { &self.any };
        Arc::clone(workers).acquire_owned().await.ok()
    }
}

/// How a target is doing.
#[derive(Clone, Debug, Default)]
pub struct TargetStatus {
    /// Did the last scrape succeed? `None` before the first.
    pub up: Option<bool>,
    /// Why not, or why nothing of it was stored; otherwise empty.
    pub last_error: String,
    /// When it began.
    pub last_scrape: Option<Timestamp>,
    /// How long it took, seconds.
    pub last_duration_s: f64,
    /// How many samples of new series a limit left out of it.
    pub over_limit: usize,
    /// HELP and TYPE of the target's families.
    pub metadata: Arc<MetadataCache>,
}

/// One target's loop.
pub(crate) struct ScrapeLoop {
    pub(crate) turn: Turn,
    pub(crate) target: Arc<Target>,
    pub(crate) job: Arc<JobSettings>,
    pub(crate) shared: Shared,
    pub(crate) status: Arc<Mutex<TargetStatus>>,
    pub(crate) cache: ScrapeCache,
    pub(crate) connection: Connection,
    /// The request, the same for every scrape; made for the first one.
    pub(crate) request: Option<Request>,
    /// How large the last body was.
    pub(crate) last_body: usize,
    /// How long the last body took to read and store.
    pub(crate) last_work: Duration,
    /// The store left out samples of the last scrape.
    pub(crate) leaves_out: bool,
    /// When the last scrape began, and where it is noted how long before the next that was.
    pub(crate) length: (Option<Instant>, Histogram),
    /// How long to wait for a scrape beside the target's turn, if it is to have one.
    pub(crate) first_scrape: Option<Duration>,
    /// While it scrapes.
    pub(crate) handover: Option<HandoverSlot>,
    pub(crate) mode: watch::Receiver<Mode>,
}

impl ScrapeLoop {
    /// Scrapes until its mode changes; returns the cache for a loop that takes over.
    pub(crate) async fn run(mut self) -> ScrapeCache {
        let interval = Duration::from_millis(self.target.interval_ms.unsigned_abs());
        let start = self.first_start();
        self.scrape_at_once(start).await;
        let mut ticks = interval_at(start, interval);
        // After a suspended process one scrape comes late, not a burst of all that were missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut times = TickTimes::new(start);
        // The time of the stale markers, once a tick came after the target was gone.
        // Taken back: a later removal begins to wait anew.
        let mut markers_at = None;
        loop {
            let scrapes = self.handover.is_some();
            let (mode, due) = tokio::select! {
                // A change of mode wins over a tick that is due at the same moment.
                biased;
                mode = mode_change(&mut self.mode, scrapes) => (mode, None),
                due = ticks.tick() => (*self.mode.borrow_and_update(), Some(due)),
            };
            let tick = due.map(|due| times.of(due, self.shared.now.as_ref()));
            match mode {
                Mode::Run => {
                    markers_at = None;
                    if let Some(tick) = tick {
                        self.scrape(tick).await;
                    }
                }
                Mode::Stop | Mode::Abort => return self.cache,
                // Another loop has the series now; it writes the stale markers.
                Mode::End if self.is_followed() => return self.cache,
                Mode::End => match (tick, markers_at) {
                    (None, _) => {}
                    (Some(tick), None) => markers_at = Some(self.aligned((self.shared.now)(), tick)),
                    (Some(_), Some(markers_at)) => {
                        // As upstream's `endOfRunStaleness`: after two intervals and a tenth, so that a target that
                        // moves to another server is seen there before its series end here.
                        if self.ends(interval / 10, markers_at).await {
                            return self.cache;
                        }
                    }
                },
            }
        }
    }

    /// Scrapes a new target before its first turn, unless that comes soon.
    async fn scrape_at_once(&mut self, turn: Instant) {
        let Some(wait) = self.first_scrape.take() else { return };
        let interval = Duration::from_millis(self.target.interval_ms.unsigned_abs());
        // Two scrapes that nearly coincide would tell a rate over a moment.
        if turn <= Instant::now() + wait + (interval / 4).min(AT_ONCE_APART_MAX) {
            return;
        }
        let mut mode = self.mode.clone();
        let is_left = tokio::select! {
            () = sleep(wait) => false,
            // The target is gone, or the server ends: the loop sees it next.
            () = left(&mut mode) => true,
        };
        if !is_left {
            let now = (self.shared.now)();
            self.scrape(now).await;
        }
    }

    /// Two ticks came since the target was gone. Waits a little more, for one that just began, and marks its series; false
    /// when it was taken back meanwhile.
    async fn ends(&mut self, wait: Duration, markers_at: Timestamp) -> bool {
        tokio::select! {
            () = sleep(wait) => {}
            () = kept(&mut self.mode) => return *self.mode.borrow() != Mode::Run,
        }
        if !self.is_followed() {
            self.mark_ended(markers_at).await;
        }
        *self.mode.borrow() != Mode::Run
    }

    /// The target's next turn. Turns at one time are at one instant, as exact as the clock of the wall lets that be known.
    fn first_start(&self) -> Instant {
        // Offsets count from the epoch, not from the start: they survive restarts.
        let ns = |ms: i64| ms.unsigned_abs() * 1_000_000;
        let now_ns = ns((self.shared.now)().0);
        let wait_ns = until_next_ns(now_ns, ns(self.target.interval_ms), self.turn.offset_ns);
        let start = Instant::now() + Duration::from_nanos(wait_ns);
        let (then, wall_then) = self.shared.known;
        // The same turn from one common reading of both clocks: all targets of a slot get the very same instant and
        // are polled together.
        let same = then + Duration::from_nanos((now_ns + wait_ns).saturating_sub(ns(wall_then.0)));
        // Unless it was set since.
        if start.max(same) - start.min(same) <= CLOCK_GRAIN { same } else { start }
    }

    fn aligned(&self, began: Timestamp, tick: Timestamp) -> Timestamp {
        aligned(began, tick, self.target.interval_ms)
    }

    /// The target is gone. Leaves its series to a loop that has the same, or has nothing to leave: then it is over.
    fn is_followed(&mut self) -> bool {
        self.take_over();
        self.handover = None;
        if self.cache.is_blank() {
            return true;
        }
        let blank = ScrapeCache::new(self.target.public.clone());
        let cache = std::mem::replace(&mut self.cache, blank);
        let handed_over = HandedOver { cache, rules: self.job.same_rules.clone() };
        match self.shared.handovers.hand_over(&self.target.public, handed_over) {
            Some(handed_over) => {
                self.cache = handed_over.cache;
                false
            }
            None => true,
        }
    }

    /// Takes what loops left whose targets are gone.
    fn take_over(&mut self) {
        // Lines that are known are not checked again, and may have more labels than this target.
        let (_, label_limit) = self.job.lowered_limits(&self.target);
        for handed_over in self.handover.as_ref().map(HandoverSlot::take).unwrap_or_default() {
            let is_same = label_limit.is_none() && handed_over.rules == self.job.same_rules;
            self.cache.adopt(handed_over.cache, is_same);
        }
    }

    async fn scrape(&mut self, tick: Timestamp) {
        // One that was taken back.
        self.handover.get_or_insert_with(|| self.shared.handovers.enter(&self.target.public));
        self.take_over();
        let wall_began = (self.shared.now)();
        let ts = self.aligned(wall_began, tick);
        let began = Instant::now();
        if let Some(last) = self.length.0.replace(began) {
            self.length.1.observe(began.duration_since(last).as_secs_f64());
        }
        let mut mode = self.mode.clone();
        let fetched = tokio::select! {
            fetched = self.fetch() => fetched,
            () = aborted(&mut mode) => return,
        };
        let (fetched, worker) = self.worker(fetched).await;
        let mut work = ScrapeAppend {
            cache: std::mem::replace(&mut self.cache, ScrapeCache::new(self.target.public.clone())),
            target: Arc::clone(&self.target),
            job: Arc::clone(&self.job),
            appender: Arc::clone(&self.shared.appender),
            fetched,
            ts,
            wall_began,
            began,
        };
        // The cache moves into the job and comes back with it: no lock is held while a body is parsed.
        let run = move || {
            let working = Instant::now();
            let outcome = work.run();
            (work, outcome, working.elapsed())
        };
        // A panic in there would be a bug of ours; the target goes on with a fresh cache.
        let done = match worker {
            None => catch_unwind(AssertUnwindSafe(run)).ok(),
            Some(_worker) => tokio::task::spawn_blocking(run).await.ok(),
        };
        let Some((work, outcome, last_work)) = done else {
            tracing::error!(target = %self.target.url, "the scrape of a target failed inside Weft; this is a bug");
            return;
        };
        self.cache = work.cache;
        if let Ok(fetched) = work.fetched {
            (self.last_body, self.last_work) = (fetched.body.bytes.len(), last_work);
            self.shared.room.keep_buffer(fetched.body.bytes);
        }
        self.settle(wall_began, began.elapsed(), outcome);
    }

    /// Waits for a worker where the body is large or the last one took long. It can still be ended meanwhile.
    async fn worker(
        &self,
        fetched: Result<Fetched, FetchError>,
    ) -> (Result<Fetched, FetchError>, Option<OwnedSemaphorePermit>) {
        let mut fetched = match fetched {
            Ok(fetched) if fetched.body.bytes.len() > READ_HERE_BYTES || self.last_work > READ_HERE_FOR => fetched,
            small => return (small, None),
        };
        let bytes = fetched.body.bytes.len();
        match fetched.body.reservation.or_evicted(self.shared.workers.for_body(bytes, self.last_work)).await {
            Ok(worker) => {
                fetched.body.reservation.parse();
                (Ok(fetched), worker)
            }
            Err(evicted) => (Err(evicted.into()), None),
        }
    }

    async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let request = self.request.get_or_insert_with(|| Request::new(&self.target, &self.job));
        let room = (&self.shared.room, self.last_body);
        let (content_type, body) = request.send((&self.target, &self.job), &mut self.connection, room).await?;
        let format = request.format(content_type, &body, self.job.fallback)?;
        Ok(Fetched { format, wanted: request.wanted, body })
    }

    async fn mark_ended(&mut self, ts: Timestamp) {
        let mut cache = std::mem::replace(&mut self.cache, ScrapeCache::new(self.target.public.clone()));
        let appender = Arc::clone(&self.shared.appender);
        let track = self.job.rules.track_timestamps_staleness;
        // Many targets may go at once.
        let _worker = self.shared.workers.for_body(0, Duration::ZERO).await;
        let ended = tokio::task::spawn_blocking(move || {
            let result = cache.end(appender.as_ref(), ts, track);
            (cache, result)
        });
        if let Ok((cache, result)) = ended.await {
            self.cache = cache;
            if let Err(error) = result {
                tracing::warn!(target = %self.target.url, error = %with_causes(&error), "cannot mark the series of a removed target stale");
            }
        }
    }

    fn settle(&mut self, began: Timestamp, took: Duration, outcome: Outcome) {
        let metrics = &self.shared.metrics;
        metrics.duration.observe(took.as_secs_f64());
        metrics.duplicate.inc_by(outcome.counts.duplicate as u64 + u64::from(outcome.committed.duplicate));
        metrics.out_of_bounds.inc_by(outcome.counts.out_of_bounds as u64 + u64::from(outcome.committed.too_old));
        metrics.out_of_order.inc_by(outcome.counts.out_of_order as u64 + u64::from(outcome.committed.out_of_order));
        metrics.late_exemplars.inc_by(u64::from(outcome.committed.late_exemplars));
        metrics.native_histograms.inc_by(outcome.counts.native_histograms as u64);
        // Of a scrape that fails nothing is left out: none of it is stored.
        let over_limit = if outcome.limit.is_some() { 0 } else { outcome.counts.over_limit };
        metrics.over_limit.inc_by(over_limit as u64);
        metrics.store_failures.inc_by(u64::from(outcome.not_stored));
        match outcome.limit {
            Some(Limit::Samples) => metrics.exceeded_sample_limit.inc(),
            Some(Limit::Body) => metrics.exceeded_body_size_limit.inc(),
            Some(Limit::Labels) => metrics.exceeded_label_limits.inc(),
            Some(Limit::Buckets) => metrics.exceeded_bucket_limit.inc(),
            Some(Limit::Memory) => metrics.evicted.inc(),
            None => {}
        }
        let left_out = outcome.committed.out_of_order + outcome.committed.duplicate + outcome.committed.too_old > 0;
        // Not at each scrape: a clock that is wrong is so for all targets, and for long.
        if left_out && !self.leaves_out {
            tracing::warn!(
                target = %self.target.url,
                out_of_order = outcome.committed.out_of_order,
                duplicate = outcome.committed.duplicate,
                too_old = outcome.committed.too_old,
                "samples of a scrape were left out; later ones are counted only, until a scrape is stored as a whole"
            );
        }
        self.leaves_out = left_out;
        let mut status = self.status.lock();
        if outcome.not_stored && outcome.error != status.last_error {
            tracing::error!(target = %self.target.url, error = %outcome.error, "the samples of a scrape are lost");
        } else if outcome.error != status.last_error && !outcome.error.is_empty() {
            tracing::debug!(target = %self.target.url, error = %outcome.error, "scrape failed");
        }
        status.up = Some(outcome.error.is_empty());
        status.last_error = if outcome.error.is_empty() { outcome.nothing_stored } else { outcome.error };
        status.last_scrape = Some(began);
        status.over_limit = over_limit;
        status.last_duration_s = took.as_secs_f64();
        if status.metadata.generation() != self.cache.metadata.generation() {
            status.metadata = Arc::new(self.cache.metadata.clone());
        }
    }
}

/// Waits for a mode that ends the wait for the next tick. A loop whose pool is gone stops.
async fn mode_change(mode: &mut watch::Receiver<Mode>, scrapes: bool) -> Mode {
    let ends = |mode: &Mode| matches!(mode, Mode::Stop | Mode::Abort) || scrapes && *mode == Mode::End;
    mode.wait_for(ends).await.map_or(Mode::Stop, |mode| *mode)
}

/// Waits until the mode is no longer `End`.
async fn kept(mode: &mut watch::Receiver<Mode>) {
    drop(mode.wait_for(|mode| *mode != Mode::End).await);
}

/// Waits until the mode is another one than `Run`.
async fn left(mode: &mut watch::Receiver<Mode>) {
    drop(mode.wait_for(|mode| *mode != Mode::Run).await);
}

async fn aborted(mode: &mut watch::Receiver<Mode>) {
    drop(mode.wait_for(|mode| *mode == Mode::Abort).await);
}

#[cfg(test)]
mod tests;
