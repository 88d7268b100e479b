//! The task of a group: evaluates it in every slot, and computes what of its past is missing. (Prometheus: `Group.run` in
//! `rules/group.go`.)

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Timestamp;
use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tokio::time::Instant as TokioInstant;
use tokio_util::sync::CancellationToken;

use crate::backfill::{Backfill, MISSED_MAX_MS, Step};
use crate::chunk::Until;
use crate::context::Context;
use crate::error::EvaluationError;
use crate::group::Group;
use crate::metrics::Metrics;
use crate::restore::restore;
use crate::slots::{Slot, Slots};

/// Groups that are evaluated at once: more than there are cores, as some wait for the disk.
const GROUPS_AT_ONCE_MIN: usize = 8;
/// The longest sleep: a clock that is set is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Making up evaluations that were missed delays live ones by this part of the interval at most.
const MADE_UP_FOR: u32 = 4;

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the tasks of all groups share.
pub(crate) struct Shared {
    pub(crate) context: RwLock<Arc<Context>>,
    pub(crate) metrics: Metrics,
    at_once: Semaphore,
    /// Of groups whose past is computed: live evaluation needs the others.
    past_at_once: Semaphore,
    pub(crate) now: Clock,
    /// Cancelled when the server ends.
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn new(context: Context, metrics: Metrics, now: Clock) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            context: RwLock::new(Arc::new(context)),
            metrics,
            at_once: Semaphore::new(GROUPS_AT_ONCE_MIN.max(2 * cores)),
            past_at_once: Semaphore::new(cores.div_ceil(2)),
            now,
            stop: CancellationToken::new(),
        }
    }

    /// Does something that blocks, when it is its turn. `None` if it panicked.
    pub(crate) async fn work<T: Send + 'static>(&self, work: impl FnOnce(&Context) -> T + Send + 'static) -> Option<T> {
        // The semaphore is never closed.
        let _turn = self.at_once.acquire().await.ok()?;
        self.blocking(work).await
    }

    /// The same for what is past; also `None` if its turn does not come in time.
    async fn work_on_past<T: Send + 'static>(
        &self,
        deadline: Option<TokioInstant>,
        work: impl FnOnce(&Context) -> T + Send + 'static,
    ) -> Option<T> {
        let turn = self.past_at_once.acquire();
        let _turn = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, turn).await.ok()?,
            None => turn.await,
        };
        self.blocking(work).await
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Context) -> T + Send + 'static) -> Option<T> {
        let context = Arc::clone(&self.context.read());
        let done = tokio::task::spawn_blocking(move || work(&context)).await;
        done.inspect_err(|error| tracing::error!(%error, "the evaluation of a rule group panicked")).ok()
    }

    /// Waits until the wall clock shows a time; `false` when told to stop.
    async fn wait_until(&self, time: Timestamp, stop: &CancellationToken) -> bool {
        let left = time.saturating_since((self.now)());
        let Ok(left) = u64::try_from(left) else { return !stop.is_cancelled() };
        let left = Duration::from_millis(left).min(SLEEP_MAX);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(left) => true,
        }
    }
}

/// Runs a group until it is told to stop.
pub(crate) async fn run(shared: &Shared, group: &Arc<Group>, stop: &CancellationToken) {
    let slots = Slots::new((&group.spec().file, &group.spec().name), group.spec().interval_ms);
    let next = slots.at((shared.now)()).next();
    let task = Task { shared, group, slots, stop };
    let is_made_up = task.catch_up(next).await;
    if let Some(backfill_ms) = group.spec().backfill_ms {
        let end = slots.time(next);
        group.backfills.push((end.saturating_sub(backfill_ms), Some(end)));
    }
    tokio::join!(task.compute_past((!is_made_up).then_some(next)), task.evaluate(next));
}

#[derive(Clone, Copy)]
struct Task<'a> {
    shared: &'a Shared,
    group: &'a Arc<Group>,
    slots: Slots,
    stop: &'a CancellationToken,
}

/// How a computation of the past ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Complete,
    /// At this time of the group: stopped, or there was no time left.
    Early(Timestamp),
}

