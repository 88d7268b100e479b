//! The HTTP API of a server, as clients in Go use it.

pub(crate) mod json;
pub(crate) mod value;

use std::fmt;

use http::StatusCode;
use http::header::HeaderMap;
use model::Timestamp;
use model::float::format_f;
use serde_json::Value as Json;

use crate::server::{Reply, Server};
use value::Value;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The server says so.
    Told {
        /// `bad_data`, `execution`, …
        kind: String,
        message: String,
        /// The body, if it is not one of the API.
        detail: String,
    },
    /// The server cannot be asked.
    Unreached(String),
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told { kind, message, detail } if detail.trim().is_empty() => write!(f, "{kind}: {message}"),
            Self::Told { kind, message, detail } => write!(f, "{kind}: {message} (detail: {})", detail.trim()),
            Self::Unreached(why) => f.write_str(why),
        }
    }
}

/// What the API answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer<T> {
    pub(crate) data: T,
    pub(crate) warnings: Vec<String>,
}

/// The HTTP API of a server.
#[derive(Debug)]
pub(crate) struct Api<'s> {
    server: &'s Server,
}

impl<'s> Api<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        Self { server }
    }

    /// The value of a query at a time.
    pub(crate) fn instant(&self, query: &str, time: Timestamp) -> Result<Answer<Value>, ApiError> {
        let answer = self.post("/api/v1/query", &[("query", query), ("time", &seconds(time))])?;
        decoded(&answer)
    }

    /// The values of a query from a time to another one.
    pub(crate) fn range(
        &self,
        query: &str,
        (start, end): (Timestamp, Timestamp),
        step_ns: i64,
    ) -> Result<Answer<Value>, ApiError> {
        let step = format_f(step_ns as f64 / 1e9);
        let (start, end) = (seconds(start), seconds(end));
        let answer =
            self.post("/api/v1/query_range", &[("query", query), ("start", &start), ("end", &end), ("step", &step)])?;
        decoded(&answer)
    }

    /// The series that selectors match.
    pub(crate) fn series(&self, matches: &[&str], times: (Timestamp, Timestamp)) -> Result<Answer<Json>, ApiError> {
        let times = [("start", seconds(times.0)), ("end", seconds(times.1))];
        self.post("/api/v1/series", &pairs(matches, &times))
    }

    /// The values of a label.
    pub(crate) fn label_values(
        &self,
        name: &str,
        matches: &[&str],
        times: (Timestamp, Timestamp),
    ) -> Result<Answer<Json>, ApiError> {
        let times = [("start", seconds(times.0)), ("end", seconds(times.1))];
        let path = format!("/api/v1/label/{name}/values");
        answer(self.server.get(&path, &pairs(matches, &times), HeaderMap::new()))
    }

    /// A POST; servers that refuse it are asked by a GET.
    fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Answer<Json>, ApiError> {
        let reply = self.server.post_form(path, pairs, HeaderMap::new());
        let refused = [StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
        match reply {
            Ok(reply) if refused.contains(&reply.status) => answer(self.server.get(path, pairs, HeaderMap::new())),
            reply => answer(reply),
        }
    }
}

fn pairs<'p>(matches: &[&'p str], times: &'p [(&'p str, String)]) -> Vec<(&'p str, &'p str)> {
    let matches = matches.iter().map(|selector| ("match[]", *selector));
    matches.chain(times.iter().map(|(name, time)| (*name, time.as_str()))).collect()
}

/// A time as the API takes it.
fn seconds(time: Timestamp) -> String {
    format_f(time.as_seconds())
}

fn decoded(answer: &Answer<Json>) -> Result<Answer<Value>, ApiError> {
    let data = Value::decode(&answer.data).map_err(|why| told("bad_response", why))?;
    Ok(Answer { data, warnings: answer.warnings.clone() })
}

fn told(kind: &str, message: impl Into<String>) -> ApiError {
    ApiError::Told { kind: kind.to_owned(), message: message.into(), detail: String::new() }
}

/// The data of an answer, or what is wrong in the words of upstream's client.
fn answer(reply: Result<Reply, String>) -> Result<Answer<Json>, ApiError> {
    let reply = reply.map_err(ApiError::Unreached)?;
    let body: Result<Json, serde_json::Error> = serde_json::from_slice(&reply.body);
    let code = reply.status.as_u16();
    let text = |json: &Json, field: &str| json[field].as_str().unwrap_or_default().to_owned();
    if reply.status.is_success() {
        let mut body = body.map_err(|error| told("bad_response", error.to_string()))?;
        if body["status"] == "error" {
            return Err(told(&text(&body, "errorType"), text(&body, "error")));
        }
        let warnings = body["warnings"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let warnings = warnings.map(str::to_owned).collect();
        return Ok(Answer { data: body["data"].take(), warnings });
    }
    let (kind, message) = match code / 100 {
        4 => ("client_error", format!("client error: {code}")),
        5 => ("server_error", format!("server error: {code}")),
        _ => ("bad_response", format!("bad response code {code}")),
    };
    // Only these two carry an error of the API.
    let body = body.ok().filter(|body| matches!(code, 400 | 422) && body.is_object());
    let Some(body) = body else {
        let detail = String::from_utf8_lossy(&reply.body).into_owned();
        return Err(ApiError::Told { kind: kind.to_owned(), message, detail });
    };
    if body["status"] == "success" {
        return Err(told("bad_response", "inconsistent body for response code"));
    }
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    Err(told(&or(text(&body, "errorType"), "client_error"), or(text(&body, "error"), &message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> String {
        let reply = Reply { status: StatusCode::from_u16(status).unwrap(), body: body.as_bytes().to_vec() };
        answer(Ok(reply)).unwrap_err().to_string()
    }

    #[test]
    fn errors_are_told_in_upstreams_words() {
        let refusal = r#"{"status":"error","errorType":"bad_data","error":"no such thing"}"#;
        assert_eq!(error(400, refusal), "bad_data: no such thing");
        assert_eq!(error(200, refusal), "bad_data: no such thing");
        assert_eq!(error(422, "{}"), "client_error: client error: 422");
        assert_eq!(error(404, "404 page not found\n"), "client_error: client error: 404 (detail: 404 page not found)");
        assert_eq!(error(503, refusal), format!("server_error: server error: 503 (detail: {refusal})"));
        assert_eq!(error(302, ""), "bad_response: bad response code 302");
        assert_eq!(error(400, r#"{"status":"success"}"#), "bad_response: inconsistent body for response code");
        assert!(error(200, "<html>").starts_with("bad_response: expected value at line 1"));
        let warned =
            Reply { status: StatusCode::OK, body: br#"{"status":"success","data":[1],"warnings":["w"]}"#.to_vec() };
        let answer = answer(Ok(warned)).unwrap();
        assert_eq!((answer.data, answer.warnings), (serde_json::json!([1]), vec!["w".to_owned()]));
    }
}
