//! Why a job has the targets that it has: what each of its rules does to what discovery found.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::ScrapeConfig;
use model::relabel::relabel;
use model::{Labels, LabelsBuilder, RelabelRule, TargetGroup};

use crate::target::{Populated, RuleMatches, Target, found, populate_one};

/// Values and examples that are kept of each rule.
const KEPT_MAX: usize = 10;

/// What becomes of all that was found for a job.
#[derive(Clone, Debug, Default)]
pub struct Funnel {
    /// Label sets that discovery found.
    pub candidates: usize,
    /// What each rule of `relabel_configs` dropped.
    pub rules: Vec<RuleDrops>,
    /// Which rules matched something.
    pub matches: RuleMatches,
    /// Targets, before equal ones are taken together.
    pub targets: Vec<Arc<Target>>,
    /// Why targets cannot be scraped.
    pub invalid: Vec<String>,
}

/// What one rule dropped.
#[derive(Clone, Debug, Default)]
pub struct RuleDrops {
    /// How many label sets.
    pub dropped: usize,
    /// The values of its source labels, joined as the rule joins them, with how often each was seen; some of them where there are
    /// many.
    pub values: BTreeMap<String, usize>,
    /// Some of the label sets, as discovery found them.
    pub examples: Vec<Labels>,
}

impl RuleDrops {
    fn add(&mut self, value: String, found: &Labels) {
        self.dropped += 1;
        if self.values.len() < KEPT_MAX || self.values.contains_key(&value) {
            *self.values.entry(value).or_default() += 1;
        }
        if self.examples.len() < KEPT_MAX {
            self.examples.push(found.clone());
        }
    }
}

impl Funnel {
    /// Follows everything that was found.
    #[must_use]
    pub fn new(groups: &[Arc<TargetGroup>], job: &ScrapeConfig) -> Self {
        let mut funnel = Self { rules: vec![RuleDrops::default(); job.relabel_configs.len()], ..Self::default() };
        for group in groups {
            for own in &group.targets {
                funnel.candidates += 1;
                let builder = found(&own.joined(&group.labels), job);
                let found = builder.labels();
                match populate_one(&found, builder, job, &mut funnel.matches) {
                    Ok(Populated::Target(target)) => funnel.targets.push(Arc::new(*target)),
                    Ok(Populated::Dropped { rule, .. }) => {
                        funnel.rules[rule].add(value_at(&found, &job.relabel_configs, rule), &found);
                    }
                    Ok(Populated::Invalid { reason }) | Err(reason) => funnel.invalid.push(reason),
                }
            }
        }
        funnel
    }

    /// What becomes of one label set, with what the job adds to it.
    ///
    /// # Errors
    /// When it cannot be scraped.
    pub fn of_one(discovered: &Labels, job: &ScrapeConfig) -> Result<Populated, String> {
        let builder = found(discovered, job);
        populate_one(&builder.labels(), builder, job, &mut RuleMatches::default())
    }
}

/// One label set at each rule.
#[derive(Clone, Debug)]
pub struct RelabelStep {
    /// The values of the rule's source labels, joined as it joins them.
    pub value: String,
    /// The labels after it; none if it dropped them.
    pub after: Option<Labels>,
}

/// Follows one label set through the rules, up to the one that drops it.
#[must_use]
pub fn relabel_steps(found: &Labels, rules: &[RelabelRule]) -> Vec<RelabelStep> {
    let mut builder = LabelsBuilder::new(found);
    let mut steps = Vec::new();
    for rule in rules {
        let value = rule.source(&builder).into_owned();
        let is_kept = relabel(&mut builder, std::slice::from_ref(rule)).is_kept();
        steps.push(RelabelStep { value, after: is_kept.then(|| builder.labels()) });
        if !is_kept {
            break;
        }
    }
    steps
}

/// What a rule saw of a label set that earlier rules have changed.
fn value_at(found: &Labels, rules: &[RelabelRule], at: usize) -> String {
    let mut builder = LabelsBuilder::new(found);
    // None of these drops it: the first that does is the one at `at`.
    let _ = relabel(&mut builder, &rules[..at]);
    rules[at].source(&builder).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> ScrapeConfig {
        let text = "
scrape_configs:
- job_name: j
  relabel_configs:
  - {source_labels: [__meta_app, __meta_present], regex: web;true, action: keep}
  - {source_labels: [__meta_port], target_label: port}
  - {source_labels: [port], regex: metrics, action: keep}
";
        let config = config::Config::parse(text, "p.yml".as_ref(), &|_| None).unwrap();
        ScrapeConfig::clone(&config.scrape_configs[0])
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn every_candidate_is_counted_where_it_falls_out() {
        let group = |app: &str, ports: &[&str]| {
            let target = |port: &&str| labels(&[("__address__", "h:1"), ("__meta_port", port)]).into();
            Arc::new(TargetGroup {
                source: app.to_owned(),
                labels: labels(&[("__meta_app", app), ("__meta_present", "true")]),
                targets: ports.iter().map(target).collect(),
            })
        };
        let groups = [group("web", &["metrics", "http", "http", "grpc"]), group("db", &["metrics"])];
        let funnel = Funnel::new(&groups, &job());
        assert_eq!((funnel.candidates, funnel.targets.len(), funnel.invalid.len()), (5, 1, 0));
        let dropped: Vec<_> = funnel.rules.iter().map(|rule| (rule.dropped, rule.values.clone())).collect();
        let values = |all: &[(&str, usize)]| all.iter().map(|(value, n)| ((*value).to_owned(), *n)).collect();
        assert_eq!(dropped[0], (1, values(&[("db;true", 1)])));
        assert_eq!(dropped[1], (0, values(&[])));
        assert_eq!(dropped[2], (3, values(&[("grpc", 1), ("http", 2)])));
        assert_eq!(funnel.matches.unmatched().count(), 0);
    }

    #[test]
    fn steps_end_with_the_rule_that_drops() {
        let job = job();
        let found = labels(&[("__meta_app", "web"), ("__meta_present", "true"), ("__meta_port", "http")]);
        let steps = relabel_steps(&found, &job.relabel_configs);
        let seen: Vec<_> = steps.iter().map(|step| (step.value.as_str(), step.after.is_some())).collect();
        assert_eq!(seen, [("web;true", true), ("http", true), ("http", false)]);
        assert_eq!(steps[1].after.as_ref().map(|labels| labels.value("port").to_owned()), Some("http".to_owned()));
    }
}
