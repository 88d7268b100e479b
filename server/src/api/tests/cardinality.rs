//! `/api/v1/status/cardinality`.

use model::{Appender as _, Labels, Row, Timestamp};
use serde_json::{Value, json};

use super::{app, ask};

const DAY_MS: i64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn who_brought_the_series_of_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path());
    let scrape = |day: i64, job: &str, names: &[&str]| {
        let source = app.db.source(&Labels::from_pairs([("job", job)])).unwrap();
        let labels: Vec<Labels> = names.iter().map(|name| Labels::from_pairs([("__name__", *name)])).collect();
        let layout = app.db.layout(&app.db.metrics(&labels).unwrap()).unwrap();
        let values = vec![1.0; names.len()];
        let ts = Timestamp(1_700_006_400_000 + day * DAY_MS);
        let row =
            Row { source, ts, layout: &layout, values: &values, present: &[u64::MAX], own_times: &[], histograms: &[] };
        app.db.commit(&[row]).unwrap();
    };
    scrape(0, "node", &["up", "load"]);
    scrape(1, "node", &["up", "load", "free"]);
    scrape(1, "kubelet", &["up"]);
    let data = async |params: Value| {
        let (status, body) = ask(&app, &json!({"path": "/api/v1/status/cardinality", "params": params})).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["data"].take()
    };
    let by_job = data(json!([["label", "job"], ["day", "2023-11-16"]])).await;
    assert_eq!(
        by_job,
        json!({
            "label": "job", "day": "2023-11-16", "total": {"series": 4, "newSeries": 2},
            "without": {"series": 0, "newSeries": 0}, "valuesTotal": 2,
            "values": [
                {"value": "node", "series": 3, "newSeries": 1}, {"value": "kubelet", "series": 1, "newSeries": 1},
            ],
        })
    );
    let by_name = data(json!([["day", "2023-11-16"], ["sort", "new"], ["limit", "2"]])).await;
    assert_eq!(
        by_name["values"],
        json!([{"value": "up", "series": 2, "newSeries": 1}, {"value": "free", "series": 1, "newSeries": 1}])
    );
    let first = data(json!([["day", "2023-11-15"], ["label", "none"]])).await;
    assert_eq!((&first["total"], &first["values"]), (&first["without"], &json!([])));
    assert_eq!(first["total"], json!({"series": 2, "newSeries": 2}));
    for (name, value) in [("day", "today"), ("sort", "old"), ("limit", "-1"), ("day", "2023-02-30")] {
        let params = json!([[name, value]]);
        let (status, body) = ask(&app, &json!({"path": "/api/v1/status/cardinality", "params": params})).await;
        assert!(status == 400 && body.contains(&format!("invalid parameter \\\"{name}\\\"")), "{status} {body}");
    }
}
