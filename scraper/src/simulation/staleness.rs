//! When series end.

use super::*;

const JOB: &str = "{job_name: j, scrape_interval: 10s, scrape_timeout: 5s}";

fn report(lines: &[String]) -> Vec<&str> {
    timeless(lines).into_iter().filter(|line| line.starts_with("up") || line.starts_with("scrape_")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failed_scrape_ends_everything_once_and_is_reported_each_time() {
    // scrape-002, -018, -020, -024
    let mut world = World::new();
    world.serve("t", |n| if n == 0 { page("metric_a 42\n") } else { answer("500 Internal Server Error", "", b"") });
    world.apply(JOB).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 5).await;
    let stored = world.store.take_all();
    assert_eq!(stored.len(), 27, "{stored:#?}");
    let lines: Vec<String> = stored.iter().map(|line| since_start(line)).collect();
    let metric: Vec<&String> = lines.iter().filter(|line| line.contains(" metric_a")).collect();
    assert_eq!(metric.len(), 2);
    assert!(metric[0].ends_with("42") && metric[1].ends_with("stale"), "{metric:?}");
    assert_eq!(World::reported(&lines, "up"), ["1", "0", "0", "0", "0"]);
    assert_eq!(report(&lines).len(), 25);
    assert!(report(&lines).iter().all(|line| line.contains("{instance=\"t\", job=\"j\"}")), "{lines:?}");
    // All of one scrape have its time, ten seconds from the last.
    let mut times: Vec<&str> = lines.iter().map(|line| line.split_once(' ').unwrap().0).collect();
    times.dedup();
    assert_eq!(times.len(), 5, "{times:?}");
    let between = world.metric("prometheus_target_interval_length_seconds");
    assert!((between - 40.0).abs() < 0.01, "{between}");
    assert_eq!(world.error("j").await, "server returned HTTP status 500 Internal Server Error");
}

#[tokio::test(start_paused = true)]
async fn a_removed_target_is_marked_two_intervals_later_as_of_the_next_tick() {
    // scrape-008
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    world.apply(JOB).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 2).await;
    let first = world.stored();
    world.discover(&[("j", &[])]).await;
    world.seconds(20.0).await;
    assert_eq!(world.store.take_all(), Vec::<String>::new(), "not yet");
    world.seconds(1.0).await;
    let marked: Vec<String> = world.store.take_all().iter().map(|line| since_start(line)).collect();
    assert_eq!(marked.len(), 6, "the series and the report: {marked:?}");
    assert!(marked.iter().all(|line| line.ends_with(" stale")), "{marked:?}");
    let seconds = |line: &String| line.split_once(' ').unwrap().0.parse::<f64>().unwrap();
    assert!(marked.iter().all(|line| (seconds(line) - seconds(first.last().unwrap()) - 10.0).abs() < 1e-6));
    world.seconds(60.0).await;
    assert!(world.store.take_all().is_empty());
    assert_eq!(world.asked()["t"].len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_comes_back_in_time_is_not_marked() {
    // scrape-009
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    world.apply(JOB).await;
    let target = world.labels("t", &[]);
    for away in [5.0, 15.0, 20.0] {
        world.discover(&[("j", std::slice::from_ref(&target))]).await;
        let asked = world.asked().get("t").map_or(0, Vec::len);
        world.scraped("t", asked + 2).await;
        world.discover(&[("j", &[])]).await;
        world.seconds(away).await;
    }
    let lines = world.stored();
    assert!(lines.iter().all(|line| !line.ends_with("stale")) && lines.len() == 6, "{lines:?}");
    // Its loop is the same: it kept its place in time.
    let first: f64 = lines[0].split_once(' ').unwrap().0.parse().unwrap();
    for line in &lines {
        let since = line.split_once(' ').unwrap().0.parse::<f64>().unwrap() - first;
        assert!((since / 10.0 - (since / 10.0).round()).abs() < 1e-6, "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_target_goes_on_with_the_series_of_one_that_is_gone() {
    // scrape-009, -017: a pod with a new address, in another job even
    let mut world = World::new();
    world.serve("old", |_| page("kept 1\nlost 1\n"));
    world.serve("new", |_| page("kept 2\n"));
    world.apply(&format!("{JOB}, {{job_name: other, scrape_interval: 10s, scrape_timeout: 5s}}")).await;
    let same = [("instance", "pod"), ("job", "same")];
    let (old, new) = (world.labels("old", &same), world.labels("new", &same));
    world.discover(&[("j", std::slice::from_ref(&old))]).await;
    world.scraped("old", 2).await;
    world.stored();
    for (job, name, of) in [("j", "new", &new), ("other", "old", &old)] {
        world.discover(&[(job, std::slice::from_ref(of))]).await;
        world.scraped(name, 5).await;
        // The loop that ended would have marked them by now.
        world.seconds(30.0).await;
        let lines = world.stored();
        let value = if job == "j" { "2" } else { "1" };
        assert!(World::reported(&lines, "kept").iter().filter(|v| *v == value).count() > 4, "{lines:?}");
        assert!(!World::reported(&lines, "kept").contains(&"stale".to_owned()), "{lines:?}");
        let lost = World::reported(&lines, "lost");
        assert_eq!(lost.first().map(String::as_str), Some(if job == "j" { "stale" } else { "1" }), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_marked_when_the_server_stops_or_nothing_was_scraped() {
    // scrape-010, -011
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    world.apply(JOB).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.discover(&[("j", &[])]).await;
    world.seconds(60.0).await;
    assert!(world.store.take_all().is_empty(), "it was gone before its first turn");
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 1).await;
    assert!(!world.store.take_all().is_empty());
    world.manager.shutdown().await;
    world.seconds(60.0).await;
    assert!(world.store.take_all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_without_a_type_ends_everything_and_is_no_failure() {
    // scrape-001, -069
    let mut world = World::new();
    world.serve("t", |n| if n == 0 { page("m 1\n") } else { answer("200 OK", "", b"") });
    world.apply(JOB).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 2).await;
    let lines: Vec<String> = world.store.take_all().iter().map(|line| since_start(line)).collect();
    assert_eq!(World::reported(&lines, "m"), ["1", "stale"]);
    assert_eq!(World::reported(&lines, "up"), ["1", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_no_new_series_fails_the_scrape_and_marks_the_old_ones() {
    // scrape-105, -104
    use std::sync::atomic::Ordering;
    let mut world = World::new();
    world.serve("t", |n| page(if n == 0 { "a 1\n" } else { "a 2\nb 1\n" }));
    world.apply(JOB).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 1).await;
    world.store.no_metrics.store(true, Ordering::Relaxed);
    world.store.take_all();
    world.seconds(10.0).await;
    let lines: Vec<String> = world.store.take_all().iter().map(|line| since_start(line)).collect();
    assert_eq!((World::reported(&lines, "a"), World::reported(&lines, "up")), (vec!["stale".into()], vec!["0".into()]));
    assert_eq!(world.error("j").await, "cannot store the scrape: no space left");
    world.store.no_metrics.store(false, Ordering::Relaxed);
    world.store.full.store(true, Ordering::Relaxed);
    world.seconds(10.0).await;
    assert!(world.store.take_all().is_empty());
    assert!(world.metric("weft_scrapes_not_stored_total") > 0.5);
    world.seconds(10.0).await;
    assert_eq!(timeless(&world.stored()), ["a{instance=\"t\", job=\"j\"} 2", "b{instance=\"t\", job=\"j\"} 1"]);
}
