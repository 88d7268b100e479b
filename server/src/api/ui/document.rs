//! The document of every page: `index.html` of the built UI, or one that says how to build it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use super::assets::built;
use crate::app::App;

/// What is shown where the UI was not built.
const UNBUILT: &str = include_str!("unbuilt.html");
/// The title in the built document, in place of which stands the operator's.
const TITLE: &str = "<title>Weft</title>";

/// Scripts, styles and data come from this server alone, and nothing that a target says can become markup: Chromium refuses
/// even a script that would try (`require-trusted-types-for`). `data:` are the marks under wrong places in the editor.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// A page of the UI.
pub(crate) async fn document(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let html = built("index.html").map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    respond(html, &app.settings.page_title, &headers)
}

fn respond(built: Option<String>, title: &str, headers: &HeaderMap) -> Response {
    let html = built.map_or(Cow::Borrowed(UNBUILT), Cow::Owned);
    // An operator's text, which must not become markup.
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let html = html.replace(TITLE, &format!("<title>{title}</title>"));
    let tag = tag(&html);
    let common = [
        (header::ETAG, tag.as_str()),
        // Names of assets change with each release.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    if has(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

/// An entity tag of what is sent.
fn tag(html: &str) -> String {
    let mut tag = String::from("\"");
    for byte in &digest(&SHA256, html.as_bytes()).as_ref()[..12] {
        // Writing into a string does not fail.
        write!(tag, "{byte:02x}").ok();
    }
    tag + "\""
}

/// True if `If-None-Match` names this entity tag, so that the client has the current document.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn got(built: Option<&str>, title: &str, known: &str) -> (u16, HeaderMap, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
        let response = respond(built.map(str::to_owned), title, &headers);
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_title_is_text() {
        let (status, _, html) = got(Some("<title>Weft</title>"), "a</title>&amp;<script>", "").await;
        assert_eq!((status, &*html), (200, "<title>a&lt;/title>&amp;amp;&lt;script></title>"));
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let (_, headers, _) = got(Some("<title>Weft</title>"), "a", "").await;
        let tag = headers["etag"].to_str().unwrap().to_owned();
        for (title, known, status) in [
            ("a", tag.clone(), 304),
            ("a", format!("\"x\", W/{tag}"), 304),
            ("a", "*".to_owned(), 304),
            ("b", tag.clone(), 200),
            ("a", "\"x\"".to_owned(), 200),
        ] {
            let (got_status, headers, html) = got(Some("<title>Weft</title>"), title, &known).await;
            assert_eq!((got_status, html.is_empty()), (status, status == 304), "{title} {known}");
            assert_eq!(headers["cache-control"], "no-cache");
            assert!(headers["content-security-policy"].to_str().unwrap().contains("script-src 'self';"));
        }
    }

    #[tokio::test]
    async fn without_the_ui_the_page_says_how_to_build_it() {
        let (status, _, html) = got(None, "Mine", "").await;
        assert_eq!(status, 200);
        assert!(html.contains("<title>Mine</title>") && html.contains("cargo xtask ui"), "{html}");
    }
}
