//! What the rules of a job made of each group, kept for as long as discovery publishes that group. Step 2 of the scrape path.
//!
//! Discovery publishes all groups whenever one changes, and shares those that did not: the same pointer is the same group.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use config::ScrapeConfig;
use foldhash::HashMap;
use model::{Labels, TargetGroup};

use crate::target::{Populated, RuleMatches, Target, discovered, populate};

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
    matches: RuleMatches,
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
                outcomes: populate(group, job, &mut self.matches).map(outcome).collect(),
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
        self.matches = RuleMatches::default();
    }

    /// The rules that have matched nothing since the job has them.
    pub(crate) fn unmatched(&self) -> Vec<usize> {
        self.matches.unmatched().collect()
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

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    fn group(apps: &[&str]) -> Arc<TargetGroup> {
        let target = |app: &&str| Labels::from_pairs([("__address__", "h:1"), ("app", *app)]);
        let targets = apps.iter().map(target).collect();
        Arc::new(TargetGroup { source: "s".to_owned(), labels: Labels::empty(), targets })
    }

    fn job(regex: &str) -> Arc<ScrapeConfig> {
        let rule = format!("{{action: keep, source_labels: [app], regex: {regex}}}");
        let text = format!("scrape_configs: [{{job_name: j, relabel_configs: [{rule}]}}]");
        let config = Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        Arc::clone(&config.scrape_configs[0])
    }

    /// The targets, and the indices of those that were dropped.
    fn update(
        known: &mut GroupTargets,
        groups: &[&Arc<TargetGroup>],
        job: &ScrapeConfig,
    ) -> (Vec<Arc<Target>>, Vec<usize>) {
        let (mut targets, mut dropped) = (Vec::new(), Vec::new());
        let groups: Vec<_> = groups.iter().map(|group| Arc::clone(group)).collect();
        known.update(&groups, job, |_, index, outcome| match outcome {
            Outcome::Target(target) => targets.push(Arc::clone(target)),
            Outcome::Dropped(0) => dropped.push(index),
            other => panic!("{other:?}"),
        });
        (targets, dropped)
    }

    #[test]
    fn rules_are_applied_to_a_group_once() {
        let (mut known, rules) = (GroupTargets::default(), job("a"));
        let (first, second) = (group(&["a", "b"]), group(&["a", "b"]));
        let (before, dropped) = update(&mut known, &[&first], &rules);
        assert_eq!((before.len(), dropped.as_slice()), (1, &[1][..]));
        let (after, dropped) = update(&mut known, &[&first, &second], &rules);
        assert!(Arc::ptr_eq(&before[0], &after[0]) && !Arc::ptr_eq(&before[0], &after[1]));
        assert_eq!(dropped, [1, 1]);
        // A group that was gone for an update is not remembered.
        update(&mut known, &[&second], &rules);
        assert_eq!((known.known.len(), Arc::strong_count(&first)), (1, 1));
    }

    #[test]
    fn rules_that_never_match_are_known() {
        let mut known = GroupTargets::default();
        let unmatched = |known: &mut GroupTargets, apps: &[&str], rules: &str| {
            known.update(&[group(apps)], &job(rules), |_, _, _| {});
            known.unmatched()
        };
        assert_eq!(unmatched(&mut known, &[], "a"), [0; 0], "it has seen nothing");
        assert_eq!(unmatched(&mut known, &["b"], "a"), [0]);
        assert_eq!(unmatched(&mut known, &["b", "a"], "a"), [0; 0]);
        assert_eq!(unmatched(&mut known, &["b"], "a"), [0; 0], "it has matched once");
        known.clear();
        assert_eq!(unmatched(&mut known, &["b"], "a"), [0]);
    }

    #[test]
    fn other_rules_have_other_outcomes() {
        let (mut known, group) = (GroupTargets::default(), group(&["a", "b", "b"]));
        assert_eq!(update(&mut known, &[&group], &job("a")).0.len(), 1);
        known.clear();
        assert_eq!(update(&mut known, &[&group], &job("b")).0.len(), 2);
    }

    #[test]
    fn dropped_targets_show_their_discovered_labels() {
        let (group, job) = (group(&["a", "b"]), job("a"));
        let one = Dropped { group: Arc::clone(&group), index: 1, rule: 0 };
        let dropped = DroppedTargets::new(Arc::from([one]), &job);
        assert_eq!(dropped.len(), 1);
        assert_eq!((dropped[0].0.get("app"), dropped[0].0.get("job"), dropped[0].1), (Some("b"), Some("j"), 0));
        assert!(DroppedTargets::default().is_empty());
    }
}
