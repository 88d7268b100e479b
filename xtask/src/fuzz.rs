//! `cargo xtask fuzz [SECONDS]`: `tests/fuzz` under libFuzzer. It needs no nightly compiler: coverage is a pass of LLVM that
//! stable Rust hands on, and the sanitizers, which are not, look for what safe Rust cannot do.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{root, step};

const COVERAGE: &str = "-Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds the target and runs it for so long, five minutes if nothing is said. What it finds worth keeping stays in the
/// target folder; what breaks something is named at the end, and belongs into `scraper/tests/corpus` with the fix.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let seconds: u32 = args.first().map_or(Ok(300), |text| text.parse()).context("SECONDS is a whole number")?;
    let folder = root().join("tests/fuzz");
    // The versions are those of the workspace.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("fuzz");
    let corpus = target.join("corpus");
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let host = host()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Named, the host's target keeps the flags away from build scripts.
    let mut build = Command::new(cargo);
    build.current_dir(&folder).args(["build", "--release", "--target", &host]);
    step("build", build.env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &target))?;
    let mut fuzz = Command::new(target.join(&host).join("release/exposition"));
    fuzz.arg(format!("-max_total_time={seconds}")).args(["-max_len=4096", "-print_final_stats=1"]);
    fuzz.arg(format!("-artifact_prefix={}/", target.display()));
    step("fuzz", fuzz.arg(corpus).arg(root().join("scraper/tests/corpus")))
}

/// What this machine is called.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(host.to_owned())
}
