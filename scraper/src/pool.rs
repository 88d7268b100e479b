//! The targets of one job: which there are, and a loop for each. Step 2 of the scrape path.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use config::{LimitMode, ScrapeConfig, ScrapeLimits};
use http_client::HttpClient;
use model::duration::format_duration_ms;
use model::labels::ADDRESS;
use model::{NameValidation, TargetGroup};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::failure_log::FailureLogs;
use crate::fetch::BODY_BYTES_MAX;
use crate::group_targets::{Dropped, DroppedTargets, GroupTargets, Outcome};
use crate::job_settings::JobSettings;
use crate::lost::{LostCause, LostTarget};
use crate::negotiate;
use crate::options::Options;
use crate::sample_mutation::SeriesRules;
use crate::scrape_cache::{HistogramRules, SampleRules, ScrapeCache};
use crate::scrape_loop::{Mode, ScrapeLoop, Shared, TargetStatus};
use crate::staleness_handover::SameRules;
use crate::target::{Target, discovered_labels};
use crate::trial::Trial;

/// New targets of one update are scraped one after another, so far apart: a job of thousands of targets does not take all at once.
const AT_ONCE_EVERY: Duration = Duration::from_millis(1);

/// The most invalid targets of one update that are logged one by one.
const INVALID_LOGGED: usize = 100;

/// A target and its status.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// The target.
    pub target: Arc<Target>,
    /// The newest of its loop.
    pub status: TargetStatus,
}

/// The targets of one job: active, dropped and invalid ones.
#[derive(Clone, Debug, Default)]
pub struct PoolStatus {
    /// In order of their labels.
    pub active: Vec<ActiveTarget>,
    /// At most `keep_dropped_targets`.
    pub dropped: DroppedTargets,
    /// How many were dropped.
    pub dropped_count: usize,
    /// Targets that cannot be scraped, and why.
    pub invalid: Vec<String>,
    /// The indices of those `relabel_configs` that have matched nothing of what discovery found since the job has them.
    pub unmatched_rules: Vec<usize>,
}

struct Running {
    target: Arc<Target>,
    /// The group that has it.
    group: Arc<TargetGroup>,
    status: Arc<Mutex<TargetStatus>>,
    mode: watch::Sender<Mode>,
}

impl Running {
    /// Where discovery found it: the source of its group, and its address.
    fn place(&self) -> (&str, &str) {
        (&self.group.source, self.target.discovered.value(ADDRESS))
    }
}

/// One job.
pub(crate) struct ScrapePool {
    pub(crate) config: Arc<ScrapeConfig>,
    job: Arc<JobSettings>,
    shared: Shared,
    running: HashMap<u64, Running>,
    /// Loops of removed targets, until they have written their stale markers.
    ending: HashMap<u64, Running>,
    /// Those of them that a reload started again, up to the next sync: they were lost before.
    restarted: HashSet<u64>,
    tasks: JoinSet<(u64, ScrapeCache)>,
    groups: GroupTargets,
    dropped: Arc<[Dropped]>,
    dropped_count: usize,
    invalid: Vec<String>,
}

impl ScrapePool {
    pub(crate) fn new(config: Arc<ScrapeConfig>, shared: Shared, options: &Options) -> Self {
        let job = Arc::new(settings(&config, options, &shared.failure_logs));
        Self {
            config,
            job,
            shared,
            running: HashMap::new(),
            ending: HashMap::new(),
            restarted: HashSet::new(),
            tasks: JoinSet::new(),
            groups: GroupTargets::default(),
            dropped: Arc::default(),
            dropped_count: 0,
            invalid: Vec::new(),
        }
    }

    /// Starts and ends loops so that exactly the targets of these groups are scraped.
    pub(crate) fn sync(&mut self, groups: &[Arc<TargetGroup>]) {
        let began = Instant::now();
        // Loops that ended since the last sync are no longer there to be taken back.
        while let Some(ended) = self.tasks.try_join_next() {
            if let Ok((hash, _)) = ended {
                self.ending.remove(&hash);
            }
        }
        // A loop that was taken back too late, or that broke, is started again below.
        self.running.retain(|_, running| !running.mode.is_closed());
        let wanted = self.wanted(groups);
        self.refuse_too_many(wanted.len());
        let gone: Vec<u64> = self.running.keys().filter(|hash| !wanted.contains_key(hash)).copied().collect();
        let (mut new, is_started) = (HashSet::new(), self.is_started());
        for (hash, (target, group)) in wanted {
            match self.running.get_mut(&hash) {
                // Only what discovery says of it can have changed.
                Some(running) => (running.target, running.group) = (target, group),
                None => {
                    let before = u32::try_from(new.len()).unwrap_or(u32::MAX);
                    let first_scrape = is_started.then(|| AT_ONCE_EVERY * before);
                    new.insert(hash);
                    self.start((target, group), None, first_scrape);
                }
            }
        }
        self.remember_lost(&gone, &new);
        self.restarted.clear();
        // Last, so that those which go on with the same series are there already.
        for (hash, running) in gone.into_iter().filter_map(|hash| Some((hash, self.running.remove(&hash)?))) {
            running.mode.send_replace(Mode::End);
            self.ending.insert(hash, running);
        }
        let targets = i64::try_from(self.running.len()).unwrap_or(i64::MAX);
        let (metrics, job) = (&self.shared.metrics.pools, [self.config.job_name.as_str()]);
        metrics.targets.with_label_values(&job).set(targets);
        let limit = i64::try_from(self.config.limits.targets).unwrap_or(i64::MAX);
        metrics.target_limit.with_label_values(&job).set(limit);
        metrics.syncs.with_label_values(&job).inc();
        metrics.sync_length.with_label_values(&job).observe(began.elapsed().as_secs_f64());
    }

