//! The targets that jobs have lost lately, and why: a bounded list, for whoever asks where one went.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use config::ScrapeConfig;
use model::{Labels, Timestamp};
use parking_lot::Mutex;

use crate::target::Target;

/// So many are kept of one job, and of all.
const OF_JOB_MAX: usize = 100;
const KEPT_MAX: usize = 1_000;
/// For so long, in milliseconds.
const KEPT_MS: i64 = 60 * 60 * 1_000;

/// Why a target is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostCause {
    /// Discovery finds it no more.
    NotFound,
    /// A rule of `relabel_configs` drops what discovery finds at its address now.
    Dropped {
        /// The index of the rule.
        rule: usize,
        /// The labels before the first rule.
        found: Labels,
    },
    /// No target can be made any more of what discovery finds at its address.
    Invalid {
        /// Why.
        reason: String,
    },
    /// The job was taken out of the configuration.
    JobRemoved,
}

impl LostCause {
    /// The value of the label `reason`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Dropped { .. } => "dropped",
            Self::Invalid { .. } => "invalid",
            Self::JobRemoved => "job_removed",
        }
    }
}

/// A target that was scraped and is not any more.
#[derive(Clone, Debug)]
pub struct LostTarget {
    /// When it was gone.
    pub at: Timestamp,
    /// The job as it was then.
    pub job: Arc<ScrapeConfig>,
    /// The target as it was.
    pub target: Arc<Target>,
    /// The source of its group.
    pub source: String,
    /// Why.
    pub cause: LostCause,
}

/// What is remembered of lost targets.
#[derive(Clone, Debug, Default)]
pub struct LostTargets {
    /// The oldest first.
    pub targets: Vec<LostTarget>,
    /// How many further ones were lost in about the same time, by job.
    pub left_out: BTreeMap<String, u64>,
}

/// Those of all jobs, also of jobs that are gone.
#[derive(Debug, Default)]
pub(crate) struct Lost(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    targets: VecDeque<LostTarget>,
    n_of_job: BTreeMap<String, usize>,
    /// How many were left out, and when last.
    left_out: BTreeMap<String, (u64, Timestamp)>,
}

impl Lost {
    /// Adds targets of one job, which were lost at one time.
    pub(crate) fn add(&self, now: Timestamp, lost: Vec<LostTarget>) {
        let mut kept = self.0.lock();
        kept.forget_before(now - KEPT_MS);
        let Some(job) = lost.first().map(|one| one.job.job_name.clone()) else { return };
        let too_many = lost.len().saturating_sub(OF_JOB_MAX);
        kept.leave_out(&job, too_many as u64, now);
        for one in lost.into_iter().skip(too_many) {
            // The newest are kept, of the job and of all: these are asked for.
            if kept.n_of_job.get(&job).is_some_and(|n| *n >= OF_JOB_MAX) {
                let oldest = kept.targets.iter().position(|other| other.job.job_name == job);
                kept.remove(oldest, now);
            } else if kept.targets.len() >= KEPT_MAX {
                kept.remove(Some(0), now);
            }
            *kept.n_of_job.entry(job.clone()).or_default() += 1;
            kept.targets.push_back(one);
        }
    }

    /// What is remembered now.
    pub(crate) fn all(&self, now: Timestamp) -> LostTargets {
        let mut kept = self.0.lock();
        kept.forget_before(now - KEPT_MS);
        let left_out = kept.left_out.iter().map(|(job, (n, _))| (job.clone(), *n)).collect();
        LostTargets { targets: kept.targets.iter().cloned().collect(), left_out }
    }
}

impl Kept {
    fn forget_before(&mut self, oldest: Timestamp) {
        while let Some(first) = self.targets.pop_front_if(|first| first.at < oldest) {
            self.uncount(&first.job.job_name);
        }
        self.left_out.retain(|_, (_, at)| *at >= oldest);
    }

