//! Limits of a job, from its configuration to what is stored and said.

use super::*;

const JOB: &str = "job_name: j, scrape_interval: 10s, scrape_timeout: 5s";

/// A job with these lines that scrapes these pages: the error, and all that the last scrape stored.
async fn run(more: &str, pages: &[Option<Vec<u8>>]) -> (World, String, Vec<String>) {
    let mut world = World::new();
    let served = pages.to_vec();
    world.serve("t", move |n| served.get(n).cloned().flatten());
    world.apply(&format!("{{{JOB}, {more}}}")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    let mut lines = Vec::new();
    for n in 1..=pages.len() {
        world.scraped("t", n).await;
        lines = world.store.take_all().iter().map(|line| since_start(line)).collect();
    }
    let error = world.error("j").await;
    (world, error, lines)
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_so_large_uncompressed() {
    // scrape-019, -034
    let body = b"metric_a 1\nmetric_b 1\n";
    let kind = "content-type: text/plain\r\n";
    let packed = answer("200 OK", &format!("{kind}content-encoding: gzip\r\n"), &gzip(body));
    for page in [answer("200 OK", kind, body), packed] {
        for (limit, fits) in [(15, false), (22, false), (23, true)] {
            let more = format!("body_size_limit: {limit}B, extra_scrape_metrics: true, sample_limit: 7");
            let (world, error, lines) = run(&more, std::slice::from_ref(&page)).await;
            let size = World::reported(&lines, "scrape_body_size_bytes");
            assert_eq!(World::reported(&lines, "scrape_timeout_seconds"), ["5"]);
            assert_eq!(World::reported(&lines, "scrape_sample_limit"), ["7"]);
            let exceeded = world.metric("prometheus_target_scrapes_exceeded_body_size_limit_total");
            if fits {
                assert_eq!((error.as_str(), size), ("", vec!["22".to_owned()]));
                assert!(exceeded < 0.5);
            } else {
                let expected = format!("body size limit exceeded (limit {limit} bytes)");
                assert_eq!((error, size), (expected, vec!["-1".to_owned()]));
                assert!((exceeded - 1.0).abs() < 0.1);
            }
        }
    }
    let failed = answer("500 Internal Server Error", "", b"");
    let (_, _, lines) = run("extra_scrape_metrics: true", &[failed]).await;
    assert_eq!(World::reported(&lines, "scrape_body_size_bytes"), ["0"]);
    assert_eq!(World::reported(&lines, "scrape_sample_limit"), ["0"]);
}

#[tokio::test(start_paused = true)]
async fn samples_past_the_limit_fail_the_scrape() {
    // scrape-004, -022, -026, -028, -029, -031
    let relabel = "metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: gone}]";
    let (_, error, lines) = run(&format!("sample_limit: 2, {relabel}"), &[page("a 1\nb 1\ngone 1\n")]).await;
    assert_eq!(error, "", "neither what is dropped nor the report counts");
    assert_eq!(World::reported(&lines, "scrape_samples_scraped"), ["3"]);
    assert_eq!(World::reported(&lines, "scrape_samples_post_metric_relabeling"), ["2"]);
    let (world, error, lines) = run("sample_limit: 1", &[page("a 1\n"), page("a 1\nb 1\nc 1\n")]).await;
    assert!(error.starts_with("sample limit exceeded"), "{error}");
    assert_eq!((World::reported(&lines, "a").len(), World::reported(&lines, "b").len()), (0, 0), "a goes on");
    assert_eq!(World::reported(&lines, "scrape_samples_post_metric_relabeling"), ["3"]);
    assert_eq!(World::reported(&lines, "up"), ["0"]);
    assert!((world.metric("prometheus_target_scrapes_exceeded_sample_limit_total") - 1.0).abs() < 0.1);
    // It fails as a whole: nothing counts as left out.
    assert_eq!(world.targets("j").await[0].status.over_limit, 0);
    assert!(world.metric("weft_scrape_samples_over_limit_total") < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_soft_limit_leaves_the_target_up() {
    let pages = [page("a 1\n"), page("new 1\na 1\nb 1\nc 1\n")];
    for (limit, over) in [("sample_limit: 2, limit_mode: soft", "2"), ("series_limit: 2", "2")] {
        let (world, error, lines) = run(limit, &pages).await;
        assert_eq!(error, "");
        assert_eq!((World::reported(&lines, "up"), World::reported(&lines, "a")), (vec!["1".into()], vec!["1".into()]));
        assert_eq!((World::reported(&lines, "new").len(), World::reported(&lines, "b").len()), (1, 0));
        assert_eq!(World::reported(&lines, "scrape_samples_over_limit"), [over]);
        assert!((world.metric("weft_scrape_samples_over_limit_total") - 2.0).abs() < 0.1);
        assert_eq!(world.targets("j").await[0].status.over_limit, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn labels_past_a_limit_fail_the_scrape_and_are_counted() {
    // scrape-032
    let (world, error, lines) = run("label_limit: 3", &[page("a{x=\"1\"} 1\n")]).await;
    assert!(error.starts_with("label_limit exceeded (metric: a, number of labels: 4, limit: 3)"), "{error}");
    assert_eq!(World::reported(&lines, "up"), ["0"]);
    assert!((world.metric("prometheus_target_scrape_pool_exceeded_label_limits_total") - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn too_many_targets_are_all_refused_until_there_are_fewer() {
    // scrape-035
    let mut world = World::new();
    for name in ["a", "b"] {
        world.serve(name, |_| page("m 1\n"));
    }
    world.apply(&format!("{{{JOB}, target_limit: 1}}")).await;
    let both = [world.labels("a", &[]), world.labels("b", &[])];
    world.discover(&[("j", &both)]).await;
    world.seconds(11.0).await;
    let expected = "target_limit exceeded (number of targets: 2, limit: 1)";
    assert!(world.targets("j").await.iter().all(|active| active.status.last_error == expected));
    let lines: Vec<String> = world.store.take_all().iter().map(|line| since_start(line)).collect();
    assert!(World::reported(&lines, "up").iter().all(|up| up == "0") && world.asked().is_empty(), "{lines:?}");
    assert!(world.metric("prometheus_target_scrape_pool_exceeded_target_limit_total") > 0.5);
    world.discover(&[("j", &both[..1])]).await;
    world.scraped("a", 1).await;
    assert_eq!(world.error("j").await, "");
    assert!((world.metric("prometheus_target_scrape_pool_target_limit") - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn an_annotation_lowers_the_limit_of_its_target() {
    let mut world = World::new();
    world.serve("t", |_| page("a 1\nb 1\nc 1\n"));
    world.apply(&format!("{{{JOB}, limits_from_annotations: true, sample_limit: 5}}")).await;
    let annotation = [("__meta_kubernetes_pod_annotation_weft_io_sample_limit", "2")];
    world.discover(&[("j", &[world.labels("t", &annotation)])]).await;
    world.scraped("t", 1).await;
    let error = world.error("j").await;
    let whose = "; the limit is that of the annotation weft.io/sample-limit of its pod or Service";
    assert!(error.starts_with("sample limit exceeded (") && error.ends_with(whose), "{error}");
    // Without the annotation it is another target, whose series go on.
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 2).await;
    assert_eq!(world.error("j").await, "");
    assert!(world.manager.lost().targets.is_empty(), "it is the same under other limits");
}
