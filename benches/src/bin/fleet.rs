//! Targets for a benchmark: any number of them, each on a loopback address of its own.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use benches::fleet::FleetOptions;
use benches::fleet::control::{Places, Running};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Serves targets from 127.10.0.1 on until standard input ends.
#[derive(Debug, Parser)]
#[command(name = "fleet")]
struct Flags {
    #[command(flatten)]
    fleet: FleetOptions,
    /// The port of all targets.
    #[arg(long, default_value_t = 9_700)]
    port: u16,
    /// The file to name the targets in, in the form of `file_sd_configs`.
    #[arg(long, default_value = "targets.json")]
    targets_file: PathBuf,
    /// Where counts are read and churn is switched: /counts, /served?from=MS&to=MS, /pause, /resume, /churn?every=S.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: String,
    /// Seconds in which every pod is replaced once; 0 is never.
    #[arg(long, default_value_t = 0.0)]
    churn_every: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let control =
        TcpListener::bind(&flags.control).await.with_context(|| format!("cannot listen on {}", flags.control))?;
    let places = Places { targets_file: flags.targets_file, port: flags.port };
    let mut running = Running::start(&flags.fleet, places).await?;
    running.churn(flags.churn_every);
    writeln!(std::io::stdout(), "control {}", control.local_addr()?)?;
    running.run(control, input_ends()).await
}

/// Comes when standard input ends. A thread of its own may wait for that longer than the program lasts.
fn input_ends() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
        sender.send(()).ok();
    });
    receiver
}
