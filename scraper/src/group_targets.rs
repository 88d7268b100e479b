//! What the rules of a job made of each group, kept for as long as discovery publishes that group. Step 2 of the scrape path.
//!
//! Discovery publishes all groups whenever one changes, and shares those that did not: the same pointer is the same group.

use std::hash::BuildHasher as _;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use config::ScrapeConfig;
use foldhash::{HashMap, HashSet};
use model::labels::ADDRESS;
use model::{Labels, TargetGroup, TargetLabels};

use crate::target::{Populated, RuleMatches, Target, found, populate_target};

/// What became of one target of a group.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It is scraped.
    Target(Arc<Target>),
    /// The rule at this index dropped it.
    Dropped(usize),
    /// It cannot be scraped, for this reason.
    Invalid(Box<str>),
}

/// So many sources of groups that are gone do no harm.
const SOURCES_GONE: usize = 1_024;

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
    /// The addresses by hashes of sources: one change of a group of many targets, as of one pod behind a Service, leaves the others
    /// as they were. What is found by it is compared, so that equal hashes do no harm.
    by_source: HashMap<u64, usize>,
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
            if !self.known.contains_key(&key) {
                let known = self.relabelled(group, job);
                self.known.insert(key, known);
            }
            let known = self.known.get_mut(&key).expect("BUG: it was inserted");
            known.round = self.round;
            known.outcomes.iter().enumerate().for_each(|(i, outcome)| each(&known.group, i, outcome));
        }
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        if self.by_source.len() > 2 * self.known.len() + SOURCES_GONE {
            self.by_source.retain(|_, key| self.known.contains_key(key));
        }
    }

    /// Applies the rules to those targets of a new group that the one of the same source before did not have.
    fn relabelled(&mut self, group: &Arc<TargetGroup>, job: &ScrapeConfig) -> Known {
        let key = Arc::as_ptr(group).addr();
        let before = self.by_source.insert(foldhash::quality::FixedState::default().hash_one(&group.source), key);
        let before =
            before.and_then(|before| self.known.get(&before)).filter(|known| known.group.labels == group.labels);
        let mut former = before.map(Former::new);
        let outcomes = (0..group.targets.len()).map(|index| {
            let same = former.as_mut().and_then(|former| former.outcome(index, &group.targets[index]));
            same.unwrap_or_else(|| outcome(populate_target(group, index, job, &mut self.matches)))
        });
        Known { group: Arc::clone(group), outcomes: outcomes.collect(), round: 0 }
    }

    /// Calls `each` with what became of everything that is at one of these places now, each a source and an address.
    pub(crate) fn at<'g>(
        &'g self,
        places: &HashSet<(&'g str, &'g str)>,
        mut each: impl FnMut((&'g str, &'g str), &'g Arc<TargetGroup>, usize, &'g Outcome),
    ) {
        let sources: HashSet<&str> = places.iter().map(|(source, _)| *source).collect();
        for Known { group, outcomes, .. } in self.known.values() {
            if !sources.contains(group.source.as_str()) {
                continue;
            }
            for (index, outcome) in outcomes.iter().enumerate() {
                let own = group.targets[index].own.get(ADDRESS);
                let place = (group.source.as_str(), own.unwrap_or_else(|| group.labels.value(ADDRESS)));
                if places.contains(&place) {
                    each(place, group, index, outcome);
                }
            }
        }
    }

    /// Forgets everything: the rules are other ones.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.by_source.clear();
        self.matches = RuleMatches::default();
    }

    /// The rules that have matched nothing since the job has them.
    pub(crate) fn unmatched(&self) -> Vec<usize> {
        self.matches.unmatched().collect()
    }
}

/// The targets of the group of a source before, looked at in their order.
struct Former<'k> {
    known: &'k Known,
    /// The one after the last that was found again. Most targets stay in their order.
    next: usize,
}

impl<'k> Former<'k> {
    fn new(known: &'k Known) -> Self {
        Self { known, next: 0 }
    }

    /// What became of the same target. `None` of a new one, and of those that cannot be scraped: the reason names the index.
    fn outcome(&mut self, index: usize, target: &TargetLabels) -> Option<Outcome> {
        let all = &self.known.group.targets;
        // One was added or removed before it, or changed in its place.
        let is_it = |at: &usize| all.get(*at).is_some_and(|one| one == target);
        let at = [self.next, self.next + 1, index].into_iter().find(is_it)?;
        self.next = at + 1;
        let outcome = &self.known.outcomes[at];
        (!matches!(outcome, Outcome::Invalid(_))).then(|| outcome.clone())
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
                (found(&group.targets[dropped.index].joined(&group.labels), job).labels(), dropped.rule)
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
        let target = |app: &&str| Labels::from_pairs([("__address__", "h:1"), ("app", *app)]).into();
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
        assert!(Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[0], &after[1]), "of one source");
        assert_eq!(dropped, [1, 1]);
        // A group that was gone for an update is not remembered.
        update(&mut known, &[&second], &rules);
        assert_eq!((known.known.len(), Arc::strong_count(&first)), (1, 1));
    }

    #[test]
    fn rules_are_applied_only_to_the_targets_of_a_source_that_are_new() {
        let (mut known, rules) = (GroupTargets::default(), job("a.*"));
        let mut apps = vec!["a1", "b", "a2", "a3", "a4"];
        let mut before = update(&mut known, &[&group(&apps)], &rules).0;
        for (change, n_new) in [
            (&(|apps: &mut Vec<_>| apps[2] = "a5") as &dyn Fn(&mut Vec<_>), 1),
            (&|apps: &mut Vec<_>| apps.insert(0, "a6"), 1),
            (&|apps: &mut Vec<_>| apps.retain(|app| *app != "a3"), 0),
            (&|apps: &mut Vec<_>| apps.push("b"), 0),
            (&|apps: &mut Vec<_>| apps.truncate(1), 0),
        ] {
            change(&mut apps);
            let (now, dropped) = update(&mut known, &[&group(&apps)], &rules);
            let n_kept = apps.iter().filter(|app| app.starts_with('a')).count();
            assert_eq!((now.len(), dropped.len()), (n_kept, apps.len() - n_kept), "{apps:?}");
            let is_new = |target: &&Arc<Target>| !before.iter().any(|old| Arc::ptr_eq(old, target));
            assert_eq!(now.iter().filter(is_new).count(), n_new, "{apps:?}");
            before = now;
        }
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
    fn what_is_at_a_place_is_found_by_source_and_address() {
        let (mut known, group) = (GroupTargets::default(), group(&["a", "b"]));
        update(&mut known, &[&group], &job("a"));
        let found = |source: &'static str, address: &'static str| {
            let mut found = Vec::new();
            known.at(&HashSet::from_iter([(source, address)]), |_, _, index, outcome| {
                found.push((index, matches!(outcome, Outcome::Target(_))));
            });
            found
        };
        assert_eq!(found("s", "h:1"), [(0, true), (1, false)]);
        assert!(found("s", "h:2").is_empty() && found("t", "h:1").is_empty());
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
