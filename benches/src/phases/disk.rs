//! Bytes on disk for each sample, once nothing is left to compact.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::stage::Stage;
use crate::options::BenchOptions;
use crate::report::Sheet;
use crate::servers::Kind;

/// Unchanged for so long is settled.
const STILL: Duration = Duration::from_secs(15);

/// Samples at rest and their bytes: values and times alone, and with the index.
#[derive(Debug, Default)]
struct AtRest {
    samples: f64,
    bytes: Option<f64>,
    with_index: Option<f64>,
    how: &'static str,
}

/// `before` is how many samples were stored before the last restart.
pub(super) fn run(stage: &mut Stage, options: &BenchOptions, before: f64, sheet: &mut Sheet) -> Result<()> {
    stage.pause()?;
    let stored = before + stage.server.kind.stored(stage.http)?;
    if stage.server.kind == Kind::VictoriaMetrics {
        stage.http.get("/internal/force_flush")?;
        stage.http.get("/internal/force_merge")?;
    }
    settle(stage, Duration::from_secs(options.settle))?;
    let whole = bytes(&stage.data);
    let rest = match stage.server.kind {
        Kind::Weft => weft(stage, stored)?,
        Kind::Prometheus => prometheus(stage)?,
        Kind::VictoriaMetrics => victoria_metrics(stage)?,
    };
    let each = |bytes: Option<f64>| bytes.filter(|_| rest.samples > 0.0).map(|bytes| bytes / rest.samples);
    sheet.put("disk: values and times at rest", "B/sample", each(rest.bytes));
    sheet.put("disk: with the index", "B/sample", each(rest.with_index));
    sheet.put("disk: whole data directory", "B/sample", whole / stored);
    sheet.details.insert(
        "disk",
        json!({
            "stored": stored, "whole_bytes": whole, "at_rest_samples": rest.samples, "at_rest_bytes": rest.bytes,
            "with_index_bytes": rest.with_index, "how": rest.how,
        }),
    );
    if rest.bytes.is_none() {
        sheet.note(format!("disk at rest: {}", rest.how));
    }
    Ok(())
}

fn settle(stage: &mut Stage, most: Duration) -> Result<()> {
    let begin = Instant::now();
    let mut last = (bytes(&stage.data), begin);
    while begin.elapsed() < most && last.1.elapsed() < STILL {
        stage.watch(1)?;
        let now = bytes(&stage.data);
        #[expect(clippy::float_cmp, reason = "a sum of block counts is exact")]
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    Ok(())
}

/// What the server says of its pages; until it says so, nothing.
/// Pages, counted by the server itself. A snapshot brings to the disk what was only in the log.
fn weft(stage: &Stage, stored: f64) -> Result<AtRest> {
    stage.http.post("/api/v1/admin/tsdb/snapshot")?;
    let answer: Value = serde_json::from_slice(&stage.http.get("/api/v1/status/tsdb")?.body).unwrap_or_default();
    let storage = &answer["data"]["storage"];
    let number = |name: &str| storage[name].as_f64();
    let Some(samples) = number("pageSamples").filter(|samples| *samples > 0.0) else {
        return Ok(AtRest { samples: stored, how: "weft has sealed nothing", ..AtRest::default() });
    };
    let pages = number("pageBytes");
    let with_index = pages.zip(number("indexBytes")).map(|(pages, index)| pages + index);
    Ok(AtRest { samples, bytes: pages, with_index, how: "pages, and them with the index, as the server counts them" })
}

/// Blocks, each of which says how many samples it has. Where none has been cut, a snapshot makes one of the head.
fn prometheus(stage: &Stage) -> Result<AtRest> {
    let cut = blocks(&stage.data)?;
    if cut.samples > 0.0 {
        return Ok(AtRest { how: "blocks: chunks/, and all of them with the index", ..cut });
    }
    let snapshot = stage.http.post("/api/v1/admin/tsdb/snapshot")?;
    let answer: Value = serde_json::from_slice(&snapshot.body).unwrap_or_default();
    let Some(name) = answer["data"]["name"].as_str() else {
        return Ok(AtRest { how: "no block was cut and no snapshot was made", ..AtRest::default() });
    };
    Ok(AtRest { how: "no block was cut: a snapshot of the head", ..blocks(&stage.data.join("snapshots").join(name))? })
}

fn blocks(folder: &Path) -> Result<AtRest> {
    let mut sum = AtRest { bytes: Some(0.0), with_index: Some(0.0), ..AtRest::default() };
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let Ok(meta) = fs::read(path.join("meta.json")) else { continue };
        let meta: Value = serde_json::from_slice(&meta).unwrap_or_default();
        let Some(samples) = meta["stats"]["numSamples"].as_f64() else { continue };
        sum.samples += samples;
        sum.bytes = sum.bytes.map(|all| all + bytes(&path.join("chunks")));
        sum.with_index = sum.with_index.map(|all| all + bytes(&path));
    }
    Ok(sum)
}

fn victoria_metrics(stage: &mut Stage) -> Result<AtRest> {
    stage.until(|stage| Ok(stage.http.metric("vm_active_merges", "type=\"storage/")?.unwrap_or_default() <= 0.0))?;
    let samples = stage.http.metric("vm_rows", "type=\"storage/")?.unwrap_or_default();
    let data = bytes(&stage.data.join("data"));
    let index = bytes(&stage.data.join("indexdb"));
    let how = "data/ after a forced merge, and with indexdb/";
    Ok(AtRest { samples, bytes: Some(data), with_index: Some(data + index), how })
}

/// Bytes taken on disk by all files below; what is deleted meanwhile takes none.
fn bytes(folder: &Path) -> f64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0.0 };
    let each = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes(&entry.path()),
        #[expect(clippy::cast_precision_loss, reason = "a file's size")]
        Ok(meta) => (meta.blocks() * 512) as f64,
        Err(_) => 0.0,
    });
    each.sum()
}
