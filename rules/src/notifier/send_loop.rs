//! Sends what one receiver is to get, batch after batch, and again what failed.
//!
//! Every receiver has a loop of its own, so that one which hangs delays no other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use url::Url;

use super::backoff::Backoff;
use super::delivery::{Delivery, Outcome};
use super::metrics::ReceiverMetrics;

/// What an outbox has for its loop.
pub(super) enum Next<B> {
    /// A request to send now.
    Send {
        /// What the outbox wants back when the outcome is known.
        batch: B,
        /// JSON.
        body: Bytes,
        /// How many alerts that is.
        alerts: usize,
    },
    /// Nothing before this time, unless the outbox is woken.
    At(Instant),
    /// Nothing until the outbox is woken.
    Nothing,
}

/// What waits to be sent to one receiver.
pub(super) trait Outbox: Send + Sync + 'static {
    /// What one request holds.
    type Batch: Send;

    /// What to send next. Where the loop `ends`, nothing waits for its time.
    fn next(&self, ends: bool) -> Next<Self::Batch>;

    /// The receiver has it.
    fn accepted(&self, batch: Self::Batch);

    /// The receiver does not want it: it is not sent again as it is.
    fn refused(&self, batch: Self::Batch);

    /// It is to be sent again.
    fn failed(&self, batch: Self::Batch);

    /// Forgets everything; how many alerts were never sent.
    fn clear(&self) -> usize;

    /// Signals that there may be something to send.
    fn woken(&self) -> &Notify;

    /// The metrics of the receiver.
    fn metrics(&self) -> &ReceiverMetrics;
}

/// Ends a loop: at this time at the latest, and before as soon as all is sent.
pub(super) type Stop = watch::Sender<Option<Instant>>;

/// The loop of one receiver.
pub(super) struct SendLoop<O> {
    outbox: Arc<O>,
    delivery: Arc<Delivery>,
    url: Url,
    /// What the receiver is called in logs.
    receiver: String,
    stop: watch::Receiver<Option<Instant>>,
    backoff: Backoff,
    /// Why requests fail at the moment.
    failing: Option<String>,
}

impl<O: Outbox> SendLoop<O> {
    /// A loop, and what ends it.
    pub(super) fn new(outbox: Arc<O>, delivery: Arc<Delivery>, (url, receiver): (Url, String)) -> (Self, Stop) {
        let (stop, stopped) = watch::channel(None);
        let backoff = Backoff::default();
        (Self { outbox, delivery, url, receiver, stop: stopped, backoff, failing: None }, stop)
    }

    pub(super) async fn run(mut self) {
        loop {
            let deadline = *self.stop.borrow_and_update();
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            match self.outbox.next(deadline.is_some()) {
                Next::Send { batch, body, alerts } => {
                    if let Some(pause) = self.send(batch, body, alerts).await {
                        self.rest(pause, deadline).await;
                    }
                }
                Next::At(_) | Next::Nothing if deadline.is_some() => break,
                Next::At(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.outbox.woken().notified() => {}
                        Ok(()) = self.stop.changed() => {}
                        else => break,
                    }
                }
                Next::Nothing => {
                    tokio::select! {
                        () = self.outbox.woken().notified() => {}
                        Ok(()) = self.stop.changed() => {}
                        else => break,
                    }
                }
            }
        }
        let left = self.outbox.clear();
        if left > 0 {
            self.outbox.metrics().dropped.inc_by(left as u64);
            tracing::warn!(alertmanager = %self.receiver, count = left, "alerts dropped: not sent before the end");
        }
    }

    /// Sends one request; returns a pause if it failed.
    async fn send(&mut self, batch: O::Batch, body: Bytes, alerts: usize) -> Option<Duration> {
        let began = Instant::now();
        let outcome = tokio::select! {
            outcome = self.delivery.post(&self.url, body) => outcome,
            // What is under way at the deadline counts as not sent.
            () = passed(self.stop.clone()) => Outcome::Failed("the server ends".to_owned(), None),
        };
        let metrics = self.outbox.metrics();
        let count = alerts as u64;
        match outcome {
            Outcome::Accepted => {
                metrics.sent.inc_by(count);
                let took = began.elapsed().as_secs_f64();
                metrics.latency.observe(took);
                metrics.latency_histogram.observe(took);
                self.outbox.accepted(batch);
                self.backoff.reset();
                if self.failing.take().is_some() {
                    tracing::info!(alertmanager = %self.receiver, "alerts are sent again");
                }
                None
            }
            Outcome::Refused(why) => {
                metrics.errors.inc_by(count);
                metrics.dropped.inc_by(count);
                tracing::error!(alertmanager = %self.receiver, count, err = %why, "alerts dropped: refused");
                self.outbox.refused(batch);
                self.backoff.reset();
                None
            }
            Outcome::Failed(why, retry_after) => {
                metrics.errors.inc_by(count);
                // Once a reason: a receiver that is away for a day fails thousands of times.
                if self.failing.as_ref() != Some(&why) {
                    tracing::error!(alertmanager = %self.receiver, count, err = %why, "cannot send alerts, will retry");
                    self.failing = Some(why);
                }
                self.outbox.failed(batch);
                Some(self.backoff.next(retry_after))
            }
        }
    }

    /// Waits before the next attempt. The beginning of the end cuts it short, as there may not be another chance.
    async fn rest(&mut self, pause: Duration, deadline: Option<Instant>) {
        let until = Instant::now() + pause;
        let until = deadline.map_or(until, |deadline| until.min(deadline));
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            Ok(()) = self.stop.changed() => {}
        }
    }
}

/// Waits until the deadline has passed.
async fn passed(mut stop: watch::Receiver<Option<Instant>>) {
    loop {
        let deadline = *stop.borrow_and_update();
        match deadline {
            Some(deadline) => return tokio::time::sleep_until(deadline).await,
            // Without a sender the task itself is about to be dropped.
            None if stop.changed().await.is_err() => std::future::pending().await,
            None => {}
        }
    }
}
