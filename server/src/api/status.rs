//! `/api/v1/status/*`: what runs here and how; and the endpoints of parts that are not built yet, which Grafana asks for
//! all the same and which are truly empty: there are no rules or alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use model::Timestamp;
use serde::Serialize;

use super::executor::in_place;
use super::{ApiError, Params, format};
use crate::app::App;
use crate::clock::rfc3339;
use crate::settings::Retention;
use crate::version;

/// `/api/v1/status/config`
pub(crate) async fn config(State(app): State<Arc<App>>) -> Response {
    format::success_of(&ConfigJson { yaml: app.config().to_yaml() })
}

#[derive(Serialize)]
struct ConfigJson {
    yaml: String,
}

/// `/api/v1/status/flags`
pub(crate) async fn flags(State(app): State<Arc<App>>) -> Response {
    // They were read at the start.
    let retention_ms = Retention::new(&app.flags).time_ms;
    let mut shown: BTreeMap<&str, String> = app.flags.shown(retention_ms).collect();
    // Shown as it was made of the external URL, as upstream does.
    shown.insert("web.route-prefix", app.settings.route_prefix.clone());
    format::success_of(&shown)
}

/// What both `/api/v1/status/buildinfo` and `/version` say. What is about Go is empty.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildJson {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
    application: &'static str,
    weft_version: &'static str,
}

const BUILD: BuildJson = BuildJson {
    version: version::COMPATIBLE,
    revision: "",
    branch: "",
    build_user: "",
    build_date: "",
    go_version: "",
    application: "weft",
    weft_version: version::WEFT,
};

/// The text of `/version`.
pub(crate) fn build() -> String {
    let mut text = String::new();
    format::serialize(&mut text, &BUILD);
    text
}

/// `/api/v1/status/buildinfo`
pub(crate) async fn buildinfo() -> Response {
    format::success_of(&BUILD)
}

#[derive(Serialize)]
struct RuntimeJson<'a> {
    #[serde(rename = "startTime")]
    start_time: String,
    #[serde(rename = "CWD")]
    folder: String,
    hostname: &'a str,
    #[serde(rename = "serverTime")]
    server_time: String,
    #[serde(rename = "reloadConfigSuccess")]
    reload_config_success: bool,
    #[serde(rename = "lastConfigTime")]
    last_config_time: String,
    #[serde(rename = "corruptionCount")]
    corruption_count: usize,
    #[serde(rename = "goroutineCount")]
    goroutine_count: usize,
    #[serde(rename = "GOMAXPROCS")]
    gomaxprocs: usize,
    #[serde(rename = "GOMEMLIMIT")]
    gomemlimit: usize,
    #[serde(rename = "GOGC")]
    gogc: &'static str,
    #[serde(rename = "GODEBUG")]
    godebug: &'static str,
    #[serde(rename = "storageRetention")]
    storage_retention: String,
}

/// `/api/v1/status/runtimeinfo`
pub(crate) async fn runtimeinfo(State(app): State<Arc<App>>) -> Response {
    let reload = app.last_reload();
    format::success_of(&RuntimeJson {
        start_time: rfc3339(app.started),
        folder: std::env::current_dir().unwrap_or_default().display().to_string(),
        hostname: &app.settings.hostname,
        server_time: rfc3339(Timestamp::now()),
        reload_config_success: reload.ok,
        last_config_time: rfc3339(reload.at),
        // Go's figures have no counterpart here. They stay in the answer, because clients decode them.
        corruption_count: 0,
        goroutine_count: 0,
        gomaxprocs: std::thread::available_parallelism().map_or(1, usize::from),
        gomemlimit: 0,
        gogc: "",
        godebug: "",
        storage_retention: Retention::in_force(&app.config()).to_string(),
    })
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
    // Reads the index of the store, which blocks.
    let work = || Ok::<_, storage::Error>((app.db.stats(limit)?, app.db.quarantine_records()));
    let (stats, damage) = in_place(work)??;
    let counts = |counts: &[storage::Count]| -> Vec<CountJson> {
        counts.iter().map(|count| CountJson { name: count.name.clone(), value: count.value }).collect()
    };
    Ok(format::success_of(&TsdbJson {
        head_stats: HeadJson {
            num_series: stats.series,
            num_label_pairs: stats.label_pairs,
            // There is no head block; what upstream's page shows of it is that of the whole store.
            chunk_count: 0,
            min_time: stats.min_time.unwrap_or_default().0,
            max_time: stats.max_time.unwrap_or_default().0,
        },
        series_count_by_metric_name: counts(&stats.series_by_metric_name),
        label_value_count_by_label_name: counts(&stats.values_by_label_name),
        memory_in_bytes_by_label_name: counts(&stats.bytes_by_label_name),
        series_count_by_label_value_pair: counts(&stats.series_by_label_pair),
        storage: StorageJson {
            page_samples: stats.page_samples,
            page_bytes: stats.page_bytes,
            row_bytes: stats.row_bytes,
            index_bytes: stats.index_bytes,
            damage: damage.iter().map(DamageJson::new).collect(),
        },
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TsdbJson<'a> {
    head_stats: HeadJson,
    series_count_by_metric_name: Vec<CountJson>,
    label_value_count_by_label_name: Vec<CountJson>,
    memory_in_bytes_by_label_name: Vec<CountJson>,
    series_count_by_label_value_pair: Vec<CountJson>,
    /// Ours: what lies where, how much of it, and what cannot be read.
    storage: StorageJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadJson {
    num_series: u64,
    num_label_pairs: u64,
    chunk_count: u64,
    min_time: i64,
    max_time: i64,
}

#[derive(Serialize)]
struct CountJson {
    name: String,
    value: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageJson<'a> {
    page_samples: u64,
    page_bytes: u64,
    row_bytes: u64,
    index_bytes: u64,
    damage: Vec<DamageJson<'a>>,
}

/// What cannot be read: where it lay, when it was scraped, whose it was.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DamageJson<'a> {
    place: &'a str,
    family: &'a str,
    min_time: i64,
    max_time: i64,
    metrics: &'a [String],
    error: &'a str,
}

impl<'a> DamageJson<'a> {
    fn new(damage: &'a storage::QuarantineRecord) -> Self {
        Self {
            place: &damage.place,
            family: &damage.family,
            min_time: damage.from.0,
            max_time: damage.to.0,
            metrics: &damage.metrics,
            error: &damage.what,
        }
    }
}

#[derive(Serialize)]
struct WalReplayJson {
    min: u64,
    max: u64,
    current: u64,
}

/// `/api/v1/status/walreplay`: there is nothing to replay before the server is ready.
pub(crate) async fn walreplay() -> Response {
    format::success_of(&WalReplayJson { min: 0, max: 0, current: 0 })
}
