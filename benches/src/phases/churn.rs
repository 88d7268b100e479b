//! Pods come and go.

use anyhow::Result;
use serde_json::json;

use super::stage::{Counts, Stage, compare, settled};
use crate::options::BenchOptions;
use crate::report::Sheet;

pub(super) fn run(stage: &mut Stage, options: &BenchOptions, sheet: &mut Sheet) -> Result<()> {
    let before = settled(&stage.watch(options.interval.max(10).min(options.churn_for))?, 1);
    let (from, made_before) = (stage.counts()?, pods_made(stage)?);
    stage.ask_fleet(&format!("/churn?every={}", options.churn_every))?;
    let memory = stage.watch(options.churn_for)?;
    let to = stage.counts()?;
    stage.ask_fleet("/churn?every=0")?;
    let after = settled(&memory, 4);
    let made = pods_made(stage)? - made_before;
    sheet.put("memory before pod churn", "MB", before.resident / 1e6);
    sheet.put("memory after pod churn", "MB", after.resident / 1e6);
    sheet.put("memory after / before pod churn", "", after.resident / before.resident);
    let stored = to.stored - from.stored;
    let cpu = (to.cpu - from.cpu).as_secs_f64();
    sheet.put("CPU per stored sample in pod churn", "µs", (stored > 0.0).then(|| cpu * 1e6 / stored));
    // Each series of a pod that went ends with a stale marker, which the server counts as a sample.
    #[expect(clippy::cast_precision_loss, reason = "a number of series")]
    let markers = made * stage.series as f64 / stage.targets as f64;
    compare(stage, (from, Counts { served: to.served + markers, ..to }), "pod churn", sheet);
    sheet.details.insert(
        "churn",
        json!({
            "seconds": options.churn_for, "pods_replaced": made, "targets": stage.targets, "cpu_seconds": cpu, "stored": stored,
            "served": to.served - from.served,
            "resident_bytes": memory.iter().map(|memory| memory.resident).collect::<Vec<_>>(),
        }),
    );
    Ok(())
}

fn pods_made(stage: &Stage) -> Result<f64> {
    Ok(stage.ask_fleet("/counts")?["pods_made"].as_f64().unwrap_or_default())
}
