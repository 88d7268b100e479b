//! What was measured: a sheet for each server, one table and one JSON of all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use model::Timestamp;
use serde_json::{Value, json};

use crate::servers::{Binaries, Kind, Server};

/// One number.
#[derive(Clone, Debug)]
pub struct Row {
    /// What of.
    pub what: String,
    /// In what.
    pub unit: &'static str,
    /// The number; nothing where it could not be had.
    pub value: Option<f64>,
}

/// All that was measured of one server.
#[derive(Debug)]
pub struct Sheet {
    /// Which.
    pub server: Server,
    /// In the order in which they were measured.
    pub rows: Vec<Row>,
    /// What a reader must know of them.
    pub notes: Vec<String>,
    /// Everything else, for the JSON.
    pub details: BTreeMap<&'static str, Value>,
}

/// Measures Weft and, if there is its binary, Prometheus, one after another and each in a folder of its own that is removed at the
/// end. `what` names the folders.
///
/// # Errors
/// When a binary does not run, or `measure` fails.
pub fn side_by_side(
    what: &str,
    Binaries { weft, prometheus }: &Binaries,
    mut measure: impl FnMut(&Path, &mut Sheet) -> Result<()>,
) -> Result<Vec<Sheet>> {
    let mut sheets = Vec::new();
    let binaries = [(Kind::Weft, Some(weft)), (Kind::Prometheus, prometheus.as_ref())];
    for (kind, binary) in binaries.into_iter().filter_map(|(kind, binary)| Some((kind, binary?))) {
        let mut sheet = Sheet::new(Server::find(kind, binary)?);
        writeln!(std::io::stdout(), "== {} {}", kind.name(), sheet.server.version)?;
        let folder = std::env::temp_dir().join(format!("weft-{what}-{}-{}", std::process::id(), kind.name()));
        let measured = measure(&folder, &mut sheet);
        std::fs::remove_dir_all(&folder).ok();
        measured?;
        sheets.push(sheet);
    }
    Ok(sheets)
}

impl Sheet {
    /// An empty one.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server, rows: Vec::new(), notes: Vec::new(), details: BTreeMap::new() }
    }

    /// Adds a number.
    pub fn put(&mut self, what: impl Into<String>, unit: &'static str, value: impl Into<Option<f64>>) {
        self.rows.push(Row { what: what.into(), unit, value: value.into() });
    }

    /// Adds a remark.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn value(&self, what: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.what == what)?.value
    }
}

/// One line a number, one column a server, and the first one's part of each other: below 1 is less, which is better.
#[must_use]
pub fn table(sheets: &[Sheet]) -> String {
    let mut out = String::new();
    let Some((first, others)) = sheets.split_first() else { return out };
    let mut heads = vec![format!("{} {}", first.server.kind.name(), first.server.version)];
    heads.extend(others.iter().map(|sheet| format!("{} {}", sheet.server.kind.name(), sheet.server.version)));
    heads.extend(others.iter().map(|sheet| format!("{} / {}", first.server.kind.name(), sheet.server.kind.name())));
    let mut lines = vec![heads];
    let mut labels = vec![String::new()];
    let mut seen: Vec<&Row> = Vec::new();
    for row in sheets.iter().flat_map(|sheet| &sheet.rows) {
        if !seen.iter().any(|other| other.what == row.what) {
            seen.push(row);
        }
    }
    for row in seen {
        labels.push(format!("{}, {}", row.what, row.unit));
        let values: Vec<Option<f64>> = sheets.iter().map(|sheet| sheet.value(&row.what)).collect();
        let mut cells: Vec<String> = values.iter().map(|value| value.map_or("-".to_owned(), number)).collect();
        cells.extend(values.iter().skip(1).map(|other| match (values[0], other) {
            (Some(ours), Some(theirs)) if *theirs > 0.0 => format!("{:.2}", ours / theirs),
            _ => "-".to_owned(),
        }));
        lines.push(cells);
    }
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let label_width = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default();
    for (label, line) in labels.iter().zip(&lines) {
        // Writing to a String cannot fail.
        write!(out, "{label:label_width$}").ok();
        for (cell, width) in line.iter().zip(&widths) {
            write!(out, "  {cell:>width$}").ok();
        }
        out.push('\n');
    }
    for sheet in sheets {
        for note in &sheet.notes {
            writeln!(out, "{}: {note}", sheet.server.kind.name()).ok();
        }
    }
    out
}

/// Remarks where the servers' answers to a query have different numbers of series.
pub fn mismatches(sheets: &mut [Sheet]) {
    let Some((first, others)) = sheets.split_first_mut() else { return };
    let series = |sheet: &Sheet, name: &str| sheet.details.get("queries").and_then(|all| all[name]["series"].as_u64());
    let names: Vec<String> = match first.details.get("queries").and_then(Value::as_object) {
        Some(queries) => queries.keys().cloned().collect(),
        None => return,
    };
    for name in names {
        let Some(ours) = series(first, &name) else { continue };
        for other in &mut *others {
            if let Some(theirs) = series(other, &name).filter(|theirs| *theirs != ours) {
                other.note(format!("{name}: {theirs} in the answer, {ours} in that of {}", first.server.kind.name()));
            }
        }
    }
}

/// Three figures are as many as such a measurement has.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

/// Writes the JSON of a run under a name that no other run has. `places` are folders of this machine and what is written
/// for them.
///
/// # Errors
/// When it cannot be written.
pub fn save(
    folder: &Path,
    at: Timestamp,
    places: &[(&Path, &str)],
    (run, sheets): (&Value, &[Sheet]),
) -> Result<PathBuf> {
    let servers: Vec<Value> = sheets.iter().map(|sheet| {
        json!({
            "name": sheet.server.kind.name(),
            "version": sheet.server.version,
            "rows": sheet.rows.iter().map(|row| json!({"what": row.what, "unit": row.unit, "value": row.value})).collect::<Vec<_>>(),
            "notes": sheet.notes,
            "details": sheet.details,
        })
    }).collect();
    let all = json!({"run": run, "servers": servers, "table": table(sheets).lines().collect::<Vec<_>>()});
    let path = folder.join(format!("{}.json", stamp(at)));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut text = serde_json::to_string_pretty(&all)?;
    for (place, name) in places {
        text = text.replace(&place.display().to_string(), name);
    }
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// `20261121T071013Z`.
#[must_use]
pub fn stamp(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}
