//! `/api/v1/status/discovery`: how each source of targets fares: when it was asked and when it answered, what was refused, and the
//! Role that would give the right.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use discovery::SourceStatus;
use kube_watch::Right;
use operator::{MissingRight, role_manifests};
use serde::Serialize;

use super::format;
use crate::app::App;
use crate::clock::rfc3339;

/// What a refusal calls a service account.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// The name of what a manifest gives the rights to, where no refusal names it.
const ACCOUNT: (&str, &str) = ("monitoring", "weft");

/// `/api/v1/status/discovery`
pub(crate) async fn discovery(State(app): State<Arc<App>>) -> Response {
    let mut sources = app.discovery.lock().await.sources();
    // What does not work comes first.
    sources.sort_by(|a, b| place(a).cmp(&place(b)));
    format::success_of(&SourcesJson { sources: sources.iter().map(SourceJson::new).collect() })
}

fn place(source: &SourceStatus) -> (bool, &str, &str, &str, Option<&String>) {
    (source.is_up(), source.field, source.kind, &source.place, source.namespace.as_ref())
}

#[derive(Serialize)]
struct SourcesJson<'a> {
    sources: Vec<SourceJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceJson<'a> {
    /// The field of the configuration.
    field: &'a str,
    /// The resource, or the mechanism.
    kind: &'a str,
    used_by: Vec<UserJson<'a>>,
    place: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    label_selector: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    field_selector: &'a str,
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<String>,
    consecutive_failures: u64,
    /// Objects of a watch, or targets.
    objects: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_since: Option<String>,
    refused: Vec<RefusedJson<'a>>,
    /// The manifests that give what was refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    role: String,
}

/// Who uses a source.
#[derive(Serialize)]
struct UserJson<'a> {
    /// `scrape` or `notify`.
    consumer: &'a str,
    /// The name of the job.
    config: &'a str,
}

/// A right that is missing.
#[derive(Serialize)]
struct RefusedJson<'a> {
    group: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a String>,
}

impl<'a> SourceJson<'a> {
    fn new(source: &'a SourceStatus) -> Self {
        let user =
            |(consumer, config): &'a (discovery::Consumer, String)| UserJson { consumer: consumer.name(), config };
        let refused = |right: &'a Right| RefusedJson {
            group: right.group,
            resource: right.resource,
            namespace: right.namespace.as_ref(),
        };
        Self {
            field: source.field,
            kind: source.kind,
            used_by: source.used_by.iter().map(user).collect(),
            place: &source.place,
            namespace: source.namespace.as_ref(),
            label_selector: &source.label_selector,
            field_selector: &source.field_selector,
            up: source.is_up(),
            last_attempt: source.asked.at.map(rfc3339),
            last_success: source.asked.answered_at.map(rfc3339),
            consecutive_failures: source.asked.n_failures,
            objects: source.n_objects,
            error: source.error.as_ref(),
            stale_since: source.stale_since.map(rfc3339),
            refused: source.refused.iter().map(refused).collect(),
            role: role(source),
        }
    }
}

/// The manifests that give what was refused; empty if nothing was.
fn role(source: &SourceStatus) -> String {
    let missing = |right: &Right| MissingRight {
        right: right.clone(),
        verbs: vec!["list", "watch"],
        without: "targets are not found, or lack labels",
    };
    let missing: Vec<MissingRight> = source.refused.iter().map(missing).collect();
    let account = source.error.as_deref().and_then(account).unwrap_or(ACCOUNT);
    // Under a name of its own: applied under that of the Role which is there, it would take away all that it does not name.
    let (_, name) = account;
    role_manifests(&missing, account).replace(&format!("{name}-operator"), &format!("{name}-discovery"))
}

/// Namespace and name of the service account that a refusal names.
fn account(error: &str) -> Option<(&str, &str)> {
    let (_, user) = error.split_once(SERVICE_ACCOUNT)?;
    let user = user.split(|c: char| matches!(c, '"' | '\'') || c.is_whitespace()).next()?;
    user.split_once(':').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use kube_watch::Asked;
    use model::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn source() -> SourceStatus {
        SourceStatus {
            field: "kubernetes_sd_configs",
            kind: "endpoints",
            used_by: vec![(discovery::Consumer::SCRAPE, "j".to_owned())],
            place: "in-cluster".to_owned(),
            namespace: Some("a".to_owned()),
            asked: Asked { at: Some(Timestamp(1_700_000_000_000)), answered_at: None, n_failures: 3 },
            ..SourceStatus::default()
        }
    }

    fn shown(source: &SourceStatus) -> Value {
        let mut out = String::new();
        format::serialize(&mut out, &SourceJson::new(source));
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn a_refusal_comes_with_the_role_of_the_account_that_it_names() {
        let right = Right { group: "", resource: "endpoints", verb: "list", namespace: Some("a".to_owned()) };
        let error = "cannot watch endpoints: User \"system:serviceaccount:web:scraper\" cannot list".to_owned();
        let refused = SourceStatus { refused: vec![right], error: Some(error), ..source() };
        let json = shown(&refused);
        assert_eq!(json["refused"], json!([{"group": "", "resource": "endpoints", "namespace": "a"}]));
        let role = json["role"].as_str().unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(role).unwrap();
        assert_eq!((&documents[0]["kind"], &documents[0]["metadata"]["namespace"]), (&json!("Role"), &json!("a")));
        let rule = json!([{"apiGroups": [""], "resources": ["endpoints"], "verbs": ["get", "list", "watch"]}]);
        assert_eq!(documents[0]["rules"], rule);
        let subject = json!({"kind": "ServiceAccount", "name": "scraper", "namespace": "web"});
        assert_eq!(documents[1]["subjects"][0], subject);
        assert_eq!(documents[0]["metadata"]["name"], "scraper-discovery");
        assert_eq!(account("User \"jane\" cannot list"), None);
    }

    #[test]
    fn a_source_that_refuses_nothing_has_no_role() {
        let json = shown(&source());
        assert_eq!(
            json,
            json!({
                "field": "kubernetes_sd_configs", "kind": "endpoints",
                "usedBy": [{"consumer": "scrape", "config": "j"}], "place": "in-cluster", "namespace": "a", "up": false,
                "lastAttempt": "2023-11-14T22:13:20.000Z", "consecutiveFailures": 3, "objects": 0, "refused": [],
            })
        );
    }
}
