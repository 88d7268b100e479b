//! A limit that follows what is free in the container: queries may hold what nothing else uses now, not a fixed fraction of
//! the whole (decision 0014).

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Reads how many bytes are free for queries now, beyond what the process holds; negative where it holds too much.
pub type Left = Box<dyn Fn() -> i64 + Send + Sync>;

/// Part of the headroom that only requests that hold little may use.
const FOR_SMALL: i64 = 2 << 20;
/// The limit is read again after so many bytes were taken, but not before the interval has passed.
const GRAIN: usize = 1 << 20;
const INTERVAL: Duration = Duration::from_millis(10);
/// About how long the allocator keeps freed pages before it returns them to the system.
const KEPT_FOR: Duration = Duration::from_secs(5);

pub(super) struct ContainerLimit {
    left: Left,
    interval: Duration,
    /// What all queries may hold, as of the last reading.
    ceiling: AtomicI64,
    /// Bytes taken since then; they may not be in use yet, and so not show in the next reading.
    fresh: AtomicUsize,
    reading: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    at: Option<Instant>,
    /// The most that was held in this period and in the one before.
    peaks: [usize; 2],
    since: Option<Instant>,
}

impl fmt::Debug for ContainerLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerLimit").field("ceiling", &self.ceiling).finish_non_exhaustive()
    }
}

impl ContainerLimit {
    pub(super) fn new(left: Left) -> Self {
        let reading = Mutex::new(Reading { at: None, peaks: [0, 0], since: None });
        Self { left, interval: INTERVAL, ceiling: AtomicI64::new(0), fresh: AtomicUsize::new(0), reading }
    }

    /// May queries hold `used` bytes together, of which `bytes` are new, for a request that holds little or not? Otherwise the
    /// error is what they may hold.
    pub(super) fn admits(&self, used: usize, (bytes, little): (usize, bool)) -> Result<(), usize> {
        let (all, more) = (signed(used), if little { FOR_SMALL } else { 0 });
        let fresh = self.fresh.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        // The fast path: below the last limit, and not much was taken since it was read.
        if all <= more || all <= self.ceiling.load(Ordering::Relaxed) && fresh < GRAIN {
            return Ok(());
        }
        let mut reading = self.reading.lock();
        let now = Instant::now();
        if reading.at.is_none_or(|at| now.saturating_duration_since(at) >= self.interval) {
            reading.at = Some(now);
            // What is held without the bytes of this request, which are counted as fresh.
            let ceiling = self.read(&mut reading, now, used - bytes.min(used), bytes);
            self.ceiling.store(ceiling, Ordering::Relaxed);
        }
        let ceiling = self.ceiling.load(Ordering::Relaxed).saturating_add(more);
        if all > ceiling {
            // Another thread may have reset the counter meanwhile.
            let without = |fresh: usize| Some(fresh.saturating_sub(bytes));
            self.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, without).ok();
            return Err(usize::try_from(ceiling).unwrap_or(0));
        }
        Ok(())
    }

    fn read(&self, reading: &mut Reading, now: Instant, held: usize, bytes: usize) -> i64 {
        if reading.since.is_none_or(|since| now.saturating_duration_since(since) >= KEPT_FOR) {
            (reading.peaks, reading.since) = ([held, reading.peaks[0]], Some(now));
        }
        reading.peaks[0] = reading.peaks[0].max(held);
        // Of what was freed lately the allocator still holds some pages, and reuses part of them first.
        let kept = reading.peaks[0].max(reading.peaks[1]).saturating_sub(held) / 4;
        let fresh = self.fresh.swap(bytes, Ordering::Relaxed).saturating_sub(bytes).min(held);
        (self.left)().saturating_add(signed(held) + signed(kept)).saturating_sub(signed(fresh))
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn of(left: i64) -> (Arc<AtomicI64>, ContainerLimit) {
        let left = Arc::new(AtomicI64::new(left));
        let read = Arc::clone(&left);
        let mut following = ContainerLimit::new(Box::new(move || read.load(Ordering::Relaxed)));
        following.interval = Duration::ZERO;
        (left, following)
    }

    const MB: usize = 1 << 20;

    #[test]
    fn what_is_left_may_be_held_and_no_more() {
        let (left, following) = of(50 << 20);
        let admits = |used: usize, bytes: usize| following.admits(used * MB, (bytes * MB, false));
        // 40 MB and no 60 while nothing is held.
        assert_eq!(admits(40, 40), Ok(()));
        assert_eq!(admits(100, 60), Err(50 * MB), "what was just taken may not be in the reading yet");
        // The 40 MB are in use, others took the rest.
        left.store(0, Ordering::Relaxed);
        assert_eq!(admits(41, 1), Err(40 * MB));
        // Given back: a quarter of it is free before the allocator lets go of it.
        assert_eq!(admits(10, 10), Ok(()));
        assert!(admits(45, 35).is_err());
    }

    #[test]
    fn some_of_the_headroom_is_for_small_requests() {
        let (left, following) = of(0);
        assert_eq!(following.admits(20 * MB, (MB, false)), Err(19 * MB));
        assert_eq!(following.admits(20 * MB, (MB, true)), Ok(()));
        left.store(-(3 << 20), Ordering::Relaxed);
        assert!(following.admits(21 * MB, (MB, true)).is_err(), "it is used up");
        assert_eq!(following.admits(2 * MB, (MB, true)), Ok(()), "however little is left");
    }
}
