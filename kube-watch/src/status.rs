//! The status of objects, written by server-side apply: fields and list items of other writers stay as they are.

use http::{Method, Request};
use kube::core::Status;
use serde_json::{Value, json};

use crate::Error;
use crate::client::{ApiServer, ClientSlot};
use crate::fault::{FORBIDDEN, Fault};

const NOT_FOUND: u16 = 404;

/// The object whose status is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusOf<'o> {
    /// Its group, of the API.
    pub group: &'o str,
    /// The version of its API.
    pub version: &'o str,
    /// Its kind.
    pub kind: &'o str,
    /// Its resource: the plural of the kind, in lower case.
    pub resource: &'o str,
    /// Its namespace.
    pub namespace: &'o str,
    /// Its name.
    pub name: &'o str,
}

/// What became of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Done,
    /// There is no such object.
    Gone,
    /// No status of the kind can be written, for want of a right or because its definition has none; and why.
    NotAllowed(String),
    /// The API server does not take this status, and why.
    Refused(String),
}

/// Writes statuses.
#[derive(Debug)]
pub struct StatusWriter {
    client: ClientSlot,
    manager: &'static str,
}

impl StatusWriter {
    /// A writer to this server; the fields that it writes are those of a manager (`metadata.managedFields`).
    #[must_use]
    pub fn new(server: ApiServer, manager: &'static str) -> Self {
        Self { client: ClientSlot::new(server), manager }
    }

    /// Makes this the part of the status that is ours. What was ours and is not in it goes.
    ///
    /// # Errors
    /// When there is no such server, or it does not answer.
    pub async fn apply(&self, of: &StatusOf<'_>, status: &Value) -> Result<Written, Error> {
        let StatusOf { group, version, kind, resource, namespace, name } = of;
        let body = json!({
            "apiVersion": format!("{group}/{version}"),
            "kind": kind,
            "metadata": {"namespace": namespace, "name": name},
            "status": status,
        });
        let path = format!("/apis/{group}/{version}/namespaces/{namespace}/{resource}/{name}/status");
        let request = Request::builder()
            .method(Method::PATCH)
            // By force: who may not own the status is known before it is written.
            .uri(format!("{path}?fieldManager={}&force=true", self.manager))
            .header("content-type", "application/apply-patch+yaml")
            .body(body.to_string().into_bytes())
            .map_err(|error| Error::Request(error.to_string()))?;
        let error = match self.client.client().await?.request::<Value>(request).await {
            Ok(_) => return Ok(Written::Done),
            Err(error) => error,
        };
        let message = Fault::of_request(&error).message;
        match &error {
            kube::Error::Api(status) if let Some(written) = refusal(status, &message) => Ok(written),
            _ => {
                // The credentials may have changed.
                self.client.reset().await;
                Err(Error::Request(message))
            }
        }
    }
}

/// What a refusal says about the status; `None` where the same request may be taken later.
fn refusal(status: &Status, message: &str) -> Option<Written> {
    let message = message.to_owned();
    // Of a subresource that the kind does not have the server says no more than that there is no such path.
    let names_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    match status.code {
        NOT_FOUND if names_object => Some(Written::Gone),
        NOT_FOUND | FORBIDDEN | 405 => Some(Written::NotAllowed(message)),
        400 | 409 | 422 => Some(Written::Refused(message)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_last_are_told_from_those_that_do_not() {
        let of = |code: u16, details: Value| {
            let status =
                json!({"code": code, "message": "why", "reason": "R", "status": "Failure", "details": details});
            refusal(&serde_json::from_value(status).unwrap(), "why")
        };
        let named = || json!({"name": "m", "kind": "probes"});
        let (not_allowed, refused) = (Written::NotAllowed("why".to_owned()), Written::Refused("why".to_owned()));
        assert_eq!(of(404, named()), Some(Written::Gone));
        assert_eq!((of(404, json!({})), of(403, named())), (Some(not_allowed.clone()), Some(not_allowed)));
        assert_eq!((of(422, named()), of(409, named())), (Some(refused.clone()), Some(refused)));
        assert_eq!((of(500, named()), of(429, named()), of(401, named())), (None, None, None));
    }
}
