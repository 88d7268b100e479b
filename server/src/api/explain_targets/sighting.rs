//! The answer about a pod, a Service or a target: which jobs saw it, and what became of it there.

use std::collections::HashSet;

use config::SdConfig;
use model::Labels;
use scraper::{Funnel, Populated, Target, relabel_steps};

use super::job::{health_in_words, seen};
use super::known::Known;
use super::lost::LostReport;
use super::relabel_text::rule_text;
use super::report::{Report, Sighting};

/// Sightings that an answer lists.
const LISTED_MAX: usize = 200;

/// A pod or a Service: every job that discovered it.
pub(super) fn of_object(known: &Known, kind: &str, which: &str) -> Result<Report, String> {
    let (namespace, name) = which.split_once('/').ok_or("must be namespace/name")?;
    let label = format!("__meta_kubernetes_{kind}_name");
    let is = |labels: &Labels| labels.value("__meta_kubernetes_namespace") == namespace && labels.value(&label) == name;
    let sightings = sightings(known, is);
    let shown = if kind == "pod" { "Pod" } else { "Service" };
    let who = format!("{shown} {which}");
    let lost = known.lost(|one| is(&one.target.discovered));
    let sentence = match sightings.is_empty().then(|| why_no_target(known, is)).flatten() {
        Some(why) => format!("{who} is not scraped: {why}."),
        None => summary(&who, &sightings, &lost),
    };
    Ok(Report { sentence, sightings, lost, ..Report::default() })
}

/// Why there is no target in an object that discoveries see.
fn why_no_target(known: &Known, is_meant: impl Fn(&Labels) -> bool) -> Option<String> {
    let mut discoveries: Vec<&SdConfig> = known.config.scrape_configs.iter().flat_map(|job| &job.sd).collect();
    // Many jobs have the same.
    let mut seen = HashSet::new();
    discoveries.retain(|one| seen.insert(*one));
    let looked = discoveries.into_iter().map(|one| known.without_targets(std::slice::from_ref(one)));
    looked.flatten().find(|object| is_meant(&object.labels)).map(|object| object.why)
}

/// A target by its URL, its address or its instance.
pub(super) fn of_target(known: &Known, which: &str) -> Result<Report, String> {
    let mut found = Vec::new();
    let is = |target: &Target| {
        target.url == which
            || target.public.value("instance") == which
            || target.discovered.value("__address__") == which
    };
    for (job, pool) in &known.pools {
        for one in &pool.active {
            let target = &one.target;
            if is(target) {
                let error = if one.status.last_error.is_empty() {
                    String::new()
                } else {
                    format!(": {}", one.status.last_error)
                };
                found.push(Sighting {
                    job: job.clone(),
                    monitor: monitor_of(known, job),
                    address: target.url.clone(),
                    verdict: "kept",
                    sentence: format!("it is {}{error}", health_in_words(one.status.up)),
                });
            }
        }
    }
    if found.is_empty() {
        found = sightings(known, |labels| labels.value("__address__") == which);
    }
    let lost = known.lost(|one| is(&one.target));
    let sentence = summary(&format!("Target {which}"), &found, &lost);
    Ok(Report { sentence, sightings: found, lost, ..Report::default() })
}

fn monitor_of(known: &Known, job: &str) -> Option<String> {
    known.outcome.job(job)?.object.as_ref().map(ToString::to_string)
}

/// What every job made of the label sets that are meant.
fn sightings(known: &Known, is_meant: impl Fn(&Labels) -> bool) -> Vec<Sighting> {
    let mut out = Vec::new();
    for config in &known.config.scrape_configs {
        let facts = known.facts(config);
        let meant = facts
            .groups
            .iter()
            .flat_map(|group| group.targets.iter().map(|target| target.joined(&group.labels)).collect::<Vec<_>>());
        for labels in meant.filter(|labels| is_meant(labels)) {
            if out.len() >= LISTED_MAX {
                return out;
            }
            let sighting = |verdict, sentence| Sighting {
                job: config.job_name.clone(),
                monitor: monitor_of(known, &config.job_name),
                address: labels.value("__address__").to_owned(),
                verdict,
                sentence,
            };
            let (verdict, sentence) = match Funnel::of_one(&labels, config) {
                Ok(Populated::Target(target)) => {
                    let status =
                        facts.pool.and_then(|pool| pool.active.iter().find(|one| one.target.hash == target.hash));
                    let health = health_in_words(status.and_then(|one| one.status.up));
                    ("kept", format!("its target is {}, {health}", target.url))
                }
                Ok(Populated::Dropped { discovered, rule }) => {
                    let steps = relabel_steps(&discovered, &config.relabel_configs);
                    let value = steps.last().map(|step| step.value.as_str()).unwrap_or_default();
                    let value = seen(facts.origins.get(rule), value);
                    let field = facts.origins.get(rule).map(|origin| format!("{origin}: ")).unwrap_or_default();
                    let rule = rule_text(&config.relabel_configs[rule]);
                    ("dropped", format!("{field}{rule} saw {value:?}"))
                }
                Ok(Populated::Invalid { reason }) | Err(reason) => ("invalid", reason),
            };
            out.push(sighting(verdict, sentence));
        }
    }
    out
}

fn summary(who: &str, sightings: &[Sighting], lost: &[LostReport]) -> String {
    let kept: Vec<&Sighting> = sightings.iter().filter(|one| one.verdict == "kept").collect();
    match (kept.first(), sightings.first()) {
        (Some(first), _) if kept.len() == 1 => format!("{who} is kept by {}: {}.", first.job, first.sentence),
        (Some(_), _) => {
            let mut jobs: Vec<&str> = kept.iter().map(|one| one.job.as_str()).collect();
            jobs.dedup();
            format!("{who} is kept by {}.", jobs.join(", "))
        }
        (None, Some(first)) => {
            format!(
                "{who} is not scraped: {} jobs saw it and none kept it; {}: {}.",
                sightings.len(),
                first.job,
                first.sentence
            )
        }
        // The newest is the first.
        (None, None) => match lost.first() {
            Some(LostReport { job, time, sentence, .. }) => {
                format!("{who} is not scraped: no job discovers it. It was a target of {job} until {time}: {sentence}.")
            }
            None => format!("{who} is not scraped: no job discovers it."),
        },
    }
}
