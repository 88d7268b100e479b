//! Remote write: what a Prometheus scrapes and sends is in Weft as it is in that Prometheus.

use std::process::Command;

use kit::{Weft, eventually};

use super::read::{read_alike, read_by_another};
use super::{asked, native, program, same, scraping, text};

const NOTHING: &str = "scrape_configs: []\n";
const ON: &str = "--web.enable-remote-write-receiver";

fn sending(weft: &Weft, message: &str) -> String {
    format!(
        "remote_write:\n- url: http://{}/api/v1/write\n  protobuf_message: {message}\n  send_exemplars: true\n  \
         send_native_histograms: true\n  queue_config: {{batch_send_deadline: 100ms}}\n",
        weft.address
    )
}

#[test]
fn what_a_prometheus_sends_is_there() {
    let Some(program) = program() else { return };
    let weft = Weft::start(NOTHING, &[ON, "--enable-feature=exemplar-storage"]);
    let targets = (text(), native());
    let senders = [("one", "prometheus.WriteRequest"), ("two", "io.prometheus.write.v2.Request")]
        .map(|(job, message)| (job, scraping(&program, job, (&targets.0, &targets.1), &sending(&weft, message))));
    for (job, sender) in &senders {
        let until = eventually("a few scrapes", || {
            let result = sender.http.query(&format!("count(count_over_time(up{{job=~\"{job}.*\"}}[1m]) >= 3)"))?;
            if result[0]["value"][1] == "3" { Ok(result[0]["value"][0].clone()) } else { Err(result.to_string()) }
        });
        let until = until.to_string();
        // By version 1.0 Prometheus sends no histograms with custom buckets (`nhcb_in_rw1_not_supported`).
        let (histograms, n_histograms) = if *job == "one" { ("native", 1) } else { ("native|seconds", 3) };
        let unsent = if *job == "one" { ", __name__!=\"seconds\"" } else { "" };
        let params = [("query", &*format!("{{job=~\"{job}.*\"{unsent}}}[1m]")), ("time", &until)];
        same(&weft.http, &sender.http, ("query", &params), 30);
        let query = format!("histogram_quantile(0.9, {{job=~\"{job}.*\", __name__=~\"{histograms}\"}})");
        same(&weft.http, &sender.http, ("query", &[("query", &query), ("time", &until)]), n_histograms);
        let range = [("start", "0"), ("end", &*until)];
        let query = format!("{{job=\"{job}\"}}");
        let params = [&range[..], &[("query", &*query)]].concat();
        same(&weft.http, &sender.http, ("query_exemplars", &params), 2);
    }
    // Series end where their target is gone.
    drop(targets);
    let until = asked(&weft.http, "query", &[("query", "vector(time())")]).unwrap()[0]["value"][1].to_string();
    read_by_another(&weft, &program, until.trim_matches('"'));
    for (job, sender) in &senders {
        let query = format!("{{job=~\"{job}.*\", __name__!~\"scrape_.*|up\"}}");
        eventually("all series are stale", || {
            let left = asked(&weft.http, "query", &[("query", &query)])?;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        // All that came of this series is there, its end too.
        let same_bytes =
            || read_alike(&weft.http, &sender.http, &[("__name__", "requests_total"), ("job", job), ("code", "200")]);
        eventually("both are read alike", same_bytes);
        let (_, metrics) = sender.http.get("/metrics").unwrap();
        for name in ["samples_failed_total", "histograms_failed_total", "exemplars_failed_total"] {
            let mut lines =
                metrics.lines().filter(|line| line.starts_with(&format!("prometheus_remote_storage_{name}")));
            assert!(lines.clone().count() > 0 && lines.all(|line| line.ends_with(" 0")), "{name}: {metrics}");
        }
    }
}

#[test]
fn what_is_not_on_is_said() {
    let weft = Weft::start(NOTHING, &[]);
    let text = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n";
    let answer = weft.http.body("POST", "/api/v1/write", "application/x-protobuf", "").unwrap();
    assert_eq!(answer, (404, text.to_owned()));
    assert_eq!(weft.http.get("/api/v1/write").unwrap().0, 405);
}

#[test]
fn refusals_are_those_of_prometheus() {
    let Some(program) = program() else { return };
    let weft = Weft::start(NOTHING, &[ON]);
    let prometheus = kit::Prometheus::start(&program, NOTHING, &[ON]);
    let both = |kind: &str, body: &str| {
        let [ours, theirs] =
            [&weft.http, &prometheus.http].map(|http| http.body("POST", "/api/v1/write", kind, body).unwrap());
        assert_eq!(ours, theirs, "{kind} {body:?}");
        ours
    };
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    assert_eq!(both("application/x-protobuf", "\0").0, 204);
    assert_eq!(both(v2, "\0").0, 204);
    assert_eq!(both("text/plain", "\0").0, 415);
    assert_eq!(both("application/x-protobuf;proto=a", "\0").0, 415);
    assert_eq!(both("application/x-protobuf;a", "\0").0, 415);
    assert_eq!(both("application/x-protobuf", "no snappy").0, 400);
    assert_eq!(both("application/x-protobuf", "").0, 400);
    // Nearly 4 GiB, it says.
    assert_eq!(both("application/x-protobuf", "\u{7f}\u{7f}\u{7f}\u{7f}\x0f").0, 400);
}

#[test]
fn what_promtool_pushes_is_there() {
    let weft = Weft::start(NOTHING, &[ON]);
    let page = weft.folder().join("page");
    std::fs::write(&page, "# TYPE a gauge\na{b=\"c\"} 1.5\n").unwrap();
    let push = |page: &std::path::Path| {
        let url = format!("http://{}", weft.address);
        Command::new(Weft::binary()).args(["promtool", "push", "metrics", &url]).arg(page).output().unwrap()
    };
    let pushed = push(&page);
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    let found = asked(&weft.http, "query", &[("query", "a")]).unwrap();
    assert_eq!((found.len(), &found[0]["value"][1]), (1, &"1.5".into()));
    assert_eq!(found[0]["metric"], serde_json::json!({"__name__": "a", "b": "c", "job": "promtool"}));
    // Another value at a time that is there.
    let ms = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let lines = [1, 2].map(|value| {
        std::fs::write(&page, format!("late {value} {ms}\n")).unwrap();
        push(&page)
    });
    let told = String::from_utf8_lossy(&lines[1].stderr);
    assert!(lines[0].status.success() && !lines[1].status.success(), "{told}");
    assert!(told.contains("400 Bad Request: duplicate sample for timestamp for series"), "{told}");
}
