//! Scrapes outside the schedule, which store nothing.

use super::*;
use crate::TrialScrape;
use crate::parse::Format;

const JOB: &str = "job_name: j, scrape_interval: 10s, scrape_timeout: 5s";

/// A trial of a target that answers so, in a job with these lines.
async fn trial(more: &str, answer: Option<Vec<u8>>) -> TrialScrape {
    let mut world = World::new();
    world.serve("t", move |_| answer.clone());
    world.apply(&format!("{{{JOB}, {more}}}")).await;
    world.discover(&[("j", &[world.labels("t", &[("zone", "a")])])]).await;
    let trial = world.manager.trial("j", "http://t/metrics").await.unwrap().run().await;
    assert!(world.stored().is_empty(), "nothing of a trial is stored");
    trial
}

fn shown(trial: &TrialScrape) -> Vec<String> {
    let sample = |one: &crate::TrialSample| {
        let time = one.own_time.map(|time| format!(" at {time}")).unwrap_or_default();
        format!("{} {}{time}", one.labels, one.histogram.as_ref().map_or(one.value.to_string(), |one| one.notation()))
    };
    trial.samples.iter().map(sample).collect()
}

#[tokio::test(start_paused = true)]
async fn samples_are_shown_as_they_would_be_stored() {
    let rules = "honor_labels: false, metric_relabel_configs: [\
                 {action: drop, source_labels: [__name__], regex: go_.*}, {action: labeldrop, regex: zone}]";
    let body = "# TYPE m counter\nm{path=\"/b\"} 2\nm{path=\"/a\",instance=\"mine\"} 1 1700000000000\ngo_threads 7\n";
    let trial = trial(rules, page(body)).await;
    assert_eq!((trial.error.as_str(), trial.format), ("", Some(Format::Text)));
    let expected = [
        r#"m{instance="t", job="j", path="/b"} 2"#,
        r#"m{exported_instance="mine", instance="t", job="j", path="/a"} 1 at 1700000000000"#,
    ];
    assert_eq!(shown(&trial), expected);
    assert_eq!((trial.counts.scraped, trial.counts.post_relabel), (3, 2));
    assert_eq!(
        (String::from_utf8_lossy(&trial.body).as_ref(), trial.content_type.as_deref()),
        (body, Some("text/plain"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_makes_a_scrape_fail_is_shown_with_the_body_that_came() {
    let html = answer("200 OK", "content-type: text/html\r\n", b"<h1>login</h1>");
    for (more, answer, error, line, body) in [
        ("honor_labels: false", page("m 1\nm 2 3 4\n"), "line 2", Some(2), "m 1\nm 2 3 4\n"),
        (
            "label_limit: 4",
            page("m 1\n# c\nm{a=\"1\",b=\"2\"} 1\n"),
            "label_limit",
            Some(3),
            "m 1\n# c\nm{a=\"1\",b=\"2\"} 1\n",
        ),
        ("sample_limit: 1", page("m 1\nn 1\n"), "sample limit exceeded", None, "m 1\nn 1\n"),
        ("honor_labels: false", html, "unsupported Content-Type", None, "<h1>login</h1>"),
        ("honor_labels: false", answer("503 Service Unavailable", "", b"busy"), "status 503", None, ""),
        ("honor_labels: false", None, "context deadline exceeded", None, ""),
    ] {
        let trial = trial(more, answer).await;
        assert!(trial.error.contains(error), "{error}: {}", trial.error);
        assert_eq!((trial.wrong_line, String::from_utf8_lossy(&trial.body).as_ref()), (line, body), "{error}");
        assert!(trial.samples.is_empty(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_active_targets_are_scraped() {
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    world.apply(&format!("{{{JOB}}}")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    for (job, url) in [("j", "http://u/metrics"), ("k", "http://t/metrics"), ("j", "")] {
        assert!(world.manager.trial(job, url).await.is_none(), "{job} {url}");
    }
}
