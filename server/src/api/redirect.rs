//! Redirects to the canonical path, as Go's `ServeMux` and upstream's router do: a base URL that ends in a slash makes
//! `//api/v1/query`.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};

use super::ui::PAGES;
use crate::app::App;

/// The routes, below the prefix, that are found whatever their letter case and with a slash at their end, beside the pages of
/// the UI. Those of the API are not.
const FORGIVING: [&str; 7] = ["/-/healthy", "/-/quit", "/-/ready", "/-/reload", "/graph", "/metrics", "/version"];

/// Answers requests for paths that are not clean; others go on.
pub(crate) async fn redirect(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    if !can_be_unescaped(uri.path()) {
        return (StatusCode::BAD_REQUEST, "400 Bad Request").into_response();
    }
    let prefix = app.settings.route_prefix.trim_end_matches('/');
    let Some((status, path)) = meant(prefix, request.method(), uri.path()) else { return next.run(request).await };
    let place = uri.query().map_or(path.clone(), |query| format!("{path}?{query}"));
    match *request.method() {
        Method::GET => to(status, place),
        _ => (status, [(header::LOCATION, place)]).into_response(),
    }
}

/// The answer to a GET of what lies elsewhere.
pub(super) fn to(status: StatusCode, place: String) -> Response {
    // The place may be the client's, and stands in an HTML page.
    let shown = place.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
    let text = format!("<a href=\"{shown}\">{}</a>.\n\n", status.canonical_reason().unwrap_or_default());
    let headers = [(header::LOCATION, place), (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned())];
    (status, headers, text).into_response()
}

/// True if two hexadecimal digits follow each `%`.
fn can_be_unescaped(path: &str) -> bool {
    let digits = |escape: &str| escape.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    path.split('%').skip(1).all(digits)
}

/// Status and canonical path of a redirect, if the path is not canonical.
fn meant(prefix: &str, method: &Method, path: &str) -> Option<(StatusCode, String)> {
    let clean = clean(path);
    if clean != path {
        return Some((StatusCode::TEMPORARY_REDIRECT, clean));
    }
    // Upstream's mux has a subtree at `/api/v1/`, to which it redirects.
    if path.strip_prefix(prefix) == Some("/api/v1") {
        return Some((StatusCode::TEMPORARY_REDIRECT, format!("{path}/")));
    }
    // `get` instead of an index: the prefix may end within a character of the path.
    let start = path.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix))?;
    let below = &path[start.len()..];
    let bare = below.strip_suffix('/').unwrap_or(below);
    let route = FORGIVING.into_iter().chain(PAGES).find(|route| route.eq_ignore_ascii_case(bare))?;
    let found = format!("{prefix}{route}");
    // 307 keeps the method and the body; a GET has none.
    let status = if *method == Method::GET { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
    (found != path).then_some((status, found))
}

/// Without empty parts, `.` and `..`; a slash at the end stays.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            // At the root it goes nowhere, as in Go's `path.Clean`.
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_have_two_digits() {
        for (path, can) in [("/a%2Fb%41", true), ("/a", true), ("/%zz", false), ("/a%4", false), ("/%", false)] {
            assert_eq!(can_be_unescaped(path), can, "{path}");
        }
    }

    #[test]
    fn what_was_meant() {
        let (temporary, permanent) = (Some(307), Some(301));
        for (prefix, method, path, status, place) in [
            ("", "GET", "/api/v1/query", None, ""),
            ("", "GET", "/", None, ""),
            ("", "GET", "//api/v1/query", temporary, "/api/v1/query"),
            ("", "POST", "//api/v1/query", temporary, "/api/v1/query"),
            ("", "GET", "/api/v1//labels", temporary, "/api/v1/labels"),
            ("", "GET", "/api/./v1/x/../query", temporary, "/api/v1/query"),
            ("", "GET", "/api/v1/query//", temporary, "/api/v1/query/"),
            ("", "GET", "/api/v1/query/", None, ""),
            ("", "GET", "/../..//", temporary, "/"),
            ("", "GET", "//evil.example/%2e%2e", temporary, "/evil.example/%2e%2e"),
            ("", "GET", "/api/v1", temporary, "/api/v1/"),
            ("", "GET", "/api/v1/", None, ""),
            ("", "GET", "/metrics/", permanent, "/metrics"),
            ("", "POST", "/-/Reload", temporary, "/-/reload"),
            ("", "GET", "/-/Ready", permanent, "/-/ready"),
            ("", "GET", "/nonesuch/", None, ""),
            ("/prom", "GET", "/prom//", temporary, "/prom/"),
            ("/prom", "GET", "/prom/", None, ""),
            ("/prom", "GET", "/PROM/metrics", permanent, "/prom/metrics"),
            ("/prom", "GET", "/metrics/", None, ""),
            ("/prom", "GET", "/prom/api/v1", temporary, "/prom/api/v1/"),
            ("/prom", "GET", "/pr\u{e9}m/metrics", None, ""),
        ] {
            let got = meant(prefix, &Method::from_bytes(method.as_bytes()).unwrap(), path);
            let expected = status.map(|status| (StatusCode::from_u16(status).unwrap(), place.to_owned()));
            assert_eq!(got, expected, "{method} {path} below {prefix:?}");
        }
    }
}
