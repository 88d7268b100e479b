//! `/api/v1/rules/replay`: what rules would have done, over stored data. The rules that are loaded, by the filters of `/api/v1/rules`,
//! or those of files in the form.

use std::sync::Arc;

use ::rules::{EvaluationError, Firing, GroupSpec, Replay, ReplayOutcome, ReplayedGroup, ReplayedRule};
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use model::Timestamp;
use model::duration::format_duration_ms;
use query::QueryOptions;
use serde::Serialize;

use super::error::told;
use super::executor::execute;
use super::format::counted;
use super::rule_filters::RuleFilters;
use super::rules::{OwnedLabels, seconds};
use super::work::{self, Origin};
use super::{ApiError, Params, format};
use crate::app::App;
use crate::clock::rfc3339;
use crate::rule_groups::{parse_rules, rules_context};

/// How long before the end it begins, unless the request says.
const RANGE_MS: i64 = 24 * 60 * 60 * 1000;
/// Firings that are listed, unless the request says, and at most.
const FIRINGS: usize = 1_000;
const FIRINGS_MAX: usize = 10_000;

/// `/api/v1/rules/replay`
pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    origin: Origin,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let end = params.time_or("end", Timestamp::now())?;
    let start = params.time_or("start", end.saturating_sub(RANGE_MS))?;
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let firings_max = match params.limit()? {
        0 => FIRINGS,
        limit => limit.min(FIRINGS_MAX),
    };
    let filters = RuleFilters::new(&params, &app.engine().bounds(&QueryOptions::default()))?;
    // Goes with this future, when the stream of an HTTP/2 connection that asked is given up.
    let asked = Arc::new(());
    let options = work::options(&app, params.timeout()?, origin.client.as_ref(), &asked);
    let running = app.metrics.running();
    let slot = work::slot(&app.query_slots, &options).await?;
    let in_place = Arc::clone(&app.in_place);
    let work = move || {
        let _held = (running, slot);
        let bounds = app.engine().bounds(&options);
        // Time may have run out while it waited for a slot.
        bounds.check().map_err(told)?;
        let groups = groups(&app, &params, &filters)?;
        let context = rules_context(&app, &app.config());
        let replay = Replay { start, end, firings_max, bounds };
        let is_chosen =
            |group: &GroupSpec, rule: &::rules::RuleSpec| filters.wants_group(group) && filters.wants_rule(rule);
        let groups = replay.run(groups, is_chosen, &context).map_err(failed)?;
        if groups.is_empty() {
            return Err(ApiError::bad_data("there is no rule that was asked for"));
        }
        Ok(format::text_or_json(&headers, &ReplayReport::new((start, end), groups), ReplayReport::text))
    };
    execute(&in_place, origin.version, work).await?
}

/// The groups of the files in the form; without any, those that are loaded.
fn groups(app: &App, params: &Params, filters: &RuleFilters) -> Result<Vec<GroupSpec>, ApiError> {
    let mut names = params.all("rules_name");
    let (engine, config) = (app.engine(), app.config());
    let mut posted = Vec::new();
    for text in params.all("rules") {
        let file = (text, names.next().unwrap_or("rules"));
        let groups = parse_rules(&engine, &config, file);
        posted.extend(groups.map_err(|error| ApiError::parameter("rules", error))?);
    }
    if params.all("rules").next().is_some() {
        return Ok(posted);
    }
    let loaded = app.rules.groups();
    Ok(loaded.iter().map(|group| group.spec()).filter(|group| filters.wants_group(group)).cloned().collect())
}

fn failed(error: EvaluationError) -> ApiError {
    match error {
        EvaluationError::Query(query::Error::Timeout) => {
            let text = "the replay timed out (--query.timeout): ask for fewer rules or a shorter time";
            ApiError::new(super::Kind::Timeout, text)
        }
        EvaluationError::Query(error) => told(error),
        error => ApiError::new(super::Kind::Execution, model::with_causes(&error)),
    }
}

#[derive(Debug, Serialize)]
struct ReplayReport {
    start: String,
    end: String,
    groups: Vec<GroupReport>,
}

