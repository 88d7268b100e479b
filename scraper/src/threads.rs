//! The scrape threads. Each runs the whole scrape of the targets assigned to it, but for large bodies: handing a body to another thread and waking
//! up again costs more than parsing a small one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use crate::schedule::{offset_ns, slot_ns};

/// Bodies up to this size are read on the thread that fetched them, bytes: less than a millisecond's work.
pub(crate) const READ_HERE_BYTES: usize = 256 << 10;

/// How often each thread says that it goes on.
const BEAT: Duration = Duration::from_secs(5);

/// Runtimes of one thread each; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads {
    handles: Vec<Handle>,
    /// When each was last seen to go on, milliseconds since `began`.
    beats: Arc<[AtomicU64]>,
    began: Instant,
    _running: Vec<oneshot::Sender<()>>,
    /// Scrapes in 1000 seconds.
    scrapes: AtomicU64,
}

/// The slot of a target, as long as this is held.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The offset from the start of the interval.
    pub(crate) offset_ns: u64,
    scrapes: u64,
    of: Arc<Threads>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.scrapes.fetch_sub(self.scrapes, Ordering::Relaxed);
    }
}

impl Threads {
    /// Starts `count` threads; with 0, scrapes run on the caller's runtime.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        Self::start_with(count, BEAT)
    }

    fn start_with(count: usize, every: Duration) -> std::io::Result<Self> {
        let (beats, began): (Arc<[AtomicU64]>, _) = ((0..count).map(|_| AtomicU64::new(0)).collect(), Instant::now());
        let (mut handles, mut running) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for i in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (sender, ended) = oneshot::channel::<()>();
            handles.push(runtime.handle().clone());
            // Dropping the sender ends the thread: no message is ever sent.
            running.push(sender);
            let beats = Arc::clone(&beats);
            thread::Builder::new().name(format!("scrape-{i}")).spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        // An error says that the sender is gone, which is the end.
                        _ = ended => (),
                        () = beat(&beats[i], began, every) => (),
                    }
                });
                // What still reads a large body ends by itself.
                runtime.shutdown_background();
            })?;
        }
        Ok(Self { handles, beats, began, _running: running, scrapes: AtomicU64::new(0) })
    }

    /// How long ago the thread that was longest silent was last seen to go on. One that is stuck, in a write that does not return or
    /// in a loop, scrapes none of its targets any more.
    pub(crate) fn silent_for(&self) -> Duration {
        let now = millis(self.began);
        let oldest = self.beats.iter().map(|beat| beat.load(Ordering::Relaxed)).min();
        Duration::from_millis(oldest.map_or(0, |beat| now.saturating_sub(beat)))
    }

    /// Assigns a target to a slot and a thread.
    pub(crate) fn turn(self: &Arc<Self>, (hash, seed): (u64, u64), interval_ms: i64) -> (Turn, Handle) {
        // At least 1, because offset and rate below divide by it.
        let interval_ms = interval_ms.unsigned_abs().max(1);
        let (scrapes, interval_ns) = (1_000_000 / interval_ms, interval_ms * 1_000_000);
        // The count only chooses the width of slots, so no ordering with other memory is needed.
        let others = self.scrapes.fetch_add(scrapes, Ordering::Relaxed);
        let threads = self.handles.len().max(1) as u64;
        let slot_ns = slot_ns(others + scrapes, threads, interval_ns);
        let offset_ns = offset_ns(hash, seed, interval_ns, slot_ns);
        // One after the other, so that they do not all wake up at once.
        let thread = self.handles.get((offset_ns / slot_ns % threads) as usize);
        (Turn { offset_ns, scrapes, of: Arc::clone(self) }, thread.cloned().unwrap_or_else(Handle::current))
    }
}

/// Writes down again and again when that was.
async fn beat(at: &AtomicU64, began: Instant, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        at.store(millis(began), Ordering::Relaxed);
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_stuck_is_silent() {
        const BEAT: Duration = Duration::from_millis(1);
        let threads = Threads::start_with(2, BEAT).unwrap();
        assert_eq!(Threads::start(0).unwrap().silent_for(), Duration::ZERO);
        let (release, held) = std::sync::mpsc::channel::<()>();
        threads.handles[0].spawn(async move { held.recv().ok() });
        // Grows for as long as the thread is held, though the other one goes on.
        let limit = Duration::from_millis(300);
        while threads.silent_for() < limit {
            thread::yield_now();
        }
        drop(release);
        while threads.silent_for() >= limit {
            thread::yield_now();
        }
    }

    #[test]
    fn what_begins_together_does_so_on_one_thread_and_all_have_their_share() {
        let threads = Arc::new(Threads::start(2).unwrap());
        let turn = |hash| {
            let (turn, handle) = threads.turn((hash, 0), 1000);
            let (sender, receiver) = std::sync::mpsc::channel();
            handle.spawn(async move { sender.send(thread::current().id()).unwrap() });
            (turn.offset_ns, receiver.recv().unwrap())
        };
        let ms = 1_000_000;
        assert_eq!(turn(41 * ms), turn(59 * ms));
        assert_eq!((turn(41 * ms).0, turn(60 * ms).0), (40 * ms, 60 * ms));
        assert_ne!(turn(41 * ms).1, turn(60 * ms).1);
        assert_ne!(turn(41 * ms).1, thread::current().id());
        let many = [0, 1].map(|hash| threads.turn((hash, 0), 1));
        let (among_many, _) = threads.turn((59 * ms, 0), 1000);
        drop(many);
        assert_eq!(among_many.offset_ns, 50 * ms);
        assert_eq!(turn(59 * ms).0, 40 * ms, "who is gone does not count");
    }
}
