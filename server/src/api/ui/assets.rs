//! The built files: scripts, styles and pictures, whose names say what is in them, and their compressed copies.

use std::borrow::Cow;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use rust_embed::Embed;

/// What `npm run build` left. A release has it inside; other builds read it when asked, so that work on the page needs no new
/// binary.
#[derive(Embed)]
#[folder = "../ui/dist/page"]
#[allow_missing = true]
struct Built;

/// A file below `ui/dist/page`, if there is one.
pub(super) fn built(path: &str) -> Option<Cow<'static, [u8]>> {
    Some(Built::get(path)?.data)
}

/// `/assets/…`
pub(crate) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    respond(&path, &headers, |path| built(&format!("assets/{path}")))
}

fn respond(path: &str, headers: &HeaderMap, find: impl Fn(&str) -> Option<Cow<'static, [u8]>>) -> Response {
    let (Some(kind), Some(plain)) = (content_type(path), find(path)) else {
        return (StatusCode::NOT_FOUND, [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], "404 page not found\n")
            .into_response();
    };
    let common = [
        (header::CONTENT_TYPE, kind),
        // A name has a hash of its content: what is behind it never changes.
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "Accept-Encoding"),
    ];
    match find(&format!("{path}.gz")).filter(|_| takes_gzip(headers)) {
        Some(compressed) => (common, [(header::CONTENT_ENCODING, "gzip")], compressed).into_response(),
        None => (common, plain).into_response(),
    }
}

/// The type of what is served; nothing else is.
fn content_type(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "woff2" => Some("font/woff2"),
        _ => None,
    }
}

/// True if gzip is among the encodings that a client takes.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|encoding| {
        let (name, quality) = encoding.split_once(';').unwrap_or((encoding, "q=1"));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        matches!(name.trim(), "gzip" | "*") && !refused
    })
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn got(path: &str, accepted: &str) -> (u16, String, String, Vec<u8>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
        let files: [(&str, &[u8]); 4] =
            [("a-1.js", b"plain"), ("a-1.js.gz", b"packed"), ("b-2.css", b"style"), ("c-3.html", b"never")];
        let found = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, bytes)| Cow::Borrowed(*bytes));
        let response = respond(path, &headers, found);
        let value = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (kind, encoding) = (value(header::CONTENT_TYPE), value(header::CONTENT_ENCODING));
        let status = response.status().as_u16();
        assert_eq!(value(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(value(header::CACHE_CONTROL).contains("immutable"), status == 200);
        (status, kind, encoding, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn the_compressed_copy_goes_to_whoever_takes_it() {
        for (path, accepted, encoding, body) in [
            ("a-1.js", "gzip, br", "gzip", "packed"),
            ("a-1.js", "br, *;q=0.1", "gzip", "packed"),
            ("a-1.js", "gzip;q=0, br", "", "plain"),
            ("a-1.js", "", "", "plain"),
            ("b-2.css", "gzip", "", "style"),
        ] {
            let (status, _, got_encoding, got_body) = got(path, accepted).await;
            assert_eq!((status, &*got_encoding, &*got_body), (200, encoding, body.as_bytes()), "{path} {accepted}");
        }
        assert_eq!(got("a-1.js", "").await.1, "text/javascript; charset=utf-8");
    }

    #[tokio::test]
    async fn what_is_no_asset_is_not_found() {
        for path in ["none-1.js", "c-3.html", "a-1.js.gz", "../index.html", ""] {
            assert_eq!(got(path, "").await.0, 404, "{path}");
        }
    }
}
