//! `cargo xtask fuzz [TARGET] [SECONDS]`: `tests/fuzz` under libFuzzer. It needs no nightly compiler: coverage is a pass of
//! LLVM that stable Rust hands on, and the sanitizers, which are not, look for what safe Rust cannot do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{root, step};

const COVERAGE: &str = "-Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What is fuzzed, and where what breaks something is to be kept with the fix.
const TARGETS: [(&str, &str); 3] =
    [("exposition", "scraper/tests/corpus"), ("promql", "query/tests/data"), ("response", "http-client/tests/corpus")];

/// Builds the targets and runs one or all of them, each for so long, five minutes if nothing is said. What they find worth
/// keeping stays in the target folder; what breaks something is named at the end.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let named = |(name, _): &&(&str, &str)| args.first().is_some_and(|arg| arg == name);
    let (wanted, rest) = match TARGETS.iter().find(named) {
        Some(target) => (std::slice::from_ref(target), &args[1..]),
        None => (&TARGETS[..], args),
    };
    let seconds: u32 = rest
        .first()
        .map_or(Ok(300), |text| text.parse())
        .context("give exposition, promql, response or none, and SECONDS")?;
    let folder = root().join("tests/fuzz");
    // The versions are those of the workspace.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("fuzz");
    let host = host()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Named, the host's target keeps the flags away from build scripts.
    let mut build = Command::new(cargo);
    build.current_dir(&folder).args(["build", "--release", "--target", &host]);
    step("build", build.env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &target))?;
    for (name, kept) in wanted {
        let found = target.join(name);
        std::fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
        let mut start = root().join(kept);
        if *name == "promql" {
            start = target.join("queries");
            queries(&root().join(kept), &start)?;
        }
        let mut fuzz = Command::new(target.join(&host).join("release").join(name));
        fuzz.arg(format!("-max_total_time={seconds}")).args(["-max_len=4096", "-print_final_stats=1"]);
        fuzz.arg(format!("-artifact_prefix={}/{name}-", target.display())).arg(found).arg(start);
        step(&format!("fuzz {name}; what breaks it belongs into {kept} with the fix"), &mut fuzz)?;
    }
    Ok(())
}

/// The queries of our test scripts, a file each: where the search starts.
fn queries(scripts: &Path, into: &Path) -> Result<()> {
    std::fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
    let mut count = 0;
    for script in std::fs::read_dir(scripts).with_context(|| format!("cannot read {}", scripts.display()))? {
        let text = std::fs::read_to_string(script?.path())?;
        // `eval instant at 5m QUERY`, `eval range from 0 to 10m step 1m QUERY`
        let words = |line: &str| if line.starts_with("eval range") { 8 } else { 4 };
        for line in text.lines().filter(|line| line.starts_with("eval")) {
            let query: Vec<&str> = line.splitn(words(line) + 1, ' ').collect();
            std::fs::write(into.join(count.to_string()), query.last().unwrap_or(&line))?;
            count += 1;
        }
    }
    Ok(())
}

/// What this machine is called.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(host.to_owned())
}