#[derive(Debug, Serialize)]
struct GroupReport {
    name: String,
    file: String,
    interval: f64,
    /// How often it would have been evaluated.
    evaluations: u64,
    rules: Vec<RuleReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleReport {
    /// The outcome in one sentence.
    sentence: String,
    name: String,
    query: String,
    failed_evaluations: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(flatten)]
    outcome: OutcomeJson,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
enum OutcomeJson {
    Recording {
        samples: u64,
        series: usize,
    },
    #[serde(rename_all = "camelCase")]
    Alerting {
        fired: usize,
        only_pending: usize,
        firings: Vec<FiringJson>,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FiringJson {
    labels: OwnedLabels,
    active_at: String,
    fired_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<String>,
    max_value: String,
    /// For the text: for how long, and the value.
    #[serde(skip)]
    fired_for: (String, f64),
}

impl ReplayReport {
    fn new((start, end): (Timestamp, Timestamp), groups: Vec<ReplayedGroup>) -> Self {
        let group = |ReplayedGroup { spec, evaluations, rules }: ReplayedGroup| GroupReport {
            rules: rules.into_iter().map(|rule| RuleReport::new(rule, (evaluations, end))).collect(),
            name: spec.name,
            file: spec.file,
            interval: seconds(spec.interval_ms),
            evaluations,
        };
        Self { start: rfc3339(start), end: rfc3339(end), groups: groups.into_iter().map(group).collect() }
    }

    /// The answer for people.
    fn text(&self) -> String {
        let mut out = format!("From {} to {}:\n", self.start, self.end);
        for (group, rule) in self.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule))) {
            out.push_str(&format!("{} of group {} in {}: {}\n", rule.name, group.name, group.file, rule.sentence));
            let OutcomeJson::Alerting { firings, fired, .. } = &rule.outcome else { continue };
            for FiringJson { labels, active_at, fired_at, fired_for: (fired_for, value), .. } in firings {
                let labels = &labels.0;
                out.push_str(&format!(
                    "  {fired_at} {fired_for}, pending since {active_at}, value up to {value}: {labels}\n"
                ));
            }
            if firings.len() < *fired {
                out.push_str(&format!("  and {} more\n", fired - firings.len()));
            }
        }
        out
    }
}

impl RuleReport {
    fn new(rule: ReplayedRule, (evaluations, end): (u64, Timestamp)) -> Self {
        let ReplayedRule { spec, failed, failure, outcome } = rule;
        let mut sentence = match &outcome {
            ReplayOutcome::Recorded { samples, series } => {
                format!("It would have recorded {} of {series} series", counted(*samples, "sample"))
            }
            ReplayOutcome::Alerted { fired: 0, only_pending: 0, .. } => "It would not have fired".to_owned(),
            ReplayOutcome::Alerted { fired: 0, only_pending, .. } => {
                format!("It would not have fired, and been pending {}", counted(*only_pending as u64, "time"))
            }
            ReplayOutcome::Alerted { fired, .. } => format!("It would have fired {}", counted(*fired as u64, "time")),
        };
        if let Some(error) = &failure {
            sentence.push_str(&format!("; {failed} of {evaluations} evaluations fail: {error}"));
        }
        sentence.push('.');
        let outcome = match outcome {
            ReplayOutcome::Recorded { samples, series } => OutcomeJson::Recording { samples, series },
            ReplayOutcome::Alerted { fired, only_pending, firings } => OutcomeJson::Alerting {
                fired,
                only_pending,
                firings: firings.into_iter().map(|firing| FiringJson::new(firing, end)).collect(),
            },
        };
        let (name, query) = (spec.name, spec.expr);
        Self { sentence, name, query, failed_evaluations: failed, last_error: failure, outcome }
    }
}

impl FiringJson {
    fn new(firing: Firing, end: Timestamp) -> Self {
        let Firing { labels, active_at, fired_at, resolved_at, max_value } = firing;
        let fired_for = seconds_text(resolved_at.unwrap_or(end).saturating_since(fired_at));
        let fired_for = if resolved_at.is_some() {
            format!("for {fired_for}")
        } else {
            format!("for {fired_for} and still firing")
        };
        Self {
            labels: OwnedLabels(labels),
            active_at: rfc3339(active_at),
            fired_at: rfc3339(fired_at),
            resolved_at: resolved_at.map(rfc3339),
            max_value: model::float::format_e(max_value),
            fired_for: (fired_for, max_value),
        }
    }
}

/// A duration in whole seconds: evaluations are not on time to the millisecond.
fn seconds_text(ms: i64) -> String {
    format_duration_ms((ms + 500).div_euclid(1000) * 1000)
}