    fn wanted(&mut self, groups: &[Arc<TargetGroup>]) -> HashMap<u64, (Arc<Target>, Arc<TargetGroup>)> {
        let mut wanted = HashMap::new();
        let keep = count(self.config.limits.keep_dropped_targets);
        let (mut dropped, mut dropped_count, mut invalid) = (Vec::new(), 0, Vec::new());
        self.groups.update(groups, &self.config, |group, index, outcome| match outcome {
            // Several ports or groups may give one target; as upstream shows, its discovered labels are the last one's.
            Outcome::Target(target) => {
                wanted.insert(target.hash, (Arc::clone(target), Arc::clone(group)));
            }
            Outcome::Invalid(reason) => invalid.push(reason.to_string()),
            Outcome::Dropped(rule) => {
                dropped_count += 1;
                // Kept for the API alone, and may be many.
                if keep == 0 || dropped.len() < keep {
                    dropped.push(Dropped { group: Arc::clone(group), index, rule: *rule });
                }
            }
        });
        (self.dropped, self.dropped_count) = (dropped.into(), dropped_count);
        self.log_invalid(&invalid);
        let failed = self.shared.metrics.pools.sync_failures.with_label_values(&[&self.config.job_name]);
        failed.inc_by(invalid.len() as u64);
        self.invalid = invalid;
        wanted
    }

    /// Remembers why targets are gone. One whose place a new target has, the same under other labels, is not lost.
    fn remember_lost(&self, gone: &[u64], new: &HashSet<u64>) {
        let gone = gone.iter().filter(|hash| !self.restarted.contains(hash));
        let gone: Vec<&Running> = gone.filter_map(|hash| self.running.get(hash)).collect();
        if gone.is_empty() {
            return;
        }
        let mut causes: foldhash::HashMap<(&str, &str), Option<LostCause>> =
            gone.iter().map(|running| (running.place(), Some(LostCause::NotFound))).collect();
        let places = causes.keys().copied().collect();
        self.groups.at(&places, |place, group, index, outcome| {
            let Some(cause) = causes.get_mut(&place) else { return };
            match outcome {
                Outcome::Target(target) if new.contains(&target.hash) => *cause = None,
                // Another one that was there before.
                Outcome::Target(_) => {}
                Outcome::Dropped(_) | Outcome::Invalid(_) if cause.is_none() => {}
                Outcome::Dropped(rule) => {
                    let found = discovered_labels(group, index, &self.config);
                    *cause = Some(LostCause::Dropped { rule: *rule, found });
                }
                Outcome::Invalid(reason) => *cause = Some(LostCause::Invalid { reason: reason.to_string() }),
            }
        });
        let caused = gone.into_iter().filter_map(|running| Some((running, causes.get(&running.place())?.clone()?)));
        self.add_lost(caused);
    }

