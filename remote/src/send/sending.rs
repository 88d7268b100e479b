//! The requests of a window: some at once, each again until the receiver has taken or refused it.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use model::Timestamp;
use tokio::time::Instant;

use super::cursor::Cursor;
use super::encode::Protocol;
use super::remote::{Remote, Stopped};
use super::transport::Outcome;
use super::window::{Counts, Piece, Window};

/// Series of a refused request that are logged with `failed_request_logging`.
const LOGGED: usize = 10;

/// What became of a request in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The receiver has it, or it became too old.
    Taken,
    Refused,
}

impl Remote {
    /// Sends the slots of the open window that are not acknowledged, and moves the cursor on.
    pub(super) async fn send_open(&self, cursor: &mut Cursor, window: &Window) -> Result<(), Stopped> {
        let Some(open) = &mut cursor.window else { return Ok(()) };
        if open.acked.len() != window.n_slots() {
            open.acked = vec![false; window.n_slots()];
        }
        let todo: Vec<usize> = (0..window.n_slots()).filter(|slot| !open.acked[*slot]).collect();
        if !window.is_empty() {
            // Before the first request: after a crash each is sent as it is now.
            self.keep(cursor, true);
            let shards = self.shards.lock().current;
            let mut left = window.counts();
            self.metrics.set_pending(left);
            let mut sending = stream::iter(todo)
                .map(|slot| async move { (slot, self.send_slot(window, slot).await) })
                .buffer_unordered(shards);
            while let Some((slot, sent)) = sending.next().await {
                let counts = sent?;
                left = left.less(counts);
                self.metrics.set_pending(left);
                if let Some(open) = &mut cursor.window {
                    open.acked[slot] = true;
                }
                self.keep(cursor, false);
                self.note_progress(cursor, left.samples + left.histograms);
            }
        }
        self.finish_pass(cursor);
        self.metrics.set_pending(Counts::default());
        self.note_progress(cursor, 0);
        Ok(())
    }

    fn finish_pass(&self, cursor: &mut Cursor) {
        let Some(open) = &mut cursor.window else { return };
        open.pass += 1;
        open.acked.clear();
        if open.pass >= open.passes {
            (cursor.sent_until, cursor.exemplars) = (open.end, open.exemplars_end);
            cursor.window = None;
        }
        self.keep(cursor, false);
    }

    /// Sends the requests of a slot one after another; what they had.
    async fn send_slot(&self, window: &Window, slot: usize) -> Result<Counts, Stopped> {
        let mut all = Counts::default();
        for pieces in window.requests(slot, self.samples_per_send()) {
            all = all.plus(window.counts_of(&pieces).0);
            self.deliver(window, &pieces).await?;
        }
        Ok(all)
    }

    /// Sends some pieces of a window until they are taken or refused.
    pub(super) async fn deliver(&self, window: &Window, pieces: &[Piece]) -> Result<Delivered, Stopped> {
        let mut pieces = Cow::Borrowed(pieces);
        let mut backoff = self.backoff();
        let mut body = None;
        for attempt in 0.. {
            if self.stop.is_cancelled() {
                return Err(Stopped);
            }
            if let Some(newer) = self.oldest().and_then(|oldest| window.without_older(&pieces, oldest)) {
                let (before, after) = (window.counts_of(&pieces).0, window.counts_of(&newer).0);
                self.metrics.too_old.add(before.less(after));
                (pieces, body) = (Cow::Owned(newer), None);
            }
            if pieces.is_empty() {
                break;
            }
            let Some(sent) = body.take().or_else(|| self.body(window, &pieces)) else { return Ok(Delivered::Refused) };
            match self.attempt(&sent, window.counts_of(&pieces), attempt).await {
                ControlFlow::Break(Delivered::Refused) => {
                    self.log_refused(window, &pieces);
                    return Ok(Delivered::Refused);
                }
                ControlFlow::Break(delivered) => return Ok(delivered),
                ControlFlow::Continue(retry_after) => self.pause(backoff.pause(retry_after)).await?,
            }
            body = Some(sent);
        }
        Ok(Delivered::Taken)
    }

    fn body(&self, window: &Window, pieces: &[Piece]) -> Option<Bytes> {
        let message = self.encoder.lock().request(self.protocol, (window, pieces), &mut self.cache.lock());
        self.compressed(&message)
    }

    /// One attempt; whether to try again, and when the receiver asks for that.
    async fn attempt(
        &self,
        body: &Bytes,
        (counts, newest): (Counts, Timestamp),
        attempt: u32,
    ) -> ControlFlow<Delivered, Option<Duration>> {
        let (began, metrics) = (Instant::now(), &self.metrics);
        let outcome = self.transport.post(body.clone(), self.protocol, attempt).await;
        let took = began.elapsed();
        metrics.durations.observe(took.as_secs_f64());
        match outcome {
            Outcome::Failed(message, retry_after) => {
                metrics.retried.add(counts);
                self.failed(&message);
                return ControlFlow::Continue(retry_after);
            }
            Outcome::Refused(message, written) => {
                metrics.sent.add(counts);
                metrics.failed.add(counts.less(written.unwrap_or_default()));
                self.refused("samples", counts.samples + counts.histograms, &message);
                return ControlFlow::Break(Delivered::Refused);
            }
            Outcome::Accepted(None) if self.protocol == Protocol::V2 => {
                // As a receiver does that knows version 1.0 alone and does not look at the Content-Type.
                metrics.sent.add(counts);
                metrics.failed.add(counts);
                let text =
                    "it does not say that anything was written; the receiver may support prometheus.WriteRequest only";
                self.refused("samples", counts.samples + counts.histograms, text);
                return ControlFlow::Break(Delivered::Refused);
            }
            Outcome::Accepted(written) => {
                let missing = written.map_or(Counts::default(), |written| counts.less(written));
                metrics.sent.add(counts);
                metrics.failed.add(missing);
                metrics.bytes.inc_by(body.len() as u64);
                if missing.samples + missing.histograms > 0 {
                    self.refused(
                        "samples",
                        missing.samples + missing.histograms,
                        "the receiver took a request and wrote less of it",
                    );
                }
            }
        }
        self.shards.lock().sent(counts.samples + counts.histograms, took);
        if newest.as_seconds() > metrics.highest_sent.get() {
            metrics.highest_sent.set(newest.as_seconds());
        }
        *self.said.lock() = None;
        ControlFlow::Break(Delivered::Taken)
    }

    fn log_refused(&self, window: &Window, pieces: &[Piece]) {
        if !self.config.failed_request_logging {
            return;
        }
        let cache = self.cache.lock();
        for piece in pieces.iter().take(LOGGED) {
            let series = cache.shown(window.series(piece));
            tracing::warn!(remote_name = self.name, series, n = pieces.len(), "a series of the refused request");
        }
    }
}
