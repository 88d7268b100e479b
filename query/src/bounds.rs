//! How far one request may go: its time, its client's patience and its memory. Reading a text, evaluating a query and
//! listing series look at the same.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::memory::Share;

/// Says whether a query is still wanted, from any of its threads and without waiting.
#[derive(Clone)]
pub struct StillWanted(pub Arc<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for StillWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StillWanted")
    }
}

/// The bounds of one request.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// What it holds; given back when the last that refers to it is dropped.
    pub share: Arc<Share>,
    /// When it ends at the latest.
    pub deadline: Option<Instant>,
    /// Whether it is still wanted.
    pub wanted: Option<StillWanted>,
    /// Names in its texts may have letters of all scripts, and dots, without quotes.
    pub utf8_names: bool,
}

impl Bounds {
    /// Is the request still wanted and within its time?
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<(), Error> {
        if self.wanted.as_ref().is_some_and(|wanted| !(wanted.0)()) {
            return Err(Error::Canceled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::Timeout);
        }
        Ok(())
    }

    /// Takes memory, or waits a moment for it where others hold it and the request holds little. Blocks: for threads that may.
    ///
    /// # Errors
    /// When there is not so much for the request, or it ends while it waits.
    pub fn take(&self, bytes: usize) -> Result<(), Error> {
        self.taking(|| self.share.take(bytes))
    }

    /// Takes memory by `take`, and tries again for a moment where others hold it and the request holds little.
    pub(crate) fn taking(&self, take: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
        let mut until: Option<Instant> = None;
        loop {
            let error = match take() {
                Err(error) if error.is_of_all() && self.share.may_wait() => error,
                outcome => return outcome,
            };
            self.check()?;
            let now = Instant::now();
            if now >= *until.get_or_insert(now + WAIT) {
                return Err(error);
            }
            self.share.whole().wait(WAIT_STEP);
        }
    }
}

/// How long a small request waits for memory, and how often it looks whether it is still wanted meanwhile.
const WAIT: Duration = Duration::from_secs(2);
const WAIT_STEP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::Memory;

    #[test]
    fn who_holds_little_waits_for_memory_and_who_holds_much_does_not() {
        let memory = Arc::new(Memory::new(4 << 20, usize::MAX));
        let bounds = || Bounds { share: Arc::new(Share::new(Arc::clone(&memory))), ..Bounds::default() };
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
