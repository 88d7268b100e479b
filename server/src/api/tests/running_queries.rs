//! The queries that run, and those that asked for the most.

use query::QueryOptions;

use super::*;

async fn data(app: &Arc<App>, path: &str) -> Value {
    let (status, body) = ask(app, &serde_json::json!({"path": path})).await;
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    answer["data"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_runs_is_shown_and_canceled() {
    const LIST: &str = "/api/v1/status/active_queries";
    const CANCEL: &str = "/api/v1/status/active_queries/cancel";
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--web.enable-admin-api"]);
    load(&app, "a{job=\"a\"} 1x20");
    assert_eq!(data(&app, LIST).await, serde_json::json!({"queries": []}));
    let mut options = QueryOptions::default();
    let of = ("::1".to_owned(), "/api/v1/query_range".to_owned());
    let running = app.active_queries.begin("sum(a)", (START, START + 60_000, 15_000), of, &mut options);
    let result = app.engine().instant(app.db.as_ref(), "sum(a)", START, &options).unwrap();
    let shown = data(&app, LIST).await["queries"][0].take();
    assert_eq!((&shown["id"], &shown["query"], &shown["client"]), (&1.into(), &"sum(a)".into(), &"::1".into()));
    assert_eq!(
        (&shown["start"], &shown["end"]),
        (&"2023-11-14T22:13:20.000Z".into(), &"2023-11-14T22:14:20.000Z".into())
    );
    assert_eq!((shown["stepSeconds"].as_f64(), &shown["path"]), (Some(15.0), &"/api/v1/query_range".into()));
    // What its result holds; nothing once that is gone.
    assert!(shown["memoryBytes"].as_u64() > Some(0), "{shown}");
    drop(result);
    assert_eq!(data(&app, LIST).await["queries"][0]["memoryBytes"], 0);
    for (id, status, why) in [("x", 400, "is not the id of a query"), ("9", 404, "no query with the id 9 runs")] {
        let (got, body) = post(&app, CANCEL, &[["id", id]]).await;
        assert!(got == status && body.contains(why), "{id}: {got} {body}");
    }
    assert_eq!(post(&app, CANCEL, &[["id", "1"]]).await.0, 204);
    let error = app.engine().instant(app.db.as_ref(), "sum(a)", START, &options).unwrap_err();
    assert!(matches!(error, query::Error::Canceled), "{error}");
    drop(running);
    assert_eq!(data(&app, LIST).await, serde_json::json!({"queries": []}));
    // Only where such things are allowed.
    let other = super::app(&folder.path().join("other"));
    let (status, body) = post(&other, CANCEL, &[["id", "1"]]).await;
    assert!(status == 500 && body.contains("admin APIs disabled"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_ask_for_the_most_are_listed() {
    const TOP: &str = "/api/v1/status/top_queries";
    let folder = tempfile::tempdir().unwrap();
    let app = app(&folder.path().join("data"));
    load(&app, "a{job=\"a\"} 1x20\na{job=\"b\"} 1x20");
    for (query, times) in [("sum(a)", 3), ("sum_over_time(a[20m])", 1), ("sum(", 2)] {
        for _ in 0..times {
            let params = [["query", query], ["time", "1700001200"]];
            ask(&app, &serde_json::json!({"path": "/api/v1/query", "params": params})).await;
        }
    }
    let range = [["query", "sum(a)"], ["start", "1700000000"], ["end", "1700000600"], ["step", "60"]];
    ask(&app, &serde_json::json!({"path": "/api/v1/query_range", "params": range})).await;
    let top = data(&app, TOP).await;
    let of = |list: &str| -> Vec<(String, f64, u64)> {
        let list = top[list].as_array().unwrap().iter();
        list.map(|one| {
            let text = one["query"].as_str().unwrap().to_owned();
            (text, one["timeRangeSeconds"].as_f64().unwrap(), one["count"].as_u64().unwrap())
        })
        .collect()
    };
    // What does not parse is not in it.
    let (sum, sums, range) =
        (("sum(a)".to_owned(), 0.0, 3), ("sum_over_time(a[20m])".to_owned(), 0.0, 1), ("sum(a)".to_owned(), 600.0, 1));
    assert_eq!(of("topByCount"), [sum.clone(), range.clone(), sums.clone()]);
    assert_eq!(of("topByPeakSamples")[0], sums);
    assert_eq!((of("topByAvgDuration").len(), of("topBySumDuration").len()), (3, 3));
    let first = &top["topByCount"][0];
    let [mean, all] = ["avgDurationSeconds", "sumDurationSeconds"].map(|field| first[field].as_f64().unwrap());
    assert!(mean > 0.0 && (mean * 3.0 - all).abs() < 1e-6, "{first}");
    let one = data(&app, &format!("{TOP}?topN=1&maxLifetime=1h")).await;
    assert_eq!((one["topByCount"].as_array().unwrap().len(), one["maxLifetimeSeconds"].as_f64()), (1, Some(3600.0)));
    for (params, why) in [("topN=0", "topN"), ("topN=x", "topN"), ("maxLifetime=x", "maxLifetime")] {
        let (status, body) = ask(&app, &serde_json::json!({"path": format!("{TOP}?{params}")})).await;
        assert!(status == 400 && body.contains(&format!("invalid parameter \\\"{why}\\\"")), "{params}: {body}");
    }
}