impl Task<'_> {
    /// Makes up evaluations that were missed before a slot, as many as there is time for; `false` if some are left.
    async fn catch_up(self, next: Slot) -> bool {
        let left = self.slots.time(next).saturating_since((self.shared.now)());
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        let deadline = TokioInstant::now() + left.max(self.delay_max());
        match self.missed(next, Some(deadline)).await {
            None => false,
            Some(None) => true,
            Some(Some(missed)) => self.compute(missed, Some(deadline)).await == Ended::Complete,
        }
    }

    fn delay_max(self) -> Duration {
        Duration::from_millis(u64::try_from(self.group.spec().interval_ms).unwrap_or(0)) / MADE_UP_FOR
    }

    /// What was missed before a slot; `None` if there was no time to look.
    async fn missed(self, next: Slot, deadline: Option<TokioInstant>) -> Option<Option<Backfill>> {
        let (group, slots, stop) = (Arc::clone(self.group), self.slots, self.stop.clone());
        let find = move |context: &Context| Backfill::missed(&group, context, (slots, next), &|| stop.is_cancelled());
        let missed = self.shared.work_on_past(deadline, find).await?;
        Some(missed.unwrap_or_else(|error| {
            self.log(&error);
            None
        }))
    }

    fn log(self, error: &EvaluationError) {
        if !error.is_canceled() {
            let (file, group) = (&self.group.spec().file, &self.group.spec().name);
            tracing::warn!(file, group, error = model::with_causes(error), "cannot tell which evaluations were missed");
        }
    }

    /// Computes evaluations: before a deadline without pauses, and live evaluation goes on with their series.
    async fn compute(self, mut backfill: Backfill, deadline: Option<TokioInstant>) -> Ended {
        loop {
            let reached = self.tell(&backfill, deadline);
            let (group, stop) = (Arc::clone(self.group), self.stop.clone());
            let work = move |context: &Context| {
                let deadline = deadline.map(|deadline| Instant::now() + (deadline - TokioInstant::now()));
                let until = Until { deadline, is_stopped: &|| stop.is_cancelled() };
                let step = backfill.step(&group, context, until);
                (backfill, step)
            };
            let Some((after, step)) = self.shared.work_on_past(deadline, work).await else {
                return Ended::Early(reached);
            };
            backfill = after;
            match step {
                Step::Rest(_) if deadline.is_some() => {}
                Step::Rest(rest) => tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(rest) => {}
                },
                Step::Complete => {
                    self.tell(&backfill, deadline);
                    if deadline.is_some() {
                        backfill.hand_over(self.group);
                    }
                    return Ended::Complete;
                }
                Step::Interrupted => return Ended::Early(self.tell(&backfill, deadline)),
            }
        }
    }

    /// How far it is; shown where it goes on for longer than an interval.
    fn tell(self, backfill: &Backfill, deadline: Option<TokioInstant>) -> Timestamp {
        let status = backfill.status(self.group);
        let reached = status.reached;
        if deadline.is_none() {
            self.group.backfills.set_status(status);
        }
        reached
    }

    /// Backfills in idle time: evaluations that were missed before a slot, then the ranges in the queue.
    async fn compute_past(self, missed_before: Option<Slot>) {
        if let Some(next) = missed_before
            && let Some(Some(missed)) = self.missed(next, None).await
        {
            self.compute(missed, None).await;
        }
        loop {
            let (start, end) = tokio::select! {
                () = self.stop.cancelled() => return,
                range = self.group.backfills.next() => range,
            };
            // The present one is evaluated live.
            let current = self.slots.at((self.shared.now)());
            let end = end.map_or(current, |end| self.slots.not_before(end).min(current));
            let Some(backfill) = Backfill::range(self.group, self.slots, (start, end)) else { continue };
            if self.compute(backfill, None).await == Ended::Complete {
                let (file, group) = (&self.group.spec().file, &self.group.spec().name);
                tracing::info!(file, group, "the history of the recording rules is complete");
            }
        }
    }

    /// Evaluates the group in every slot. Slots that a slow evaluation has missed are counted.
    async fn evaluate(self, mut next: Slot) {
        let Self { shared, group, slots, stop } = self;
        let (mut evaluations, mut was_late) = (0u64, false);
        while shared.wait_until(slots.time(next), stop).await {
            let current = slots.at((shared.now)());
            // The clock was set back: the next slot is that of the new time.
            next = next.min(current.next());
            if current < next {
                continue;
            }
            let is_late = current > next;
            group.missed(current.missed_since(next) + u64::from(is_late));
            // A group that is always late would be so all the more.
            if is_late && !was_late {
                self.make_up(next, current).await;
            }
            was_late = is_late;
            let (ts, evaluated) = (slots.time(current), Arc::clone(group));
            let stopped = stop.clone();
            shared.work(move |context| evaluated.evaluate(context, ts, &|| stopped.is_cancelled())).await;
            evaluations += 1;
            // What alerts depend on may not have been scraped, or recorded, before the first evaluation.
            if evaluations == 2 && group.is_to_be_restored() {
                let (restored, now) = (Arc::clone(group), (shared.now)());
                shared.work(move |context| restore(&restored, context, now)).await;
            }
            next = current.next();
        }
    }

    /// Makes up slots that live evaluation has missed; what there is no time for is computed later.
    async fn make_up(self, first: Slot, current: Slot) {
        let (begin, end) = (self.slots.time(first), self.slots.time(current));
        let begin = begin.max(end.saturating_sub(MISSED_MAX_MS));
        let Some(missed) = Backfill::range(self.group, self.slots, (begin, current)) else { return };
        let deadline = TokioInstant::now() + self.delay_max();
        if let Ended::Early(reached) = self.compute(missed, Some(deadline)).await {
            self.group.backfills.push((reached, Some(end)));
        }
    }
}