    fn remove(&mut self, at: Option<usize>, now: Timestamp) {
        if let Some(removed) = at.and_then(|at| self.targets.remove(at)) {
            let job = removed.job.job_name.clone();
            self.uncount(&job);
            self.leave_out(&job, 1, now);
        }
    }

    fn uncount(&mut self, job: &str) {
        if let Some(n) = self.n_of_job.get_mut(job) {
            *n -= 1;
            if *n == 0 {
                self.n_of_job.remove(job);
            }
        }
    }

    fn leave_out(&mut self, job: &str, n: u64, now: Timestamp) {
        if n > 0 {
            let (count, at) = self.left_out.entry(job.to_owned()).or_insert((0, now));
            *count += n;
            *at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> Arc<ScrapeConfig> {
        let text = format!("scrape_configs: [{{job_name: {name}}}]");
        let config = config::Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        Arc::clone(&config.scrape_configs[0])
    }

    fn lost(job: &Arc<ScrapeConfig>, at: i64, n: usize) -> Vec<LostTarget> {
        let target = Arc::new(Target {
            discovered: Labels::empty(),
            labels: Labels::empty(),
            public: Labels::empty(),
            url: at.to_string(),
            interval_ms: 1,
            timeout_ms: 1,
            hash: 0,
        });
        let one = LostTarget {
            at: Timestamp(at),
            job: Arc::clone(job),
            target,
            source: "s".to_owned(),
            cause: LostCause::NotFound,
        };
        vec![one; n]
    }

    fn counts(known: &LostTargets, job: &str) -> (usize, u64) {
        let n = known.targets.iter().filter(|one| one.job.job_name == job).count();
        (n, known.left_out.get(job).copied().unwrap_or_default())
    }

    #[test]
    fn the_newest_of_a_job_are_kept_and_the_others_counted() {
        let (all, a, b) = (Lost::default(), job("a"), job("b"));
        all.add(Timestamp(1), lost(&b, 1, 2));
        all.add(Timestamp(2), lost(&a, 2, OF_JOB_MAX + 7));
        all.add(Timestamp(3), lost(&a, 3, 5));
        let known = all.all(Timestamp(4));
        assert_eq!((counts(&known, "a"), counts(&known, "b")), ((OF_JOB_MAX, 12), (2, 0)));
        assert_eq!(known.targets.iter().filter(|one| one.at == Timestamp(3)).count(), 5);
        assert_eq!(known.targets[0].job.job_name, "b", "the oldest first");
    }

    #[test]
    fn of_many_jobs_the_newest_are_kept() {
        let all = Lost::default();
        let jobs: Vec<_> = (0..=KEPT_MAX / OF_JOB_MAX).map(|n| job(&format!("j{n}"))).collect();
        for (at, job) in (0..).zip(&jobs) {
            all.add(Timestamp(at), lost(job, at, OF_JOB_MAX));
        }
        let known = all.all(Timestamp(100));
        assert_eq!(known.targets.len(), KEPT_MAX);
        assert_eq!(counts(&known, "j0"), (0, OF_JOB_MAX as u64));
        assert_eq!(counts(&known, "j1"), (OF_JOB_MAX, 0));
    }

    #[test]
    fn after_an_hour_nothing_is_left() {
        let (all, a) = (Lost::default(), job("a"));
        all.add(Timestamp(1), lost(&a, 1, OF_JOB_MAX + 1));
        assert_eq!(counts(&all.all(Timestamp(1 + KEPT_MS)), "a"), (OF_JOB_MAX, 1));
        assert_eq!(counts(&all.all(Timestamp(2 + KEPT_MS)), "a"), (0, 0));
        all.add(Timestamp(3 + KEPT_MS), lost(&a, 3 + KEPT_MS, 1));
        assert_eq!(counts(&all.all(Timestamp(3 + KEPT_MS)), "a"), (1, 0));
    }
}
