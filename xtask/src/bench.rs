//! `cargo xtask bench`: Weft side by side with the servers it is measured against.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{cache, cargo, root, setup, step};

/// VictoriaMetrics; setpriv, which lets nothing outlive the bench.
const PACKAGES: &[&str] = &["victoria-metrics", "util-linux"];

/// Builds the bench, Weft and, unless another binary is named, the peers; flags go to the bench.
pub(crate) fn run(flags: &[String]) -> Result<()> {
    if flags.iter().any(|flag| flag == "--help" || flag == "-h") {
        return help();
    }
    setup::packages(setup::BUILD)?;
    let rocksdb = cache::rocksdb()?;
    let mut args = Vec::new();
    if !names(flags, "prometheus") {
        setup::go()?;
        args.push(format!("--peer=prometheus={}", cache::prometheus()?.join("prometheus").display()));
    }
    if !names(flags, "victoria-metrics") {
        args.push(format!("--peer=victoria-metrics={}", victoria_metrics()?));
    }
    step("build Weft", &mut cargo(&rocksdb, &["build", "--release", "--bin", "weft"]))?;
    step("build the bench", &mut cargo(&rocksdb, &["build", "--release", "--package", "benches"]))?;
    let release = target().join("release");
    args.push(format!("--weft={}", release.join("weft").display()));
    step("bench", Command::new(release.join("bench")).current_dir(root()).args(args).args(flags))
}

/// Debian's, without the service that its package sets up.
fn victoria_metrics() -> Result<&'static str> {
    const BINARY: &str = "/usr/bin/victoria-metrics";
    let was_there = Path::new(BINARY).exists();
    setup::packages(PACKAGES)?;
    if !was_there {
        // Where there is no systemd there is no service either.
        Command::new("systemctl").args(["disable", "--now", "victoria-metrics"]).status().ok();
    }
    Ok(BINARY)
}

fn help() -> Result<()> {
    let mut help = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    help.current_dir(root()).args(["run", "--quiet", "--release", "--package", "benches", "--bin", "bench", "--"]);
    step("bench --help", help.arg("--help"))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Is another binary of this peer named, as `--peer NAME=PATH` or `--peer=NAME=PATH`?
fn names(flags: &[String], peer: &str) -> bool {
    flags.iter().any(|flag| {
        let value = flag.strip_prefix("--peer=").unwrap_or(flag);
        value.strip_prefix(peer).is_some_and(|rest| rest.starts_with('='))
    })
}
