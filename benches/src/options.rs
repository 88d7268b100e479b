//! The flags of `bench`, and the two sets of them that have names.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::fleet::FleetOptions;
use crate::servers::Kind;

/// The settings of `--full`: a million series each 15 s, a pod living 3 minutes, and a hundred thousand series beside it.
const FULL: &[&str] = &[
    "--targets=1000",
    "--interval=15",
    "--warmup=120",
    "--duration=780",
    "--churn-every=180",
    "--churn-for=1800",
    "--memory-targets=100",
    "--memory-interval=15",
    "--memory-for=300",
    "--kill-after=60",
    "--block-duration=",
    "--settle=300",
];
/// The settings of `--smoke`, which checks that every phase works.
const SMOKE: &[&str] = &[
    "--targets=10",
    "--series=200",
    "--warmup=1",
    "--duration=6",
    "--churn-every=5",
    "--churn-for=6",
    "--query-runs=3",
    "--kill-after=3",
    "--memory-targets=20",
    "--memory-interval=1",
    "--memory-for=2",
    "--block-duration=1m",
    "--settle=2",
];

/// Measures Weft beside Prometheus and VictoriaMetrics, one after another, on the same fleet.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", args_override_self = true)]
pub struct BenchOptions {
    /// Size and kind of the fleet.
    #[command(flatten)]
    pub fleet: FleetOptions,
    /// Seconds between two scrapes of a target.
    #[arg(long, default_value_t = 1)]
    pub interval: u64,
    /// Seconds of scraping before anything is measured.
    #[arg(long, default_value_t = 15)]
    pub warmup: u64,
    /// Seconds of scraping that are measured.
    #[arg(long, default_value_t = 90)]
    pub duration: u64,
    /// Seconds in which every pod is replaced once, in the phase of pod churn.
    #[arg(long, default_value_t = 20)]
    pub churn_every: u64,
    /// Seconds of pod churn; 0 leaves it out.
    #[arg(long, default_value_t = 60)]
    pub churn_for: u64,
    /// Seconds of scraping before kill -9, whose samples are counted afterwards.
    #[arg(long, default_value_t = 20)]
    pub kill_after: u64,
    /// Targets of the second fleet, on which only memory is measured; 0 leaves it out.
    #[arg(long, default_value_t = 1_000)]
    pub memory_targets: usize,
    /// Its interval in seconds.
    #[arg(long, default_value_t = 15)]
    pub memory_interval: u64,
    /// How many seconds it is scraped once every target has been.
    #[arg(long, default_value_t = 45)]
    pub memory_for: u64,
    /// Kill the server of the second fleet, too, before it ends.
    #[arg(long)]
    pub memory_kill: bool,
    /// Runs of each query; a third of them where one takes longer than a second.
    #[arg(long, default_value_t = 11)]
    pub query_runs: usize,
    /// `--storage.tsdb.min-block-duration` of Weft and Prometheus; empty for their defaults.
    #[arg(long, default_value = "2m")]
    pub block_duration: String,
    /// Seconds to wait at most for compaction before disk is measured.
    #[arg(long, default_value_t = 45)]
    pub settle: u64,
    /// A million series and half an hour of pod churn: about 70 minutes for each server.
    #[arg(long)]
    pub full: bool,
    /// Small and short: does everything work?
    #[arg(long)]
    pub smoke: bool,
    /// Only these servers: weft, prometheus, victoria-metrics.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Weft's binary.
    #[arg(long, default_value = "target/release/weft")]
    pub weft: PathBuf,
    /// Another binary of a peer: prometheus=PATH or victoria-metrics=PATH.
    #[arg(long = "peer", value_name = "NAME=PATH", value_parser = peer, action = clap::ArgAction::Append)]
    pub peers: Vec<(String, PathBuf)>,
    /// Where the results go.
    #[arg(long, default_value = "benches/results")]
    pub results: PathBuf,
    /// Where the servers' data goes meanwhile; a folder of the bench's own is made in it and removed.
    #[arg(long)]
    pub work: Option<PathBuf>,
    /// Leave the servers' data and logs there.
    #[arg(long)]
    pub keep: bool,
}

impl BenchOptions {
    /// Parses the command line; explicit flags override the settings of `--full` and `--smoke`.
    #[must_use]
    pub fn read(args: &[String]) -> Self {
        let flags = Self::parse_from(args);
        let preset: &[&str] = match (flags.full, flags.smoke) {
            (true, _) => FULL,
            (_, true) => SMOKE,
            _ => return flags,
        };
        let program = args.iter().take(1).cloned();
        Self::parse_from(
            program.chain(preset.iter().map(|flag| (*flag).to_owned())).chain(args.iter().skip(1).cloned()),
        )
    }

    /// Is this server measured?
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == kind.name())
    }

    /// The binary of a server; the last one named counts.
    ///
    /// # Errors
    /// When none is named.
    pub fn binary(&self, kind: Kind) -> Result<PathBuf> {
        if kind == Kind::Weft {
            return Ok(self.weft.clone());
        }
        let named = self.peers.iter().rev().find(|(name, _)| name == kind.name()).map(|(_, path)| path.clone());
        named
            .with_context(|| format!("name the binary with --peer {0}=PATH, or leave {0} out with --only", kind.name()))
    }
}

fn peer(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("it has the form NAME=PATH")?;
    let known = [Kind::Prometheus, Kind::VictoriaMetrics].iter().any(|kind| kind.name() == name);
    if known {
        Ok((name.to_owned(), path.into()))
    } else {
        Err("it is prometheus=PATH or victoria-metrics=PATH".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_set_they_stand_beside() {
        let args = ["bench", "--smoke", "--targets=7"].map(str::to_owned);
        let options = BenchOptions::read(&args);
        assert_eq!((options.fleet.targets, options.fleet.series), (7, 200));
        let options = BenchOptions::read(&["bench", "--full"].map(str::to_owned));
        assert_eq!((options.fleet.targets, options.block_duration.as_str()), (1_000, ""));
    }
}
