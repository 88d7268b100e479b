//! What the API server allows the credentials that it is asked with: `SelfSubjectAccessReview`.

use http::{Method, Request};
use serde_json::{Value, json};

use crate::Error;
use crate::client::{ApiServer, ClientSlot};
use crate::fault::Fault;

/// One right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource, `pods` for instance, or a subresource: `probes/status`.
    pub resource: &'static str,
    /// `get`, `list`, `watch`, `create`, `patch`.
    pub verb: &'static str,
    /// In this namespace; `None` in all.
    pub namespace: Option<String>,
}

/// Asks an API server about rights.
#[derive(Debug)]
pub struct Access(ClientSlot);

impl Access {
    /// Of the credentials for this server.
    #[must_use]
    pub fn new(server: ApiServer) -> Self {
        Self(ClientSlot::new(server))
    }

    /// Does the server allow it?
    ///
    /// # Errors
    /// When there is no such server, or it does not answer the question.
    pub async fn is_allowed(&self, right: &Right) -> Result<bool, Error> {
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "group": right.group,
                "resource": resource,
                "subresource": subresource,
                "verb": right.verb,
                "namespace": right.namespace,
            }},
        });
        let request = Request::builder()
            .method(Method::POST)
            .uri("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .header("content-type", "application/json")
            .body(review.to_string().into_bytes())
            .map_err(|error| Error::Request(error.to_string()))?;
        let client = self.0.client().await?;
        let answer: Value =
            client.request(request).await.map_err(|error| Error::Request(Fault::of_request(&error).message))?;
        Ok(answer["status"]["allowed"] == true)
    }
}
