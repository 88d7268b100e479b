//! Which targets there are, and what is known of them.

use super::*;

const JOB: &str = "job_name: j, scrape_interval: 10s, scrape_timeout: 5s";

#[tokio::test(start_paused = true)]
async fn one_target_is_scraped_once_and_keeps_its_loop_when_only_its_origin_changes() {
    // scrape-087, -088
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    world.apply(&format!("{{{JOB}}}")).await;
    let found = |how: &str| world.labels("t", &[("__meta_found", how)]);
    let (first, second) = (found("first"), found("second"));
    world.discover(&[("j", &[first.clone(), first.clone(), second.clone()])]).await;
    world.scraped("t", 1).await;
    assert_eq!(world.targets("j").await.len(), 1);
    world.discover(&[("j", &[second])]).await;
    let targets = world.targets("j").await;
    assert_eq!(targets[0].target.discovered.get("__meta_found"), Some("second"));
    assert_eq!(targets[0].status.up, Some(true), "its loop was not started anew");
    world.seconds(30.0).await;
    assert_eq!(world.stored().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn dropped_targets_are_counted_and_some_are_kept() {
    // scrape-039
    for (keep, shown) in [("keep_dropped_targets: 1", 1), ("keep_dropped_targets: 0", 2)] {
        let world = World::new();
        let drop = "relabel_configs: [{action: drop, source_labels: [drop], regex: yes!}]";
        world.apply(&format!("{{{JOB}, {keep}, {drop}}}")).await;
        let targets =
            ["a", "b", "c"].map(|name| world.labels(name, &[("drop", if name == "c" { "no" } else { "yes!" })]));
        world.discover(&[("j", &targets)]).await;
        let status = world.manager.status().await.remove("j").unwrap();
        assert_eq!((status.active.len(), status.dropped.len(), status.dropped_count), (1, shown, 2));
        assert_eq!(status.dropped[0].1, 0, "the rule that did it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_target_is_named_and_the_others_are_scraped() {
    // scrape-089, -091, -092
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    world.apply(&format!("{{{JOB}}}")).await;
    let bad = Labels::from_pairs([("a", "b")]);
    let slow = world.labels("t", &[("__scrape_timeout__", "11s")]);
    world.discover(&[("j", &[bad, slow, world.labels("t", &[])])]).await;
    world.scraped("t", 1).await;
    let status = world.manager.status().await.remove("j").unwrap();
    let expected = [
        "instance 0 in group test: no address",
        "instance 1 in group test: scrape timeout cannot be greater than scrape interval (\"11s\" > \"10s\")",
    ];
    assert_eq!((status.invalid.as_slice(), status.active.len()), (&expected.map(str::to_owned)[..], 1));
    assert_eq!(world.stored().len(), 1);
    let keep = "relabel_configs: [{action: labelkeep, regex: foo}]";
    world.apply(&format!("{{{JOB}, {keep}}}")).await;
    let status = world.manager.status().await.remove("j").unwrap();
    assert_eq!(status.invalid[2], "instance 2 in group test: no address");
}

#[tokio::test(start_paused = true)]
async fn targets_of_a_job_that_has_no_discovery_any_more_are_gone() {
    // scrape-100
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    world.apply(&format!("{{{JOB}}}")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 1).await;
    world.discover(&[]).await;
    assert!(world.targets("j").await.is_empty());
    world.seconds(60.0).await;
    assert_eq!(world.asked()["t"].len(), 1);
}

#[tokio::test(start_paused = true)]
async fn samples_that_the_store_leaves_out_are_counted_and_fail_nothing() {
    // scrape-056
    let mut world = World::new();
    world.serve("t", |_| page("a 1\nb 1\nc 1\n"));
    world.apply(&format!("{{{JOB}}}")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    *world.store.left_out.lock().unwrap() =
        model::Committed { stored: 0, out_of_order: 1, duplicate: 2, too_old: 3, late_exemplars: 4 };
    world.scraped("t", 1).await;
    assert_eq!(world.error("j").await, "");
    for (metric, expected) in [
        ("sample_out_of_order", 1.0),
        ("sample_duplicate_timestamp", 2.0),
        ("sample_out_of_bounds", 3.0),
        ("exemplar_out_of_order", 4.0),
    ] {
        let name = format!("prometheus_target_scrapes_{metric}_total");
        assert!((world.metric(&name) - expected).abs() < 0.1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scrape_of_which_nothing_is_stored_says_so() {
    let mut world = World::new();
    world.serve("t", |_| page(&format!("a 1\nb 1\nown 1 {}\n", START + 1)));
    world.serve("late", |_| page(&format!("own 1 {}\n", START - 1000)));
    world.apply(&format!("{{{JOB}}}")).await;
    let targets = ["t", "late"].map(|name| world.labels(name, &[]));
    world.discover(&[("j", &targets)]).await;
    *world.store.newest.lock().unwrap() = START;
    world.scraped("t", 1).await;
    world.scraped("late", 1).await;
    let mut targets = world.targets("j").await;
    let (good, late) = (targets.pop().unwrap().status, targets.pop().unwrap().status);
    assert_eq!((good.up, good.last_error.as_str()), (Some(true), ""));
    let expected = "no sample of the scrape was stored: 1 are older than the newest of their series; the times are the target's \
                    own: set honor_timestamps: false in the job, or set storage.tsdb.out_of_order_time_window";
    assert_eq!((late.up, late.last_error.as_str()), (Some(true), expected));
    // The clock was an hour ahead when the newest samples came.
    *world.store.newest.lock().unwrap() = START + 3_600_000;
    world.seconds(10.0).await;
    let status = world.targets("j").await.pop().unwrap().status;
    let error = status.last_error;
    assert_eq!(status.up, Some(true), "the target answered");
    let expected = "no sample of the scrape was stored: 8 are older than the newest of their series; this server's clock says \
                    2023-11-14T";
    assert!(error.starts_with(expected) && error.ends_with("set storage.tsdb.out_of_order_time_window"), "{error}");
    *world.store.newest.lock().unwrap() = Timestamp::EPOCH;
    world.seconds(10.0).await;
    assert!(world.targets("j").await.iter().all(|active| active.status.last_error.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn samples_for_which_there_is_no_time_are_counted_and_fail_nothing() {
    // scrape-038, -053, -054, -057
    let ahead = START + 3_600_000;
    let body = format!("far 1 {ahead}\nold 1 0\ntwice 1\ntwice 1\ntwice 2\n");
    for (honor, kept, out_of_bounds) in [(true, 2, 1.0), (false, 3, 0.0)] {
        let mut world = World::new();
        let served = page(&body);
        world.serve("t", move |_| served.clone());
        world.apply(&format!("{{{JOB}, honor_timestamps: {honor}}}")).await;
        world.discover(&[("j", &[world.labels("t", &[])])]).await;
        world.scraped("t", 1).await;
        assert_eq!(world.error("j").await, "");
        let lines = world.stored();
        let old = since_start("0 old{instance=\"t\", job=\"j\"} 1");
        assert_eq!((lines.contains(&old), lines.len()), (honor, kept), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains(" twice{") && line.ends_with(" 1")), "{lines:?}");
        for (metric, expected) in [("duplicate_timestamp", 2.0), ("out_of_bounds", out_of_bounds)] {
            let name = format!("prometheus_target_scrapes_sample_{metric}_total");
            assert!((world.metric(&name) - expected).abs() < 0.1, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn relabelling_says_of_each_target_which_histograms_are_wanted() {
    // scrape-079
    let relabel = "relabel_configs: [{source_labels: [form], regex: native, \
                   target_label: __convert_classic_histograms_to_nhcb__, replacement: 'true'}]";
    for (form, expected) in [("native", "h{form=\"native\""), ("classic", "h_bucket{form=\"classic\"")] {
        let mut world = World::new();
        world.serve("t", |_| page("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"));
        world.apply(&format!("{{{JOB}, {relabel}}}")).await;
        world.discover(&[("j", &[world.labels("t", &[("form", form)])])]).await;
        world.scraped("t", 1).await;
        let lines = world.stored();
        assert_eq!(lines.len(), if form == "native" { 1 } else { 3 }, "{lines:?}");
        assert!(timeless(&lines)[0].starts_with(expected), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_target_does_not_wait_for_its_turn_once_the_server_has_started() {
    let mut world = World::at_once();
    for name in ["early", "late"] {
        world.serve(name, |_| page("m 1\n"));
    }
    world.apply("{job_name: j, scrape_interval: 60s, scrape_timeout: 5s}").await;
    let (early, late) = (world.labels("early", &[]), world.labels("late", &[]));
    world.discover(&[("j", std::slice::from_ref(&early))]).await;
    // Whatever its turn is, a target that is there at the start has no scrape beside it.
    world.seconds(60.0).await;
    assert!(world.asked().get("early").map_or(0, Vec::len) <= 1);
    world.discover(&[("j", &[early, late])]).await;
    world.seconds(2.5).await;
    assert_eq!(world.asked().get("late").map_or(0, Vec::len), 1, "at once, or at a turn that came as soon");
    // From then on it is scraped once an interval, at its turn.
    world.seconds(120.0).await;
    let times = world.asked().get("late").map_or(0, Vec::len);
    assert!((2..=4).contains(&times), "{times}");
}

#[tokio::test(start_paused = true)]
async fn a_new_seed_moves_the_scrapes_of_targets_that_come_after_it() {
    // The highest bit: 2^63 ns is no multiple of the interval, so that every offset is another one.
    const OTHER: u64 = 1 << 63;
    let mut world = World::new();
    world.serve("t", |_| page("m 1\n"));
    let job = "{job_name: j, scrape_interval: 10s, scrape_timeout: 5s}";
    let offsets = |world: &World| {
        let stored = world.store.take_in_order();
        let times = stored.iter().filter(|line| line.contains(" m{") && line.ends_with(" 1"));
        let offset = |line: &String| line.split(' ').next().unwrap().parse::<i64>().unwrap().rem_euclid(10_000);
        times.map(offset).collect::<Vec<_>>()
    };
    world.apply(job).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 3).await;
    world.apply_with_seed(job, OTHER).await;
    world.scraped("t", 6).await;
    let before = offsets(&world);
    assert_eq!(before, [before[0]; 6], "a target that was there goes on as it was");
    world.discover(&[("j", &[])]).await;
    // Until its loop has ended; one that comes back before is the same target.
    world.seconds(60.0).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 9).await;
    let after = offsets(&world);
    assert_eq!(after, [after[0]; 3]);
    assert_ne!(after[0], before[0]);
}

#[tokio::test(start_paused = true)]
async fn targets_that_are_gone_are_remembered_with_the_reason() {
    let world = World::new();
    let drop = "relabel_configs: [{action: drop, source_labels: [phase], regex: Failed}]";
    world.apply(&format!("{{{JOB}, {drop}}}")).await;
    let target = |name: &str, phase: &str| world.labels(name, &[("phase", phase)]);
    let running = ["bad", "fails", "gone", "kept", "moves"].map(|name| target(name, "Running"));
    world.discover(&[("j", &running)]).await;
    assert!(world.manager.lost().targets.is_empty());
    let bad = world.labels("bad", &[("phase", "Running"), ("__scrape_timeout__", "11s")]);
    // That one is the same under another label.
    let moved = target("moves", "Pending");
    world.discover(&[("j", &[bad, target("fails", "Failed"), target("kept", "Running"), moved])]).await;
    let said = || {
        let shown = |one: crate::LostTarget| {
            assert_eq!(one.source, "test");
            format!("{} {}", one.target.discovered.value("__address__"), one.cause.as_str())
        };
        let mut said: Vec<String> = world.manager.lost().targets.into_iter().map(shown).collect();
        said.sort();
        said
    };
    assert_eq!(said(), ["bad invalid", "fails dropped", "gone not_found"]);
    let dropped = world.manager.lost().targets.into_iter().find_map(|one| match one.cause {
        crate::LostCause::Dropped { rule, found } => Some((rule, found.value("phase").to_owned())),
        _ => None,
    });
    assert_eq!(dropped, Some((0, "Failed".to_owned())));
    // A reload with another rule, and then without the job.
    world.apply(&format!("{{{JOB}, {}}}", drop.replace("Failed", "Pending"))).await;
    assert_eq!(said(), ["bad invalid", "fails dropped", "gone not_found", "moves dropped"]);
    world.apply("").await;
    let removed = ["fails job_removed", "kept job_removed"];
    assert_eq!(
        said(),
        ["bad invalid", "fails dropped", removed[0], "gone not_found", removed[1], "moves dropped"],
        "what another rule let in is removed as well"
    );
    assert!((world.metric("weft_targets_lost_total") - 6.0).abs() < 0.1);
    world.seconds(3601.0).await;
    assert!(world.manager.lost().targets.is_empty());
}
