//! Relabelling rules that many jobs have, compiled once for all of them.
//!
//! Nearly all that a job costs is its regular expressions: up to a tenth of a millisecond and twenty kilobytes each. The
//! jobs of monitors share most of them (`(.+)`, `Pod;(.*)`), whichever field asks for them.

use std::cell::RefCell;
use std::collections::HashMap;

use config::{ScrapeConfig, Yaml};
use model::RelabelRule;

/// So many different rules are kept. Those that all jobs have are a dozen; the bound is for those that users write.
const RULES_MAX: usize = 1_024;

/// The lists of rules in a job.
pub(crate) const LISTS: [&str; 2] = ["relabel_configs", "metric_relabel_configs"];

/// Compiled rules. What they mean depends on `global` as well: they are forgotten when that changes.
#[derive(Debug, Default)]
pub(crate) struct RuleCache {
    rules: RefCell<HashMap<Yaml, RelabelRule>>,
}

/// A job without the rules that are known.
pub(crate) struct Reduced {
    /// What is left of the job.
    pub(crate) yaml: Yaml,
    /// For each of [`LISTS`], what stood where.
    pub(crate) slots: [Vec<Slot>; 2],
}

/// A rule of a job.
pub(crate) enum Slot {
    /// One that is known.
    Known(RelabelRule),
    /// One that is left in the job, and a copy of it if it is worth keeping.
    Left(Option<Yaml>),
}

impl RuleCache {
    pub(crate) fn clear(&mut self) {
        self.rules.get_mut().clear();
    }

    /// Takes out of a job the rules that are known.
    pub(crate) fn reduce(&self, mut yaml: Yaml) -> Reduced {
        let mut slots = [Vec::new(), Vec::new()];
        // What is no mapping is refused when it is read.
        let Yaml::Map(fields) = &mut yaml else { return Reduced { yaml, slots } };
        // With a scheme of its own a job may be refused names that others may have.
        if fields.iter().any(|(name, _)| name == "metric_name_validation_scheme") {
            return Reduced { yaml, slots };
        }
        for (list, slots) in LISTS.iter().zip(&mut slots) {
            let Some((_, Yaml::List(rules))) = fields.iter_mut().find(|(name, _)| name == list) else { continue };
            *slots = rules.iter().map(|rule| self.slot(rule)).collect();
            // One rule always stays: whether there are any decides how targets are checked.
            if let Some(first) = slots.first_mut() {
                *first = Slot::Left(None);
            }
            let mut stays = slots.iter().map(|slot| matches!(slot, Slot::Left(_)));
            rules.retain(|_| stays.next().unwrap_or(true));
        }
        Reduced { yaml, slots }
    }

    fn slot(&self, rule: &Yaml) -> Slot {
        if !has_regex(rule) {
            return Slot::Left(None);
        }
        match self.rules.borrow().get(rule) {
            Some(known) => Slot::Known(known.clone()),
            None => Slot::Left(Some(rule.clone())),
        }
    }

    /// Puts the rules that were taken out where they stood, and keeps those that were not known.
    pub(crate) fn complete(&self, config: &mut ScrapeConfig, slots: [Vec<Slot>; 2]) {
        let lists = [&mut config.relabel_configs, &mut config.metric_relabel_configs];
        for (list, slots) in lists.into_iter().zip(slots).filter(|(_, slots)| !slots.is_empty()) {
            let mut left = std::mem::replace(list, Vec::with_capacity(slots.len())).into_iter();
            list.extend(slots.into_iter().filter_map(|slot| match slot {
                Slot::Known(rule) => Some(rule),
                Slot::Left(None) => left.next(),
                Slot::Left(Some(yaml)) => left.next().inspect(|rule| self.keep(yaml, rule)),
            }));
        }
    }

    fn keep(&self, yaml: Yaml, rule: &RelabelRule) {
        let mut rules = self.rules.borrow_mut();
        // All of them, without looking for the oldest: what all jobs have is back with the next job.
        if rules.len() >= RULES_MAX {
            rules.clear();
        }
        rules.insert(yaml, rule.clone());
    }
}

/// The place of a rule among all of the job, by its place among those that were left.
pub(crate) fn place(slots: &[Slot], left: usize) -> usize {
    let mut places = slots.iter().enumerate().filter(|(_, slot)| matches!(slot, Slot::Left(_))).map(|(i, _)| i);
    places.nth(left).unwrap_or(left)
}

/// Does the rule have a regular expression? Without one there is nothing to compile. With one it may be that of a single
/// monitor, but what needs no engine is not to be told from what does.
fn has_regex(rule: &Yaml) -> bool {
    matches!(rule, Yaml::Map(fields) if fields.iter().any(|(name, _)| name == "regex"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use config::GlobalConfig;

    const JOB: &str = "job_name: j
static_configs: [{targets: ['x:1']}]
relabel_configs:
- {source_labels: [a], regex: '(.+)', target_label: b}
- {source_labels: [a], target_label: c}
- {source_labels: [a], regex: 'x', action: keep}
- {source_labels: [a], regex: '(.+)', target_label: d}
metric_relabel_configs:
- {target_label: e, replacement: x}
- {source_labels: [a], regex: '(.+)', target_label: b}
";

    fn through(cache: &RuleCache, yaml: &Yaml) -> (ScrapeConfig, [usize; 2]) {
        let Reduced { yaml, slots } = cache.reduce(yaml.clone());
        let mut config = ScrapeConfig::from_yaml(&yaml, "test", &GlobalConfig::default()).unwrap();
        let n_left = [config.relabel_configs.len(), config.metric_relabel_configs.len()];
        cache.complete(&mut config, slots);
        (config, n_left)
    }

    #[test]
    fn a_job_is_the_same_with_rules_that_are_known() {
        let yaml = Yaml::parse(JOB, "test").unwrap();
        let cache = RuleCache::default();
        let expected = ScrapeConfig::from_yaml(&yaml, "test", &GlobalConfig::default()).unwrap();
        let (config, n_left) = through(&cache, &yaml);
        assert_eq!((config, n_left), (expected.clone(), [4, 2]));
        let (config, n_left) = through(&cache, &yaml);
        assert_eq!((config, n_left), (expected, [2, 1]));
        let own = Yaml::parse(&format!("{JOB}metric_name_validation_scheme: legacy\n"), "test").unwrap();
        assert_eq!(through(&cache, &own).1, [4, 2]);
        let Reduced { slots, .. } = cache.reduce(yaml);
        assert_eq!([place(&slots[0], 0), place(&slots[0], 1), place(&slots[1], 0)], [0, 1, 0]);
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = RuleCache::default();
        for i in 0..=RULES_MAX {
            let rule = format!("{{source_labels: [a], regex: '({i}.+)', target_label: b}}");
            let job = format!("job_name: j\nrelabel_configs:\n- {{target_label: a, replacement: x}}\n- {rule}\n");
            through(&cache, &Yaml::parse(&job, "test").unwrap());
        }
        assert_eq!(cache.rules.borrow().len(), 1);
    }
}
