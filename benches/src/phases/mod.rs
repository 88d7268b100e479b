//! What is done to a server: scraped, asked, churned, killed, left alone and weighed.

mod churn;
mod disk;
mod ingest;
mod kill;
mod memory;
mod query;
pub mod stage;

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use model::Timestamp;
use serde_json::json;

use crate::machine;
use crate::options::BenchOptions;
use crate::report::Sheet;
use stage::Stage;

/// All phases, on one server. What was measured before an error is kept.
///
/// # Errors
/// When the fleet or the server does not start, or ends by itself.
pub fn run(options: &BenchOptions, (fleet, work): (&Path, &Path), sheet: &mut Sheet) -> Result<()> {
    let server = &sheet.server.clone();
    let folder = work.join(server.kind.name());
    let load = machine::load();
    let mut stage = Stage::start(server, &options.fleet, options, (fleet, &folder))?;
    sheet.details.insert("command", json!(stage.command()));
    sheet.details.insert("config", json!(std::fs::read_to_string(folder.join("prometheus.yml"))?));
    sheet.details.insert("load_before", json!(load));
    say("scraping")?;
    let scraped = ingest::run(&mut stage, options, sheet)?;
    say("queries")?;
    query::run(&mut stage, options, scraped, sheet)?;
    if options.churn_for > 0 {
        say("pod churn")?;
        churn::run(&mut stage, options, sheet)?;
    }
    say("kill -9")?;
    let stored = kill::run(&mut stage, options, "", sheet)?;
    say("disk")?;
    disk::run(&mut stage, options, stored, sheet)?;
    drop(stage);
    if !options.keep {
        std::fs::remove_dir_all(&folder)?;
    }
    if options.memory_targets > 0 {
        let folder = work.join(format!("{}-memory", server.kind.name()));
        say("memory")?;
        memory::run(server, options, (fleet, &folder), sheet)?;
    }
    Ok(())
}

/// Which phase begins, and when.
fn say(phase: &str) -> Result<()> {
    let at = jiff::Timestamp::from_millisecond(Timestamp::now().0).unwrap_or_default();
    Ok(writeln!(std::io::stdout(), "   {} {phase}", at.strftime("%H:%M:%S"))?)
}
