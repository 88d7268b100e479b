//! The tests of the web page (`ui/e2e/`), which drive a real browser against servers that a test here has started.

use std::path::{Path, PathBuf};
use std::process::Command;

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui")
}

/// Why the browser cannot be had.
#[must_use]
pub fn missing() -> Option<&'static str> {
    let runs =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !ui().join("dist/page/index.html").exists() || !ui().join("node_modules").exists() {
        return Some("the web page is not built: cargo xtask ui");
    }
    if !runs("node") {
        return Some("Node.js is missing");
    }
    let chromium = std::env::var("WEFT_CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    (!runs(&chromium)).then_some("chromium is missing")
}

/// Runs the tests of a script of `ui/package.json`, which are told where the servers are.
///
/// # Panics
/// When they fail, or cannot be run.
pub fn run(script: &str, servers: &[(&str, &str)]) {
    let status = Command::new("npm")
        .args(["run", "--silent", script])
        .current_dir(ui())
        .envs(servers.iter().copied())
        .status()
        .unwrap();
    assert!(status.success(), "the tests in ui/e2e failed; what they said stands above");
}
