//! The targets that were lost within the last hour, when and why: the scrape engine says that one is gone, discovery what became
//! of what it was made of.

use std::collections::{BTreeMap, HashSet};

use discovery::{Consumer, Departure, Manager};
use model::{Labels, Timestamp};
use scraper::{LostCause, LostTarget, LostTargets, PoolStatus, relabel_steps};
use serde::Serialize;

use super::relabel_text::rule_text;
use crate::clock::rfc3339;

/// Targets that an answer lists.
const LISTED_MAX: usize = 100;
/// Discovery publishes with pauses: what it says of a target is a little older than that it is gone.
const AFTER_MS: i64 = 1_000;

/// A target that is gone.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LostReport {
    pub(super) time: String,
    pub(super) job: String,
    pub(super) url: String,
    /// The value of the label `reason` of `weft_targets_lost_total`.
    pub(super) reason: &'static str,
    /// Why it is gone.
    pub(super) sentence: String,
    /// It has come back since.
    pub(super) is_back: bool,
}

impl LostReport {
    /// A line of the answer for people.
    pub(super) fn text(&self) -> String {
        let back = if self.is_back { " (it is back)" } else { "" };
        format!("lost {} at {}: {}{back}", self.url, self.time, self.sentence)
    }
}

/// What is remembered of lost targets, and of what discovery finds no more.
pub(super) struct Lost {
    lost: LostTargets,
    /// By job.
    departures: BTreeMap<String, Vec<Departure>>,
}

impl Lost {
    pub(super) fn new(lost: LostTargets, discovery: &Manager) -> Self {
        let jobs: HashSet<&str> = lost.targets.iter().map(|one| one.job.job_name.as_str()).collect();
        let of_job = |job: &str| (job.to_owned(), discovery.departures(Consumer::SCRAPE, job));
        let departures = jobs.into_iter().map(of_job).collect();
        Self { lost, departures }
    }

    /// Those that are meant, the newest first.
    pub(super) fn reports(
        &self,
        pools: &BTreeMap<String, PoolStatus>,
        is_meant: impl Fn(&LostTarget) -> bool,
    ) -> Vec<LostReport> {
        let meant = self.lost.targets.iter().rev().filter(|one| is_meant(one)).take(LISTED_MAX);
        meant.map(|one| self.report(one, pools)).collect()
    }

    /// Those of a job, and how many are not remembered.
    pub(super) fn of_job(&self, pools: &BTreeMap<String, PoolStatus>, job: &str) -> (Vec<LostReport>, u64) {
        let left_out = self.lost.left_out.get(job).copied().unwrap_or_default();
        (self.reports(pools, |one| one.job.job_name == job), left_out)
    }

    fn report(&self, one: &LostTarget, pools: &BTreeMap<String, PoolStatus>) -> LostReport {
        let job = &one.job.job_name;
        let active = pools.get(job).map(|pool| pool.active.as_slice()).unwrap_or_default();
        let departures = self.departures.get(job).map(Vec::as_slice).unwrap_or_default();
        LostReport {
            time: rfc3339(one.at),
            job: job.clone(),
            url: one.target.url.clone(),
            reason: one.cause.as_str(),
            sentence: sentence(one, departures),
            is_back: active.iter().any(|active| active.target.hash == one.target.hash),
        }
    }
}

fn sentence(one: &LostTarget, departures: &[Departure]) -> String {
    match &one.cause {
        LostCause::NotFound => {
            let address = one.target.discovered.value("__address__");
            let why = departed(departures, (one.source.as_str(), address), one.at);
            why.unwrap_or_else(|| format!("discovery does not find {} any more", one.source))
        }
        LostCause::Dropped { rule, found } => dropped(one, *rule, found),
        LostCause::Invalid { reason } => format!("no target can be made of it any more: {reason}"),
        LostCause::JobRemoved => "a reload took its job out of the configuration".to_owned(),
    }
}

fn dropped(one: &LostTarget, rule: usize, found: &Labels) -> String {
    let rules = &one.job.relabel_configs;
    let text = rules.get(rule).map(rule_text).unwrap_or_default();
    let steps = relabel_steps(found, rules);
    let saw = steps.get(rule).map(|step| step.value.as_str()).unwrap_or_default();
    format!("relabel_configs[{rule}] ({text}) drops it now; it saw {saw:?}")
}

/// What discovery said of a target last before it was gone, or else that its discovery was taken away.
fn departed(departures: &[Departure], (source, address): (&str, &str), at: Timestamp) -> Option<String> {
    let before = || departures.iter().rev().filter(|one| one.at <= at + AFTER_MS);
    let own = before().find(|one| one.source == source && one.address == address);
    own.or_else(|| before().find(|one| one.source.is_empty())).map(|one| one.why.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn lost(cause: LostCause) -> LostTarget {
        let rule = "{action: drop, source_labels: [phase], regex: Failed}";
        let text = format!("scrape_configs: [{{job_name: j, relabel_configs: [{rule}]}}]");
        let config = config::Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        let target = scraper::Target {
            discovered: Labels::from_pairs([("__address__", "10.0.0.1:80")]),
            labels: Labels::empty(),
            public: Labels::empty(),
            url: "http://10.0.0.1:80/metrics".to_owned(),
            interval_ms: 1,
            timeout_ms: 1,
            hash: 7,
        };
        let job = Arc::clone(&config.scrape_configs[0]);
        LostTarget { at: Timestamp(100_000), job, target: Arc::new(target), source: "pod/d/p".to_owned(), cause }
    }

    fn departure(at: i64, source: &str, why: &str) -> Departure {
        let address = if source.is_empty() { "" } else { "10.0.0.1:80" };
        Departure { at: Timestamp(at), source: source.to_owned(), address: address.to_owned(), why: why.to_owned() }
    }

    #[test]
    fn the_newest_departure_before_it_says_why() {
        let departures = [
            departure(1, "pod/d/p", "first"),
            departure(99_000, "pod/d/p", "second"),
            departure(99_500, "pod/d/q", "of another"),
            departure(200_000, "pod/d/p", "later"),
        ];
        assert_eq!(sentence(&lost(LostCause::NotFound), &departures), "second");
        assert_eq!(sentence(&lost(LostCause::NotFound), &[]), "discovery does not find pod/d/p any more");
        let taken = [departure(99_000, "", "taken"), departure(99_000, "pod/d/q", "of another")];
        assert_eq!(sentence(&lost(LostCause::NotFound), &taken), "taken");
    }

    #[test]
    fn a_rule_is_named_with_what_it_saw() {
        let found = Labels::from_pairs([("phase", "Failed")]);
        let said = sentence(&lost(LostCause::Dropped { rule: 0, found }), &[]);
        assert_eq!(said, "relabel_configs[0] (drop [phase] =~ \"Failed\") drops it now; it saw \"Failed\"");
        let report = LostReport {
            time: "T".to_owned(),
            job: "j".to_owned(),
            url: "U".to_owned(),
            reason: "dropped",
            sentence: "S".to_owned(),
            is_back: true,
        };
        assert_eq!(report.text(), "lost U at T: S (it is back)");
    }
}
