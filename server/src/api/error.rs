//! API errors: `errorType`, message and HTTP status. The status is chosen in this file only.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use model::QuerierError;
use serde::Serialize;

use super::format;

/// The error of an API call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BadData,
    Execution,
    /// The query costs more than the operator allows.
    CostLimit,
    Canceled,
    NotFound,
    Timeout,
    /// The user is not authorized for the request.
    Forbidden,
    Internal,
    /// The endpoint is disabled by configuration.
    Unavailable,
    /// The store is being reopened: a retry in a moment will succeed.
    Reopening,
}

impl ApiError {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn bad_data(text: impl Into<String>) -> Self {
        Self::new(Kind::BadData, text)
    }

    /// `invalid parameter "name": …`
    pub(crate) fn parameter(name: &str, text: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {text}"))
    }

    /// As plain text: how endpoints outside `/api/v1` report errors.
    pub(crate) fn into_plain(self) -> Response {
        (self.kind.status(), [("x-content-type-options", "nosniff")], self.text + "\n").into_response()
    }

    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        // The error may be wrapped by the querier or the engine.
        let is_reopening = causes.any(|cause| matches!(cause.downcast_ref(), Some(storage::Error::Reopening)));
        let kind = if is_reopening { Kind::Reopening } else { Kind::Internal };
        Self::new(kind, model::with_causes(error))
    }
}

impl From<storage::Error> for ApiError {
    fn from(error: storage::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<QuerierError> for ApiError {
    fn from(error: QuerierError) -> Self {
        Self::internal(&error)
    }
}

/// Maps an error of the query engine to an API error.
pub(crate) fn told(error: query::Error) -> ApiError {
    let text = error.to_string();
    match error {
        // Upstream names the parameter only in errors of parsing.
        query::Error::Parse(_) => ApiError::parameter("query", text),
        query::Error::Timeout => ApiError::new(Kind::Timeout, text),
        query::Error::Canceled => ApiError::new(Kind::Canceled, text),
        query::Error::TooManySeries | query::Error::TooManySamplesRead => ApiError::new(Kind::CostLimit, text),
        query::Error::Store(_) => ApiError::internal(&error),
        // Limits of samples and memory among them; upstream answers so to a query of too many samples.
        _ => ApiError::new(Kind::Execution, text),
    }
}

impl Kind {
    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution | Self::CostLimit => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotFound => StatusCode::NOT_FOUND,
            // Not in the registry of status codes: upstream took it from nginx (client closed request).
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Timeout | Self::Reopening => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal | Self::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::CostLimit => "cost_limit",
            Self::Canceled => "canceled",
            Self::NotFound => "not_found",
            Self::Timeout => "timeout",
            Self::Forbidden => "forbidden",
            Self::Internal => "internal",
            Self::Unavailable | Self::Reopening => "unavailable",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorJson<'a> {
    status: &'static str,
    error_type: &'static str,
    error: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = String::new();
        let error = ErrorJson { status: "error", error_type: self.kind.as_str(), error: &self.text };
        format::serialize(&mut body, &error);
        (self.kind.status(), format::JSON, body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_being_opened_again_is_worth_another_try() {
        let status = |error: storage::Error| {
            let error = query::Error::Store(QuerierError::Store(Box::new(error)));
            told(error).into_response().status()
        };
        assert_eq!(status(storage::Error::Reopening), StatusCode::SERVICE_UNAVAILABLE);
        let broken = std::io::Error::other("broken");
        let broken = storage::Error::Quarantine { path: "data".into(), source: broken };
        assert_eq!(status(broken), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
