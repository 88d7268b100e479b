//! What the rules of a job made of each group, kept for as long as discovery publishes that group. Step 2 of the scrape path.
//!
//! Discovery publishes all groups whenever one changes, and shares those that did not: the same pointer is the same group.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use config::ScrapeConfig;
use foldhash::HashMap;
use model::{Labels, TargetGroup};

use crate::target::{Populated, Target, discovered, populate};

/// What became of one target of a group.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is scraped.
    Target(Arc<Target>),
    /// The rule at this index dropped it.
    Dropped(usize),
    /// It cannot be scraped, for this reason.
    Invalid(Box<str>),
}

#[derive(Debug)]
struct Known {
    /// Holds the address, which is the key, against being used again.
    group: Arc<TargetGroup>,
    outcomes: Box<[Outcome]>,
    /// The update that had it last.
    round: u64,
}

/// The groups of one job, by their addresses.
#[derive(Debug, Default)]
pub(crate) struct GroupTargets {
    known: HashMap<usize, Known>,
    round: u64,
}

impl GroupTargets {
    /// Calls `each` with every target of these groups, and its index in its group; applies the rules to groups that are new.
    pub(crate) fn update(
        &mut self,
        groups: &[Arc<TargetGroup>],
        job: &ScrapeConfig,
        mut each: impl FnMut(&Arc<TargetGroup>, usize, &Outcome),
    ) {
        self.round += 1;
        for group in groups {
            let key = Arc::as_ptr(group).addr();
            let known = self.known.entry(key).or_insert_with(|| Known {
                group: Arc::clone(group),
                outcomes: populate(group, job).map(outcome).collect(),
                round: 0,
            });
            known.round = self.round;
            known.outcomes.iter().enumerate().for_each(|(i, outcome)| each(&known.group, i, outcome));
        }
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
    }

    /// Forgets everything: the rules are other ones.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }
}

fn outcome(populated: Populated) -> Outcome {
    match populated {
        Populated::Target(target) => Outcome::Target(Arc::from(target)),
        Populated::Dropped { rule, .. } => Outcome::Dropped(rule),
        Populated::Invalid { reason } => Outcome::Invalid(reason.into()),
    }
}

/// A target that a rule dropped.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    pub(crate) group: Arc<TargetGroup>,
    /// Its index in the group.
    pub(crate) index: usize,
    pub(crate) rule: usize,
}

/// Dropped targets: labels as discovered, and the index of the rule.
///
/// In a large cluster most of what discovery finds is dropped, so the labels are joined with those of the group and the job only
/// for those who look at them.
#[derive(Clone, Debug, Default)]
pub struct DroppedTargets {
    targets: Arc<[Dropped]>,
    job: Option<Arc<ScrapeConfig>>,
    labels: OnceLock<Vec<(Labels, usize)>>,
}

impl DroppedTargets {
    pub(crate) fn new(targets: Arc<[Dropped]>, job: &Arc<ScrapeConfig>) -> Self {
        Self { targets, job: Some(Arc::clone(job)), labels: OnceLock::new() }
    }
}

impl Deref for DroppedTargets {
    type Target = [(Labels, usize)];

    fn deref(&self) -> &Self::Target {
        self.labels.get_or_init(|| {
            let Some(job) = &self.job else { return Vec::new() };
            let labels = |dropped: &Dropped| {
                let group = &dropped.group;
                (discovered(&group.targets[dropped.index], &group.labels, job), dropped.rule)
            };
            self.targets.iter().map(labels).collect()
        })
    }
}
