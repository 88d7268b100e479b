//! The open connections: how many there are, which are idle, and which are closed to make room.
//!
//! `--web.max-connections` requests are served at once. As many again may wait for their turn; those beyond are told to come
//! back. Connections without a request in progress cost little and may be more: when there are too many, one that is idle
//! is closed. So a health check finds a place however many silent clients there are.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::head::Room;

/// Connections beyond those that are served or wait: so many may come before one that has just come is closed again; and so many
/// for each request that is served at once, so that a crowd that connects before it asks is answered, if only by 503.
const RESERVE: usize = 256;
const RESERVE_PER_REQUEST: usize = 4;
/// A client that just connected has so long to say something.
const SILENCE: Duration = Duration::from_secs(2);
/// A write without any progress for this long ends its connection; once the server is to end, for the shorter time.
const WRITE_STALL: Duration = Duration::from_secs(30);
const WRITE_STALL_STOPPING: Duration = Duration::from_secs(1);

/// Bounds of the server's connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests served at once.
    pub(crate) requests: usize,
    /// For a request to arrive whole, and for a connection to be idle.
    pub(crate) read_timeout: Duration,
    /// Bytes of what is long of URLs, of all connections together.
    pub(crate) long_queries: usize,
}

/// What one connection does, read by whoever decides which is closed.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Requests in progress: their answers are not yet handed over whole.
    requests: AtomicUsize,
    /// Milliseconds after `began`.
    idle_since: AtomicU64,
    /// Milliseconds after `began`, plus one; 0 while writes make progress.
    stalled_since: AtomicU64,
    was_used: AtomicBool,
    close: CancellationToken,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
            was_used: AtomicBool::new(false),
            close: CancellationToken::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A request has arrived; it is in progress until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.was_used.store(true, Ordering::Release);
        Busy(Arc::clone(self))
    }

    /// The client does not take what is written.
    pub(crate) fn write_waits(&self) {
        // Only the first wait counts: later ones of the same stall must not move its beginning. Plus one, as 0 means
        // no stall.
        self.stalled_since.compare_exchange(0, self.now_ms() + 1, Ordering::AcqRel, Ordering::Relaxed).ok();
    }

    /// Some of it was taken.
    pub(crate) fn write_goes_on(&self) {
        // Most writes find 0; a store at every one would bounce the cache line between cores.
        if self.stalled_since.load(Ordering::Relaxed) != 0 {
            self.stalled_since.store(0, Ordering::Release);
        }
    }

    /// Resolves when the connection is to be closed.
    pub(crate) async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// Has it never had a request?
    fn is_silent(&self) -> bool {
        !self.was_used.load(Ordering::Acquire)
    }

    /// For how long there was no request in progress; `None` while there is one.
    fn idle(&self) -> Option<Duration> {
        // Read before `requests`: a request that ends in between makes the connection look busy, not idle for long.
        let since = self.idle_since.load(Ordering::Acquire);
        let idle = self.requests.load(Ordering::Acquire) == 0;
        idle.then(|| Duration::from_millis(self.now_ms().saturating_sub(since)))
    }

    fn stalled(&self) -> Option<Duration> {
        let since = self.stalled_since.load(Ordering::Acquire).checked_sub(1)?;
        Some(Duration::from_millis(self.now_ms().saturating_sub(since)))
    }
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        // The time first, then the count: whoever sees no request sees since when.
        self.0.idle_since.store(self.0.now_ms(), Ordering::Release);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// All open connections of the server.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    open: Mutex<HashMap<u64, Arc<Activity>>>,
    next: AtomicU64,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    long_queries: Arc<Room>,
}

/// An open connection; forgotten when dropped.
#[derive(Debug)]
pub(crate) struct Open {
    of: Arc<Connections>,
    id: u64,
    pub(crate) activity: Arc<Activity>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.of.open().remove(&self.id);
    }
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Mutex::default(),
            next: AtomicU64::new(0),
            places: Arc::new(Semaphore::new(limits.requests)),
            waiting: AtomicUsize::new(0),
            long_queries: Arc::new(Room::new(limits.long_queries)),
        }
    }

    fn open(&self) -> parking_lot::MutexGuard<'_, HashMap<u64, Arc<Activity>>> {
        self.open.lock()
    }

    /// Memory for what is long of URLs.
    pub(crate) fn long_queries(&self) -> Arc<Room> {
        Arc::clone(&self.long_queries)
    }

    /// The longest a request may take to arrive.
    pub(crate) fn read_timeout(&self) -> Duration {
        self.limits.read_timeout
    }

    /// Admits a connection. Where there are too many, one that is idle is closed for it; without any the new one is refused.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Open> {
        let mut open = self.open();
        // Those that are served, as many that may wait, and a reserve of idle ones.
        let reserve = self.limits.requests.saturating_mul(RESERVE_PER_REQUEST).max(RESERVE);
        if open.len() >= self.limits.requests.saturating_mul(2).saturating_add(reserve) {
            close_idlest(&mut open)?;
        }
        let (id, activity) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::new(Activity::new()));
        open.insert(id, Arc::clone(&activity));
        drop(open);
        Some(Open { of: Arc::clone(self), id, activity })
    }

    /// Closes one that is idle; for when the process has no file descriptors left.
    pub(crate) fn shed(&self) {
        close_idlest(&mut self.open());
    }

    /// A place for one request; waits for it unless too many wait already.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The common case: a place is free and nobody is counted as waiting.
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let _waiting = Waiting::enter(&self.waiting, self.limits.requests)?;
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Closes what was idle or stalled for too long, and when the server is stopping whatever waits for its client. Says how
    /// many are left.
    pub(crate) fn sweep(&self, stopping: bool) -> usize {
        let (idle_max, stall_max) = match stopping {
            true => (Duration::ZERO, WRITE_STALL_STOPPING),
            false => (self.limits.read_timeout, WRITE_STALL),
        };
        let mut open = self.open();
        open.retain(|_, activity| {
            let late = activity.idle().is_some_and(|idle| idle >= idle_max)
                || activity.stalled().is_some_and(|stalled| stalled >= stall_max);
            if late {
                // The task of the connection ends itself: sockets are closed by their owner.
                activity.close.cancel();
            }
            !late
        });
        open.len()
    }
}

