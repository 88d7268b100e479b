//! `/api/v1/status/remote_write`: how far each remote is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use remote::send::RemoteStatus;
use serde::Serialize;

use super::format;
use crate::app::App;
use crate::clock::rfc3339;

/// `/api/v1/status/remote_write`
pub(crate) async fn status(State(app): State<Arc<App>>) -> Response {
    let remotes = app.remote_write.status();
    format::success_of(&RemotesJson { remotes: remotes.iter().map(RemoteJson::new).collect() })
}

#[derive(Serialize)]
struct RemotesJson<'a> {
    remotes: Vec<RemoteJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RemoteJson<'a> {
    name: &'a str,
    url: &'a str,
    sent_until: String,
    behind_seconds: f64,
    pending_samples: u64,
    samples_per_second: f64,
    /// Absent while it does not catch up.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f64>,
    shards: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<ErrorJson<'a>>,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    message: &'a str,
    time: String,
}

impl<'a> RemoteJson<'a> {
    fn new(status: &'a RemoteStatus) -> Self {
        let last_error = status.last_error.as_ref();
        Self {
            name: &status.name,
            url: &status.url,
            sent_until: rfc3339(status.sent_until),
            behind_seconds: status.behind_seconds,
            pending_samples: status.pending_samples,
            samples_per_second: status.samples_per_second,
            eta_seconds: status.eta_seconds,
            shards: status.shards,
            last_error: last_error.map(|(message, time)| ErrorJson { message, time: rfc3339(*time) }),
        }
    }
}
