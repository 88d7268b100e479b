//! Python's `prometheus-api-client`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::world::World;

const REQUIREMENTS: &str = include_str!("../../../pyclient/requirements.txt");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/client.py");

/// Where the client and what it needs is: `$WEFT_PYTHON_CLIENT`, else where `cargo xtask setup` puts it.
///
/// # Errors
/// When it is absent, or there is no Python.
pub fn modules() -> Result<PathBuf, String> {
    let version = REQUIREMENTS.lines().find_map(|line| line.strip_prefix("prometheus-api-client==")).unwrap();
    let name = format!("prometheus-api-client-{version}-{}", std::env::consts::ARCH);
    let given = std::env::var_os("WEFT_PYTHON_CLIENT").map(PathBuf::from);
    let folder = given.or_else(|| Some(kit::cache()?.join(&name))).filter(|folder| folder.exists());
    let folder = folder.ok_or_else(|| {
        format!("there is no {name} in the cache: `cargo xtask test` installs it, or set WEFT_PYTHON_CLIENT")
    })?;
    let python = Command::new("python3").arg("--version").output();
    python.map(|_| folder).map_err(|error| format!("python3: {error}"))
}

/// What the client gets from a server, by what it was asked for; with a further argument it also looks for the server's page.
pub fn run(modules: &Path, base: &str, world: &World, more: &[&str]) -> BTreeMap<String, Value> {
    let [start, end] = world.bounds();
    let output = Command::new("python3")
        .args([
            "-I",
            "-c",
            "import sys; sys.path.insert(0, sys.argv.pop(1)); import runpy; runpy.run_path(sys.argv.pop(1))",
        ])
        .arg(modules)
        .args([SCRIPT, base, &start.to_string(), &end.to_string()])
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{base}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{base}: {error}: {errors}"))
}
