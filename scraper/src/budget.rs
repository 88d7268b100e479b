//! Memory budget of the bodies that are being read, shared by all targets. Part of step 3 of the scrape path.
//!
//! A body reserves its buffer's capacity before the buffer grows. When the budget is used up, a reservation waits, and other
//! scrapes are ended to make room for it: those that made no progress for a while, and otherwise the largest of the job that
//! holds most, as long as that job, or target, holds more than the one that waits (max-min fairness). Small reservations do
//! not wait for this, large ones give the others a moment to finish.
//!
//! Invariant: nothing is reserved beyond the budget, and what is reserved is given back when the reservation is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Bytes of every body that need no reservation: almost every body is smaller.
pub(crate) const FREE_BYTES: usize = 512 << 10;
/// The default budget.
const DEFAULT_BYTES: usize = 512 << 20;
/// A body that got no bytes for so long may be ended when another needs its memory.
const STALLED_AFTER: Duration = Duration::from_millis(250);
/// How long a reservation above this part of the budget waits for others to finish before it ends them.
const PATIENT_PART: usize = 16;
const PATIENCE: Duration = Duration::from_millis(250);
/// How often a waiting reservation looks for scrapes that stalled meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The budget. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: AtomicUsize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    reserved: usize,
    next_id: u64,
    holders: HashMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    job: Arc<str>,
    bytes: usize,
    /// When the body last got bytes.
    active: Instant,
    /// The body is complete and a thread parses it: that cannot be ended.
    parsing: bool,
    /// Its eviction was requested and has not happened yet.
    ending: bool,
    end: Arc<Notify>,
}

/// The scrape was ended because others need the memory of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    /// The memory that it held, bytes.
    pub(crate) held: usize,
    /// The whole budget, bytes.
    pub(crate) budget: usize,
}

/// The share of one body in the budget.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: BodyBudget,
    job: Arc<str>,
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    bytes: usize,
    end: Arc<Notify>,
}

impl Default for BodyBudget {
    fn default() -> Self {
        Self::new(DEFAULT_BYTES)
    }
}

impl BodyBudget {
    /// So many bytes for the bodies of all targets.
    pub(crate) fn new(total: usize) -> Self {
        Self(Arc::new(Inner { total: total.into(), state: Mutex::default(), freed: Notify::new() }))
    }

    /// The most that one body may hold.
    pub(crate) fn body_max(&self) -> usize {
        self.total() / 2
    }

    /// Changes the budget. What is reserved already stays so; one that became smaller makes new reservations wait.
    pub(crate) fn resize(&self, total: usize) {
        self.0.total.store(total, Ordering::Relaxed);
        self.0.freed.notify_waiters();
    }

    fn total(&self) -> usize {
        self.0.total.load(Ordering::Relaxed)
    }

    /// A body of a target of that job; it holds nothing yet.
    pub(crate) fn body(&self, job: &Arc<str>) -> Reservation {
        Reservation { budget: self.clone(), job: Arc::clone(job), entry: None }
    }

