//! `/api/v1/rules`, `/api/v1/alerts` and `/api/v1/alertmanagers`. (Prometheus: `web/api/v1/api.go`.)

use std::sync::Arc;

use ::rules::{Alert, Group, RuleStatus};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::format::{self, LabelSet};
use super::rule_filters::RuleFilters;
use super::rules_backfill::BackfillJson;
use super::tenancy::Visible;
use super::work::Origin;
use super::{ApiError, Params};
use crate::app::App;
use crate::clock::{NEVER, rfc3339};

/// `/api/v1/alerts`
pub(crate) async fn alerts(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let visible = Visible::of(&app, (&params, &origin)).await?;
    let groups = app.rules.groups();
    let alerts = groups.iter().flat_map(|group| group.rules()).filter_map(|rule| rule.alerts);
    let alerts = alerts.flat_map(|(_, alerts)| alerts).filter(|alert| visible.shows_labels(&alert.labels));
    let alerts = alerts.map(|alert| AlertJson::new(&alert)).collect();
    Ok(format::success_of(&AlertsJson { alerts }))
}

/// `/api/v1/alertmanagers`
pub(crate) async fn alertmanagers(State(app): State<Arc<App>>) -> Response {
    let known = app.notifier.alertmanagers();
    let urls = |urls: Vec<String>| urls.into_iter().map(|url| UrlJson { url }).collect();
    format::success_of(&AlertmanagersJson {
        active_alertmanagers: urls(known.active),
        dropped_alertmanagers: urls(known.dropped),
    })
}

/// `/api/v1/rules`
pub(crate) async fn rules(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let params = params.plain()?;
    let visible = Visible::of(&app, (&params, &origin)).await?;
    let bounds = app.engine().bounds(&query::QueryOptions::default());
    let filters = RuleFilters::new(&params, &bounds)?.of(visible);
    let groups = app.rules.groups();
    let page = filters.page(&groups)?;
    let groups = page.groups.iter().map(|(group, rules)| GroupJson::new(group, rules, &filters)).collect();
    Ok(format::success_of(&RulesJson { groups, group_next_token: page.next_token }))
}

#[derive(Serialize)]
struct AlertsJson {
    alerts: Vec<AlertJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertmanagersJson {
    active_alertmanagers: Vec<UrlJson>,
    dropped_alertmanagers: Vec<UrlJson>,
}

#[derive(Serialize)]
struct UrlJson {
    url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RulesJson<'a> {
    groups: Vec<GroupJson<'a>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    group_next_token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson<'a> {
    name: &'a str,
    file: &'a str,
    rules: Vec<RuleJson<'a>>,
    interval: f64,
    limit: usize,
    evaluation_time: f64,
    last_evaluation: String,
    /// How far the computation of its past is, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    backfill: Option<BackfillJson>,
}

impl<'a> GroupJson<'a> {
    fn new(group: &'a Group, rules: &'a [RuleStatus<'a>], filters: &RuleFilters) -> Self {
        let (evaluated_at, took) = group.last_evaluation();
        Self {
            name: &group.spec().name,
            file: &group.spec().file,
            rules: rules.iter().map(|rule| RuleJson::new(rule, filters.excludes_alerts())).collect(),
            interval: seconds(group.spec().interval_ms),
            limit: group.spec().limit,
            evaluation_time: took.as_secs_f64(),
            last_evaluation: evaluated_at.map_or_else(|| NEVER.to_owned(), rfc3339),
            backfill: BackfillJson::of(group),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum RuleJson<'a> {
    Alerting(AlertingJson<'a>),
    Recording(RecordingJson<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertingJson<'a> {
    state: &'static str,
    name: &'a str,
    query: &'a str,
    duration: f64,
    keep_firing_for: f64,
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    /// Null where they were excluded.
    alerts: Option<Vec<AlertJson>>,
    #[serde(flatten)]
    last: LastJson<'a>,
}

#[derive(Serialize)]
struct RecordingJson<'a> {
    name: &'a str,
    query: &'a str,
    labels: Pairs<'a>,
    #[serde(flatten)]
    last: LastJson<'a>,
}

/// The last evaluation of a rule.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastJson<'a> {
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    evaluation_time: f64,
    last_evaluation: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> RuleJson<'a> {
    fn new(rule: &'a RuleStatus<'a>, excludes_alerts: bool) -> Self {
        let last = |kind| LastJson {
            health: rule.health(),
            last_error: rule.last.as_ref().and_then(|last| last.error.as_deref()),
            evaluation_time: rule.last.as_ref().map_or(0.0, |last| last.duration_s),
            last_evaluation: rule.evaluated_at.map_or_else(|| NEVER.to_owned(), rfc3339),
            kind,
        };
        let spec = rule.spec;
        let (Some(alert), Some((state, alerts))) = (&spec.alert, &rule.alerts) else {
            let labels = Pairs(&spec.labels);
            return Self::Recording(RecordingJson {
                name: &spec.name,
                query: &spec.expr,
                labels,
                last: last("recording"),
            });
        };
        Self::Alerting(AlertingJson {
            state: state.as_str(),
            name: &spec.name,
            query: &spec.expr,
            duration: seconds(alert.for_ms),
            keep_firing_for: seconds(alert.keep_firing_for_ms),
            labels: Pairs(&spec.labels),
            annotations: Pairs(&alert.annotations),
            alerts: (!excludes_alerts).then(|| alerts.iter().map(AlertJson::new).collect()),
            last: last("alerting"),
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson {
    labels: OwnedLabels,
    annotations: OwnedLabels,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
}

impl AlertJson {
    fn new(alert: &Alert) -> Self {
        Self {
            labels: OwnedLabels(alert.labels.clone()),
            annotations: OwnedLabels(alert.annotations.clone()),
            state: alert.state.as_str(),
            active_at: rfc3339(alert.active_at),
            keep_firing_since: alert.keep_firing_since.map(rfc3339),
            value: model::float::format_e(alert.value),
        }
    }
}

/// Labels that go into a response.
#[derive(Debug)]
pub(super) struct OwnedLabels(pub(super) model::Labels);

impl Serialize for OwnedLabels {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LabelSet(&self.0).serialize(serializer)
    }
}

/// Labels or annotations as they are written, in their order; spelled as label sets are.
struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        let pairs = self.0.iter().map(|(name, value)| (name, value));
        format::object(&mut text, pairs, |out, value| format::label_string(out, value));
        format::Raw(&text).serialize(serializer)
    }
}

pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_spelled_as_labels_are() {
        let pairs =
            [("summary".to_owned(), "{{ $value }} < \"5\" & rising".to_owned()), ("a".to_owned(), String::new())];
        let mut text = String::new();
        format::serialize(&mut text, &Pairs(&pairs));
        assert_eq!(text, r#"{"summary":"{{ $value }} < \"5\" & rising","a":""}"#);
    }
}
