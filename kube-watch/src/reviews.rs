//! Who shows a token, and what they may do: `TokenReview` and `SubjectAccessReview`.

use http::{Method, Request};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::client::{ApiServer, ClientSlot};
use crate::fault::Fault;

/// Who a token is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct User {
    /// `system:serviceaccount:NAMESPACE:NAME` for a service account.
    pub username: String,
    /// Tells two of one name apart.
    pub uid: String,
    /// The groups that bindings may name.
    pub groups: Vec<String>,
    /// What else authorisers may look at; passed on as it came.
    pub extra: Map<String, Value>,
}

/// What a user may or may not do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A request that is about no object, by path and verb (`nonResourceURLs` of a ClusterRole).
    Path {
        /// With its first slash.
        path: String,
        /// `get`, `create`.
        verb: &'static str,
    },
    /// A request about objects.
    Resource {
        /// The API group; empty for the core.
        group: &'static str,
        /// `pods`, for instance, or a subresource: `prometheuses/api`.
        resource: &'static str,
        /// `get`, for instance.
        verb: &'static str,
        /// In this namespace; empty: in all of them.
        namespace: String,
    },
}

/// Asks an API server about tokens and the rights of others. It needs the ClusterRole `system:auth-delegator`.
#[derive(Debug)]
pub struct Reviews(ClientSlot);

impl Reviews {
    /// By the credentials for this server.
    #[must_use]
    pub fn new(server: ApiServer) -> Self {
        Self(ClientSlot::new(server))
    }

    /// Whose token is it? `None` for one that is not valid.
    ///
    /// # Errors
    /// When there is no such server, or it does not answer the question.
    pub async fn user(&self, token: &str) -> Result<Option<User>, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            authenticated: bool,
            user: User,
        }
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
        let status: Status = self.ask("/apis/authentication.k8s.io/v1/tokenreviews", &review).await?;
        Ok(status.authenticated.then_some(status.user))
    }

    /// May a user do it?
    ///
    /// # Errors
    /// As [`Self::user`].
    pub async fn is_allowed(&self, user: &User, action: &Action) -> Result<bool, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            allowed: bool,
        }
        let (field, attributes) = match action {
            Action::Path { path, verb } => ("nonResourceAttributes", json!({"path": path, "verb": verb})),
            Action::Resource { group, resource, verb, namespace } => {
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                let attributes = json!({
                    "group": group, "resource": resource, "subresource": subresource, "verb": verb, "namespace": namespace,
                });
                ("resourceAttributes", attributes)
            }
        };
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra, field: attributes,
            },
        });
        let status: Status = self.ask("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await?;
        Ok(status.allowed)
    }

    /// The status of a review.
    async fn ask<T: for<'de> Deserialize<'de> + Default>(&self, uri: &str, review: &Value) -> Result<T, Error> {
        #[derive(Deserialize)]
        struct Answer<T> {
            status: Option<T>,
        }
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header("content-type", "application/json")
            .body(review.to_string().into_bytes())
            .map_err(|error| Error::Request(error.to_string()))?;
        let client = self.0.client().await?;
        match client.request::<Answer<T>>(request).await {
            Ok(answer) => Ok(answer.status.unwrap_or_default()),
            Err(error) => {
                // Our own credentials may have been refused: they are read again for the next question.
                self.0.reset().await;
                Err(Error::Request(Fault::of_request(&error).message))
            }
        }
    }
}
