//! `/api/v1/status/*`: what runs here and how; and the endpoints of parts that are not built yet, which Grafana asks for
//! all the same and which are truly empty: there are no rules or alerts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use model::Matcher;

use super::executor::in_place;
use super::params::integer;
use super::{ApiError, Params, format};
use crate::app::App;
use crate::clock::rfc3339;
use crate::settings::Retention;
use crate::version;

fn json(value: &serde_json::Value) -> Response {
    let text = value.to_string();
    format::success(|out| out.push_str(&text), &[], &[])
}

/// `/api/v1/status/config`
pub(crate) async fn config(State(app): State<Arc<App>>) -> Response {
    let yaml = app.config().to_yaml();
    let body = |out: &mut String| {
        out.push_str("{\"yaml\":");
        format::string(out, &yaml);
        out.push('}');
    };
    format::success(body, &[], &[])
}

/// `/api/v1/status/flags`
pub(crate) async fn flags(State(app): State<Arc<App>>) -> Response {
    // They were read at the start.
    let retention_ms = Retention::new(&app.flags).time_ms;
    let mut shown: Vec<(&str, String)> = app.flags.shown(retention_ms).collect();
    for (name, value) in &mut shown {
        if *name == "web.route-prefix" {
            value.clone_from(&app.settings.route_prefix);
        }
    }
    format::success(|out| format::object(out, shown, |out, value| format::string(out, &value)), &[], &[])
}

/// What both `/api/v1/status/buildinfo` and `/version` say.
pub(crate) fn build() -> serde_json::Value {
    serde_json::json!({
        "version": version::COMPATIBLE,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": "weft",
        "weftVersion": version::WEFT,
    })
}

/// `/api/v1/status/buildinfo`
pub(crate) async fn buildinfo() -> Response {
    json(&build())
}

/// `/api/v1/status/runtimeinfo`
pub(crate) async fn runtimeinfo(State(app): State<Arc<App>>) -> Response {
    let reload = app.last_reload();
    let folder = std::env::current_dir().unwrap_or_default();
    json(&serde_json::json!({
        "startTime": rfc3339(app.started_ms),
        "CWD": folder.display().to_string(),
        "hostname": app.settings.hostname,
        "serverTime": rfc3339(model::time::now_ms()),
        "reloadConfigSuccess": reload.ok,
        "lastConfigTime": rfc3339(reload.at_ms),
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": Retention::in_force(&app.config()).to_string(),
    }))
}

/// `/api/v1/status/tsdb`
pub(crate) async fn tsdb(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        "" => 10,
        text => match text.parse::<usize>() {
            Ok(0) | Err(_) => return Err(ApiError::bad_data("limit must be a positive number")),
            Ok(n) if n > 10_000 => return Err(ApiError::bad_data("limit must not exceed 10000")),
            Ok(n) => n,
        },
    };
    let work = || Ok::<_, storage::Error>((app.db.stats(limit)?, app.db.damage()));
    let (stats, damage) = in_place(work)??;
    let body = |out: &mut String| {
        format::put(
            out,
            format_args!(
                "{{\"headStats\":{{\"numSeries\":{},\"numLabelPairs\":{},\"chunkCount\":0,\"minTime\":{},\"maxTime\":{}}}",
                stats.series,
                stats.label_pairs,
                stats.min_time_ms.unwrap_or_default(),
                stats.max_time_ms.unwrap_or_default()
            ),
        );
        let tables = [
            ("seriesCountByMetricName", &stats.series_by_metric_name),
            ("labelValueCountByLabelName", &stats.values_by_label_name),
            ("memoryInBytesByLabelName", &stats.bytes_by_label_name),
            ("seriesCountByLabelValuePair", &stats.series_by_label_pair),
        ];
        for (name, rows) in tables {
            format::put(out, format_args!(",\"{name}\":"));
            format::array(out, rows, |out, row| {
                out.push_str("{\"name\":");
                format::string(out, &row.name);
                format::put(out, format_args!(",\"value\":{}}}", row.value));
            });
        }
        // Weft's own: what lies where, how much of it, and what cannot be read.
        format::put(
            out,
            format_args!(
                ",\"storage\":{{\"pageSamples\":{},\"pageBytes\":{},\"rowBytes\":{},\"indexBytes\":{},\"damage\":",
                stats.page_samples, stats.page_bytes, stats.row_bytes, stats.index_bytes
            ),
        );
        format::array(out, &damage, put_damage);
        out.push_str("}}");
    };
    Ok(format::success(body, &[], &[]))
}

/// What cannot be read: where it lay, when it was scraped, whose it was.
fn put_damage(out: &mut String, damage: &storage::Damage) {
    out.push_str("{\"place\":");
    format::string(out, &damage.place);
    out.push_str(",\"family\":");
    format::string(out, &damage.family);
    format::put(out, format_args!(",\"minTime\":{},\"maxTime\":{},\"metrics\":", damage.from_ms, damage.to_ms));
    format::array(out, &damage.metrics, |out, name| format::string(out, name));
    out.push_str(",\"error\":");
    format::string(out, &damage.what);
    out.push('}');
}

/// `/api/v1/status/walreplay`: there is nothing to replay before the server is ready.
pub(crate) async fn walreplay() -> Response {
    json(&serde_json::json!({"min": 0, "max": 0, "current": 0}))
}

/// `/api/v1/alerts`
pub(crate) async fn no_alerts() -> Response {
    json(&serde_json::json!({"alerts": []}))
}

/// `/api/v1/alertmanagers`
pub(crate) async fn no_alertmanagers() -> Response {
    json(&serde_json::json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

/// `/api/v1/rules`: what is asked for is checked, though there are none.
pub(crate) async fn no_rules(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let params = params.plain()?;
    let bounds = app.engine().bounds(&query::QueryOptions::default());
    let sets = in_place(|| params.matchers(&bounds, ApiError::bad_data))??;
    if sets.iter().any(|set| set.iter().all(Matcher::matches_empty)) {
        return Err(ApiError::bad_data("match[] must contain at least one non-empty matcher"));
    }
    let kind = params.get("type").to_lowercase();
    if !["", "alert", "record"].contains(&&*kind) {
        return Err(ApiError::parameter("type", format!("not supported value {kind:?}")));
    }
    params.switch("exclude_alerts", false).map_err(|text| {
        let text = text.to_lowercase();
        let why = format!("error converting exclude_alerts: strconv.ParseBool: parsing {text:?}: invalid syntax");
        ApiError::parameter("exclude_alerts", why)
    })?;
    let (limit, next) = (params.get("group_limit"), params.get("group_next_token"));
    if !limit.is_empty() {
        let number = integer(limit).and_then(|n| i32::try_from(n).map_err(|_| "value out of range"));
        let number = number.map_err(|why| {
            let why = format!("group_limit needs to be a valid number: strconv.ParseInt: parsing {limit:?}: {why}");
            ApiError::parameter("group_limit", why)
        })?;
        if number <= 0 {
            return Err(ApiError::parameter("group_limit", "group_limit needs to be greater than 0"));
        }
    }
    if !next.is_empty() {
        let why = match limit {
            "" => "group_limit needs to be present in order to paginate over the groups".to_owned(),
            _ => format!("invalid group_next_token '{next}'. were rule groups changed?"),
        };
        return Err(ApiError::parameter("group_next_token", why));
    }
    Ok(json(&serde_json::json!({"groups": []})))
}
