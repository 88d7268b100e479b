//! Runs the servers one after another on the same fleet and prints what was measured.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use benches::options::BenchOptions;
use benches::report::{self, Sheet};
use benches::servers::{Kind, Server};
use benches::{machine, phases};
use model::Timestamp;
use serde_json::json;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let options = BenchOptions::read(&args);
    let fleet = std::env::current_exe()?.with_file_name("fleet");
    let mut servers = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| options.wants(*kind)) {
        servers.push(Server::find(kind, &options.binary(kind)?)?);
    }
    if servers.is_empty() {
        bail!("--only names no server: it takes weft, prometheus and victoria-metrics");
    }
    let started = Timestamp::now();
    let work =
        options.work.clone().unwrap_or_else(std::env::temp_dir).join(format!("weft-bench-{}", std::process::id()));
    let machine = machine::describe();
    let (mut sheets, failed) = all(&servers, &options, &fleet, &work)?;
    if !options.keep {
        std::fs::remove_dir_all(&work).ok();
    }
    report::mismatches(&mut sheets);
    let run = json!({
        "arguments": args, "started_ms": started.0, "seconds": (Timestamp::now() - started) / 1_000, "machine": machine,
        "load_at_end": machine::load(), "options": format!("{options:?}"),
    });
    let (here, home) = (std::env::current_dir()?, std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default());
    let mut places = vec![(work.as_path(), "WORK"), (here.as_path(), ".")];
    if home.components().count() > 1 {
        places.push((&home, "~"));
    }
    let path = report::save(&options.results, started, &places, (&run, &sheets))?;
    let mut out = std::io::stdout().lock();
    write!(out, "\n{}\n", report::table(&sheets))?;
    writeln!(out, "{}", path.display())?;
    if failed { bail!("not everything was measured; the notes below the table say why") } else { Ok(()) }
}

/// A server that fails does not take the others' numbers with it.
fn all(servers: &[Server], options: &BenchOptions, fleet: &Path, work: &Path) -> Result<(Vec<Sheet>, bool)> {
    let (mut sheets, mut failed) = (Vec::new(), false);
    for server in servers {
        writeln!(std::io::stdout(), "== {} {}", server.kind.name(), server.version)?;
        let mut sheet = Sheet::new(server.clone());
        if let Err(error) = phases::run(options, (fleet, work), &mut sheet) {
            writeln!(std::io::stdout(), "{}: {error:#}", server.kind.name())?;
            sheet.note(format!("given up: {error:#}"));
            failed = true;
        }
        sheets.push(sheet);
    }
    Ok((sheets, failed))
}