fn close_idlest(open: &mut HashMap<u64, Arc<Activity>>) -> Option<()> {
    // First those that have said nothing for long, then those that clients keep for their next request, and only then those
    // that may be about to say something: a health check is one of these.
    let idle = open.iter().filter_map(|(id, activity)| {
        let idle = activity.idle()?;
        let order = match (activity.is_silent(), idle >= SILENCE) {
            (true, true) => 2,
            (false, _) => 1,
            (true, false) => 0,
        };
        // Of those that came at the same millisecond the first.
        Some((order, idle, Reverse(*id)))
    });
    let (.., Reverse(id)) = idle.max()?;
    open.remove(&id)?.close.cancel();
    Some(())
}

/// One request that waits for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let entered = Self(waiting);
        (waiting.fetch_add(1, Ordering::AcqRel) < most).then_some(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(requests: usize) -> Arc<Connections> {
        Arc::new(Connections::new(Limits { requests, read_timeout: Duration::from_secs(300), long_queries: 0 }))
    }

    #[test]
    fn who_makes_room() {
        let connections = connections(2);
        let mut all: Vec<Open> = (0..2 * 2 + RESERVE).map(|_| connections.admit().unwrap()).collect();
        let busy = all[0].activity.begin();
        // The second is kept for its next request, the third has been silent for long.
        drop(all[1].activity.begin());
        let old = Activity { began: Instant::now().checked_sub(2 * SILENCE).unwrap(), ..Activity::new() };
        all[2].activity = Arc::new(old);
        connections.open().insert(all[2].id, Arc::clone(&all[2].activity));
        let mut new = Vec::new();
        let mut closed = Vec::new();
        for _ in 0..3 {
            new.extend(connections.admit());
            closed.extend(
                (0..all.len())
                    .filter(|i| all[*i].activity.close.is_cancelled() && !closed.contains(i))
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(closed[..2], [2, 1]);
        assert!(closed.len() == 3 && closed[2] > 2, "{closed:?}");
        assert_eq!(connections.open().len(), all.len());
        drop((busy, new));
        all.clear();
        assert!(connections.open().is_empty());
    }

    #[test]
    fn nothing_is_closed_for_a_new_one_while_all_are_busy() {
        let connections = connections(1);
        let all: Vec<(Open, Busy)> = (0..2 + RESERVE)
            .map(|_| {
                let open = connections.admit().unwrap();
                let busy = open.activity.begin();
                (open, busy)
            })
            .collect();
        assert!(connections.admit().is_none());
        assert!(all.iter().all(|(open, _)| !open.activity.close.is_cancelled()));
    }

    #[tokio::test]
    async fn so_many_requests_run_and_as_many_wait() {
        let connections = connections(1);
        let first = connections.place().await.unwrap();
        let mut second = std::pin::pin!(connections.place());
        assert!(futures_pending(second.as_mut()).await);
        assert!(connections.place().await.is_none());
        drop(first);
        assert!(second.await.is_some());
        assert!(connections.place().await.is_some());
    }

    async fn futures_pending<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }

    #[test]
    fn what_is_late_is_closed() {
        let connections = connections(4);
        let (idle, busy, stalled) = (connections.admit(), connections.admit(), connections.admit());
        let (idle, busy, stalled) = (idle.unwrap(), busy.unwrap(), stalled.unwrap());
        let _requests = (busy.activity.begin(), stalled.activity.begin());
        stalled.activity.write_waits();
        assert_eq!(connections.sweep(false), 3);
        assert_eq!(connections.sweep(true), 2, "stopping closes what has no request at once");
        assert!(idle.activity.close.is_cancelled());
        stalled.activity.write_goes_on();
        assert_eq!(stalled.activity.stalled(), None);
        assert!(!busy.activity.close.is_cancelled() && !stalled.activity.close.is_cancelled());
    }
}
