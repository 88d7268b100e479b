//! What the operator, discovery and the scrape engine know at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::SdConfig;
use discovery::{Lookup, WithoutTargets};
use model::{TargetGroup, TargetGroups};
use operator::objects::ObjectRef;
use operator::{Origin, Outcome};
use scraper::{LostTarget, PoolStatus};

use super::group::GroupReport;
use super::job::{JobFacts, JobReport};
use super::lost::{Lost, LostReport};
use crate::app::App;

/// What is known now of everything that could be asked about.
pub(super) struct Known {
    pub(super) outcome: Arc<Outcome>,
    pub(super) config: Arc<config::Config>,
    groups: Arc<TargetGroups>,
    pub(super) pools: BTreeMap<String, PoolStatus>,
    /// What is wrong with discoveries, by job.
    errors: BTreeMap<String, Vec<String>>,
    pub(super) has_operator: bool,
    rule_groups: Vec<Arc<rules::Group>>,
    lookup: Lookup,
    lost: Lost,
}

impl Known {
    pub(super) async fn new(app: &App) -> Self {
        let (groups, health, lookup, lost) = {
            let discovery = app.discovery.lock().await;
            let groups = discovery.subscribe(discovery::Consumer::SCRAPE).current();
            (groups, discovery.health(), discovery.lookup(), Lost::new(app.scraper.lost(), &discovery))
        };
        let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for provider in health {
            let Some(error) = provider.error else { continue };
            for (_, job) in provider.used_by {
                errors.entry(job).or_default().push(error.clone());
            }
        }
        Self {
            outcome: app.operator.as_ref().map(|operator| operator.outcome()).unwrap_or_default(),
            config: app.config(),
            groups,
            pools: app.scraper.status().await,
            errors,
            has_operator: app.operator.is_some(),
            rule_groups: app.rules.groups(),
            lookup,
            lost,
        }
    }

    /// The targets that are gone, of those that are meant; the newest first.
    pub(super) fn lost(&self, is_meant: impl Fn(&LostTarget) -> bool) -> Vec<LostReport> {
        self.lost.reports(&self.pools, is_meant)
    }

    /// Those of a job, and how many further ones.
    pub(super) fn lost_of_job(&self, name: &str) -> (Vec<LostReport>, u64) {
        self.lost.of_job(&self.pools, name)
    }

    /// The groups of a PrometheusRule that run.
    pub(super) fn groups_of_rules(&self, object: &ObjectRef) -> Vec<GroupReport> {
        let Some(file) = self.outcome.rules_of(object) else { return Vec::new() };
        let name = file.file.display().to_string();
        self.rule_groups.iter().filter(|group| group.spec().file == name).map(|group| GroupReport::new(group)).collect()
    }

    /// What is known of a job.
    pub(super) fn facts<'k>(&'k self, config: &'k config::ScrapeConfig) -> JobFacts<'k> {
        let name = &config.job_name;
        JobFacts {
            config,
            origins: self.origins(name),
            groups: self.groups_of(name),
            pool: self.pools.get(name),
            errors: self.errors.get(name).cloned().unwrap_or_default(),
            without_targets: Vec::new(),
            lost: (Vec::new(), 0),
        }
    }

    /// Of the objects of these discoveries those in which nothing is found.
    pub(super) fn without_targets(&self, discoveries: &[SdConfig]) -> Vec<WithoutTargets> {
        discoveries.iter().flat_map(|one| self.lookup.without_targets(one)).collect()
    }

    fn origins(&self, job: &str) -> &[Origin] {
        self.outcome.job(job).map(|job| &*job.relabel_origins).unwrap_or_default()
    }

    fn groups_of(&self, job: &str) -> &[Arc<TargetGroup>] {
        self.groups.get(job).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn job(&self, name: &str) -> Option<JobReport> {
        let config = self.config.scrape_configs.iter().find(|job| job.job_name == name)?;
        let mut facts = self.facts(config);
        // Only where it is the answer: all Services and pods are looked at.
        if facts.pool.is_none_or(|pool| pool.active.is_empty()) {
            facts.without_targets = self.without_targets(&config.sd);
        }
        facts.lost = self.lost_of_job(name);
        Some(JobReport::new(&facts))
    }
}
