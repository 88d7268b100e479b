//! Memory of queries: a pool for all of them, and reservations out of it for each query and each of its threads. Memory is
//! counted where it grows with the data, by the sizes of what is held; what a query holds besides is small.

mod container_limit;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use self::container_limit::ContainerLimit;
pub use self::container_limit::Left;
use crate::Error;

/// A request may wait for memory while it holds no more than this part of the pool, within bounds.
const SMALL_PART: usize = 16;
const SMALL_MIN: usize = 64 << 10;
const SMALL_MAX: usize = 16 << 20;
/// A request that holds no more than this may use some of the headroom.
const LITTLE: usize = 256 << 10;
/// A request whose body still arrives may hold this much in any case.
const AT_REST_FREE: usize = 64 << 10;

/// The memory that the queries of an engine may hold together. (DataFusion: `MemoryPool`.)
#[derive(Debug)]
pub struct MemoryPool {
    max: AtomicUsize,
    max_per_query: AtomicUsize,
    used: AtomicUsize,
    container: Option<ContainerLimit>,
    /// The number of threads that wait for memory, and the condition that wakes them.
    waiting: AtomicUsize,
    freed: (Mutex<()>, Condvar),
}

impl MemoryPool {
    /// A pool of `max` bytes, of which each query may hold `max_per_query`.
    #[must_use]
    pub fn new(max: usize, max_per_query: usize) -> Self {
        Self { max: max.into(), max_per_query: max_per_query.into(), ..Self::default() }
    }

    /// The same, limited by what `left` says is free in the container at the moment.
    #[must_use]
    pub fn following(max: usize, max_per_query: usize, left: Left) -> Self {
        Self { container: Some(ContainerLimit::new(left)), ..Self::new(max, max_per_query) }
    }

    /// Changes both limits. What is held already stays held; a pool that became smaller refuses until enough was given back.
    pub fn resize(&self, max: usize, max_per_query: usize) {
        self.max.store(max, Ordering::Relaxed);
        self.max_per_query.store(max_per_query, Ordering::Relaxed);
    }

    /// What all queries may hold together, and what each.
    #[must_use]
    pub fn limits(&self) -> (usize, usize) {
        (self.max(), self.max_per_query())
    }

    fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    fn max_per_query(&self) -> usize {
        self.max_per_query.load(Ordering::Relaxed)
    }

    /// Waits until some memory was given back, or for a moment.
    pub fn wait(&self, most: Duration) {
        let (lock, freed) = &self.freed;
        let mut guard = lock.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // A spurious wake-up is harmless: the caller tries to take memory again, and waits once more.
        freed.wait_for(&mut guard, most);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Threads that wait now.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        // The common case has no waiters, and takes no lock.
        if bytes > 0 && self.waiting.load(Ordering::SeqCst) > 0 {
            // A waiter holds the lock from before it is counted until it waits: taking it here makes sure that the waiter
            // is not between the two, where it would miss the notification.
            drop(self.freed.0.lock());
            self.freed.1.notify_all();
        }
    }

    /// Bytes that queries hold now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Default for MemoryPool {
    /// A pool without limits.
    fn default() -> Self {
        Self {
            max: usize::MAX.into(),
            max_per_query: usize::MAX.into(),
            used: AtomicUsize::new(0),
            container: None,
            waiting: AtomicUsize::new(0),
            freed: <_>::default(),
        }
    }
}

/// The memory that one query, and then its result, holds of the pool; given back when dropped.
#[derive(Debug, Default)]
pub struct QueryMemory {
    of: Arc<MemoryPool>,
    used: AtomicUsize,
}

impl QueryMemory {
    pub(crate) fn new(of: Arc<MemoryPool>) -> Self {
        Self { of, used: AtomicUsize::new(0) }
    }

