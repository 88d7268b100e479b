//! The web page: `npm` with its lock file, from Node.js of the machine or of Debian.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{root, setup, step};

/// The oldest Node.js that the build runs on: that of Debian 12.
const NODE_MAJOR_MIN: u32 = 18;
/// What is in `ui/` and is not written by people.
const MADE: &[&str] = &["node_modules", "dist", "schema.d.ts"];

/// Builds the page, unless nothing has changed since it was built.
pub(crate) fn build() -> Result<()> {
    let (folder, stamp) = (folder(), folder().join("dist/.built"));
    let now = hash(&folder)?;
    if fs::read_to_string(&stamp).is_ok_and(|built| built == now) && folder.join("dist/page/index.html").exists() {
        return Ok(());
    }
    install()?;
    step("build the web page", &mut npm(&["run", "--silent", "build"]))?;
    fs::write(&stamp, now).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Types, and tests of components. Those in a browser are `tests/e2e/tests/ui.rs`.
pub(crate) fn check() -> Result<()> {
    install()?;
    step("types of the web page", &mut npm(&["run", "--silent", "check"]))?;
    step("tests of the web page", &mut npm(&["test", "--silent"]))
}

/// Has Node.js and the packages of the lock file.
fn install() -> Result<()> {
    node()?;
    let folder = folder();
    let lock = fs::read_to_string(folder.join("package-lock.json")).context("cannot read ui/package-lock.json")?;
    let stamp = folder.join("node_modules/.lock");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    // No package needs to run anything to be installed.
    step(
        "packages of the web page",
        &mut npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]),
    )?;
    fs::write(&stamp, lock).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Node.js and npm: of the machine, else of Debian.
fn node() -> Result<()> {
    if version("node").is_none() || version("npm").is_none() {
        setup::packages(&["nodejs", "npm"])?;
    }
    let node = version("node").context("Node.js is missing: the web page is built with it")?;
    let major = node.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR_MIN) {
        bail!("Node.js {node} is too old to build the web page: {NODE_MAJOR_MIN} or newer is needed");
    }
    Ok(())
}

fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn npm(args: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder()).args(args);
    command
}

fn folder() -> PathBuf {
    root().join("ui")
}

/// Of every file below `ui/` that people write.
fn hash(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if MADE.iter().any(|made| path.ends_with(made)) {
            continue;
        }
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_changes_the_hash_and_what_is_built_does_not() {
        let folder = std::env::temp_dir().join(format!("weft-ui-hash-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&folder)).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write("src/a.ts", "1");
        let first = hash(&folder).expect("a hash");
        write("dist/page/a.js", "1");
        write("node_modules/a/a.js", "1");
        write("src/api/schema.d.ts", "1");
        let built = hash(&folder).expect("a hash");
        write("src/a.ts", "2");
        let changed = hash(&folder).expect("a hash");
        fs::remove_dir_all(&folder).expect("it is there");
        assert_eq!(first, built);
        assert_ne!(first, changed);
    }
}
