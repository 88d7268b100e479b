//! The loop of one remote: what was stored since, window by window, in the order of time.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::RemoteWriteConfig;
use model::{Exemplar, Labels, Querier, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::commits::Commits;
use super::cursor::{Cursor, OpenWindow};
use super::encode::{Encoder, Protocol};
use super::limits;
use super::metrics::RemoteMetrics;
use super::series::SeriesCache;
use super::shards::{self, Shards};
use super::status::Progress;
use super::transport::Transport;
use super::window::{Unread, Wanted, Window};
use super::{ExemplarSource, MetadataSource};
use crate::snappy;

/// How often a failure that goes on is logged.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// How soon a store that cannot be read is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How soon it is looked again whether something is still being stored.
const HELD_AGAIN: Duration = Duration::from_millis(20);
/// No samples are collected for longer than this, and no shorter.
const TICK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// What all remotes have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) commits: Arc<Commits>,
    pub(super) querier: SharedQuerier,
    pub(super) exemplars: Arc<dyn ExemplarSource>,
    pub(super) metadata: Arc<dyn MetadataSource>,
    pub(super) clock: Clock,
}

/// The wall clock, or that of a test.
#[derive(Clone)]
pub(super) struct Clock(pub(super) Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// The store.
#[derive(Clone)]
pub(super) struct SharedQuerier(pub(super) Arc<dyn Querier>);

impl std::fmt::Debug for SharedQuerier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedQuerier").finish_non_exhaustive()
    }
}

/// One section of the configuration at work.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) config: RemoteWriteConfig,
    pub(super) protocol: Protocol,
    pub(super) directory: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) metrics: RemoteMetrics,
    pub(super) progress: Arc<Progress>,
    pub(super) cache: Arc<Mutex<SeriesCache>>,
    pub(super) encoder: Mutex<Encoder>,
    pub(super) shards: Mutex<Shards>,
    /// When the last failure was logged.
    pub(super) said: Mutex<Option<Instant>>,
    /// Begin no request any more.
    pub(super) stop: CancellationToken,
    /// Send what is there, then end.
    pub(super) drain: CancellationToken,
}

/// What changes while a remote works.
#[derive(Debug)]
struct Pace {
    /// How long windows are while it is behind.
    window_ms: i64,
    passes: u64,
    lag_ms: i64,
    /// Exemplars that wait for a sample of their series, with the time since when they do.
    held: Vec<(Timestamp, (Labels, Exemplar))>,
    shards_at: Instant,
    samples_before: u64,
}

/// The remote is to stop before it is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped;

impl Remote {
    /// Sends samples until it is stopped, or until it has sent all there is once it drains.
    pub(super) async fn samples(&self, mut cursor: Cursor) -> Result<(), Stopped> {
        let now = Instant::now();
        let mut pace = Pace {
            window_ms: limits::WINDOW_MS.0.max(self.tick().as_millis() as i64),
            passes: 1,
            lag_ms: self.lag_min_ms(),
            held: Vec::new(),
            shards_at: now,
            samples_before: self.shared.commits.samples(),
        };
        self.note_progress(&cursor, 0);
        self.show_shards();
        loop {
            let began = Instant::now();
            let is_draining = self.drain.is_cancelled();
            let until = self.until(&mut pace, is_draining);
            let is_behind = until.saturating_since(cursor.sent_until) > pace.window_ms;
            self.skip_too_old(&mut cursor);
            let before = cursor.sent_until;
            self.next_window(&mut cursor, &mut pace, until).await?;
            self.send_late().await?;
            self.update_shards(&cursor, &mut pace);
            if is_draining && cursor.sent_until >= until {
                return Ok(());
            }
            // Not at once where something that is being written holds it up.
            let is_held = cursor.sent_until == before;
            if is_draining || is_behind && is_held {
                self.pause(HELD_AGAIN).await?;
            } else if !is_behind {
                tokio::select! {
                    () = tokio::time::sleep_until(began + self.tick()) => {}
                    () = self.stop.cancelled() => return Err(Stopped),
                    () = self.drain.cancelled() => {}
                }
            }
        }
    }

