//! `/api/v1/targets`, `/api/v1/scrape_pools`: active and dropped targets, and the configuration of their jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use config::{Config, ScrapeConfig};
use model::Labels;
use model::duration::format_duration_ms;
use scraper::{ActiveTarget, PoolStatus};
use serde::Serialize;

use super::format::{self, LabelSet};
use super::tenancy::Visible;
use super::work::Origin;
use super::{ApiError, Params};
use crate::app::App;
use crate::clock::{NEVER, rfc3339};

/// The namespace of the object that a target was found by.
const NAMESPACE_OF_OBJECT: &str = "__meta_kubernetes_namespace";

/// `/api/v1/targets`
pub(crate) async fn targets(State(app): State<Arc<App>>, origin: Origin, params: Params) -> Result<Response, ApiError> {
    let visible = Visible::of(&app, (&params, &origin)).await?;
    let state = params.get("state").to_lowercase();
    let pool = params.get("scrapePool");
    let (active, dropped) = match state.as_str() {
        "" | "any" => (true, true),
        "active" => (true, false),
        "dropped" => (false, true),
        // An unknown state is no error upstream: both lists are empty.
        _ => (false, false),
    };
    let pools = app.scraper.status().await;
    let shown = || pools.iter().filter(|(name, _)| pool.is_empty() || *name == pool);
    Ok(format::success_of(&TargetsJson {
        active_targets: shown()
            .filter(|_| active)
            .flat_map(|(name, pool)| pool.active.iter().map(move |target| (name, target)))
            .filter(|(_, target)| visible.shows_labels(&target.target.public))
            .map(|(name, target)| ActiveJson::new(name, target, app.settings.seen_from_outside(&target.target.url)))
            .collect(),
        dropped_targets: shown()
            .filter(|_| dropped)
            // At most `keep_dropped_targets` of them are kept; the counts below are of all.
            .flat_map(|(name, pool)| visible_dropped(pool, &visible).map(move |labels| (name, labels)))
            .map(|(name, labels)| DroppedJson { discovered_labels: LabelSet(labels), scrape_pool: name })
            .collect(),
        dropped_target_counts: dropped.then(|| pools.iter().filter_map(|pool| dropped_count(pool, &visible)).collect()),
    }))
}

/// The discovered labels of dropped targets that a request may see. They have no other ones: whose they are, discovery says.
fn visible_dropped<'a>(pool: &'a PoolStatus, visible: &'a Visible) -> impl Iterator<Item = &'a Labels> {
    let labels = pool.dropped.iter().map(|(labels, _)| labels);
    labels.filter(|labels| visible.shows(labels.value(NAMESPACE_OF_OBJECT)))
}

/// How many targets of a pool are dropped, if the request may know that there is the pool.
fn dropped_count<'a>((name, pool): (&'a String, &PoolStatus), visible: &Visible) -> Option<(&'a str, usize)> {
    if visible.is_everything() {
        return Some((name, pool.dropped_count));
    }
    let count = visible_dropped(pool, visible).count();
    let shows_one = count > 0 || pool.active.iter().any(|active| visible.shows_labels(&active.target.public));
    shows_one.then_some((name, count))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetsJson<'a> {
    active_targets: Vec<ActiveJson<'a>>,
    dropped_targets: Vec<DroppedJson<'a>>,
    dropped_target_counts: Option<BTreeMap<&'a str, usize>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveJson<'a> {
    discovered_labels: LabelSet<'a>,
    labels: LabelSet<'a>,
    scrape_pool: &'a str,
    scrape_url: &'a str,
    global_url: String,
    last_error: &'a str,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
    /// Ours, where limits that Prometheus does not have leave something out.
    #[serde(skip_serializing_if = "is_zero")]
    samples_over_limit: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl<'a> ActiveJson<'a> {
    fn new(pool: &'a str, active: &'a ActiveTarget, global_url: String) -> Self {
        let (target, status) = (&active.target, &active.status);
        Self {
            discovered_labels: LabelSet(&target.discovered),
            labels: LabelSet(&target.public),
            scrape_pool: pool,
            scrape_url: &target.url,
            global_url,
            last_error: &status.last_error,
            last_scrape: status.last_scrape.map_or_else(|| NEVER.to_owned(), rfc3339),
            last_scrape_duration: status.last_duration_s,
            health: health(status.up),
            scrape_interval: format_duration_ms(target.interval_ms),
            scrape_timeout: format_duration_ms(target.timeout_ms),
            samples_over_limit: status.over_limit,
        }
    }
}

/// The health of a target, as upstream names it: `up` of its last scrape, if there was one.
pub(super) fn health(up: Option<bool>) -> &'static str {
    match up {
        None => "unknown",
        Some(true) => "up",
        Some(false) => "down",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DroppedJson<'a> {
    discovered_labels: LabelSet<'a>,
    scrape_pool: &'a str,
}

/// `/api/v1/scrape_pools`
pub(crate) async fn scrape_pools(State(app): State<Arc<App>>) -> Response {
    let pools = app.scraper.status().await;
    format::success_of(&ScrapePoolsJson { scrape_pools: pools.keys().collect() })
}

/// `/api/v1/scrape_pools/config`: the configuration of one job, secrets as `<secret>`.
pub(crate) async fn scrape_pool_config(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let job = job(&app.config(), pool(&params)?)?;
    Ok(format::success_of(&ConfigJson { yaml: Config::job_yaml(&job) }))
}

/// The scrape pool that a request names.
pub(super) fn pool(params: &Params) -> Result<&str, ApiError> {
    match params.get("scrapePool") {
        "" => Err(ApiError::bad_data("no scrapePool parameter provided")),
        pool => Ok(pool),
    }
}

/// The job of a scrape pool.
pub(super) fn job(config: &Config, pool: &str) -> Result<Arc<ScrapeConfig>, ApiError> {
    let found = config.scrape_configs.iter().find(|job| job.job_name == pool).map(Arc::clone);
    let fault = || ApiError::bad_data(format!("error retrieving scrape config: scrape pool {pool:?} not found"));
    found.ok_or_else(fault)
}

#[derive(Serialize)]
struct ConfigJson {
    yaml: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScrapePoolsJson<'a> {
    scrape_pools: Vec<&'a String>,
}

#[cfg(test)]
mod tests {
    use model::Labels;
    use scraper::{Target, TargetStatus};

    use super::*;

    #[test]
    fn what_limits_leave_out_is_shown_where_they_do() {
        let target = Arc::new(Target {
            discovered: Labels::empty(),
            labels: Labels::empty(),
            public: Labels::from_pairs([("job", "j")]),
            url: "http://t/metrics".to_owned(),
            interval_ms: 15_000,
            timeout_ms: 10_000,
            hash: 0,
        });
        let shown = |over_limit| {
            let status = TargetStatus { up: Some(true), over_limit, ..TargetStatus::default() };
            let mut out = String::new();
            let active = ActiveTarget { target: Arc::clone(&target), status };
            format::serialize(&mut out, &ActiveJson::new("j", &active, "http://t/metrics".to_owned()));
            out
        };
        assert!(shown(0).ends_with(r#","health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}"#), "{}", shown(0));
        assert!(shown(7).ends_with(r#","scrapeTimeout":"10s","samplesOverLimit":7}"#), "{}", shown(7));
    }
}
