//! A clock of the wall that is set: scrapes go on as they were, their times by the new clock, whole intervals apart.

use super::*;

const JOB: &str = "job_name: j, scrape_interval: 10s, scrape_timeout: 5s";
const SCRAPES: usize = 12;

/// Times of all samples of `m`, in the order in which they were stored, milliseconds since the start.
fn times(world: &World) -> Vec<i64> {
    let stored = world.store.take_in_order();
    let times = stored.iter().filter(|line| line.contains(" m{"));
    times.map(|line| Timestamp(line.split(' ').next().unwrap().parse().unwrap()) - START).collect()
}

#[tokio::test(start_paused = true)]
async fn scraping_goes_on_whatever_the_clock_is_set_to() {
    let minute = 60_000;
    for step in [20, -20, 10 * minute, -10 * minute, 60 * minute, -60 * minute, 30 * 1440 * minute, -30 * 1440 * minute]
    {
        let mut world = World::new();
        world.serve("t", |_| page("m 1\n"));
        world.apply(&format!("{{{JOB}}}")).await;
        world.discover(&[("j", &[world.labels("t", &[])])]).await;
        world.scraped("t", SCRAPES).await;
        world.clock_set_ms.fetch_add(step, Ordering::Relaxed);
        world.scraped("t", 2 * SCRAPES).await;
        // And back.
        world.clock_set_ms.fetch_sub(step, Ordering::Relaxed);
        world.seconds(10.0 * SCRAPES as f64).await;
        let times = times(&world);
        assert_eq!(world.asked()["t"].len(), 3 * SCRAPES, "no scrape is skipped, none comes too soon: {step}");
        let between: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (there, back) = (between[SCRAPES - 1] - 10_000, between[2 * SCRAPES - 1] - 10_000);
        assert!((there - step).abs() <= 1 && (back + step).abs() <= 1, "{step}: {there}, {back}");
        assert_eq!(
            between.iter().filter(|between| **between == 10_000).count(),
            3 * SCRAPES - 3,
            "{step}: {between:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn targets_that_come_after_the_clock_was_set_are_scraped_within_their_interval() {
    for step in [3_600_000, -3_600_000] {
        let mut world = World::new();
        world.serve("t", |_| page("m 1\n"));
        world.apply(&format!("{{{JOB}}}")).await;
        world.clock_set_ms.fetch_add(step, Ordering::Relaxed);
        world.discover(&[("j", &[world.labels("t", &[])])]).await;
        world.scraped("t", 3).await;
        let times = times(&world);
        assert!(times.len() >= 2 && times.windows(2).all(|pair| pair[1] - pair[0] == 10_000), "{times:?}");
        assert!((step..step + 10_001).contains(&times[0]), "{times:?}");
    }
}
