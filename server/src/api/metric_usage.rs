//! `/api/v1/status/metric_usage`: which metrics are asked for, and how to drop those that are not.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use config::Yaml;
use model::{Regex, Timestamp};
use serde::Serialize;

use super::executor::in_place;
use super::{ApiError, Params, format};
use crate::app::App;
use crate::clock::rfc3339;
use crate::metric_usage::Asked;

/// Metrics that are looked at: those with the most series.
const METRICS_MAX: usize = 20_000;
/// Metrics that are shown unless the request says otherwise.
const SHOWN: usize = 1_000;

/// What is stored about each scrape, and about alerts.
const OF_SCRAPES: [&str; 11] = [
    "ALERTS",
    "ALERTS_FOR_STATE",
    "scrape_body_size_bytes",
    "scrape_duration_seconds",
    "scrape_sample_limit",
    "scrape_samples_over_limit",
    "scrape_samples_post_metric_relabeling",
    "scrape_samples_scraped",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "up",
];

/// `/api/v1/status/metric_usage`
pub(crate) async fn metric_usage(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let limit = match params.limit()? {
        0 => SHOWN,
        limit => limit.min(METRICS_MAX),
    };
    // Reads the index of the store, which blocks.
    let stored = in_place(|| app.db.stats(METRICS_MAX))??.series_by_metric_name;
    let asked = app.metric_usage.of(stored.iter().map(|metric| metric.name.as_str()));
    let made = made_here(&app);
    let all = stored.iter().zip(&asked).map(|(metric, asked)| MetricJson::new(metric, asked));
    let (never, metrics): (Vec<_>, Vec<_>) = all.partition(|metric| metric.api_count + metric.rule_count == 0);
    let never: Vec<_> = never.into_iter().filter(|metric| !made.contains(metric.name)).collect();
    Ok(format::success_of(&UsageJson {
        since: rfc3339(app.metric_usage.since()),
        never_asked: NeverJson {
            metrics: never.len(),
            series: never.iter().map(|metric| metric.series).sum(),
            metric_relabel_configs: dropping(never.iter().take(limit).map(|metric| metric.name)),
            names: never.iter().take(limit).map(|metric| metric.name).collect(),
        },
        metrics: metrics.into_iter().take(limit).collect(),
    }))
}

/// The metrics that this server makes: about its scrapes, and by its rules. Relabelling cannot drop them.
fn made_here(app: &App) -> HashSet<String> {
    let groups = app.rules.groups();
    let recorded = groups.iter().flat_map(|group| group.spec().rules.iter().map(|rule| rule.name.clone()));
    recorded.chain(OF_SCRAPES.map(str::to_owned)).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageJson<'a> {
    /// Since when it is counted: what was not asked for since yesterday may be asked for next week.
    since: String,
    /// Those that were asked for, the ones with the most series first.
    metrics: Vec<MetricJson<'a>>,
    never_asked: NeverJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetricJson<'a> {
    name: &'a str,
    series: u64,
    api_count: u64,
    rule_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_api: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rule: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NeverJson<'a> {
    metrics: usize,
    series: u64,
    names: Vec<&'a str>,
    /// For a job: drops these.
    metric_relabel_configs: String,
}

impl<'a> MetricJson<'a> {
    fn new(metric: &'a storage::Count, asked: &Asked) -> Self {
        let time = |ms: i64| (ms > 0).then(|| rfc3339(Timestamp(ms)));
        Self {
            name: &metric.name,
            series: metric.value,
            api_count: asked.api,
            rule_count: asked.rule,
            last_api: time(asked.last_api_ms),
            last_rule: time(asked.last_rule_ms),
        }
    }
}

/// A rule that drops these metrics; empty for none.
fn dropping<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(Regex::escape).collect();
    if names.is_empty() {
        return String::new();
    }
    let map = |pairs: [(&'static str, Yaml); 3]| {
        Yaml::Map(pairs.into_iter().map(|(key, value)| (Cow::Borrowed(key), value)).collect())
    };
    let rule = map([
        ("source_labels", Yaml::Flow(vec!["__name__".to_owned()])),
        ("regex", Yaml::text(names.join("|"))),
        ("action", Yaml::text("drop")),
    ]);
    Yaml::Map(vec![(Cow::Borrowed("metric_relabel_configs"), Yaml::List(vec![rule]))]).print()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_drops_these_names_and_no_others() {
        let text = dropping(["up", "a.b", "c|d"].into_iter());
        let job = format!("scrape_configs:\n- job_name: a\n  {}", text.trim_end().replace('\n', "\n  "));
        let config = config::Config::parse(&job, "a.yml".as_ref(), &|_| None).unwrap();
        let rules = &config.scrape_configs[0].metric_relabel_configs;
        for (name, is_kept) in
            [("up", false), ("a.b", false), ("c|d", false), ("axb", true), ("c", true), ("upper", true)]
        {
            let labels = model::Labels::from_pairs([("__name__", name)]);
            let after = scraper::relabel_steps(&labels, rules).pop().unwrap().after;
            assert_eq!(after.is_some(), is_kept, "{name}: {text}");
        }
        assert_eq!(dropping(std::iter::empty()), "");
    }
}
