//! Requests that ask for too much are refused, in words that say what; and what they held is given back.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{app_with, ask, load};
use crate::app::App;

fn form(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Value {
    Value::Array(pairs.into_iter().map(|(name, value)| json!([name, value])).collect())
}

fn selectors(texts: impl IntoIterator<Item = String>) -> Value {
    form(texts.into_iter().map(|text| ("match[]", text)))
}

/// A few thousand series with a label of a kilobyte.
fn filled(folder: &std::path::Path, more: &[&str]) -> Arc<App> {
    let app = app_with(folder, more);
    let lines: Vec<String> =
        (0..3_000).map(|i| format!("wide{{pod=\"pod-{i}-{}\"}} 1 2\n", "w".repeat(1_000))).collect();
    load(&app, &lines.concat());
    app
}

#[track_caller]
fn check((status, body): &(u16, String), expected: (u16, &str), what: &str) {
    let shown: String = body.chars().take(300).collect();
    assert!(*status == expected.0 && body.contains(expected.1), "{what}: {status} {shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_and_selectors_are_counted_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let app = filled(folder.path(), &[]);
    for path in ["/api/v1/series", "/api/v1/labels"] {
        for (form, expected) in [
            (selectors(vec!["up".to_owned(); 90_000]), (400, "too many parameters: 90000, at most 10000")),
            (selectors((0..1_001).map(|i| format!("m{i}"))), (400, "too many selectors: 1001, at most 1000")),
            (selectors(vec!["wide{pod=~\"pod-7-.*\"}".to_owned(); 5_000]), (200, "\"success\"")),
            (selectors((0..900).map(|i| format!("m{i}"))), (200, "\"data\":[]")),
        ] {
            let asked = json!({"path": path, "method": "POST", "form": form});
            check(&ask(&app, &asked).await, expected, path);
            assert_eq!(app.engine().options().memory.used(), 0, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_and_texts_have_the_memory_of_a_query() {
    let folder = tempfile::tempdir().unwrap();
    let app =
        filled(folder.path(), &["--query.max-memory-per-query=2MB", "--enable-feature=search-api,promql-extensions"]);
    let refused = (422, "query needs more than 2097152 bytes of memory");
    let regexes = (0..900).map(|i| format!("m{i}{{pod=~\"(a|b)+c{i}.*\"}}"));
    let many = format!("up{{{}}}", (0..900).map(|i| format!("a=~\"b+c{i}.*\",")).collect::<String>());
    let text = |text: &str| form([("query", text.to_owned()), ("time", "1700000060".to_owned())]);
    for (path, form, expected) in [
        ("/api/v1/series", selectors(["wide".to_owned()]), refused),
        ("/api/v1/series", selectors(["wide{pod=~\"pod-1.-.*\"}".to_owned()]), (200, "pod-17-")),
        ("/api/v1/series", selectors(regexes.clone()), refused),
        ("/api/v1/labels", selectors(regexes), refused),
        ("/api/v1/labels", selectors(["wide".to_owned()]), (200, "\"pod\"")),
        (
            "/api/v1/search/label_values",
            form([("label", "pod".to_owned()), ("search[]", "w".to_owned()), ("start", "0".to_owned())]),
            refused,
        ),
        ("/api/v1/query", text("wide"), refused),
        ("/api/v1/query", text(&many), refused),
        ("/api/v1/query_exemplars", text(&many), refused),
        ("/api/v1/format_query", text(&many), refused),
        ("/api/v1/parse_query", text(&many), refused),
        ("/api/v1/parse_query", text("sum(up)"), (200, "aggregation")),
        ("/api/v1/format_query", text("WITH (f(x) = x + x) f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(up)))))))))))))))"), refused),
    ] {
        let asked = json!({"path": path, "method": "POST", "form": form});
        check(&ask(&app, &asked).await, expected, path);
        assert_eq!(app.engine().options().memory.used(), 0, "{path}");
    }
    for asked in [
        json!({"path": "/api/v1/label/pod/values"}),
        json!({"path": "/api/v1/targets/metadata", "params": [["match_target", many]]}),
    ] {
        check(&ask(&app, &asked).await, refused, &asked["path"].to_string());
        assert_eq!(app.engine().options().memory.used(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_and_texts_end_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let app = filled(folder.path(), &["--enable-feature=search-api"]);
    for (path, name, value) in [
        ("/api/v1/series", "match[]", "wide"),
        ("/api/v1/labels", "match[]", "wide"),
        ("/api/v1/label/pod/values", "match[]", "wide"),
        ("/api/v1/search/metric_names", "search[]", "wide"),
        ("/api/v1/query", "query", "wide"),
        ("/api/v1/query_exemplars", "query", "wide"),
        ("/api/v1/format_query", "query", "wide"),
        ("/api/v1/parse_query", "query", "wide"),
    ] {
        let asked = json!({"path": path, "params": [[name, value], ["timeout", "1e-9"]]});
        check(&ask(&app, &asked).await, (503, "timed out"), path);
        // Nobody gets a slot.
        let all = [&app.listing_slots, &app.query_slots].map(|slots| {
            let n = u32::try_from(slots.available_permits()).unwrap();
            Arc::clone(slots).try_acquire_many_owned(n).unwrap()
        });
        let asked = json!({"path": path, "params": [[name, value], ["timeout", "1ms"]]});
        check(&ask(&app, &asked).await, (503, "query timed out in query queue"), path);
        drop(all);
    }
}
