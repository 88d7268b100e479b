//! Lints: what is valid, and still likely to be a mistake.

use std::collections::BTreeMap;
use std::io::{self, Write};

use ::config::{RuleFile, ScrapeConfig};
use model::duration::format_duration_ms;

/// A sample of a job with this interval or a longer one is stale before the next one comes.
const LOOKBACK_DELTA_MS: i64 = 300_000;

/// The lints of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lints {
    duplicate_rules: bool,
    too_long_scrape_interval: bool,
    lookback_delta_ms: i64,
}

impl Lints {
    /// Chooses lints by name: the first of `known` unless some are named. Unknown names are told, as upstream does.
    pub(super) fn choose(named: Option<&[&str]>, known: &[&str], out: &mut dyn Write) -> io::Result<Self> {
        let named = named.unwrap_or(&known[..1]);
        for name in named.iter().filter(|name| !known.contains(name) && !["all", "none"].contains(name)) {
            writeln!(out, "WARNING: unknown lint option: {name:?}")?;
        }
        let is_off = named.contains(&"none");
        let is_on = |lint| !is_off && known.contains(&lint) && (named.contains(&lint) || named.contains(&"all"));
        Ok(Self {
            duplicate_rules: is_on("duplicate-rules"),
            too_long_scrape_interval: is_on("too-long-scrape-interval"),
            lookback_delta_ms: LOOKBACK_DELTA_MS,
        })
    }

    /// The same for a server that looks back so far; 0 turns that lint off.
    pub(super) fn with_lookback_delta(self, lookback_delta_ms: i64) -> Self {
        let too_long_scrape_interval = self.too_long_scrape_interval && lookback_delta_ms > 0;
        Self { lookback_delta_ms, too_long_scrape_interval, ..self }
    }

    /// What is suspicious in a rule file, in upstream's words.
    pub(super) fn rules(self, file: &RuleFile) -> Option<String> {
        let duplicates = if self.duplicate_rules { duplicates(file) } else { Vec::new() };
        if duplicates.is_empty() {
            return None;
        }
        let mut finding = format!("lint error {} duplicate rule(s) found.\n", duplicates.len());
        for (name, labels) in duplicates {
            finding += &format!("Metric: {name}\nLabel(s):\n");
            labels.iter().for_each(|(name, value)| finding += &format!("\t{name}: {value}\n"));
        }
        Some(finding + "Might cause inconsistency while recording expressions")
    }

    /// What is suspicious in jobs, in upstream's words.
    pub(super) fn jobs<'j>(self, mut jobs: impl Iterator<Item = &'j ScrapeConfig>) -> Option<String> {
        let is_too_long =
            |job: &&ScrapeConfig| self.too_long_scrape_interval && job.scrape_interval_ms >= self.lookback_delta_ms;
        let job = jobs.find(is_too_long)?;
        let interval = format_duration_ms(job.scrape_interval_ms);
        let name = &job.job_name;
        Some(format!(
            "too long scrape interval found, data point will be marked as stale - job: {name}, interval: {interval}"
        ))
    }
}

/// The name of a rule and its labels, those of the group included.
type Identity<'a> = (&'a str, BTreeMap<&'a str, &'a str>);

/// The rules that a file has more than once, each named once, sorted.
fn duplicates(file: &RuleFile) -> Vec<Identity<'_>> {
    let mut n_rules: BTreeMap<Identity<'_>, usize> = BTreeMap::new();
    for group in &file.groups {
        for rule in &group.rules {
            // Those of the rule override those of the group, as when it is evaluated.
            let labels = group.labels.iter().chain(&rule.labels).map(|(name, value)| (name.as_str(), value.as_str()));
            *n_rules.entry((rule.name(), labels.collect())).or_default() += 1;
        }
    }
    n_rules.into_iter().filter(|(_, n)| *n > 1).map(|(identity, _)| identity).collect()
}
