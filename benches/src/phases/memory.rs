//! Memory at another number of series, on a server of its own.

use std::path::Path;

use anyhow::Result;

use super::ingest::short;
use super::stage::{Stage, settled};
use crate::fleet::FleetOptions;
use crate::options::BenchOptions;
use crate::report::Sheet;
use crate::servers::Server;

pub(super) fn run(server: &Server, options: &BenchOptions, places: (&Path, &Path), sheet: &mut Sheet) -> Result<()> {
    let fleet = FleetOptions { targets: options.memory_targets, ..options.fleet.clone() };
    let with = BenchOptions { interval: options.memory_interval, ..options.clone() };
    let mut stage = Stage::start(server, &fleet, &with, places)?;
    let memory = stage.watch(options.memory_for)?;
    let resident = settled(&memory, 3).resident;
    #[expect(clippy::cast_precision_loss, reason = "a number of series")]
    let series = stage.series as f64;
    sheet.put(format!("memory at {} series", short(stage.series)), "MB", resident / 1e6);
    sheet.put(format!("memory per series at {}", short(stage.series)), "B", resident / series);
    let cpu = stage.process.cpu()?.as_secs_f64() * 1e6 / stage.counts()?.stored;
    sheet.put(format!("CPU per sample at {}, first scrapes", short(stage.series)), "µs", cpu);
    if options.memory_kill {
        let what = format!(" at {}", short(stage.series));
        super::kill::run(&mut stage, &with, &what, sheet)?;
    }
    drop(stage);
    if !options.keep {
        std::fs::remove_dir_all(places.1)?;
    }
    Ok(())
}
