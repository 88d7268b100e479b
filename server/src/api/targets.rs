//! `/api/v1/targets`, `/api/v1/scrape_pools`: what is scraped, what is not, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use model::Labels;
use model::duration::format_duration_ms;
use scraper::{ActiveTarget, PoolStatus};

use super::{ApiError, Params, format};
use crate::app::App;
use crate::clock::rfc3339;

/// Go's zero time: a target that was never scraped.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// `/api/v1/targets`
pub(crate) async fn targets(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let state = params.get("state").to_lowercase();
    let pool = params.get("scrapePool");
    let (active, dropped) = match state.as_str() {
        "" | "any" => (true, true),
        "active" => (true, false),
        "dropped" => (false, true),
        _ => (false, false),
    };
    let pools = app.scraper.status().await;
    let shown = || pools.iter().filter(|(name, _)| pool.is_empty() || *name == pool);
    Ok(format::success(
        |out| {
            out.push_str("{\"activeTargets\":");
            let targets =
                shown().filter(|_| active).flat_map(|(name, pool)| pool.active.iter().map(move |t| (name, t)));
            format::array(out, targets, |out, (name, target)| {
                active_target(out, (name, target), &app.settings.seen_from_outside(&target.target.url));
            });
            out.push_str(",\"droppedTargets\":");
            let targets =
                shown().filter(|_| dropped).flat_map(|(name, pool)| pool.dropped.iter().map(move |(l, _)| (name, l)));
            format::array(out, targets, |out, (name, labels)| dropped_target(out, name, labels));
            out.push_str(",\"droppedTargetCounts\":");
            match dropped {
                true => counts(out, &pools),
                false => out.push_str("null"),
            }
            out.push('}');
        },
        &[],
        &[],
    ))
}

fn active_target(out: &mut String, (pool, active): (&str, &ActiveTarget), global_url: &str) {
    let (target, status) = (&active.target, &active.status);
    out.push_str("{\"discoveredLabels\":");
    format::labels(out, &target.discovered);
    out.push_str(",\"labels\":");
    format::labels(out, &target.public);
    let health = match status.up {
        None => "unknown",
        Some(true) => "up",
        Some(false) => "down",
    };
    let last_scrape = status.last_scrape_ms.map_or_else(|| NEVER.to_owned(), rfc3339);
    let (interval, timeout) = (format_duration_ms(target.interval_ms), format_duration_ms(target.timeout_ms));
    let texts = [("scrapePool", pool), ("scrapeUrl", target.url.as_str()), ("globalUrl", global_url)];
    let more = [("lastError", status.last_error.as_str()), ("lastScrape", &last_scrape)];
    for (name, text) in texts.into_iter().chain(more) {
        format::put(out, format_args!(",\"{name}\":"));
        format::string(out, text);
    }
    format::put(out, format_args!(",\"lastScrapeDuration\":{},\"health\":\"{health}\"", status.last_duration_s));
    format::put(out, format_args!(",\"scrapeInterval\":\"{interval}\",\"scrapeTimeout\":\"{timeout}\""));
    // Ours, where limits that Prometheus does not have leave something out.
    if status.over_limit > 0 {
        format::put(out, format_args!(",\"samplesOverLimit\":{}", status.over_limit));
    }
    out.push('}');
}

fn dropped_target(out: &mut String, pool: &str, discovered: &Labels) {
    out.push_str("{\"discoveredLabels\":");
    format::labels(out, discovered);
    out.push_str(",\"scrapePool\":");
    format::string(out, pool);
    out.push('}');
}

fn counts(out: &mut String, pools: &BTreeMap<String, PoolStatus>) {
    let counts = pools.iter().map(|(name, pool)| (name, pool.dropped_count));
    format::object(out, counts, |out, count| format::put(out, format_args!("{count}")));
}

/// `/api/v1/scrape_pools`
pub(crate) async fn scrape_pools(State(app): State<Arc<App>>) -> Response {
    let pools = app.scraper.status().await;
    let names = |out: &mut String| {
        out.push_str("{\"scrapePools\":");
        format::array(out, pools.keys(), |out, name| format::string(out, name));
        out.push('}');
    };
    format::success(names, &[], &[])
}

#[cfg(test)]
mod tests {
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
            active_target(&mut out, ("j", &ActiveTarget { target: Arc::clone(&target), status }), "http://t/metrics");
            out
        };
        assert!(shown(0).ends_with(r#","health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}"#), "{}", shown(0));
        assert!(shown(7).ends_with(r#","scrapeTimeout":"10s","samplesOverLimit":7}"#), "{}", shown(7));
    }
}
