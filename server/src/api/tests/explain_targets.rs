//! `/api/v1/explain` and `/api/v1/targets/relabel_steps`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{app_with, ask};
use crate::app::App;

const JOBS: &str = "
scrape_configs:
- job_name: files
  static_configs:
  - {targets: ['127.0.0.1:1', '127.0.0.1:2'], labels: {team: a}}
  relabel_configs:
  - {source_labels: [__address__], regex: '.*:2', action: drop}
  - {source_labels: [team], target_label: owner}
- job_name: none
  static_configs:
  - {targets: ['127.0.0.1:2']}
  relabel_configs:
  - {source_labels: [__address__], regex: '.*:2', action: drop}
";

/// A server whose discovery and scrape engine have these jobs.
async fn app() -> (tempfile::TempDir, Arc<App>) {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &[]);
    with_jobs(&app).await;
    (folder, app)
}

pub(in crate::api) async fn with_jobs(app: &App) {
    with(app, JOBS).await;
}

/// Puts a configuration into force.
async fn with(app: &App, text: &str) {
    let config = Arc::new(config::Config::parse(text, "p.yml".as_ref(), &|_| None).unwrap());
    app.scraper.apply(&config.scrape_configs, 0).await;
    let mut groups = {
        let mut discovery = app.discovery.lock().await;
        let jobs = config.scrape_configs.iter().map(|job| (job.job_name.as_str(), &*job.sd));
        discovery.apply(discovery::Consumer::SCRAPE, jobs);
        discovery.subscribe(discovery::Consumer::SCRAPE)
    };
    app.scraper.sync(groups.current()).await;
    app.reloaded(config);
}

async fn explain(app: &Arc<App>, what: &str, which: &str) -> (u16, Value) {
    let (status, body) = ask(app, &json!({"path": "/api/v1/explain", "params": [[what, which]]})).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_targets_are_explained() {
    let (_folder, app) = app().await;
    let (status, body) = explain(&app, "job", "none").await;
    let sentence = "Job none: no targets: relabel_configs[0] (drop [__address__] =~ \".*:2\") dropped the last 1 candidate; it saw \
                    \"127.0.0.1:2\".";
    assert_eq!((status, &body["data"]["sentence"]), (200, &json!(sentence)));
    let (_, body) = explain(&app, "target", "127.0.0.1:2").await;
    let verdicts: Vec<_> = body["data"]["sightings"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
    assert_eq!(verdicts, ["dropped", "dropped"]);
    let (_, body) = explain(&app, "target", "127.0.0.1:1").await;
    let sighting = &body["data"]["sightings"][0];
    assert_eq!((&sighting["verdict"], &sighting["job"]), (&json!("kept"), &json!("files")));
    let (_, body) = explain(&app, "pod", "default/none").await;
    assert_eq!(body["data"]["sentence"], "Pod default/none is not scraped: no job discovers it.");
    for (what, which, error) in [
        ("job", "missing", "invalid parameter \"job\": there is no job \"missing\""),
        ("monitor", "a/b", "invalid parameter \"monitor\": monitors are not followed: --operator is not set"),
        ("rule", "missing", "invalid parameter \"rule\": there is no rule \"missing\""),
        ("pod", "none", "invalid parameter \"pod\": must be namespace/name"),
        (
            "query",
            "up",
            "explain takes one of monitor=namespace/name, rule=namespace/name or name, pod=namespace/name, \
             service=namespace/name, target=address or URL, job=name",
        ),
    ] {
        let (status, body) = explain(&app, what, which).await;
        assert_eq!((status, &body["error"]), (400, &json!(error)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_are_gone_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &[]);
    let one =
        |address: &str| format!("scrape_configs: [{{job_name: files, static_configs: [{{targets: ['{address}']}}]}}]");
    with(&app, &one("127.0.0.1:1")).await;
    with(&app, &one("127.0.0.1:3")).await;
    let taken = "a reload took static_configs out of the job, or changed it";
    let (_, body) = explain(&app, "target", "127.0.0.1:1").await;
    let sentence = body["data"]["sentence"].as_str().unwrap();
    let began = "Target 127.0.0.1:1 is not scraped: no job discovers it. It was a target of files until ";
    assert!(sentence.starts_with(began) && sentence.ends_with(&format!(": {taken}.")), "{sentence}");
    let lost = |body: &Value| {
        let all = body["data"]["lost"].as_array().or(body["data"]["jobs"][0]["lost"].as_array()).unwrap();
        let shown = |one: &Value| {
            let text = |field: &str| one[field].as_str().unwrap().to_owned();
            (text("url"), text("reason"), text("sentence"), one["isBack"].as_bool().unwrap())
        };
        all.iter().map(shown).collect::<Vec<_>>()
    };
    let first = |is_back| ("http://127.0.0.1:1/metrics".to_owned(), "not_found".to_owned(), taken.to_owned(), is_back);
    assert_eq!(lost(&explain(&app, "job", "files").await.1), [first(false)]);
    with(&app, &one("127.0.0.1:1")).await;
    let now = lost(&explain(&app, "job", "files").await.1);
    assert_eq!((now.len(), &now[1]), (2, &first(true)), "the newest is the first, and what came back says so");
    with(&app, "scrape_configs: []").await;
    let (status, body) = explain(&app, "job", "files").await;
    let sentence = "There is no job \"files\" any more. It lost 3 targets in the last hour.";
    assert_eq!((status, &body["data"]["sentence"]), (200, &json!(sentence)));
    let removed = "a reload took its job out of the configuration".to_owned();
    let gone = ("http://127.0.0.1:1/metrics".to_owned(), "job_removed".to_owned(), removed, false);
    assert_eq!(lost(&body)[0], gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_go_on_after_a_rule_that_drops() {
    let (_folder, app) = app().await;
    let steps = async |labels: &str| {
        let params = json!([["scrapePool", "files"], ["labels", labels]]);
        let request = json!({"path": "/api/v1/targets/relabel_steps", "params": params});
        ask(&app, &request).await.1
    };
    let drops =
        r#"{"source_labels":["__address__"],"separator":";","regex":".*:2","replacement":"$1","action":"drop"}"#;
    let copies = concat!(
        r#"{"source_labels":["team"],"separator":";","regex":"(.*)","target_label":"owner","#,
        r#""replacement":"$1","action":"replace"}"#
    );
    let answer = |first: &str, second: &str, keep: bool| {
        let step = |rule: &str, output: &str| format!(r#"{{"rule":{rule},"output":{output},"keep":{keep}}}"#);
        let (first, second) = (step(drops, first), step(copies, second));
        format!(r#"{{"status":"success","data":{{"steps":[{first},{second}]}}}}"#)
    };
    let kept = r#"{"__address__":"h:1","team":"a"}"#;
    assert_eq!(steps(kept).await, answer(kept, r#"{"__address__":"h:1","owner":"a","team":"a"}"#, true));
    assert_eq!(steps(r#"{"__address__":"h:2"}"#).await, answer("{}", "{}", false));
}
