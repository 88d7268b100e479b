//! `/debug/pprof/`: what is refused, and one profile at a time. Real profiles are taken in `tests/e2e`.

use axum::body::{Body, to_bytes};
use http::Request;
use tower::ServiceExt as _;

use super::super::router;
use super::app;
use crate::app::App;

async fn answer(app: &std::sync::Arc<App>, method: &str, path: &str, body: &str) -> (u16, http::HeaderMap, Vec<u8>) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let response = router(std::sync::Arc::clone(app)).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_profile_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    for (path, status, part) in [
        ("/debug/pprof/", 200, "<a href=\"heap\">"),
        ("/debug/pprof/trace?seconds=1", 501, "Weft has /debug/pprof/profile (CPU), heap"),
        ("/debug/pprof/nonesuch", 404, "Weft has /debug/pprof/profile (CPU), heap"),
        ("/debug/pprof/heap?debug=1", 501, "go tool pprof shows them"),
        ("/debug/pprof/goroutine?debug=2", 501, "go tool pprof shows them"),
        ("/debug/pprof/heap?seconds=0", 400, "must be a positive integer"),
        ("/debug/pprof/allocs?seconds=x", 400, "must be a positive integer"),
        ("/debug/pprof/heap?seconds=601", 400, "at most 600"),
        ("/debug/pprof/profile?seconds=601", 400, "at most 600"),
        ("/debug/pprof/symbol?0xffffffffffffffff+x", 200, "num_symbols: 1\n"),
    ] {
        let (found, headers, body) = answer(&app, "GET", path, "").await;
        let body = String::from_utf8(body).unwrap();
        assert!(found == status && body.contains(part), "{path}: {found} {body}");
        assert_eq!(headers.contains_key("x-go-pprof"), status >= 400, "{path}");
    }
    let (status, headers, _) = answer(&app, "GET", "/debug/pprof", "").await;
    assert_eq!((status, headers["location"].to_str().unwrap()), (301, "/debug/pprof/"));
    let (_, _, arguments) = answer(&app, "GET", "/debug/pprof/cmdline", "").await;
    assert_eq!(arguments, std::env::args().collect::<Vec<_>>().join("\0").into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_have_names() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    let here = addresses_have_names as fn() as usize;
    for (method, query, body) in
        [("GET", format!("?{here:#x}"), String::new()), ("POST", String::new(), format!("0x1+{here:#x}"))]
    {
        let (status, _, names) = answer(&app, method, &format!("/debug/pprof/symbol{query}"), &body).await;
        let names = String::from_utf8(names).unwrap();
        assert!(status == 200 && names.contains("addresses_have_names\n"), "{method}: {names}");
        assert_eq!(names.lines().count(), 2, "{names}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_profile_is_taken_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    let turn = app.profiles.take().unwrap();
    for path in ["/debug/pprof/profile?seconds=1", "/debug/pprof/heap?seconds=1", "/debug/pprof/allocs"] {
        let (status, _, why) = answer(&app, "GET", path, "").await;
        assert_eq!(status, 409, "{path}: {}", String::from_utf8_lossy(&why));
    }
    // These take nothing of the process.
    for path in ["goroutine", "threadcreate", "block", "mutex"] {
        let (status, _, profile) = answer(&app, "GET", &format!("/debug/pprof/{path}"), "").await;
        assert_eq!((status, &profile[..2]), (200, &b"\x1f\x8b"[..]), "{path}");
    }
    drop(turn);
    // A server that ends does not wait for it.
    app.stop.cancel();
    let (status, headers, profile) = answer(&app, "GET", "/debug/pprof/profile?seconds=600", "").await;
    assert_eq!((status, &profile[..2]), (200, &b"\x1f\x8b"[..]));
    assert_eq!(headers["content-disposition"].to_str().unwrap(), "attachment; filename=\"profile\"");
    assert!(app.profiles.take().is_some());
}
