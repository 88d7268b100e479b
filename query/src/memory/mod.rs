//! What queries may hold: each, and all of them together. It is counted where memory grows with the data, by the sizes of
//! what is held; what a query holds besides is small.

mod container_limit;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use self::container_limit::ContainerLimit;
pub use self::container_limit::Left;
use crate::Error;

/// What a request may hold that waits for memory: this part of all, within bounds.
const SMALL_PART: usize = 16;
const SMALL_MIN: usize = 64 << 10;
const SMALL_MAX: usize = 16 << 20;
/// A request that holds no more than this may use some of the headroom.
const LITTLE: usize = 256 << 10;
/// A request that still arrives may hold so little in any case.
const AT_REST_FREE: usize = 64 << 10;

/// Memory that the queries of an engine share.
#[derive(Debug)]
pub struct Memory {
    max: usize,
    max_per_query: usize,
    used: AtomicUsize,
    container: Option<ContainerLimit>,
    /// How many wait for memory, and what wakes them.
    waiting: AtomicUsize,
    freed: (Mutex<()>, Condvar),
}

impl Memory {
    /// So many bytes for all queries, and for each.
    #[must_use]
    pub fn new(max: usize, max_per_query: usize) -> Self {
        Self { max, max_per_query, ..Self::default() }
    }

    /// The same, and no more than `left` says at the moment.
    #[must_use]
    pub fn following(max: usize, max_per_query: usize, left: Left) -> Self {
        Self { container: Some(ContainerLimit::new(left)), ..Self::new(max, max_per_query) }
    }

    /// Waits until some memory was given back, or for a moment.
    pub fn wait(&self, most: Duration) {
        let (lock, freed) = &self.freed;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(freed.wait_timeout(guard, most));
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many wait now.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        if bytes > 0 && self.waiting.load(Ordering::SeqCst) > 0 {
            // A waiter holds the lock from before it is counted until it waits: woken sooner, it would not notice.
            drop(self.freed.0.lock().unwrap_or_else(PoisonError::into_inner));
            self.freed.1.notify_all();
        }
    }

    /// Bytes that queries hold now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Default for Memory {
    /// Without bounds.
    fn default() -> Self {
        Self {
            max: usize::MAX,
            max_per_query: usize::MAX,
            used: AtomicUsize::new(0),
            container: None,
            waiting: AtomicUsize::new(0),
            freed: <_>::default(),
        }
    }
}

/// What one query, and then its result, holds; given back when dropped.
#[derive(Debug, Default)]
pub struct Share {
    of: Arc<Memory>,
    used: AtomicUsize,
}

impl Share {
    pub(crate) fn new(of: Arc<Memory>) -> Self {
        Self { of, used: AtomicUsize::new(0) }
    }

    /// So many bytes more.
    ///
    /// # Errors
    /// When that is more than the query may have, or than all may have together; nothing is taken then.
    pub fn take(&self, bytes: usize) -> Result<(), Error> {
        let most = self.of.max_per_query;
        if self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > most {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::QueryMemory { most });
        }
        let most = self.of.max;
        let all = self.of.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let refused = if all > most {
            Error::Memory { most }
        } else if let Some(container) = &self.of.container
            && let Err(most) = container.admits(all, (bytes, self.is_little()))
        {
            Error::Container { most }
        } else {
            return Ok(());
        };
        // Nothing became free: whoever waits is not woken, or two that wait would wake each other all the time.
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.of.used.fetch_sub(bytes, Ordering::SeqCst);
        Err(refused)
    }

    /// The same where three quarters stay free, as for what only spares time: what is made of it must find room.
    pub(crate) fn take_spare(&self, bytes: usize) -> bool {
        let fits = |used: &AtomicUsize, most: usize| used.load(Ordering::Relaxed).saturating_add(bytes) <= most / 4;
        fits(&self.used, self.of.max_per_query) && fits(&self.of.used, self.of.max) && self.take(bytes).is_ok()
    }

    /// The same for a request that still arrives, maybe slowly: refused where queries would then hold more than a quarter of
    /// what they may have together, so that requests on their way leave room for those that run.
    ///
    /// # Errors
    /// When that is more than there is for it.
    pub fn take_at_rest(&self, bytes: usize) -> Result<(), Error> {
        let most = self.of.max / 4;
        if self.of.used.load(Ordering::Relaxed).saturating_add(bytes) > most && self.used() + bytes > AT_REST_FREE {
            return Err(Error::Memory { most });
        }
        self.take(bytes)
    }

    /// Does it hold so little that it may wait when others hold all there is? Who holds much does not: two such could wait
    /// for each other.
    pub(crate) fn may_wait(&self) -> bool {
        self.used() <= (self.of.max / SMALL_PART).clamp(SMALL_MIN, SMALL_MAX)
    }

    fn is_little(&self) -> bool {
        self.used() <= LITTLE
    }

    /// The memory that it is a share of.
    pub(crate) fn whole(&self) -> &Memory {
        &self.of
    }

    fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Gives back all but so many bytes.
    pub fn shrink_to(&self, bytes: usize) {
        self.give(self.used.load(Ordering::Relaxed).saturating_sub(bytes));
    }

    pub(crate) fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.of.give(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.give(*self.used.get_mut());
    }
}

