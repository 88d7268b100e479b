//! `cargo xtask torture [MINUTES]`: the tests that let everything go wrong at once, for as long as is wanted, on a release build.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cargo, root, setup, step};

/// Package and test: damaged files; clients, queries, clocks and kills; targets.
const CAMPAIGNS: [(&str, &str); 3] = [("storage", "torture"), ("e2e", "torture"), ("e2e", "hostile_targets")];

/// Runs each campaign for its share of the time, ten minutes in all if nothing is said.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let minutes: u64 = args.first().map_or(Ok(10), |text| text.parse()).context("give a whole number of MINUTES")?;
    let seconds = (minutes * 60 / CAMPAIGNS.len() as u64).max(10);
    let (rocksdb, ..) = setup()?;
    step("build", &mut cargo(&rocksdb, &["build", "--release", "--bin", "weft"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    for (package, test) in CAMPAIGNS {
        let args = ["test", "--release", "--package", package, "--test", test, "--", "--nocapture"];
        let mut campaign: Command = cargo(&rocksdb, &args);
        campaign.env("WEFT_TORTURE_SECONDS", seconds.to_string()).env("WEFT_BIN", target.join("release/weft"));
        step(&format!("{package}: {test}, {seconds} s"), &mut campaign)?;
    }
    Ok(())
}
