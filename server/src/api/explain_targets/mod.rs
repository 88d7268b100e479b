//! `/api/v1/explain`: why something is scraped, or is not. A monitor: is it selected, is it valid, what did each of its jobs find and
//! where did that fall out; a PrometheusRule: the same, and which of its rules fail. A pod, Service or target: which jobs saw it, and
//! why each kept or dropped it, or when it was lost and why. A job: the same of it alone. A rule: does it work, and does it read anything.
//!
//! The operator, discovery and the scrape engine each answer for their own step; here these are joined and put into words.

mod group;
mod job;
mod known;
mod lost;
mod relabel_text;
mod report;
mod rule;
mod sighting;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use model::Labels;
use operator::objects::Kind;
use serde::Serialize;

use self::known::Known;
use self::report::Report;
use self::rule::RulesReport;
use super::executor::in_place;
use super::format::{self, LabelSet};
use super::targets::{job, pool};
use super::{ApiError, Params};
use crate::app::App;

/// `/api/v1/explain`
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked: Vec<(&str, &str)> = ["monitor", "rule", "pod", "service", "target", "job"]
        .into_iter()
        .map(|name| (name, params.get(name)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let [(what, which)] = asked[..] else {
        let wanted = "one of monitor=namespace/name, rule=namespace/name or name, pod=namespace/name, \
                      service=namespace/name, target=address or URL, job=name";
        return Err(ApiError::bad_data(format!("explain takes {wanted}")));
    };
    // A PrometheusRule object has a namespace, which few names of rules look like.
    if what == "rule" && (!which.contains('/') || rule::is_known(&app.rules, which)) {
        let report = in_place(|| rule::of_rule(&app.rules, which))?.map_err(|why| ApiError::parameter(what, why))?;
        return Ok(format::text_or_json(&headers, &report, RulesReport::text));
    }
    let known = Known::new(&app).await;
    let report = match what {
        "monitor" => report::of_monitor(&known, params.get("kind"), which),
        "rule" => report::of_monitor(&known, Kind::PrometheusRule.as_str(), which),
        "job" => report::of_job(&known, which),
        "target" => sighting::of_target(&known, which),
        kind => sighting::of_object(&known, kind, which),
    }
    .map_err(|why| ApiError::parameter(what, why))?;
    Ok(format::text_or_json(&headers, &report, Report::text))
}

/// `/api/v1/targets/relabel_steps`: the labels of a target after each rule of its job.
pub(crate) async fn relabel_steps(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let pool = pool(&params)?;
    let text = params.get("labels");
    if text.is_empty() {
        return Err(ApiError::bad_data("no labels parameter provided"));
    }
    let pairs: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| match error.is_eof() {
        // In Go's words, which are the same for every text that ends early.
        true => ApiError::bad_data("error parsing labels: unexpected end of JSON input"),
        false => ApiError::bad_data(format!("error parsing labels: {error}")),
    })?;
    let config = app.config();
    let job = job(&config, pool)?;
    let labels = Labels::from_pairs(pairs);
    let followed = scraper::relabel_steps(&labels, &job.relabel_configs);
    let steps = job.relabel_configs.iter().enumerate().map(|(i, rule)| {
        // After the rule that drops them there are none.
        let after = followed.get(i).and_then(|step| step.after.clone());
        (rule, after.is_some(), after.unwrap_or_else(Labels::empty))
    });
    let steps: Vec<_> = steps.collect();
    let shown = steps.iter().map(|(rule, keep, after)| StepJson {
        rule: RuleJson::new(rule),
        output: LabelSet(after),
        keep: *keep,
    });
    Ok(format::success_of(&StepsJson { steps: shown.collect() }))
}

#[derive(Serialize)]
struct StepsJson<'a> {
    steps: Vec<StepJson<'a>>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    rule: RuleJson<'a>,
    output: LabelSet<'a>,
    keep: bool,
}

#[derive(Serialize)]
struct RuleJson<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    source_labels: &'a [String],
    separator: &'a str,
    regex: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    modulus: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    target_label: &'a str,
    replacement: &'a str,
    action: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl<'a> RuleJson<'a> {
    fn new(rule: &'a model::RelabelRule) -> Self {
        let spec = rule.spec();
        Self {
            source_labels: &spec.source_labels,
            separator: &spec.separator,
            regex: spec.regex.as_deref().unwrap_or("(.*)"),
            modulus: spec.modulus,
            target_label: &spec.target_label,
            replacement: &spec.replacement,
            action: spec.action.as_str(),
        }
    }
}
