//! The limits of one request: its deadline, its client that may disconnect, and its memory. Parsing, evaluating and listing
//! series check the same limits.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::memory::QueryMemory;
use crate::progress::Progress;

/// Tells whether a query was canceled; called from any of its threads, must not block.
#[derive(Clone)]
pub struct StillWanted(pub Arc<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for StillWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StillWanted")
    }
}

/// The limits of one request.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// The memory it holds; given back when the last reference to it is dropped.
    pub memory: Arc<QueryMemory>,
    /// The deadline.
    pub deadline: Option<Instant>,
    /// Tells whether the client is still waiting.
    pub wanted: Option<StillWanted>,
    /// Told what the query has done.
    pub progress: Option<Arc<Progress>>,
    /// Names may have UTF-8 letters and dots without quotes.
    pub utf8_names: bool,
}

impl Bounds {
    /// Checks that the client is still there and the deadline has not passed.
    ///
    /// # Errors
    /// When the request was canceled or timed out.
    pub fn check(&self) -> Result<(), Error> {
        // Before the deadline: a client that is gone gets no answer, so the error that is logged is the true reason.
        if self.wanted.as_ref().is_some_and(|wanted| !(wanted.0)()) {
            return Err(Error::Canceled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::Timeout);
        }
        Ok(())
    }

    /// Takes memory; waits a moment for it where other requests hold it and this one holds little. Blocks the thread.
    ///
    /// # Errors
    /// When there is not enough for the request, or it is canceled or times out while it waits.
    pub fn take(&self, bytes: usize) -> Result<(), Error> {
        self.taking(|| self.memory.take(bytes))
    }

    /// Takes memory by calling `take`, and tries again for a moment where other requests hold it and this one holds little.
    pub(crate) fn taking(&self, take: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
        let mut until: Option<Instant> = None;
        loop {
            // Only waits if others hold the memory; the query's own limit does not change by waiting.
            let error = match take() {
                Err(error) if error.is_memory_contention() && self.memory.may_wait() => error,
                outcome => return outcome,
            };
            self.check()?;
            let now = Instant::now();
            // The wait begins with the first refusal, and has its own limit, far below the deadline: a request that
            // waits holds a thread.
            if now >= *until.get_or_insert(now + WAIT) {
                return Err(error);
            }
            self.memory.pool().wait(WAIT_STEP);
        }
    }
}

/// How long a small request waits for memory, and how often it checks meanwhile whether it was canceled.
const WAIT: Duration = Duration::from_secs(2);
const WAIT_STEP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::MemoryPool;

    #[test]
    fn who_holds_little_waits_for_memory_and_who_holds_much_does_not() {
        let memory = Arc::new(MemoryPool::new(4 << 20, usize::MAX));
        let bounds = || Bounds { memory: Arc::new(QueryMemory::new(Arc::clone(&memory))), ..Bounds::default() };
        let other = bounds();
        other.take(4 << 20).unwrap();
        assert!(matches!(other.take(1), Err(Error::Memory { .. })));
        let small = bounds();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| small.take(1_000));
            while memory.waiting() == 0 && !waiting.is_finished() {
                thread::yield_now();
            }
            drop(other);
            waiting.join().unwrap().unwrap();
        });
        // Nobody gives back, and the client goes.
        let other = bounds();
        other.take((4 << 20) - 1_000).unwrap();
        let gone = Bounds { wanted: Some(StillWanted(Arc::new(|| false))), ..bounds() };
        assert!(matches!(gone.take(1_000), Err(Error::Canceled)));
    }
}
