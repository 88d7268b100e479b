//! A budget that follows what is left of the container: queries get what nobody else uses now, not a share of the whole.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says how many bytes are left for queries now, beyond what the process holds.
pub type Left = Box<dyn Fn() -> usize + Send + Sync>;

/// So much queries may hold together whatever is left: the headroom is for this too.
const FLOOR: usize = 2 << 20;
/// After so many bytes it is looked again how much is left, but no sooner than this.
const GRAIN: usize = 1 << 20;
const INTERVAL: Duration = Duration::from_millis(10);
/// For so long the allocator may keep pages that were given back, about.
const KEPT_FOR: Duration = Duration::from_secs(5);

pub(super) struct Following {
    left: Left,
    interval: Duration,
    /// What all may hold, as of the last reading.
    ceiling: AtomicUsize,
    /// Taken since then; it may not be in use yet, and so not in the next reading.
    fresh: AtomicUsize,
    reading: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    at: Option<Instant>,
    /// The most that was held in this stretch of time, and in the one before.
    peaks: [usize; 2],
    since: Option<Instant>,
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").field("ceiling", &self.ceiling).finish_non_exhaustive()
    }
}

impl Following {
    pub(super) fn new(left: Left) -> Self {
        let reading = Mutex::new(Reading { at: None, peaks: [0, 0], since: None });
        Self { left, interval: INTERVAL, ceiling: AtomicUsize::new(0), fresh: AtomicUsize::new(0), reading }
    }

    /// May all hold `used`, of which `bytes` are new? Else what they may.
    pub(super) fn admits(&self, used: usize, bytes: usize) -> Result<(), usize> {
        let fresh = self.fresh.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used <= FLOOR || used <= self.ceiling.load(Ordering::Relaxed) && fresh < GRAIN {
            return Ok(());
        }
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if reading.at.is_none_or(|at| now.saturating_duration_since(at) >= self.interval) {
            reading.at = Some(now);
            let ceiling = self.read(&mut reading, now, used - bytes.min(used), bytes);
            self.ceiling.store(ceiling, Ordering::Relaxed);
        }
        let ceiling = self.ceiling.load(Ordering::Relaxed).max(FLOOR);
        if used > ceiling {
            self.fresh.fetch_sub(bytes, Ordering::Relaxed);
            return Err(ceiling);
        }
        Ok(())
    }

    fn read(&self, reading: &mut Reading, now: Instant, held: usize, bytes: usize) -> usize {
        if reading.since.is_none_or(|since| now.saturating_duration_since(since) >= KEPT_FOR) {
            (reading.peaks, reading.since) = ([held, reading.peaks[0]], Some(now));
        }
        reading.peaks[0] = reading.peaks[0].max(held);
        // Of what was given back lately, the allocator still has some: it is used first.
        let kept = reading.peaks[0].max(reading.peaks[1]).saturating_sub(held) / 2;
        let fresh = self.fresh.swap(bytes, Ordering::Relaxed).saturating_sub(bytes).min(held);
        let left = (self.left)().saturating_add(kept).saturating_sub(fresh);
        held.saturating_add(left)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_left_may_be_held_and_no_more() {
        const MB: usize = 1 << 20;
        let left = Arc::new(AtomicUsize::new(50 * MB));
        let read = Arc::clone(&left);
        let mut following = Following::new(Box::new(move || read.load(Ordering::Relaxed)));
        following.interval = Duration::ZERO;
        // 40 MB and no 60 while nothing is held.
        assert_eq!(following.admits(40 * MB, 40 * MB), Ok(()));
        assert_eq!(
            following.admits(100 * MB, 60 * MB),
            Err(50 * MB),
            "what was just taken may not be in the reading yet"
        );
        // The 40 MB are in use, others took the rest.
        left.store(0, Ordering::Relaxed);
        assert_eq!(following.admits(41 * MB, MB), Err(40 * MB));
        // Given back: half of it is free before the allocator lets go of it.
        assert_eq!(following.admits(15 * MB, 15 * MB), Ok(()));
        assert_eq!(following.admits(45 * MB, 30 * MB), Err(15 * MB));
    }

    #[test]
    fn small_queries_are_always_let_in() {
        let following = Following::new(Box::new(|| 0));
        assert_eq!(following.admits(FLOOR, FLOOR), Ok(()));
        assert_eq!(following.admits(FLOOR + 1, 1), Err(FLOOR));
    }
}
