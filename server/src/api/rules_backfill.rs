//! `/api/v1/admin/rules/backfill`: computes the recording rules of groups for a range of time that is over. Refused without
//! `--web.enable-admin-api`. How far that is, `/api/v1/rules` has.

use std::sync::Arc;

use ::rules::Group;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::rule_filters::RuleFilters;
use super::{ApiError, Kind, Params, admin, format};
use crate::app::App;
use crate::clock::rfc3339;

/// So many evaluations of a group may be asked for at once: three years of an interval of ten seconds.
const EVALUATIONS_MAX: i64 = 10_000_000;

/// `POST /api/v1/admin/rules/backfill`
pub(crate) async fn backfill(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    admin::enabled(&app)?;
    let params = params.plain()?;
    let start = params.time("start")?;
    let end = if params.get("end").is_empty() { None } else { Some(params.time("end")?) };
    let now = model::Timestamp::now();
    if end.is_some_and(|end| end <= start) || start >= now {
        return Err(ApiError::parameter("end", "end timestamp must be after start time, which must be in the past"));
    }
    if ["rule_group[]", "file[]"].iter().all(|name| params.get(name).is_empty()) {
        return Err(ApiError::bad_data("backfill takes rule_group[]=name, file[]=path, or both"));
    }
    let filters = RuleFilters::new(&params, &app.engine().bounds(&query::QueryOptions::default()))?;
    let mut groups = app.rules.groups();
    groups
        .retain(|group| filters.wants_group(group.spec()) && group.spec().rules.iter().any(|rule| !rule.is_alerting()));
    if groups.is_empty() {
        return Err(ApiError::bad_data("no group with recording rules is loaded under this name"));
    }
    // Before any is begun: the request is taken as a whole, or not at all.
    let range_ms = end.unwrap_or(now).min(now).saturating_since(start);
    if let Some(group) = groups.iter().find(|group| range_ms / group.spec().interval_ms > EVALUATIONS_MAX) {
        let (name, most) = (&group.spec().name, EVALUATIONS_MAX);
        let why = format!("group {name:?} would be evaluated more than {most} times: ask for a shorter time");
        return Err(ApiError::parameter("start", why));
    }
    for group in &groups {
        if !app.rules.backfill(group, start, end) {
            let name = &group.spec().name;
            let why = format!("too many requests for group {name:?} wait: try again when some are complete");
            return Err(ApiError::new(Kind::Unavailable, why));
        }
    }
    let asked = groups.iter().map(|group| AskedJson { file: &group.spec().file, name: &group.spec().name });
    Ok(format::success_of(&BackfillsJson { groups: asked.collect() }))
}

#[derive(Serialize)]
struct BackfillsJson<'a> {
    groups: Vec<AskedJson<'a>>,
}

#[derive(Serialize)]
struct AskedJson<'a> {
    name: &'a str,
    file: &'a str,
}

/// How far the computation of a group's past is.
#[derive(Serialize)]
pub(super) struct BackfillJson {
    state: &'static str,
    /// Ranges of time that are not complete.
    left: usize,
    #[serde(flatten)]
    range: Option<RangeJson>,
}

/// The range that is computed, or was last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RangeJson {
    start: String,
    end: String,
    reached: String,
    evaluations: u64,
    evaluations_total: u64,
    failures: Vec<FailureJson>,
}

#[derive(Serialize)]
struct FailureJson {
    rule: String,
    error: Arc<str>,
}

impl BackfillJson {
    pub(super) fn of(group: &Group) -> Option<Self> {
        let (status, left) = group.backfill()?;
        let range = status.map(|status| RangeJson {
            start: rfc3339(status.start),
            end: rfc3339(status.end),
            reached: rfc3339(status.reached),
            evaluations: status.evaluations,
            evaluations_total: status.evaluations_total,
            failures: status.failures.into_iter().map(|(rule, error)| FailureJson { rule, error }).collect(),
        });
        let is_complete = left == 0 && range.as_ref().is_none_or(|range| range.evaluations == range.evaluations_total);
        Some(Self { state: if is_complete { "complete" } else { "running" }, left, range })
    }
}