    fn add_lost<'r>(&self, caused: impl Iterator<Item = (&'r Running, LostCause)>) {
        let now = (self.shared.now)();
        let lost = caused.map(|(running, cause)| LostTarget {
            at: now,
            job: Arc::clone(&self.config),
            target: Arc::clone(&running.target),
            source: running.group.source.clone(),
            cause,
        });
        let lost: Vec<LostTarget> = lost.collect();
        for one in &lost {
            self.shared.metrics.lost.with_label_values(&[one.cause.as_str()]).inc();
        }
        self.shared.lost.add(now, lost);
    }

    /// The job is gone with all of its targets.
    pub(crate) fn remember_removal(&self) {
        self.add_lost(self.running.values().map(|running| (running, LostCause::JobRemoved)));
    }

    /// Logs what was not invalid before.
    fn log_invalid(&self, invalid: &[String]) {
        let mut new = not_among(invalid, &self.invalid);
        for reason in new.by_ref().take(INVALID_LOGGED) {
            tracing::error!(scrape_pool = %self.config.job_name, err = %reason, "cannot make a target");
        }
        let more = new.count();
        if more > 0 {
            tracing::error!(scrape_pool = %self.config.job_name, more, "cannot make further targets");
        }
    }

    fn refuse_too_many(&self, targets: usize) {
        let limit = count(self.config.limits.targets);
        let reason = (limit > 0 && targets > limit)
            .then(|| format!("target_limit exceeded (number of targets: {targets}, limit: {limit})"));
        if reason.is_some() {
            self.shared.metrics.exceeded_target_limit.inc();
        }
        *self.job.refused.write() = reason;
    }

    /// Is the start over, so that a new target is one that was not there before?
    fn is_started(&self) -> bool {
        let (born, _) = self.shared.known;
        self.shared.at_once_after.is_some_and(|after| born.elapsed() >= after)
    }

    /// Starts a loop, or takes back one that was about to end.
    fn start(
        &mut self,
        (target, group): (Arc<Target>, Arc<TargetGroup>),
        cache: Option<ScrapeCache>,
        first_scrape: Option<Duration>,
    ) {
        let hash = target.hash;
        // A target that flaps (a pod whose readiness changes) is the same loop again: no stale markers, no new offset.
        if cache.is_none()
            && let Some(running) = self.ending.remove(&hash)
            && !running.mode.is_closed()
            && *running.mode.borrow() == Mode::End
        {
            running.mode.send_replace(Mode::Run);
            self.running.insert(hash, Running { target, group, ..running });
            return;
        }
        let (mode, receiver) = watch::channel(Mode::Run);
        let status = Arc::new(Mutex::new(TargetStatus::default()));
        let interval = format_duration_ms(target.interval_ms);
        // A target stays on one thread, so that its connection and its cache stay warm there (decision 0008).
        let seed = self.shared.seed.load(Ordering::Relaxed);
        let (turn, thread) = self.shared.threads.turn((hash, seed), target.interval_ms);
        let scrape_loop = ScrapeLoop {
            turn,
            target: Arc::clone(&target),
            job: Arc::clone(&self.job),
            shared: self.shared.clone(),
            status: Arc::clone(&status),
            cache: cache.unwrap_or_else(|| ScrapeCache::new(target.public.clone())),
            connection: target.connection(),
            request: None,
            last_body: 0,
            last_work: Duration::ZERO,
            leaves_out: false,
            length: (None, self.shared.metrics.interval_length.with_label_values(&[&interval])),
            first_scrape,
            handover: Some(self.shared.handovers.enter(&target.public)),
            mode: receiver,
        };
        self.tasks.spawn_on(async move { (hash, scrape_loop.run().await) }, &thread);
        self.running.insert(hash, Running { target, group, status, mode });
    }

    /// Takes a changed configuration: all loops end and new ones go on where they stopped, so that series which the new
    /// configuration does not make are marked stale.
    pub(crate) async fn reload(mut self, config: Arc<ScrapeConfig>, options: &Options) -> Self {
        let mut job = settings(&config, options, &self.shared.failure_logs);
        let same_rules = makes_the_same(&self.config, &config);
        if same_rules {
            job.same_rules = self.job.same_rules.clone();
        }
        self.job = Arc::new(job);
        self.config = config;
        self.groups.clear();
        self.restarted.extend(self.ending.keys());
        let all: HashMap<u64, Running> = self.running.drain().chain(self.ending.drain()).collect();
        for running in all.values() {
            // Stop, not End: the loop that goes on with the series writes the stale markers.
            running.mode.send_replace(Mode::Stop);
        }
        // Not the set that the new ones are started in, which does not empty.
        let mut old = std::mem::take(&mut self.tasks);
        while let Some(ended) = old.join_next().await {
            let Ok((hash, mut cache)) = ended else { continue };
            if let Some(running) = all.get(&hash) {
                if !same_rules {
                    // Other relabelling may make other series of the same lines: they are parsed anew, the series stay
                    // tracked.
                    cache.forget_lines();
                }
                self.start((Arc::clone(&running.target), Arc::clone(&running.group)), Some(cache), None);
            }
        }
        self
    }

    /// Ends all loops: with stale markers when the job is gone, at once when the server shuts down.
    pub(crate) async fn stop(mut self, mode: Mode) {
        for running in self.running.values().chain(self.ending.values()) {
            running.mode.send_replace(mode);
        }
        while self.tasks.join_next().await.is_some() {}
        // The metrics of a job that is gone would be exported for ever.
        self.shared.metrics.pools.forget(&self.config.job_name);
    }

    /// A scrape outside the schedule of the active target with this URL; of several that differ in labels, the first.
    pub(crate) fn trial(&self, url: &str) -> Option<Trial> {
        let targets = self.running.values().map(|running| &running.target);
        let target = targets.filter(|target| target.url == url).min_by(|a, b| a.labels.cmp(&b.labels))?;
        Some(Trial::new(Arc::clone(target), Arc::clone(&self.job), (self.shared.room.clone(), (self.shared.now)())))
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let active = self
            .running
            .values()
            .map(|running| ActiveTarget { target: Arc::clone(&running.target), status: running.status.lock().clone() });
        let mut active: Vec<_> = active.collect();
        active.sort_by(|a, b| (&a.target.labels, &a.target.url).cmp(&(&b.target.labels, &b.target.url)));
        PoolStatus {
            active,
            dropped: DroppedTargets::new(Arc::clone(&self.dropped), &self.config),
            dropped_count: self.dropped_count,
            invalid: self.invalid.clone(),
            unmatched_rules: self.groups.unmatched(),
        }
    }
}

