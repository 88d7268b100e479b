//! `/api/v1/status/*`: what runs here and how.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use model::Timestamp;
use serde::Serialize;

use super::format;
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