/// What one thread of a query holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    share: &'a Share,
    bytes: Cell<usize>,
    /// The most of them since somebody began to look.
    peak: Cell<usize>,
}

impl<'a> Reservation<'a> {
    pub(crate) fn new(share: &'a Share) -> Self {
        Self { share, bytes: Cell::new(0), peak: Cell::new(0) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(crate) fn take(&self, bytes: usize) -> Result<(), Error> {
        self.share.take(bytes)?;
        let held = self.bytes.get() + bytes;
        self.bytes.set(held);
        self.peak.set(self.peak.get().max(held));
        Ok(())
    }

    /// The most bytes held until now, forgotten with this.
    pub(crate) fn take_peak(&self) -> usize {
        self.peak.replace(self.bytes.get())
    }

    /// Takes a peak of before into account again.
    pub(crate) fn restore_peak(&self, before: usize) {
        self.peak.set(self.peak.get().max(before));
    }

    pub(crate) fn give(&self, bytes: usize) {
        self.back_to(self.bytes.get().saturating_sub(bytes));
    }

    /// Leaves what is held to the share.
    pub(crate) fn keep(&self) {
        self.bytes.set(0);
    }

    /// Gives back all but what was held at some moment before.
    pub(crate) fn back_to(&self, before: usize) {
        let held = self.bytes.get();
        let before = before.min(held);
        self.bytes.set(before);
        self.share.give(held - before);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.back_to(0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn who_waits_is_woken_by_what_is_given_back_alone() {
        const LONG: Duration = Duration::from_secs(600);
        let memory = Arc::new(Memory::new(100, usize::MAX));
        let (one, other) = (Share::new(Arc::clone(&memory)), Share::new(Arc::clone(&memory)));
        one.take(100).unwrap();
        let (over, woken) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    memory.wait(LONG);
                    woken.fetch_add(1, Ordering::SeqCst);
                }
            });
            for _ in 0..1_000 {
                while memory.waiting() == 0 {
                    thread::yield_now();
                }
                assert!(matches!(other.take(1), Err(Error::Memory { .. })));
                thread::yield_now();
            }
            over.store(true, Ordering::SeqCst);
            one.give(100);
        });
        assert_eq!(woken.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_is_taken_is_given_back() {
        let memory = Arc::new(Memory::new(100, 70));
        let (one, other) = (Share::new(Arc::clone(&memory)), Share::new(Arc::clone(&memory)));
        let taken = Reservation::new(&one);
        taken.take(40).unwrap();
        let before = taken.bytes();
        taken.take(30).unwrap();
        assert!(matches!(taken.take(1), Err(Error::QueryMemory { most: 70 })));
        other.take(30).unwrap();
        assert!(matches!(other.take(1), Err(Error::Memory { most: 100 })));
        taken.back_to(before);
        other.take(1).unwrap();
        assert_eq!(memory.used(), 71);
        drop(taken);
        assert_eq!(memory.used(), 31);
        drop(other);
        assert_eq!(memory.used(), 0);
    }
}
