//! What `promtool size` prints: a table, or JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::size::formula::Load;
use crate::table::Columns;

const COLUMNS: Columns = Columns { min: 0, padding: 2, pad_last: false };

/// Prints a table for people.
pub(crate) fn table(load: &Load, out: &mut dyn Write) -> io::Result<()> {
    let (memory, cpu, disk) = (load.memory(), load.cpu(), load.disk());
    let retention = model::duration::format_duration_ms((load.retention_seconds * 1000.0) as i64);
    let made_of = format!(
        "{} idle, {} targets, {} series, {} rules, {} pods",
        of_bytes(memory.idle),
        of_bytes(memory.targets),
        of_bytes(memory.series),
        of_bytes(memory.rules),
        of_bytes(memory.pods)
    );
    let rows = [
        ["", "", "MADE OF"].map(str::to_owned),
        [
            "samples a second".to_owned(),
            format!("{:.0}", load.samples_per_second()),
            format!("{} series of {} targets", load.series, load.targets),
        ],
        ["memory, scraping".to_owned(), of_bytes(memory.scraping()), made_of],
        [
            "memory, with dashboards".to_owned(),
            of_bytes(memory.with_dashboards()),
            format!("{} more", of_bytes(memory.dashboards)),
        ],
        ["memory request".to_owned(), mebibytes(memory.request()), "the latter, in steps of 16Mi".to_owned()],
        ["memory limit".to_owned(), mebibytes(memory.limit()), "twice, 256Mi at least".to_owned()],
        [
            "CPU, on average".to_owned(),
            format!("{:.3} cores", cpu.all()),
            format!("{:.3} scraping, {:.3} new series, {:.3} rules", cpu.scraping, cpu.new_series, cpu.rules),
        ],
        ["CPU request".to_owned(), format!("{:.0}m", cpu.request() * 1000.0), "twice".to_owned()],
        ["disk, a day".to_owned(), of_bytes(disk.per_day), format!("{:.2} B a sample", bytes_per_sample(load))],
        [
            format!("disk, after {retention}"),
            of_bytes(disk.all()),
            format!(
                "{} samples, {} index, {} newest hour and log",
                of_bytes(disk.pages),
                of_bytes(disk.index),
                of_bytes(disk.recent)
            ),
        ],
        ["volume".to_owned(), gibibytes(disk.volume()), "a fifth of it free".to_owned()],
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    COLUMNS.print(&rows, out)
}

/// Prints one object for programs: bytes and cores.
pub(crate) fn json(load: &Load, out: &mut dyn Write) -> io::Result<()> {
    let (memory, cpu, disk) = (load.memory(), load.cpu(), load.disk());
    let value = json!({
        "samplesPerSecond": load.samples_per_second(),
        "memory": {
            "scrapingBytes": whole(memory.scraping()),
            "withDashboardsBytes": whole(memory.with_dashboards()),
            "requestBytes": whole(memory.request()),
            "limitBytes": whole(memory.limit()),
        },
        "cpu": {"cores": cpu.all(), "requestCores": cpu.request()},
        "disk": {
            "bytesPerSample": bytes_per_sample(load),
            "bytesPerDay": whole(disk.per_day),
            "expectedBytes": whole(disk.all()),
            "volumeBytes": whole(disk.volume()),
        },
    });
    writeln!(out, "{value:#}")
}

/// What a sample takes once it is in pages, with its part of the index.
fn bytes_per_sample(load: &Load) -> f64 {
    let samples = load.samples_per_second() * load.retention_seconds;
    let disk = load.disk();
    if samples > 0.0 { (disk.pages + disk.index) / samples } else { 0.0 }
}

fn whole(bytes: f64) -> Value {
    json!(bytes.round() as u64)
}

/// As people read them: `85 MB`, `32.9 GB`.
fn of_bytes(bytes: f64) -> String {
    if bytes < 9_999.5e6 { format!("{:.0} MB", bytes / 1e6) } else { format!("{:.1} GB", bytes / 1e9) }
}

/// As quantities of Kubernetes.
fn mebibytes(bytes: f64) -> String {
    format!("{:.0}Mi", bytes / f64::from(1 << 20))
}

fn gibibytes(bytes: f64) -> String {
    format!("{:.0}Gi", bytes / f64::from(1 << 30))
}
