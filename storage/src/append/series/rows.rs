//! Samples of open time, and few late ones: a row for each time of a source, as if it had been scraped then.

use model::sample::histogram_mark;
use model::{Committed, Histogram, Row, Scraped, Timestamp};

use super::group::Left;
use super::layouts::NamedGroup;
use crate::append::scrape;
use crate::components::Components;
use crate::deletes::settle::{any_masked, settle};
use crate::error::Error;
use crate::writer::window::Window;

/// One sample on its way into a row.
struct Cell<'g> {
    ts: Timestamp,
    column: u32,
    value: f64,
    histogram: Option<&'g Histogram>,
}

/// Writes what is left of a source, row by row.
pub(super) fn write(db: &Components, named: &NamedGroup, left: Left<'_>, window: Window) -> Result<Committed, Error> {
    let mut cells: Vec<Cell<'_>> = Vec::new();
    for (series, column, range) in left {
        let first = series.histograms.partition_point(|(at, _)| *at < range.start);
        let mut histograms = series.histograms[first..].iter().peekable();
        for i in range {
            let histogram = histograms.next_if(|(at, _)| *at == i).map(|(_, histogram)| *histogram);
            cells.push(Cell { ts: series.times[i], column, value: series.values[i], histogram });
        }
    }
    cells.sort_by_key(|cell| (cell.ts, cell.column));
    let mut committed = Committed::default();
    // One room for all rows: what is absent has no meaning.
    let columns = named.layout.metrics.len();
    let (mut values, mut present) = (vec![0.0; columns], vec![0u64; columns.div_ceil(64)]);
    for row in cells.chunk_by(|a, b| a.ts == b.ts) {
        let mut histograms = Vec::new();
        for cell in row {
            let column = cell.column as usize;
            values[column] = if cell.histogram.is_some() { histogram_mark() } else { cell.value };
            present[column / 64] |= 1 << (column % 64);
            histograms.extend(cell.histogram.map(|histogram| (cell.column, histogram.clone())));
        }
        let scraped = Row {
            source: named.source,
            ts: row[0].ts,
            layout: &named.layout,
            values: &values,
            present: &present,
            own_times: &[],
            histograms: &histograms,
        };
        committed += commit(db, &[scraped.into()], window)?;
        // Bit by bit: a layout may be far wider than what has a sample at one time.
        row.iter().for_each(|cell| present[cell.column as usize / 64] = 0);
    }
    Ok(committed)
}

fn commit(db: &Components, parts: &[Scraped<'_>], window: Window) -> Result<Committed, Error> {
    loop {
        let gate = db.open_gate()?;
        let incoming = scrape::incoming(db, parts);
        if !any_masked(db, &incoming) {
            return scrape::commit(db, parts, &|| window);
        }
        // A deletion came meanwhile: it is carried out without the gate, then everything is looked at again.
        drop(gate);
        settle(db, &incoming)?;
    }
}
