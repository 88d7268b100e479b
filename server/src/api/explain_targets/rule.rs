//! The answer about a rule: whether it works, what it reads that is not there, and its last evaluations.

use std::sync::Arc;

use ::rules::{Evaluation, Group, Manager, RuleStatus};
use serde::Serialize;

use crate::api::format::counted;
use crate::clock::rfc3339;

/// Evaluations that the text for people has.
const EVALUATIONS_SHOWN: usize = 5;

/// The rules of a name.
#[derive(Debug, Serialize)]
pub(super) struct RulesReport {
    rules: Vec<RuleReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleReport {
    /// The answer in one sentence.
    sentence: String,
    file: String,
    group: String,
    name: String,
    query: String,
    health: &'static str,
    /// Selectors that have matched no series for a day.
    unmatched: Vec<UnmatchedJson>,
    /// The last evaluations, newest first.
    evaluations: Vec<EvaluationJson>,
}

#[derive(Debug, Serialize)]
struct UnmatchedJson {
    selector: String,
    reason: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluationJson {
    time: String,
    duration_seconds: f64,
    samples: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Arc<str>>,
}

/// Is there a rule of this name?
pub(super) fn is_known(rules: &Manager, name: &str) -> bool {
    rules.groups().iter().any(|group| group.rules().any(|rule| rule.spec.name == name))
}

/// All rules of a name. Blocks: it looks at the store.
pub(super) fn of_rule(rules: &Manager, name: &str) -> Result<RulesReport, String> {
    let mut reports = Vec::new();
    for group in rules.groups() {
        for (i, rule) in group.rules().enumerate().filter(|(_, rule)| rule.spec.name == name) {
            let unmatched = rules.unmatched(&group, i).map_err(|error| model::with_causes(&error))?;
            let unmatched =
                unmatched.into_iter().map(|one| UnmatchedJson { selector: one.selector, reason: one.reason }).collect();
            reports.push(RuleReport::new((&group, i), &rule, unmatched));
        }
    }
    if reports.is_empty() {
        let names: Vec<String> = rules
            .groups()
            .iter()
            .flat_map(|group| group.rules().map(|rule| rule.spec.name.clone()).collect::<Vec<_>>())
            .collect();
        let nearest = names.iter().min_by_key(|known| strsim::osa_distance(known, name));
        let hint = nearest.map_or_else(String::new, |name| format!("; the nearest is {name:?}"));
        return Err(format!("there is no rule {name:?}{hint}"));
    }
    Ok(RulesReport { rules: reports })
}

impl RuleReport {
    fn new((group, index): (&Group, usize), rule: &RuleStatus<'_>, unmatched: Vec<UnmatchedJson>) -> Self {
        let spec = group.spec();
        Self {
            sentence: sentence(rule, &unmatched),
            file: spec.file.clone(),
            group: spec.name.clone(),
            name: rule.spec.name.clone(),
            query: rule.spec.expr.clone(),
            health: rule.health(),
            unmatched,
            evaluations: group.history(index).into_iter().rev().map(EvaluationJson::new).collect(),
        }
    }
}

impl EvaluationJson {
    fn new(evaluation: Evaluation) -> Self {
        let Evaluation { ts, duration_s, samples, error } = evaluation;
        Self { time: rfc3339(ts), duration_seconds: duration_s, samples, error }
    }
}

fn sentence(rule: &RuleStatus<'_>, unmatched: &[UnmatchedJson]) -> String {
    let Some(last) = &rule.last else { return "It was not evaluated yet.".to_owned() };
    if let Some(error) = &last.error {
        return format!("Its last evaluation failed: {error}.");
    }
    if !unmatched.is_empty() {
        let reasons: Vec<&str> = unmatched.iter().map(|one| one.reason.as_str()).collect();
        return format!("It reads something that is not there: {}.", reasons.join("; "));
    }
    match &rule.alerts {
        Some((state, alerts)) => {
            format!("It is {}, with {}.", state.as_str(), counted(alerts.len() as u64, "active alert"))
        }
        None => format!("Its last evaluation recorded {}.", counted(last.samples.into(), "sample")),
    }
}

impl RulesReport {
    /// The answer for people.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for rule in &self.rules {
            let RuleReport { sentence, file, group, name, query, .. } = rule;
            out.push_str(&format!("{name} of group {group} in {file}: {sentence}\n  {query}\n"));
            for UnmatchedJson { selector, reason } in &rule.unmatched {
                out.push_str(&format!("  {selector} matches nothing: {reason}\n"));
            }
            for one in rule.evaluations.iter().take(EVALUATIONS_SHOWN) {
                let result =
                    one.error.as_ref().map_or_else(|| format!("{} samples", one.samples), |error| error.to_string());
                out.push_str(&format!("  {} took {:.1} ms: {result}\n", one.time, one.duration_seconds * 1000.0));
            }
        }
        out
    }
}
