//! kill -9 while it scrapes, and how long until it tells the truth again.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use model::Timestamp;
use serde_json::json;

use super::stage::{Stage, UPTIME};
use crate::clock::wait;
use crate::options::BenchOptions;
use crate::report::Sheet;

/// Between two questions.
const POLL: Duration = Duration::from_millis(10);
/// A server that answers, and not what it answered before, has lost it.
const LOST_AFTER: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(600);

/// When each answer was first there, from exec on.
#[derive(Debug, Default)]
struct Back {
    any: Option<Duration>,
    right: Option<Duration>,
    last: (f64, f64),
}

/// Returns how many samples the server counted before it was killed. `what` is added to the names of the lines.
pub(super) fn run(stage: &mut Stage, options: &BenchOptions, what: &str, sheet: &mut Sheet) -> Result<f64> {
    let window = options.kill_after.max(2 * options.interval);
    stage.watch(window)?;
    let counts = stage.counts()?;
    let killed = Timestamp::now();
    let asked_at = killed - 2_000;
    let expected = answer(stage, asked_at)?;
    stage.process.kill()?;
    let window_ms = i64::try_from(window)? * 1_000;
    let served = stage.ask_fleet(&format!("/served?from={}&to={killed}", killed - window_ms))?;
    let served = served["scrapes"].as_f64().unwrap_or_default();

    let begin = Instant::now();
    stage.restart()?;
    let back = poll(stage, begin, asked_at, expected)?;
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    sheet.put(format!("first answer after kill -9{what}"), "s", seconds(back.any));
    sheet.put(format!("correct answer after kill -9{what}"), "s", seconds(back.right));
    if back.right.is_none() {
        sheet.note(format!("after kill -9{what} it did not answer what it had answered 2 s before"));
    }
    let query = format!("sum(count_over_time({UPTIME}[{window}s]))");
    let kept = stage.http.number(&query, killed)?.unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let lost = (served - kept) * options.interval as f64 / stage.targets as f64;
    sheet.put(format!("scrapes lost by kill -9{what}"), "s", lost.max(0.0));
    sheet.details.insert(
        if what.is_empty() { "kill" } else { "kill_of_second_fleet" },
        json!({"expected": expected, "got": back.last, "served": served, "kept": kept, "window_seconds": window, "at_ms": killed.0}),
    );
    // It counts from nothing again, and the first sample must be there to be counted.
    stage.until(|stage| Ok(stage.server.kind.stored(stage.http).is_ok_and(|stored| stored > 0.0)))?;
    Ok(counts.stored)
}

/// How many targets there were, and the sum of their ages in whole seconds.
fn answer(stage: &Stage, at: Timestamp) -> Result<(f64, f64)> {
    let count = stage.http.number(&format!("count({UPTIME})"), at)?;
    let sum = stage.http.number(&format!("sum({UPTIME})"), at)?;
    Ok((count.unwrap_or_default(), sum.unwrap_or_default()))
}

fn poll(stage: &mut Stage, begin: Instant, at: Timestamp, expected: (f64, f64)) -> Result<Back> {
    let mut back = Back::default();
    loop {
        if let Ok(got) = answer(stage, at) {
            let now = begin.elapsed();
            back.last = got;
            if got.0 > 0.0 {
                back.any.get_or_insert(now);
            }
            if got == expected {
                back.right = Some(now);
                return Ok(back);
            }
            if back.any.is_some_and(|any| now > any + LOST_AFTER) {
                return Ok(back);
            }
        }
        stage.process.check()?;
        if begin.elapsed() > PATIENCE {
            bail!("no answer {PATIENCE:?} after kill -9");
        }
        wait(POLL);
    }
}
