//! `cargo xtask demo`: a cluster on this machine, to look at (`deploy/demo`, `tests/e2e/src/bin/demo`).

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{cache, cargo, setup, step, target, ui};

/// What a network of its own is made with.
const PACKAGES: &[&str] = &["iproute2", "util-linux"];

/// Builds what it needs, and becomes it: Ctrl-C reaches it alone.
pub(crate) fn run(flags: &[String]) -> Result<()> {
    setup::packages(setup::BUILD)?;
    setup::packages(PACKAGES)?;
    setup::go()?;
    // Without Node.js everything but the page works.
    if let Err(error) = ui::build() {
        eprintln!("xtask: the web page is not built: {error:#}");
    }
    let (rocksdb, kube) = (cache::rocksdb()?, cache::kube()?);
    step("build", &mut cargo(&rocksdb, &["build", "--release", "--bin", "weft", "--bin", "demo"]))?;
    let error = Command::new(target().join("release/demo")).args(flags).env("WEFT_KUBE_BIN", kube).exec();
    bail!("cannot start the demo: {error}")
}