    /// Takes bytes of the pool.
    ///
    /// # Errors
    /// When that is more than the query may hold, or than all may hold together; nothing is taken then.
    pub fn take(&self, bytes: usize) -> Result<(), Error> {
        let most = self.of.max_per_query();
        // Added first and taken back if it is too much: two threads cannot both fit into the last bytes.
        if self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > most {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::QueryMemory { most });
        }
        // The query's own limit first: its error cannot be cured by waiting, while that of the pool can.
        let most = self.of.max();
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
        // Nothing became free, so waiters are not woken: two of them would wake each other all the time.
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.of.used.fetch_sub(bytes, Ordering::SeqCst);
        Err(refused)
    }

    /// Takes memory for a cache, which only saves time: refused where less than three quarters would stay free for results.
    pub(crate) fn take_spare(&self, bytes: usize) -> bool {
        // Checked without taking: a cache may miss its share by a little, but the limits are enforced by `take`.
        let fits = |used: &AtomicUsize, most: usize| used.load(Ordering::Relaxed).saturating_add(bytes) <= most / 4;
        fits(&self.used, self.of.max_per_query()) && fits(&self.of.used, self.of.max()) && self.take(bytes).is_ok()
    }

    /// Takes memory for a request that still arrives, maybe slowly: refused where more than a quarter of the pool would be in
    /// use, so that requests on their way leave room for those that run.
    ///
    /// # Errors
    /// When that is more than there is for it.
    pub fn take_at_rest(&self, bytes: usize) -> Result<(), Error> {
        let most = self.of.max() / 4;
        if self.of.used.load(Ordering::Relaxed).saturating_add(bytes) > most && self.used() + bytes > AT_REST_FREE {
            return Err(Error::Memory { most });
        }
        self.take(bytes)
    }

    /// May it wait while others hold the whole pool? Only a query that holds little: two that hold much could wait for each
    /// other.
    pub(crate) fn may_wait(&self) -> bool {
        self.used() <= (self.of.max() / SMALL_PART).clamp(SMALL_MIN, SMALL_MAX)
    }

    fn is_little(&self) -> bool {
        self.used() <= LITTLE
    }

    /// The pool it is taken of.
    pub(crate) fn pool(&self) -> &MemoryPool {
        &self.of
    }

    pub(crate) fn used(&self) -> usize {
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

impl Drop for QueryMemory {
    // The pool's share of this query, whatever its threads reserved of it.
    fn drop(&mut self) {
        self.of.give(*self.used.get_mut());
    }
}

/// What one thread of a query holds of the query's memory; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    memory: &'a QueryMemory,
    bytes: Cell<usize>,
    /// The maximum of `bytes` since the last [`Self::take_peak`].
    peak: Cell<usize>,
}

impl<'a> Reservation<'a> {
    pub(crate) fn new(memory: &'a QueryMemory) -> Self {
        Self { memory, bytes: Cell::new(0), peak: Cell::new(0) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(crate) fn take(&self, bytes: usize) -> Result<(), Error> {
        self.memory.take(bytes)?;
        let held = self.bytes.get() + bytes;
        self.bytes.set(held);
        self.peak.set(self.peak.get().max(held));
        Ok(())
    }

    /// Returns the peak, and resets it to what is held now.
    pub(crate) fn take_peak(&self) -> usize {
        self.peak.replace(self.bytes.get())
    }

    /// Raises the peak to an earlier one.
    pub(crate) fn restore_peak(&self, before: usize) {
        self.peak.set(self.peak.get().max(before));
    }

    pub(crate) fn give(&self, bytes: usize) {
        self.back_to(self.bytes.get().saturating_sub(bytes));
    }

    /// Leaves the reserved memory to the query: it is not released when this is dropped.
    pub(crate) fn keep(&self) {
        self.bytes.set(0);
    }

    /// Gives back all but the first `before` bytes.
    pub(crate) fn back_to(&self, before: usize) {
        let held = self.bytes.get();
        let before = before.min(held);
        self.bytes.set(before);
        self.memory.give(held - before);
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
    fn a_pool_that_became_smaller_refuses_until_enough_was_given_back() {
        let memory = Arc::new(MemoryPool::new(100, 60));
        let query = QueryMemory::new(Arc::clone(&memory));
        query.take(60).unwrap();
        assert!(matches!(query.take(1), Err(Error::QueryMemory { most: 60 })));
        memory.resize(50, 60);
        let other = QueryMemory::new(Arc::clone(&memory));
        assert!(matches!(other.take(1), Err(Error::Memory { most: 50 })));
        query.shrink_to(49);
        other.take(1).unwrap();
        memory.resize(1_000, 900);
        query.take(800).unwrap();
        assert_eq!(memory.used(), 850);
    }

    #[test]
    fn who_waits_is_woken_by_what_is_given_back_alone() {
        const LONG: Duration = Duration::from_secs(600);
        let memory = Arc::new(MemoryPool::new(100, usize::MAX));
        let (one, other) = (QueryMemory::new(Arc::clone(&memory)), QueryMemory::new(Arc::clone(&memory)));
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
        let memory = Arc::new(MemoryPool::new(100, 70));
        let (one, other) = (QueryMemory::new(Arc::clone(&memory)), QueryMemory::new(Arc::clone(&memory)));
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
