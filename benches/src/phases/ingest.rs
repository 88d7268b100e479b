//! Scraping, and nothing else.

use std::time::Duration;

use anyhow::Result;
use model::Timestamp;
use serde_json::json;

use super::stage::{Stage, compare, settled};
use crate::clock::wait;
use crate::options::BenchOptions;
use crate::queries::Span;
use crate::report::Sheet;

/// Measures CPU time for each stored sample and memory for each series; returns when that was.
pub(super) fn run(stage: &mut Stage, options: &BenchOptions, sheet: &mut Sheet) -> Result<Span> {
    wait(Duration::from_secs(options.warmup));
    let (before, from) = (stage.counts()?, Timestamp::now());
    let memory = stage.watch(options.duration)?;
    let (after, to) = (stage.counts()?, Timestamp::now());
    let (cpu, stored) = ((after.cpu - before.cpu).as_secs_f64(), after.stored - before.stored);
    let wall = (after.at - before.at).as_secs_f64();
    sheet.put("CPU per stored sample", "µs", (stored > 0.0).then(|| cpu * 1e6 / stored));
    sheet.put("CPU while scraping", "% of a core", cpu * 100.0 / wall);
    sheet.put("samples stored", "1/s", stored / wall);
    let settled = settled(&memory, 4);
    #[expect(clippy::cast_precision_loss, reason = "a number of series")]
    let series = stage.series as f64;
    sheet.put(format!("memory at {} series", short(stage.series)), "MB", settled.resident / 1e6);
    sheet.put(format!("memory per series at {}", short(stage.series)), "B", settled.resident / series);
    let peak = memory.iter().map(|memory| memory.resident).fold(0.0, f64::max);
    sheet.put("most memory while scraping", "MB", peak / 1e6);
    compare(stage, (before, after), "scraping", sheet);
    let fleet = (after.fleet_cpu - before.fleet_cpu).as_secs_f64() / wall * 100.0;
    let all = (after.machine_cpu - before.machine_cpu).as_secs_f64() / wall * 100.0;
    let others = (all - fleet - cpu / wall * 100.0).max(0.0);
    if others > 10.0 {
        sheet
            .note(format!("scraping: other programs used {others:.0} % of a core meanwhile (the fleet: {fleet:.0} %)"));
    }
    sheet.details.insert(
        "scraping",
        json!({
            "seconds": wall, "cpu_seconds": cpu, "stored": stored, "served": after.served - before.served,
            "fleet_cpu_percent": fleet, "others_cpu_percent": others, "anonymous_bytes": settled.anonymous,
            "resident_bytes": memory.iter().map(|memory| memory.resident).collect::<Vec<_>>(),
        }),
    );
    Ok(Span { from, to, interval: options.interval })
}

/// `100 k`, `1 M`.
pub(super) fn short(n: usize) -> String {
    match n {
        n if n >= 1_000_000 && n.is_multiple_of(100_000) => {
            format!("{}.{} M", n / 1_000_000, n / 100_000 % 10).replace(".0", "")
        }
        n if n >= 1_000 => format!("{} k", n / 1_000),
        n => n.to_string(),
    }
}
