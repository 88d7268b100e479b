//! Runs groups at their intervals, and changes them on a reload. (Prometheus: `rules/manager.go`.)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use model::{QuerierError, Timestamp};
use parking_lot::{Mutex, RwLock};
use prometheus::Registry;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::EvaluationError;
use crate::group::Group;
use crate::group_task::{Clock, Shared, run};
use crate::metrics::Metrics;
use crate::spec::GroupSpec;
use crate::unmatched::UnmatchedSelector;

/// The series of a group that was removed are marked stale after so many intervals. By then a group that was renamed has been
/// evaluated, and what it continues is not marked.
const MARKED_AFTER_INTERVALS: u32 = 2;

/// The groups that run.
pub struct Manager {
    shared: Arc<Shared>,
    /// Held over a whole change.
    groups: AsyncMutex<BTreeMap<String, Running>>,
    /// The same groups, for who only looks.
    listed: RwLock<Vec<Arc<Group>>>,
    tasks: Mutex<JoinSet<()>>,
    /// Is the state of alerts restored in groups that are new?
    restores: AtomicBool,
    /// Are groups still to come that ran before the server was restarted?
    starting: AtomicBool,
}

/// A group and its task.
struct Running {
    group: Arc<Group>,
    stop: CancellationToken,
    /// Cancelled when the task has ended.
    ended: CancellationToken,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("groups", &self.listed.read().len()).finish_non_exhaustive()
    }
}

impl Manager {
    /// A manager without groups.
    ///
    /// # Errors
    /// When a metric is registered already.
    pub fn new(context: Context, registry: &Registry, now: Clock) -> Result<Self, prometheus::Error> {
        let shared = Shared::new(context, Metrics::new(registry)?, now);
        Ok(Self {
            shared: Arc::new(shared),
            groups: AsyncMutex::default(),
            listed: RwLock::default(),
            tasks: Mutex::default(),
            restores: AtomicBool::new(true),
            starting: AtomicBool::new(false),
        })
    }

    /// Runs these groups from now on, with this context. A group that did not change goes on; one that did takes over the state
    /// of its rules. The state of alerts is restored in groups of the first call, and of the next ones as long as
    /// [`Self::set_starting`] says so.
    ///
    /// # Errors
    /// When a query or a template of a group is not valid; then nothing changes.
    pub async fn apply(&self, specs: Vec<GroupSpec>, context: Context) -> Result<(), EvaluationError> {
        let mut groups = self.groups.lock().await;
        let restores = self.restores.load(Ordering::Acquire);
        let is_replanned = !Arc::ptr_eq(&self.shared.context.read().engine, &context.engine);
        // All that can fail comes before anything changes.
        let mut kept = BTreeSet::new();
        let mut fresh = Vec::new();
        for spec in specs {
            let key = spec.key();
            match groups.get(&key).filter(|running| *running.group.spec() == spec) {
                Some(running) => {
                    if is_replanned {
                        running.group.prepare(&context)?;
                    }
                    kept.insert(key);
                }
                None => fresh.push(Group::new(spec, &context, self.shared.metrics.clone(), restores)?),
            }
        }
        self.restores.store(self.starting.load(Ordering::Acquire), Ordering::Release);
        *self.shared.context.write() = Arc::new(context);
        let mut old: BTreeMap<String, Running> = groups.extract_if(.., |key, _| !kept.contains(key)).collect();
        // All at once, then the iterations under way are waited for.
        old.values().for_each(|running| running.stop.cancel());
        join_all(old.values().map(|running| running.ended.cancelled())).await;
        for group in fresh {
            let replaced = old.remove(&group.key);
            if let Some(replaced) = &replaced {
                group.take_over(&replaced.group);
            }
            let group = Arc::new(group);
            groups.insert(group.key.clone(), self.start(group));
        }
        old.into_values().for_each(|removed| self.remove(removed.group));
        *self.listed.write() = groups.values().map(|running| Arc::clone(&running.group)).collect();
        Ok(())
    }

    /// Says whether groups that ran before the server was restarted may come with a later call of [`Self::apply`] than the
    /// next one.
    pub fn set_starting(&self, starting: bool) {
        self.starting.store(starting, Ordering::Release);
    }

    /// The groups, by file and name.
    #[must_use]
    pub fn groups(&self) -> Vec<Arc<Group>> {
        let mut groups = self.listed.read().clone();
        groups.sort_by(|a, b| (&a.spec().file, &a.spec().name).cmp(&(&b.spec().file, &b.spec().name)));
        groups
    }

    /// The selectors of a rule that match no series, with the reasons. Blocks.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unmatched(&self, group: &Group, rule: usize) -> Result<Vec<UnmatchedSelector>, QuerierError> {
        let context = Arc::clone(&self.shared.context.read());
        group.unmatched(rule, &context, (self.shared.now)())
    }

    /// Computes the recording rules of a group for a range of time that is over, in idle time; without an end up to now. `false`
    /// where too many such ranges wait.
    #[must_use]
    pub fn backfill(&self, group: &Group, start: Timestamp, end: Option<Timestamp>) -> bool {
        group.backfills.push((start, end))
    }

    /// Ends all groups, after the rule that each is evaluating.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        let groups = self.groups.lock().await;
        join_all(groups.values().map(|running| running.ended.cancelled())).await;
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }

    fn start(&self, group: Arc<Group>) -> Running {
        let (stop, ended) = (self.shared.stop.child_token(), CancellationToken::new());
        let running = Running { group: Arc::clone(&group), stop: stop.clone(), ended: ended.clone() };
        let shared = Arc::clone(&self.shared);
        self.spawn(async move {
            // Also when the task is aborted.
            let _ended = ended.drop_guard();
            run(&shared, &group, &stop).await;
        });
        running
    }

    /// Marks the series of a group stale that is there no more.
    fn remove(&self, group: Arc<Group>) {
        group.forget_metrics();
        let (shared, removed_at) = (Arc::clone(&self.shared), (self.shared.now)());
        let interval = Duration::from_millis(u64::try_from(group.spec().interval_ms).unwrap_or_default());
        self.spawn(async move {
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = tokio::time::sleep(MARKED_AFTER_INTERVALS * interval) => {
                    shared.work(move |context| group.mark_all_removed(context, removed_at)).await;
                }
            }
        });
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        // Those that have ended are let go of here: groups come and go.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}
