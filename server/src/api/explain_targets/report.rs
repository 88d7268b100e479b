//! The answer about a monitor or a job, and answers as text.

use operator::objects::{Kind, ObjectRef};
use operator::{KindState, ObjectState, State};
use serde::Serialize;

use super::group::{GroupReport, in_short};
use super::job::{JobReport, count};
use super::known::Known;
use super::lost::LostReport;
use crate::api::monitors;

/// An answer.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// The answer in one sentence.
    pub(super) sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<ObjectReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) jobs: Vec<JobReport>,
    /// Of a PrometheusRule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<GroupReport>,
    /// Where a pod, Service or target was seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sightings: Vec<Sighting>,
    /// The targets of what was asked for that were lost within the last hour.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lost: Vec<LostReport>,
}

/// A monitor.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectReport {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    /// `accepted`, `invalid`, `notSelected` or `pending`.
    pub(super) state: &'static str,
    /// Why it is in that state.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    /// The version of its spec.
    pub(super) generation: i64,
}

/// What one job made of something.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sighting {
    pub(super) job: String,
    /// The monitor that asks for the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) monitor: Option<String>,
    pub(super) address: String,
    /// `kept`, `dropped` or `invalid`.
    pub(super) verdict: &'static str,
    pub(super) sentence: String,
}

impl Report {
    /// The answer for people.
    pub(super) fn text(&self) -> String {
        let mut out = format!("{}\n", self.sentence);
        for job in &self.jobs {
            out.push_str(&format!("\njob {}\n  {}\n", job.job, job.sentence));
            for place in &job.discovery {
                out.push_str(&format!("  looks for {place}, found {}\n", count(job.candidates, "candidate")));
            }
            for error in &job.discovery_errors {
                out.push_str(&format!("  discovery: {error}\n"));
            }
            for rule in &job.rules {
                let values =
                    rule.values.iter().map(|(value, n)| format!("{value:?} ({n})")).collect::<Vec<_>>().join(", ");
                let field = rule.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
                out.push_str(&format!("  {field}{} dropped {}; saw {values}\n", rule.rule, rule.dropped));
            }
            for rule in &job.unmatched_rules {
                out.push_str(&format!("  {rule}\n"));
            }
            for target in &job.targets {
                let error =
                    if target.last_error.is_empty() { String::new() } else { format!(": {}", target.last_error) };
                out.push_str(&format!("  {} {}{error}\n", target.url, target.health));
            }
            for reason in &job.invalid {
                out.push_str(&format!("  cannot be scraped: {reason}\n"));
            }
            for one in &job.lost {
                out.push_str(&format!("  {}\n", one.text()));
            }
            if job.lost_left_out > 0 {
                out.push_str(&format!("  and {} more were lost in the last hour\n", job.lost_left_out));
            }
        }
        for group in &self.groups {
            out.push_str(&format!("\ngroup {} of {}\n  {}\n", group.group, group.file, group.sentence));
        }
        for one in &self.sightings {
            let monitor = one.monitor.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            out.push_str(&format!("\njob {}{monitor}\n  {} {}: {}\n", one.job, one.address, one.verdict, one.sentence));
        }
        for one in &self.lost {
            out.push_str(&format!("\njob {}\n  {}\n", one.job, one.text()));
        }
        out
    }
}

/// A job by its name.
pub(super) fn of_job(known: &Known, name: &str) -> Result<Report, String> {
    let Some(job) = known.job(name) else {
        let (lost, left_out) = known.lost_of_job(name);
        if lost.is_empty() {
            return Err(format!("there is no job {name:?}"));
        }
        let n = count(lost.len() + usize::try_from(left_out).unwrap_or_default(), "target");
        let sentence = format!("There is no job {name:?} any more. It lost {n} in the last hour.");
        return Ok(Report { sentence, lost, ..Report::default() });
    };
    let sentence = format!("Job {name}: {}.", job.sentence);
    Ok(Report { sentence, jobs: vec![job], ..Report::default() })
}

