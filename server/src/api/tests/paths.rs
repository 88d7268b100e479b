//! Paths that were meant otherwise, other origins, and compression: what is in headers rather than in the body.

use axum::body::Body;
use http::{HeaderMap, Request};
use tower::ServiceExt as _;

use super::*;

/// The status and the headers of an answer.
async fn head(app: &Arc<App>, method: &str, target: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap) {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router(Arc::clone(app)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    (response.status().as_u16(), response.headers().clone())
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn unclean_paths_are_redirected() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--web.external-url=http://x.example/prom/"]);
    for (method, target, status, place) in [
        ("GET", "/prom//api/v1/query?query=1", 307, "/prom/api/v1/query?query=1"),
        ("POST", "//prom/api/v1//query", 307, "/prom/api/v1/query"),
        ("OPTIONS", "/prom/api//v1/query", 307, "/prom/api/v1/query"),
        ("GET", "/prom/metrics/", 301, "/prom/metrics"),
        ("GET", "/prom/", 302, "/prom/query"),
        ("GET", "/prom", 302, "/prom/query"),
        ("GET", "/", 302, "/prom"),
        ("GET", "/prom/query", 200, ""),
        ("GET", "/prom/Service-Discovery/", 301, "/prom/service-discovery"),
        ("GET", "/query", 404, ""),
        ("GET", "/prom/graph?g0.expr=up&g0.tab=1", 302, "/prom/query?g0.expr=up&g0.tab=1"),
        ("GET", "/prom/graph", 302, "/prom/query?"),
        ("GET", "/prom/consoles/node.html", 404, ""),
        ("GET", "/prom/-/ready", 200, ""),
        ("GET", "/-/ready", 404, ""),
        ("GET", "/prom/api/v1/nonesuch", 404, ""),
        ("POST", "/prom/api/v1/nonesuch", 404, ""),
        ("DELETE", "/prom/api/v1/query", 405, ""),
    ] {
        let (got, headers) = head(&app, method, target, &[]).await;
        assert_eq!((got, value(&headers, "location")), (status, place), "{method} {target}");
        assert_eq!(headers.contains_key("allow"), status == 405, "{method} {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_are_told_what_upstream_tells_them() {
    let folder = tempfile::tempdir().unwrap();
    let any = app(&folder.path().join("any"));
    let one = app_with(&folder.path().join("one"), &["--web.cors.origin=https?://a.example"]);
    let methods = "GET, POST, OPTIONS";
    for (app, method, origin, allowed, status) in [
        (&any, "GET", Some("http://a.example"), ("http://a.example", methods), 200),
        (&any, "OPTIONS", Some("null"), ("null", methods), 204),
        (&any, "GET", None, ("", ""), 200),
        (&one, "GET", Some("https://a.example"), ("https://a.example", methods), 200),
        (&one, "OPTIONS", Some("https://b.example"), ("", methods), 204),
    ] {
        let headers: Vec<(&str, &str)> = origin.iter().map(|origin| ("origin", *origin)).collect();
        let (got, headers) = head(app, method, "/api/v1/query?query=1", &headers).await;
        let told = (value(&headers, "access-control-allow-origin"), value(&headers, "access-control-allow-methods"));
        assert_eq!((got, told), (status, allowed), "{method} {origin:?}");
        assert!(headers.get_all("vary").iter().any(|vary| vary == "Origin"));
    }
    // Whatever the path.
    assert_eq!(head(&any, "OPTIONS", "/api/v1/", &[]).await.0, 204);
    assert_eq!(head(&any, "OPTIONS", "/api/v1/nonesuch", &[]).await.0, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_pieces_are_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--query.lookback-delta=100y"]);
    load(&app, &(0..40).map(|i| format!("wide{{i=\"{i}\"}} 1\n")).collect::<String>());
    let range =
        format!("/api/v1/query_range?query=wide&step=1&start={}&end={}", START.0 / 1000, START.0 / 1000 + 5_000);
    for target in [&*range, "/federate?match[]=wide", "/federate"] {
        let request = Request::builder().uri(target).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
        let response = router(Arc::clone(&app)).oneshot(request).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), value(response.headers(), "content-encoding")),
            (200, "gzip"),
            "{target}"
        );
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(body.starts_with(b"\x1f\x8b") && body.len() < 1 << 20, "{target}: {}", body.len());
        assert_eq!(app.engine().options().memory.used(), 0, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_compressed_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    for (accepted, encoding) in [("gzip", "gzip"), ("zstd, gzip;q=0.5", "gzip"), ("br", ""), ("gzip;q=0", ""), ("", "")]
    {
        let (status, headers) = head(&app, "GET", "/metrics", &[("accept-encoding", accepted)]).await;
        assert_eq!((status, value(&headers, "content-encoding")), (200, encoding), "{accepted:?}");
        let expected = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
        assert_eq!(value(&headers, "content-type"), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_escaping_that_is_asked_for_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    for (accept, escaping) in [
        ("text/plain;version=0.0.4;escaping=allow-utf-8;q=0.5,*/*;q=0.1", "allow-utf-8"),
        ("application/openmetrics-text;version=1.0.0;escaping=dots,text/plain;version=0.0.4", "dots"),
        ("text/plain;escaping=nonesuch", "underscores"),
        ("", "underscores"),
    ] {
        let (_, headers) = head(&app, "GET", "/metrics", &[("accept", accept)]).await;
        let expected = format!("text/plain; version=0.0.4; charset=utf-8; escaping={escaping}");
        assert_eq!(value(&headers, "content-type"), expected, "{accept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_answered_as_of_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--web.enable-lifecycle"]);
    let (get, life) = ("GET, OPTIONS", "GET, OPTIONS, POST, PUT");
    for (method, path, status, allow) in [
        ("HEAD", "/-/healthy", 200, ""),
        ("HEAD", "/-/ready", 200, ""),
        ("POST", "/-/ready", 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/-/ready", 200, "GET, HEAD, OPTIONS"),
        ("HEAD", "/metrics", 405, get),
        ("HEAD", "/version", 405, get),
        ("HEAD", "/query", 200, ""),
        ("POST", "/query", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/tsdb-status", 200, ""),
        ("GET", "/assets/nonesuch.js", 404, ""),
        ("HEAD", "/", 405, get),
        ("POST", "/graph", 405, get),
        ("OPTIONS", "/metrics", 200, get),
        ("OPTIONS", "/targets", 200, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/nonesuch", 404, ""),
        ("GET", "/-/quit", 405, ""),
        ("HEAD", "/-/quit", 405, life),
        ("DELETE", "/-/reload", 405, life),
        ("OPTIONS", "/-/reload", 200, life),
        ("HEAD", "/api/v1/query", 405, "GET, OPTIONS, POST"),
        ("HEAD", "/api/v1/targets", 405, get),
        ("POST", "/api/v1/targets", 405, get),
        ("GET", "/api/v1/admin/tsdb/snapshot", 405, "OPTIONS, POST, PUT"),
        ("OPTIONS", "/api/v1/admin/tsdb/snapshot", 204, ""),
        ("DELETE", "/api/v1/nonesuch", 404, ""),
    ] {
        let (got, headers) = head(&app, method, path, &[]).await;
        assert_eq!((got, value(&headers, "allow")), (status, allow), "{method} {path}");
    }
}