    /// How long samples are collected for.
    fn tick(&self) -> Duration {
        let deadline = Duration::from_millis(self.config.queue_config.batch_send_deadline_ms.max(0).unsigned_abs());
        deadline.clamp(TICK.0, TICK.1)
    }

    fn lag_min_ms(&self) -> i64 {
        limits::LAG_MS.0.min(self.tick().as_millis() as i64)
    }

    /// Up to where may be read now.
    fn until(&self, pace: &mut Pace, is_draining: bool) -> Timestamp {
        let now = self.shared.clock.now();
        if is_draining {
            return now.saturating_add(1);
        }
        // What is late as a rule, as of slow targets, is waited for: then it comes with the rest. Slowly less again.
        let late_ms = self.shared.commits.take_lateness_ms(&self.key);
        let wanted = if late_ms > 0 { pace.lag_ms.saturating_add(late_ms) } else { pace.lag_ms - pace.lag_ms / 50 };
        pace.lag_ms = wanted.clamp(self.lag_min_ms(), limits::LAG_MS.1);
        now.saturating_sub(pace.lag_ms)
    }

    /// Passes over what is older than is to be sent.
    fn skip_too_old(&self, cursor: &mut Cursor) {
        let Some(oldest) = self.oldest().filter(|oldest| cursor.window.is_none() && *oldest > cursor.sent_until) else {
            return;
        };
        tracing::warn!(
            remote_name = self.name, url = self.config.url, from = %cursor.sent_until, to = %oldest,
            "samples older than sample_age_limit are not sent"
        );
        cursor.sent_until = self.shared.commits.advance(&self.key, oldest).min(oldest).max(cursor.sent_until);
        self.keep(cursor, false);
    }

