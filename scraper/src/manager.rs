//! The scrape manager: target groups in, one pool per job. Step 2 of the scrape path.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use config::ScrapeConfig;
use model::{Appender, TargetGroups, Timestamp};
use prometheus::Registry;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::budget::BodyBudget;
use crate::failure_log::FailureLogs;
use crate::fetch::Room;
use crate::lost::LostTargets;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::pool::{PoolStatus, ScrapePool};
use crate::scrape_loop::{Mode, Shared, Workers};
use crate::staleness_handover::Handovers;
use crate::threads::Threads;
use crate::trial::Trial;

/// All scrape pools.
pub struct Manager {
    shared: Shared,
    options: Options,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pools: BTreeMap<String, ScrapePool>,
    groups: Arc<TargetGroups>,
    /// Pools of removed jobs, until they have written their stale markers.
    leaving: JoinSet<()>,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Manager {
    /// A manager without jobs.
    ///
    /// # Errors
    /// When its metrics are registered already, or the system refuses a thread.
    pub fn new(appender: Arc<dyn Appender>, registry: &Registry, options: Options) -> Result<Self, prometheus::Error> {
        let threads = Threads::start(options.threads)
            .map_err(|error| prometheus::Error::Msg(format!("cannot start a thread that scrapes: {error}")))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Shared {
            appender,
            metrics: Metrics::new(registry)?,
            threads: Arc::new(threads),
            workers: Workers::new(cores),
            room: Room::new(BodyBudget::new(options.body_memory), cores),
            failure_logs: FailureLogs::default(),
            handovers: Handovers::default(),
            lost: Arc::default(),
            now: Arc::new(Timestamp::now),
            known: (Instant::now(), Timestamp::now()),
            seed: Arc::default(),
            at_once_after: options.at_once_after,
        };
        Ok(Self::over(shared, options))
    }

    /// Changes [`Options::body_memory`].
    pub fn set_body_memory(&self, bytes: usize) {
        self.shared.room.budget.resize(bytes);
    }

    /// How long a thread that scrapes has been busy with one thing, or stuck: the longest of them.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.shared.threads.silent_for()
    }

    pub(crate) fn over(shared: Shared, options: Options) -> Self {
        Self { shared, options, state: Mutex::default() }
    }

    /// Applies the jobs of a configuration, with a seed from [`crate::server_seed`] for the offsets of targets that are new.
    /// Unchanged jobs go on undisturbed; logs of failed scrapes are reopened.
    pub async fn apply(&self, jobs: &[Arc<ScrapeConfig>], seed: u64) {
        // Every reload, also of an unchanged job: log rotation works with a reload, as with upstream.
        self.shared.failure_logs.reopen();
        let mut state = self.state.lock().await;
        self.shared.seed.store(seed, Ordering::Relaxed);
        let groups = Arc::clone(&state.groups);
        let of_job = |job: &ScrapeConfig| groups.get(&job.job_name).map_or(&[][..], Vec::as_slice);
        // Each waits for its scrapes under way; all at once, that is no longer than one timeout.
        let mut changing = JoinSet::new();
        for job in jobs {
            // Pools are taken out and put back, so those that remain at the end belong to jobs that are gone.
            match state.pools.remove(&job.job_name) {
                Some(pool) if Arc::ptr_eq(&pool.config, job) || pool.config == *job => {
                    drop(state.pools.insert(job.job_name.clone(), pool))
                }
                Some(pool) => {
                    let (job, options) = (Arc::clone(job), self.options.clone());
                    changing.spawn(async move { pool.reload(job, &options).await });
                }
                None => {
                    let mut pool = ScrapePool::new(Arc::clone(job), self.shared.clone(), &self.options);
                    pool.sync(of_job(job));
                    state.pools.insert(job.job_name.clone(), pool);
                }
            }
        }
        while let Some(changed) = changing.join_next().await {
            // A task that panicked has lost its pool; the next reload makes a new one.
            let Ok(mut pool) = changed else { continue };
            let config = Arc::clone(&pool.config);
            pool.sync(of_job(&config));
            state.pools.insert(config.job_name.clone(), pool);
        }
        // Last, so that those which go on with the same series are there already.
        let wanted: HashSet<&str> = jobs.iter().map(|job| job.job_name.as_str()).collect();
        let gone: Vec<String> = state.pools.keys().filter(|name| !wanted.contains(name.as_str())).cloned().collect();
        for name in gone {
            if let Some(pool) = state.pools.remove(&name) {
                pool.remember_removal();
                // In the background: a pool writes its stale markers two intervals later, and a reload does not wait
                // for that.
                state.leaving.spawn(pool.stop(Mode::End));
            }
        }
    }

    /// Applies the target groups that discovery has found.
    pub async fn sync(&self, groups: Arc<TargetGroups>) {
        let mut state = self.state.lock().await;
        for (name, pool) in &mut state.pools {
            pool.sync(groups.get(name).map_or(&[][..], Vec::as_slice));
        }
        // Kept for jobs that a later reload adds: discovery sends groups only when they change.
        state.groups = groups;
        // Takes finished pools off the set, which would otherwise grow with every removed job.
        while state.leaving.try_join_next().is_some() {}
    }

    /// Every job's targets, by job name.
    pub async fn status(&self) -> BTreeMap<String, PoolStatus> {
        self.state.lock().await.pools.iter().map(|(name, pool)| (name.clone(), pool.status())).collect()
    }

    /// The targets that were lost in the last hour, also those of jobs that are gone. A bounded number of them is remembered.
    #[must_use]
    pub fn lost(&self) -> LostTargets {
        self.shared.lost.all((self.shared.now)())
    }

    /// A scrape of an active target outside its schedule, by the name of its job and its URL; `None` if there is no such target.
    pub async fn trial(&self, job: &str, url: &str) -> Option<Trial> {
        self.state.lock().await.pools.get(job)?.trial(url)
    }

    /// Ends every loop and aborts running scrapes. No stale markers are written: the server may be back soon.
    pub async fn shutdown(&self) {
        // The lock is not held while loops end: `status` goes on to answer.
        let pools = std::mem::take(&mut self.state.lock().await.pools);
        let mut ending = JoinSet::new();
        for pool in pools.into_values() {
            ending.spawn(pool.stop(Mode::Abort));
        }
        while ending.join_next().await.is_some() {}
        // Pools that still wait to write stale markers are aborted too.
        self.state.lock().await.leaving.shutdown().await;
        // After all loops, which are the ones that hold bodies.
        self.shared.room.clear();
    }
}