    /// Bytes that are reserved now.
    #[cfg(test)]
    pub(crate) fn reserved(&self) -> usize {
        self.state().reserved
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

impl Reservation {
    /// Waits until a buffer of that capacity is covered. Only [`BodyBudget::body_max`] of it counts: what is allowed beyond
    /// is for `body_size_limit` to say.
    pub(crate) async fn cover(&mut self, capacity: usize) -> Result<(), Evicted> {
        // The first bytes of each body are free, so most scrapes never take the lock.
        let budget = self.budget.clone();
        // Computed anew: the budget may change meanwhile.
        let wanted = || capacity.saturating_sub(FREE_BYTES).min(budget.body_max());
        if wanted() <= self.bytes() {
            return Ok(());
        }
        let began = Instant::now();
        loop {
            // Registered before the attempt: memory freed between the attempt and the wait is not missed.
            let mut freed = std::pin::pin!(budget.0.freed.notified());
            freed.as_mut().enable();
            if self.reserve(wanted(), began) {
                return Ok(());
            }
            tokio::select! {
                () = freed => {}
                // Nobody notifies when a scrape begins to stall; that is looked for.
                () = sleep(LOOK_AGAIN) => {}
                () = self.evicted() => return Err(self.eviction()),
            }
        }
    }

    /// Reserves if there is room, else requests the eviction of others.
    fn reserve(&mut self, wanted: usize, began: Instant) -> bool {
        let held = self.bytes();
        let mut state = self.budget.state();
        // What all others hold: this body's own part is replaced, not added to.
        let rest = state.reserved - held;
        if rest + wanted > self.budget.total() {
            // A large body waits for others to finish before it ends any; a small one would wait longer than it takes
            // to read.
            let patient = wanted > self.budget.total() / PATIENT_PART && began.elapsed() < PATIENCE;
            let waiter =
                Waiter { id: self.entry.as_ref().map(|entry| entry.id), job: &self.job, held, wanted, patient };
            state.evict(&waiter, (rest + wanted).saturating_sub(self.budget.total()));
            return false;
        }
        state.reserved = rest + wanted;
        let entry = self.entry.get_or_insert_with(|| state.enter(&self.job));
        entry.bytes = wanted;
        if let Some(holder) = state.holders.get_mut(&entry.id) {
            (holder.bytes, holder.active) = (wanted, Instant::now());
        }
        true
    }

    /// The outcome of what is waited for, unless the scrape is ended meanwhile.
    pub(crate) async fn or_evicted<T>(&mut self, waited_for: impl Future<Output = T>) -> Result<T, Evicted> {
        // What holds nothing is nobody's victim.
        if self.entry.is_none() {
            return Ok(waited_for.await);
        }
        tokio::select! {
            // Eviction first: a body that makes progress in every poll must still end.
            biased;
            () = self.evicted() => Err(self.eviction()),
            done = waited_for => {
                // Any progress, even of one byte, keeps the scrape from counting as stalled.
                self.update(|holder| holder.active = Instant::now());
                Ok(done)
            }
        }
    }

    /// The body is complete and about to be parsed: it cannot be evicted from now on, even if that was just requested.
    pub(crate) fn parse(&self) {
        self.update(|holder| (holder.parsing, holder.ending) = (true, false));
    }

    fn update(&self, update: impl FnOnce(&mut Holder)) {
        if let Some(entry) = &self.entry
            && let Some(holder) = self.budget.state().holders.get_mut(&entry.id)
        {
            update(holder);
        }
    }

    fn bytes(&self) -> usize {
        self.entry.as_ref().map_or(0, |entry| entry.bytes)
    }

    async fn evicted(&self) {
        match &self.entry {
            Some(entry) => entry.end.notified().await,
            None => std::future::pending().await,
        }
    }

    fn eviction(&self) -> Evicted {
        Evicted { held: self.bytes(), budget: self.budget.total() }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        let mut state = self.budget.state();
        state.holders.remove(&entry.id);
        state.reserved -= entry.bytes;
        // Waiters take the same lock as soon as they are woken.
        drop(state);
        self.budget.0.freed.notify_waiters();
    }
}

/// A reservation that does not fit.
struct Waiter<'a> {
    id: Option<u64>,
    job: &'a Arc<str>,
    held: usize,
    wanted: usize,
    /// It only ends what stalled.
    patient: bool,
}

impl State {
    /// A body that is about to hold something.
    fn enter(&mut self, job: &Arc<str>) -> Entry {
        let (id, end) = (self.next_id, Arc::new(Notify::new()));
        self.next_id += 1;
        let (job, active) = (Arc::clone(job), Instant::now());
        let holder = Holder { job, bytes: 0, active, parsing: false, ending: false, end: Arc::clone(&end) };
        self.holders.insert(id, holder);
        Entry { id, bytes: 0, end }
    }

    /// Tells scrapes to end until so many bytes will be free, if there are any that may be ended for this reservation.
    fn evict(&mut self, waiter: &Waiter<'_>, missing: usize) {
        // What is ending already will be free: without counting it every waiter would end one scrape more.
        let mut coming: usize = self.holders.values().filter(|holder| holder.ending).map(|holder| holder.bytes).sum();
        while coming < missing {
            // A stalled scrape goes first, whoever it belongs to: it costs nothing that is in progress.
            let victim = self.stalled(waiter).or_else(|| if waiter.patient { None } else { self.greedy(waiter) });
            let Some(holder) = victim.and_then(|id| self.holders.get_mut(&id)) else { return };
            holder.ending = true;
            holder.end.notify_one();
            coming += holder.bytes;
        }
    }

