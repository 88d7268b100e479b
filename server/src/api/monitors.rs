//! `/api/v1/monitors`: the monitors and PrometheusRules that are known, and what became of each. `/api/v1/explain` says more of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State as Of;
use axum::response::Response;
use operator::{ObjectState, Outcome, State};
use scraper::PoolStatus;
use serde::Serialize;

use super::format;
use crate::app::App;
use crate::monitor_metrics::target_counts;

/// `/api/v1/monitors`
pub(crate) async fn monitors(Of(app): Of<Arc<App>>) -> Response {
    let outcome = app.operator.as_ref().map(|operator| operator.outcome()).unwrap_or_default();
    let pools = app.scraper.status().await;
    format::success_of(&MonitorsJson::new(app.operator.is_some(), &outcome, &pools))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MonitorsJson<'a> {
    /// Are objects followed? (`--operator`)
    is_followed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    prometheus: Option<PrometheusJson<'a>>,
    kinds: Vec<KindJson<'a>>,
    monitors: Vec<MonitorJson<'a>>,
}

/// The Prometheus object that chooses the others.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrometheusJson<'a> {
    name: &'a str,
    is_paused: bool,
    /// Why it is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    not_applied: &'a [String],
}

#[derive(Serialize)]
struct KindJson<'a> {
    kind: &'static str,
    objects: usize,
    /// What keeps objects from being seen.
    errors: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MonitorJson<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    /// `accepted`, `invalid`, `notSelected` or `pending`.
    state: &'static str,
    /// Why it is in that state.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    jobs: &'a [String],
    /// How many targets its jobs have, by their state.
    targets: BTreeMap<&'static str, usize>,
}

impl<'a> MonitorsJson<'a> {
    fn new(is_followed: bool, outcome: &'a Outcome, pools: &BTreeMap<String, PoolStatus>) -> Self {
        let prometheus = outcome.prometheus.as_ref().map(|state| PrometheusJson {
            name: &state.name,
            is_paused: state.is_paused,
            error: state.error.as_deref(),
            not_applied: &state.not_applied,
        });
        let kinds = outcome.kinds.iter().map(|state| KindJson {
            kind: state.kind.as_str(),
            objects: state.objects,
            errors: &state.errors,
        });
        let monitors = outcome.objects.iter().map(|object| MonitorJson::new(object, pools));
        Self { is_followed, prometheus, kinds: kinds.collect(), monitors: monitors.collect() }
    }
}

impl<'a> MonitorJson<'a> {
    fn new(one: &'a ObjectState, pools: &BTreeMap<String, PoolStatus>) -> Self {
        let (state, reason) = state(&one.state);
        Self {
            kind: one.object.kind.as_str(),
            namespace: &one.object.namespace,
            name: &one.object.name,
            state,
            reason,
            jobs: &one.jobs,
            targets: target_counts(one, pools).into_iter().collect(),
        }
    }
}

/// The word for a state, and why an object is in it.
pub(super) fn state(state: &State) -> (&'static str, String) {
    match state {
        State::Accepted => ("accepted", String::new()),
        State::Pending => ("pending", state.to_string()),
        State::NotSelected(why) => ("notSelected", why.to_string()),
        State::Invalid { message, .. } => ("invalid", message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use operator::objects::{Kind, ObjectRef};
    use serde_json::json;

    use super::*;

    #[test]
    fn each_object_has_its_state_and_the_targets_of_its_jobs() {
        let object = |name: &str, state: State| ObjectState {
            object: ObjectRef { kind: Kind::PodMonitor, namespace: "a".to_owned(), name: name.to_owned() },
            uid: String::new(),
            generation: 1,
            state,
            jobs: vec![format!("podMonitor/a/{name}/0")],
        };
        let invalid = State::Invalid { message: "spec.selector: no".to_owned(), last_valid_in_use: false };
        let outcome =
            Outcome { objects: vec![object("good", State::Accepted), object("bad", invalid)], ..Outcome::default() };
        let pools = BTreeMap::from([(
            "podMonitor/a/good/0".to_owned(),
            PoolStatus { dropped_count: 3, ..PoolStatus::default() },
        )]);
        let found = serde_json::to_value(MonitorsJson::new(true, &outcome, &pools)).unwrap();
        let targets = |dropped: usize| json!({"up": 0, "down": 0, "unknown": 0, "dropped": dropped});
        let monitor = |name: &str, state: &str, dropped: usize| {
            json!({
                "kind": "PodMonitor", "namespace": "a", "name": name, "state": state,
                "jobs": [format!("podMonitor/a/{name}/0")], "targets": targets(dropped),
            })
        };
        let mut bad = monitor("bad", "invalid", 0);
        bad["reason"] = json!("spec.selector: no");
        let expected = json!({"isFollowed": true, "kinds": [], "monitors": [monitor("good", "accepted", 3), bad]});
        assert_eq!(found, expected);
    }
}
