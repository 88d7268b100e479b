//! Questions, while nothing is scraped: the CPU time is then the queries' own.

use anyhow::Result;
use serde_json::{Value, json};

use super::stage::{Stage, settled};
use crate::options::BenchOptions;
use crate::queries::{self, Span};
use crate::report::Sheet;

/// Seconds over which memory is looked at, before the first query and after the last.
const MEMORY_FOR: u64 = 3;

pub(super) fn run(stage: &mut Stage, options: &BenchOptions, scraped: Span, sheet: &mut Sheet) -> Result<()> {
    stage.pause()?;
    // The last scrapes may have been read but not stored: ask for a time before them.
    let span = Span { to: scraped.to - 2_000, ..scraped };
    let pod = stage.some_pod(span.to)?;
    let before = settled(&stage.watch(MEMORY_FOR)?, 1).resident;
    let mut all = serde_json::Map::new();
    for query in queries::list(span, &pod) {
        let timing = queries::time(&query, options.query_runs, stage.http, &stage.process)?;
        let ok = timing.answer.is_ok();
        let milliseconds = |time: std::time::Duration| ok.then_some(time.as_secs_f64() * 1e3);
        sheet.put(query.name, "ms", milliseconds(timing.median));
        sheet.put(format!("{} (CPU)", query.name), "ms", milliseconds(timing.cpu));
        if let Err(error) = &timing.answer {
            sheet.note(format!("{}: {error}", query.name));
        }
        all.insert(query.name.to_owned(), timing.json(&query));
    }
    let after = settled(&stage.watch(MEMORY_FOR)?, 1).resident;
    sheet.put("memory before the queries", "MB", before / 1e6);
    sheet.put("memory after the queries", "MB", after / 1e6);
    sheet.put("memory after / before the queries", "", after / before);
    sheet.details.insert("queries", Value::Object(all));
    sheet.details.insert("queried", json!({"from_ms": span.from.0, "to_ms": span.to.0}));
    stage.resume()
}
