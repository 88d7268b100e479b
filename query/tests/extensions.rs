//! The examples of `docs/promql-extensions.md` do what the page says, and fail without the flag.

use query::{Engine, EngineOptions, promqltest};

/// The scripts of the page, as one.
fn script() -> String {
    let page = include_str!("../../docs/promql-extensions.md");
    let blocks = page.split("```promqltest\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_page_is_right() {
    let options = EngineOptions { extensions: true, scrape_interval_ms: 60_000, ..EngineOptions::default() };
    let report = promqltest::run_with(&script(), options).unwrap();
    assert!(report.total >= 14 && report.passed == report.total, "{:#?}", report.failures);
}

#[test]
fn without_the_flag_they_are_errors() {
    let plain = Engine::default();
    let queries = ["rate(m)", "a default 0", "abs(a) keep_metric_names", "range_sum(a)", "WITH (x = a) x"];
    let queries = queries.into_iter().chain(["label_match(a, \"b\", \"c\")"]);
    let on = Engine::new(EngineOptions { extensions: true, ..EngineOptions::default() });
    for query in queries {
        assert!(plain.check(query).is_err() && on.check(query).is_ok(), "{query}");
        let bounds = query::Bounds::default();
        let (text, tree) = (on.format(query, &bounds).unwrap(), on.tree_json(query, &bounds).unwrap());
        assert_eq!(on.tree_json(&text, &bounds).unwrap(), tree, "{query}");
        serde_json::from_str::<serde_json::Value>(&tree).unwrap();
    }
}