/// A monitor or PrometheusRule by its name; `kind` decides where several kinds have one of that name.
pub(super) fn of_monitor(known: &Known, kind: &str, which: &str) -> Result<Report, String> {
    let (namespace, name) = which.split_once('/').ok_or("must be namespace/name")?;
    if !known.has_operator {
        return Err("monitors are not followed: --operator is not set".to_owned());
    }
    let is = |object: &ObjectRef| {
        object.namespace == namespace
            && object.name == name
            && (kind.is_empty() || object.kind.as_str().eq_ignore_ascii_case(kind))
    };
    let mut found: Vec<_> = known.outcome.objects.iter().filter(|one| is(&one.object)).collect();
    // Charts call both by one name; `rule=` asks for the other one.
    let is_monitor = |one: &ObjectState| one.object.kind != Kind::PrometheusRule;
    if found.iter().any(|one| is_monitor(one)) {
        found.retain(|one| is_monitor(one));
    }
    let Some(first) = found.first() else { return Ok(unknown(known, kind, which)) };
    if found.len() > 1 {
        let kinds = found.iter().map(|one| one.object.kind.as_str()).collect::<Vec<_>>().join(", ");
        return Err(format!("there are several of that name; choose by kind: {kinds}"));
    }
    let object = &first.object;
    let jobs: Vec<JobReport> = first.jobs.iter().filter_map(|job| known.job(job)).collect();
    let groups = known.groups_of_rules(object);
    let (state, reason) = monitors::state(&first.state);
    let sentence = match &first.state {
        State::Accepted if object.kind == Kind::PrometheusRule => {
            format!("{object} is selected; {}.", in_short(&groups))
        }
        State::Invalid { .. } if !groups.is_empty() => format!("{object} is {}; {}.", first.state, in_short(&groups)),
        State::Accepted if first.jobs.is_empty() => {
            format!("{object} is selected and has no endpoints: it asks for no job.")
        }
        State::Accepted => format!("{object} is selected; {}.", jobs_in_short(&jobs)),
        State::Invalid { .. } if !jobs.is_empty() => format!("{object} is {}; {}.", first.state, jobs_in_short(&jobs)),
        state => format!("{object} is {state}."),
    };
    let object = ObjectReport {
        kind: object.kind.as_str(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        state,
        reason,
        generation: first.generation,
    };
    Ok(Report { sentence, object: Some(object), jobs, groups, ..Report::default() })
}

fn jobs_in_short(jobs: &[JobReport]) -> String {
    match jobs {
        [] => "its jobs do not run yet".to_owned(),
        [one] => one.sentence.clone(),
        several => several.iter().map(|job| format!("{}: {}", job.job, job.sentence)).collect::<Vec<_>>().join("; "),
    }
}

/// No monitor of that name is known: it may not exist, or its kind may not be visible.
fn unknown(known: &Known, kind: &str, which: &str) -> Report {
    let of_kind = |state: &&KindState| kind.is_empty() || state.kind.as_str().eq_ignore_ascii_case(kind);
    let errors: Vec<&String> = known.outcome.kinds.iter().filter(of_kind).flat_map(|state| &state.errors).collect();
    let prometheus = known.outcome.prometheus.as_ref().and_then(|state| state.error.as_ref());
    let mut sentence = format!("There is no monitor {which} as far as Weft sees.");
    for error in errors {
        sentence.push_str(&format!(" {error}."));
    }
    if let Some(error) = prometheus {
        sentence.push_str(&format!(" The Prometheus object is not in force: {error}."));
    }
    let near = |one: &ObjectRef| {
        let name = format!("{}/{}", one.namespace, one.name);
        (strsim::osa_distance(&name, which), name, one.kind)
    };
    let nearest: Option<(usize, String, Kind)> = known.outcome.objects.iter().map(|one| near(&one.object)).min();
    if let Some((distance, name, kind)) = nearest
        && distance <= 3.max(which.len() / 4)
    {
        sentence.push_str(&format!(" There is a {} {name}.", kind.as_str()));
    }
    Report { sentence, ..Report::default() }
}
