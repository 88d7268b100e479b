//! How many objects that users name, such as Secrets, are watched at once. Each watch is a connection of its own, and there may be
//! thousands: what is beyond the bound is listed again and again instead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Lists of them that are under way at once: at a start all of them are asked for together.
const LISTS: usize = 16;
/// Objects that are listed again and again cost the API server at most one request in so long.
const PER_OBJECT: Duration = Duration::from_millis(50);

/// Whose turn it is to be watched.
#[derive(Debug)]
pub(crate) struct Turns {
    watches: Semaphore,
    lists: Semaphore,
    n_waiting: AtomicUsize,
}

impl Turns {
    pub(crate) fn new(watches: usize) -> Self {
        Self { watches: Semaphore::new(watches), lists: Semaphore::new(LISTS), n_waiting: AtomicUsize::new(0) }
    }

    /// Waits until an object may be listed.
    pub(crate) async fn list(&self) -> SemaphorePermit<'_> {
        self.lists.acquire().await.expect("BUG: the semaphore is never closed")
    }

    /// Waits until an object may be watched; `None` once it is to be listed again instead, after this time or, with very many
    /// objects, a longer one.
    pub(crate) async fn watch(&self, poll: Duration) -> Option<SemaphorePermit<'_>> {
        let waiting = Waiting::new(&self.n_waiting);
        let all = PER_OBJECT * u32::try_from(waiting.number()).unwrap_or(u32::MAX);
        let turn = timeout(poll.max(all), self.watches.acquire()).await;
        turn.ok().map(|turn| turn.expect("BUG: the semaphore is never closed"))
    }
}

/// Counted for as long as it waits: a watch may be dropped meanwhile.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn new(counter: &'w AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }

    fn number(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