    fn candidates(&self, waiter: &Waiter<'_>) -> impl Iterator<Item = (u64, &Holder)> {
        let own = waiter.id;
        // A body that is parsed gives its memory back soon and cannot be interrupted.
        let may_end = move |(id, holder): &(u64, &Holder)| Some(*id) != own && !holder.parsing && !holder.ending;
        self.holders.iter().map(|(id, holder)| (*id, holder)).filter(may_end)
    }

    /// The largest that stalled.
    fn stalled(&self, waiter: &Waiter<'_>) -> Option<u64> {
        let stalled = self.candidates(waiter).filter(|(_, holder)| holder.active.elapsed() >= STALLED_AFTER);
        stalled.max_by_key(|(_, holder)| holder.bytes).map(|(id, _)| id)
    }

    /// The largest of the job that holds most, if it has more than the reservation would have.
    fn greedy(&self, waiter: &Waiter<'_>) -> Option<u64> {
        let mut jobs: HashMap<&str, usize> = HashMap::new();
        for holder in self.holders.values() {
            *jobs.entry(&holder.job).or_default() += holder.bytes;
        }
        let of_job = |job: &str| jobs.get(job).copied().unwrap_or_default();
        // Max-min fairness: the share of the waiting job if it got what it wants.
        let would_have = of_job(waiter.job) - waiter.held + waiter.wanted;
        let may_end = |holder: &Holder| {
            // Within its own job a body may only push out one that is larger, or two equal ones would end each other
            // in turn.
            if holder.job == *waiter.job { holder.bytes > waiter.wanted } else { of_job(&holder.job) > would_have }
        };
        let greedy = self.candidates(waiter).filter(|(_, holder)| may_end(holder));
        greedy.max_by_key(|(_, holder)| (of_job(&holder.job), holder.bytes)).map(|(id, _)| id)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn job(name: &str) -> Arc<str> {
        name.into()
    }

    /// Holds until it is told to end.
    fn hold(budget: &BodyBudget, job: &Arc<str>, bytes: usize) -> tokio::task::JoinHandle<Evicted> {
        let mut body = budget.body(job);
        tokio::spawn(async move {
            if let Err(evicted) = body.cover(bytes + FREE_BYTES).await {
                return evicted;
            }
            body.or_evicted(std::future::pending::<()>()).await.unwrap_err()
        })
    }

    async fn a_moment() {
        sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_changes_while_bodies_are_read() {
        let budget = BodyBudget::new(8 * MIB);
        let mut first = budget.body(&job("a"));
        first.cover(FREE_BYTES + 4 * MIB).await.unwrap();
        budget.resize(2 * MIB);
        assert_eq!((budget.reserved(), budget.body_max()), (4 * MIB, MIB));
        let waiting = hold(&budget, &job("b"), MIB);
        a_moment().await;
        assert_eq!(budget.reserved(), 4 * MIB, "nothing is reserved beyond the new budget");
        budget.resize(16 * MIB);
        a_moment().await;
        assert_eq!(budget.reserved(), 5 * MIB);
        drop(first);
        waiting.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_is_given_back_and_small_bodies_need_nothing() {
        let budget = BodyBudget::new(8 * MIB);
        let mut body = budget.body(&job("a"));
        body.cover(FREE_BYTES).await.unwrap();
        assert_eq!(budget.reserved(), 0);
        body.cover(FREE_BYTES + MIB).await.unwrap();
        body.cover(FREE_BYTES + 100 * MIB).await.unwrap();
        assert_eq!(budget.reserved(), 4 * MIB, "one body is charged with half of the budget at most");
        drop(body);
        assert_eq!(budget.reserved(), 0);
        assert!(budget.state().holders.is_empty());
        // Dropped while it waits.
        let mut parsed = budget.body(&job("a"));
        parsed.cover(FREE_BYTES + 4 * MIB).await.unwrap();
        let mut second = budget.body(&job("a"));
        second.cover(FREE_BYTES + 4 * MIB).await.unwrap();
        parsed.parse();
        second.parse();
        let mut third = budget.body(&job("a"));
        let waited = tokio::time::timeout(Duration::from_secs(1), third.cover(FREE_BYTES + MIB)).await;
        assert!(waited.is_err(), "what is being parsed cannot be ended");
        drop((second, third));
        assert_eq!(budget.reserved(), 4 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stalls_makes_room_for_what_waits() {
        let budget = BodyBudget::new(8 * MIB);
        let holders: Vec<_> = (0..4).map(|_| hold(&budget, &job("a"), 2 * MIB)).collect();
        sleep(STALLED_AFTER).await;
        let mut body = budget.body(&job("a"));
        body.cover(FREE_BYTES + 4 * MIB).await.unwrap();
        a_moment().await;
        let ended = holders.iter().filter(|holder| holder.is_finished()).count();
        assert_eq!((ended, budget.reserved()), (2, 8 * MIB), "no more than needed are ended");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_parsed_after_all_is_not_waited_for() {
        let budget = BodyBudget::new(8 * MIB);
        let mut larger = budget.body(&job("a"));
        larger.cover(FREE_BYTES + 4 * MIB).await.unwrap();
        let other = hold(&budget, &job("a"), 3 * MIB);
        sleep(STALLED_AFTER).await;
        let waiting = hold(&budget, &job("a"), 2 * MIB);
        a_moment().await;
        assert!(budget.state().holders.values().any(|holder| holder.ending) && !other.is_finished());
        // Its body was complete before it noticed.
        larger.parse();
        sleep(LOOK_AGAIN).await;
        a_moment().await;
        assert!(other.is_finished() && !waiting.is_finished());
        assert_eq!(budget.reserved(), 6 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn small_reservations_end_larger_ones_at_once_and_large_ones_are_patient() {
        let budget = BodyBudget::new(32 * MIB);
        let large = [12, 16].map(|mib| hold(&budget, &job("a"), mib * MIB));
        a_moment().await;
        let began = Instant::now();
        let mut small = budget.body(&job("a"));
        small.cover(FREE_BYTES + 2 * MIB).await.unwrap();
        let mut second = budget.body(&job("a"));
        second.cover(FREE_BYTES + 2 * MIB).await.unwrap();
        assert!(large.iter().all(|one| !one.is_finished()));
        let mut third = budget.body(&job("a"));
        third.cover(FREE_BYTES + 2 * MIB).await.unwrap();
        assert!(began.elapsed() < LOOK_AGAIN, "it did not wait");
        assert!(large[1].is_finished() && !large[0].is_finished(), "the largest is ended");
        // 12 + 3 × 2 are held. Another 12 fit, a third 12 does not, and nobody has more than it would have.
        let fourth = hold(&budget, &job("a"), 12 * MIB);
        a_moment().await;
        let mut patient = budget.body(&job("a"));
        let began = Instant::now();
        let keep_busy = async {
            loop {
                for holder in budget.state().holders.values_mut() {
                    holder.active = Instant::now();
                }
                a_moment().await;
            }
        };
        tokio::select! {
            covered = patient.cover(FREE_BYTES + 8 * MIB) => covered.unwrap(),
            () = keep_busy => {}
        }
        assert!(began.elapsed() >= PATIENCE);
        assert!(large[0].is_finished() != fourth.is_finished(), "one of the larger ones is ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_with_many_targets_gives_way_to_one_with_few() {
        let budget = BodyBudget::new(32 * MIB);
        let many: Vec<_> = (0..16).map(|_| hold(&budget, &job("many"), 2 * MIB)).collect();
        a_moment().await;
        let few = hold(&budget, &job("few"), 8 * MIB);
        sleep(PATIENCE + LOOK_AGAIN).await;
        assert_eq!(many.iter().filter(|one| one.is_finished()).count(), 4);
        assert!(!few.is_finished());
        assert_eq!(
            many.into_iter().find(|one| one.is_finished()).unwrap().await.unwrap(),
            Evicted { held: 2 * MIB, budget: 32 * MIB }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reservations_never_exceed_the_budget_and_all_that_fit_get_theirs() {
        let budget = BodyBudget::new(16 * MIB);
        let tasks: Vec<_> = (0..200_usize)
            .map(|i| {
                let (budget, mut body) = (budget.clone(), budget.body(&job(["a", "b", "c"][i % 3])));
                tokio::spawn(async move {
                    for step in 1..=8 {
                        body.cover(FREE_BYTES + step * (1 + i % 5) * MIB / 4).await?;
                        assert!(budget.reserved() <= 16 * MIB);
                        body.or_evicted(sleep(Duration::from_millis(i as u64 % 7))).await?;
                    }
                    Ok::<(), Evicted>(())
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += usize::from(tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap().is_ok());
        }
        assert!(done > 0);
        assert_eq!(budget.reserved(), 0);
    }
}