/// Those of the first that are not among the second.
fn not_among<'a, T: Eq + Hash>(of: &'a [T], known: &'a [T]) -> impl Iterator<Item = &'a T> {
    let known: HashSet<&T> = known.iter().collect();
    of.iter().filter(move |one| !known.contains(one))
}

fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Is the same made of the same bytes? As upstream has it, all but these fields may change that.
fn makes_the_same(old: &ScrapeConfig, new: &ScrapeConfig) -> bool {
    let mut like_new = old.clone();
    // The fields that do not change what is made of a body are made equal; then the rest must be.
    like_new.scrape_interval_ms = new.scrape_interval_ms;
    like_new.scrape_timeout_ms = new.scrape_timeout_ms;
    let ScrapeLimits { samples, series, entries, mode, .. } = new.limits;
    like_new.limits = ScrapeLimits { samples, series, entries, mode, ..old.limits };
    like_new.http = new.http.clone();
    like_new == *new
}

/// The default `entry_limit`: as many lines of ordinary length as the largest allowed body can hold.
fn entry_limit(config: &ScrapeConfig) -> usize {
    const ENTRY_BYTES: usize = 128;
    match count(config.limits.entries) {
        0 => count(config.limits.body_size_bytes).max(BODY_BYTES_MAX) / ENTRY_BYTES,
        limit => limit,
    }
}

fn settings(config: &ScrapeConfig, options: &Options, logs: &FailureLogs) -> JobSettings {
    let client = HttpClient::new(&config.http, &options.user_agent, &options.resolver);
    let client = client.map_err(|error| model::with_causes(&error));
    if let Err(reason) = &client {
        tracing::error!(scrape_pool = %config.job_name, err = %reason, "cannot make the HTTP client of a job");
    }
    JobSettings {
        name: config.job_name.as_str().into(),
        rules: SampleRules {
            series: SeriesRules {
                honor_labels: config.honor_labels,
                relabel: config.metric_relabel_configs.clone(),
                legacy_names: config.name_validation == NameValidation::Legacy,
                label_limit: count(config.limits.labels),
                label_name_length_limit: count(config.limits.label_name_length),
                label_value_length_limit: count(config.limits.label_value_length),
            },
            honor_timestamps: config.honor_timestamps,
            track_timestamps_staleness: config.track_timestamps_staleness,
            sample_limit: count(config.limits.samples),
            soft: config.limits.mode == LimitMode::Soft,
            series_limit: count(config.limits.series),
            entry_limit: entry_limit(config),
            histograms: HistogramRules::new(
                count(config.limits.native_histogram_buckets),
                config.limits.native_histogram_min_bucket_factor,
            ),
        },
        limits_from_annotations: config.limits_from_annotations,
        body_size_limit: Some(count(config.limits.body_size_bytes)).filter(|limit| *limit > 0),
        accept: negotiate::accept(&config.scrape_protocols, &config.name_escaping),
        fallback: config.fallback_scrape_protocol,
        compression: config.enable_compression,
        extra_metrics: config.extra_scrape_metrics,
        wanted: options.wanted,
        failure_log: config.scrape_failure_log_file.as_deref().map(|path| logs.get(path)),
        client,
        same_rules: SameRules::default(),
        refused: RwLock::new(None),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts how often it is compared.
    #[derive(Debug)]
    struct Counted(usize);

    impl Hash for Counted {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            self.0 == other.0
        }
    }

    impl Eq for Counted {}

    #[test]
    fn what_is_new_of_many_is_found_in_linear_time() {
        let many = |from: usize| (from..from + 30_000).map(Counted).collect::<Vec<_>>();
        assert_eq!(
            not_among(&many(20_000), &many(0)).map(|one| one.0).collect::<Vec<_>>(),
            (30_000..50_000).collect::<Vec<_>>()
        );
        assert!(COMPARED.get() < 100_000, "{} comparisons", COMPARED.get());
    }
}
