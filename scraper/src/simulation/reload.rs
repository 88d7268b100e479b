//! What a new configuration leaves as it is.

use super::*;

#[tokio::test(start_paused = true)]
async fn series_are_new_only_where_something_else_may_be_made_of_them() {
    // scrape-012, -013, -025, -101
    for (change, added) in [
        ("scrape_interval: 20s", "0"),
        ("scrape_timeout: 4s", "0"),
        ("sample_limit: 100", "0"),
        ("basic_auth: {username: u}", "0"),
        ("honor_labels: true", "2"),
        ("label_limit: 100", "2"),
        ("metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: b}]", "1"),
    ] {
        let mut world = World::new();
        world.serve("t", |_| page("a 1\nb 1\n"));
        let job = |more: &str| {
            let interval = if more.contains("interval") { "" } else { ", scrape_interval: 10s" };
            let timeout = if more.contains("timeout") { "" } else { ", scrape_timeout: 5s" };
            format!("{{job_name: j{interval}{timeout}, {more}}}")
        };
        world.apply(&job("honor_labels: false")).await;
        world.discover(&[("j", &[world.labels("t", &[])])]).await;
        world.scraped("t", 2).await;
        world.store.take_all();
        world.apply(&job(change)).await;
        world.scraped("t", 3).await;
        let lines: Vec<String> = world.store.take_all().iter().map(|line| since_start(line)).collect();
        assert_eq!(World::reported(&lines, "scrape_series_added"), [added], "{change}");
        let b = if change.contains("drop") { "stale" } else { "1" };
        assert_eq!(World::reported(&lines, "b"), [b], "{change}");
        world.seconds(60.0).await;
        let lines = world.stored();
        assert!(lines.iter().all(|line| !line.ends_with("stale")), "{change}: no markers of the old loop: {lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_job_is_not_touched_and_a_removed_one_ends() {
    // scrape-096, -098
    let mut world = World::new();
    world.serve("a", |_| page("m 1\n"));
    world.serve("b", |_| page("m 2\n"));
    let job = |name: &str| format!("{{job_name: {name}, scrape_interval: 10s, scrape_timeout: 5s}}");
    world.apply(&format!("{}, {}", job("a"), job("b"))).await;
    world.discover(&[("a", &[world.labels("a", &[])]), ("b", &[world.labels("b", &[])])]).await;
    world.scraped("a", 1).await;
    world.scraped("b", 1).await;
    let targets = |world: &World| world.metric("prometheus_target_scrape_pool_targets");
    assert!((targets(&world) - 2.0).abs() < 0.1);
    world.store.take_all();
    world.apply(&job("a")).await;
    world.seconds(40.0).await;
    let lines = world.stored();
    let of = |job: &str| lines.iter().filter(|line| line.contains(&format!("job=\"{job}\""))).collect::<Vec<_>>();
    assert!(of("a").iter().all(|line| line.ends_with(" 1")) && of("a").len() >= 3, "{lines:?}");
    assert_eq!(of("b").len(), 1, "{lines:?}");
    assert!(of("b")[0].ends_with(" stale"), "{lines:?}");
    assert!((targets(&world) - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_scrape_under_way_is_not_cut_short_by_a_reload() {
    // scrape-097, -102
    let mut world = World::new();
    let (release, released) = tokio::sync::watch::channel(false);
    let listener = UnixListener::bind(world.folder.path().join("slow")).unwrap();
    let asked = Arc::clone(&world.asked);
    world.targets.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        asked.lock().unwrap().entry("slow".to_owned()).or_default().push(String::new());
        let mut released = released;
        released.wait_for(|released| *released).await.unwrap();
        stream.write_all(&page("m 1\n").unwrap()).await.unwrap();
        // The next request is not answered.
        std::future::pending::<()>().await;
    });
    world.apply("{job_name: j, scrape_interval: 10s, scrape_timeout: 5s}").await;
    world.discover(&[("j", &[world.labels("slow", &[])])]).await;
    world.scraped("slow", 1).await;
    let changed = "{job_name: j, scrape_interval: 10s, scrape_timeout: 5s, honor_labels: true}";
    let ((), ()) = tokio::join!(world.apply(changed), async {
        world.seconds(1.0).await;
        assert!(world.store.take_all().is_empty());
        release.send_replace(true);
    });
    let lines: Vec<String> = world.store.take_all().iter().map(|line| since_start(line)).collect();
    assert_eq!((World::reported(&lines, "m"), World::reported(&lines, "up")), (vec!["1".into()], vec!["1".into()]));
}

#[tokio::test(start_paused = true)]
async fn what_relabelling_says_of_the_interval_survives() {
    // scrape-089, -099
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    let job = |more: &str| {
        format!(
            "{{job_name: j, scrape_interval: 10s, scrape_timeout: 1s, {more}relabel_configs: \
             [{{target_label: __scrape_interval__, replacement: 3s}}]}}"
        )
    };
    world.apply(&job("")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    for more in ["", "scheme: http, honor_labels: true, "] {
        world.apply(&job(more)).await;
        let asked = world.asked().get("t").map_or(0, Vec::len);
        world.scraped("t", asked + 1).await;
        world.store.take_all();
        world.seconds(30.0).await;
        assert_eq!(world.stored().len(), 10, "{more}");
    }
}