    /// Nothing before this is sent, if there is a limit.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let limit_ms = self.config.queue_config.sample_age_limit_ms;
        (limit_ms > 0).then(|| self.shared.clock.now().saturating_sub(limit_ms))
    }

    /// Reads and sends what is next, if there is anything: the rest of a window that is open, or the next one.
    async fn next_window(&self, cursor: &mut Cursor, pace: &mut Pace, until: Timestamp) -> Result<(), Stopped> {
        if cursor.window.is_none() {
            let end = until.min(cursor.sent_until.saturating_add(pace.window_ms));
            if end <= cursor.sent_until {
                return Ok(());
            }
            // Only then it is read: what comes before it from here on is noted as late.
            let end = self.shared.commits.advance(&self.key, end).min(end);
            if end <= cursor.sent_until {
                return Ok(());
            }
            cursor.window = Some(OpenWindow {
                end,
                exemplars_end: cursor.exemplars,
                passes: pace.passes,
                pass: 0,
                acked: Vec::new(),
            });
        }
        let is_behind = until.saturating_since(cursor.cut()) > 0;
        let mut total = 0;
        while let Some(open) = cursor.window.clone() {
            let began = Instant::now();
            let window = match self.read_open(cursor, &open, pace).await {
                Ok(window) => window,
                Err(Unread::TooLarge) => {
                    Self::shrink(cursor, pace);
                    continue;
                }
                Err(Unread::Store(error)) => {
                    self.failed(&format!("cannot read the store: {}", model::with_causes(&error)));
                    self.pause(READ_AGAIN).await?;
                    continue;
                }
            };
            let busy = began.elapsed();
            total += window.counts().samples as usize;
            // What came late of a series before something of it that is in the window: after the reading, so that it is noted by
            // now, and before the sending, so that it arrives in the order of time.
            self.send_late().await?;
            self.send_open(cursor, &window).await?;
            self.cache.lock().bound();
            if is_behind {
                // At most half of a core reads what is past, so that scrapes and queries do not wait for it.
                self.pause(busy).await?;
            }
        }
        Self::grow(pace, total, is_behind);
        Ok(())
    }

    /// Reads the pass of a window that is open.
    async fn read_open(&self, cursor: &mut Cursor, open: &OpenWindow, pace: &mut Pace) -> Result<Window, Unread> {
        let slots = Some(open.acked.len()).filter(|slots| *slots > 0);
        if open.pass == 0 {
            self.hold_exemplars(cursor, pace, slots.is_some());
        }
        let exemplars = pace.held.iter().map(|(_, one)| one.clone()).collect();
        let mut wanted = self.wanted(cursor.sent_until..open.end);
        if open.passes >= limits::PASSES {
            // It cannot be divided any further; there are no such numbers of samples.
            wanted.samples_max = usize::MAX;
        }
        let wanted = Wanted { passes: open.passes, pass: open.pass, exemplars, slots, ..wanted };
        let window = self.read(wanted).await?;
        let now = self.shared.clock.now();
        let mut left = window.left.iter();
        let mut is_left = || left.next().copied().unwrap_or(true);
        pace.held.retain(|(since, _)| is_left() && now.saturating_since(*since) < limits::EXEMPLAR_MS);
        Ok(window)
    }

    /// A reading of a stretch of time.
    pub(super) fn wanted(&self, range: Range<Timestamp>) -> Wanted {
        Wanted {
            range,
            oldest: self.oldest().unwrap_or(Timestamp::MIN),
            late: None,
            passes: 1,
            pass: 0,
            histograms: self.config.send_native_histograms,
            custom_buckets: self.protocol == Protocol::V2,
            exemplars: Vec::new(),
            samples_max: limits::WINDOW_SAMPLES,
            samples_per_send: self.samples_per_send(),
            slots: None,
        }
    }

    pub(super) fn samples_per_send(&self) -> usize {
        usize::try_from(self.config.queue_config.max_samples_per_send).unwrap_or(0).max(1)
    }

    /// Reads a window, on a thread that may wait for the disk.
    pub(super) async fn read(&self, wanted: Wanted) -> Result<Window, Unread> {
        let (querier, cache) = (self.shared.querier.clone(), Arc::clone(&self.cache));
        let read = move || Window::read(&*querier.0, &cache, &wanted);
        let failed = |error: tokio::task::JoinError| Unread::Store(model::QuerierError::Store(Box::new(error)));
        let window = tokio::task::spawn_blocking(read).await.map_err(failed)??;
        self.metrics.by_rule.add(window.dropped);
        self.metrics.custom_buckets.add(window.custom_buckets);
        Ok(window)
    }

    /// Takes the exemplars that were stored since, or those of a window that is sent again.
    fn hold_exemplars(&self, cursor: &mut Cursor, pace: &mut Pace, again: bool) {
        let Some(open) = cursor.window.as_mut().filter(|_| self.config.send_exemplars) else { return };
        let most = if again { open.exemplars_end.saturating_sub(cursor.exemplars) as usize } else { limits::EXEMPLARS };
        match self.shared.exemplars.exemplars_since(cursor.exemplars, most.min(limits::EXEMPLARS)) {
            Ok((next, found)) => {
                let now = self.shared.clock.now();
                pace.held.extend(found.into_iter().map(|one| (now, one)));
                pace.held.truncate(2 * limits::EXEMPLARS);
                open.exemplars_end = if again { open.exemplars_end } else { next };
            }
            Err(error) => tracing::warn!(remote_name = self.name, %error, "cannot read exemplars; they are sent later"),
        }
    }

    /// Makes a window that is too large to be held a smaller one, of a shorter time or of fewer series at once.
    fn shrink(cursor: &mut Cursor, pace: &mut Pace) {
        let Some(open) = &mut cursor.window else { return };
        let length_ms = open.end.saturating_since(cursor.sent_until);
        // One that is partly sent keeps its time, and its passes are fixed.
        if open.acked.is_empty() && open.pass == 0 && length_ms > limits::WINDOW_MS.0 {
            pace.window_ms = (length_ms / 2).max(limits::WINDOW_MS.0);
            open.end = cursor.sent_until.saturating_add(pace.window_ms);
            return;
        }
        // The series of a pass are divided among as many passes more.
        open.pass *= 2;
        open.passes *= 2;
        open.acked.clear();
        pace.passes = open.passes;
    }

    fn grow(pace: &mut Pace, samples: usize, is_behind: bool) {
        if samples < limits::WINDOW_SAMPLES / 4 {
            pace.passes = (pace.passes / 2).max(1);
            if is_behind {
                pace.window_ms = (pace.window_ms * 2).min(limits::WINDOW_MS.1);
            }
        }
    }

    fn update_shards(&self, cursor: &Cursor, pace: &mut Pace) {
        let elapsed = pace.shards_at.elapsed();
        if elapsed < shards::EVERY {
            return;
        }
        let samples = self.shared.commits.samples();
        let newest = self.shared.commits.highest().unwrap_or(cursor.sent_until).min(self.shared.clock.now());
        let mut shards = self.shards.lock();
        shards.came(samples - std::mem::replace(&mut pace.samples_before, samples));
        shards.update(elapsed, newest.saturating_since(cursor.sent_until).max(0) as f64 / 1000.0);
        pace.shards_at = Instant::now();
        drop(shards);
        self.show_shards();
    }

    fn show_shards(&self) {
        let shards = self.shards.lock();
        self.metrics.shards.set(shards.current as f64);
        self.metrics.shards_desired.set(shards.desired);
        self.progress.update(|state| {
            state.came_per_second = shards.came_per_second();
            state.sent_per_second = shards.sent_per_second();
            state.shards = shards.current;
        });
    }

    /// Tells how far it is, with so many samples read that are not acknowledged.
    pub(super) fn note_progress(&self, cursor: &Cursor, pending: u64) {
        self.progress.update(|state| {
            state.sent_until = cursor.sent_until;
            state.read_until = cursor.cut();
            state.pending = pending;
        });
    }

    /// Writes the cursor down.
    pub(super) fn keep(&self, cursor: &Cursor, sync: bool) {
        if let Err(error) = cursor.store(&self.directory, &self.config.url, sync) {
            let text =
                format!("cannot write {}: {error}; samples are sent again after a restart", self.directory.display());
            self.failed(&text);
        }
    }

    /// Waits, unless the remote is to stop.
    pub(super) async fn pause(&self, pause: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stop.cancelled() => Err(Stopped),
        }
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(&self.config.queue_config)
    }

    /// A message as it is sent. `None` where it is too large for the compression, 4 GiB.
    pub(super) fn compressed(&self, message: &[u8]) -> Option<Bytes> {
        match snappy::encoded(message) {
            Ok(body) => Some(body.into()),
            Err(error) => {
                self.refused("samples", 0, &format!("cannot compress a request: {error}"));
                None
            }
        }
    }

    /// Something failed that is tried again: said now and then.
    pub(super) fn failed(&self, message: &str) {
        self.note_error(message);
        let mut said = self.said.lock();
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
            tracing::warn!(
                remote_name = self.name,
                url = self.config.url,
                err = message,
                "Failed to send batch, retrying"
            );
        }
    }

    /// The receiver refused so many of something, which are lost to it.
    pub(super) fn refused(&self, what: &str, n: u64, message: &str) {
        self.note_error(message);
        tracing::error!(
            remote_name = self.name,
            url = self.config.url,
            what,
            n,
            err = message,
            "non-recoverable error, the receiver refused a request"
        );
    }

    fn note_error(&self, message: &str) {
        let now = self.shared.clock.now();
        self.progress.update(|state| state.last_error = Some((message.to_owned(), now)));
    }
}
