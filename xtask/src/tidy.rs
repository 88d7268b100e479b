//! House rules: who may import whom, who owns a heavy dependency, one TLS backend (`docs/ARCHITECTURE.md`), licences, one version.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{book, circles, files, licences, pages, versions};

/// Crate, folder, and which of ours it may use (test-only dependencies included).
const MAY_USE: &[(&str, &str, &[&str])] = &[
    ("model", "model", &["kit"]),
    ("config", "config", &["model", "kit"]),
    ("http-client", "http-client", &["model", "config", "kit"]),
    ("kube-watch", "kube-watch", &["model", "config", "http-client", "kit"]),
    ("discovery", "discovery", &["model", "config", "http-client", "kube-watch", "kit"]),
    ("operator", "operator", &["model", "config", "kube-watch", "kit"]),
    ("scraper", "scraper", &["model", "config", "http-client", "kit"]),
    ("storage", "storage", &["model", "kit"]),
    ("query", "query", &["model", "kit"]),
    ("rules", "rules", &["model", "config", "http-client", "query", "kit"]),
    ("blocks", "blocks", &["model", "kit"]),
    ("remote", "remote", &["model", "config", "http-client", "blocks", "kit"]),
    (
        "tool",
        "tool",
        &[
            "model",
            "config",
            "http-client",
            "discovery",
            "operator",
            "scraper",
            "storage",
            "query",
            "rules",
            "blocks",
            "remote",
            "kit",
        ],
    ),
    (
        "server",
        "server",
        &[
            "model",
            "config",
            "http-client",
            "kube-watch",
            "discovery",
            "operator",
            "scraper",
            "storage",
            "query",
            "rules",
            "blocks",
            "remote",
            "tool",
            "kit",
        ],
    ),
    ("benches", "benches", &["model", "blocks", "storage", "query", "rules"]),
    ("kit", "tests/kit", &["model"]),
    ("e2e", "tests/e2e", &["kit"]),
    ("xtask", "xtask", &[]),
];

/// Crates of tests, which may use anything.
const TESTS: &[&str] = &["kit", "e2e"];

/// A dependency that only these may name.
const OWNERS: &[(&str, &[&str])] = &[
    ("rocksdb", &["storage"]),
    ("promql-parser", &["query"]),
    ("kube", &["kube-watch"]),
    ("k8s-openapi", &["kube-watch"]),
    ("hickory-resolver", &["http-client"]),
    ("reqwest", &["http-client"]),
    ("hyper", &["http-client"]),
    ("axum", &["server"]),
    ("prost", &["remote"]),
    ("snap", &["blocks", "remote"]),
    ("prometheus-parse", &["scraper", "benches"]),
];

/// Crates that do without an async runtime.
const SYNCHRONOUS: &[&str] = &["model", "config", "blocks", "storage", "query"];

/// TLS is rustls with AWS-LC, in the whole tree (decision 0024).
const BANNED: &[&str] = &["openssl", "openssl-sys", "native-tls", "serde_yaml", "serde_yml"];

/// Pages whose paths must lead somewhere.
const PAGES: [&str; 2] = ["docs/ARCHITECTURE.md", "docs/glossary.md"];

/// Source files longer than this want to be split; tests are not counted.
const FILE_LINES_MAX: usize = 500;

pub(crate) fn check(root: &Path) -> Result<()> {
    let mut faults = Vec::new();
    for (name, folder, may_use) in MAY_USE {
        let path = root.join(folder).join("Cargo.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for dependency in dependencies(&text) {
            let ours = MAY_USE.iter().any(|(other, ..)| *other == dependency);
            if ours && !may_use.contains(&dependency) {
                faults.push(format!("{name} must not use {dependency} (docs/ARCHITECTURE.md, who may import whom)"));
            }
            if let Some((_, owners)) = OWNERS.iter().find(|(owned, _)| *owned == dependency)
                && !owners.contains(name)
                && !TESTS.contains(name)
            {
                faults.push(format!("{name} must not use {dependency}: it belongs to {}", owners.join(" and ")));
            }
            if dependency == "tokio" && SYNCHRONOUS.contains(name) {
                faults.push(format!("{name} is synchronous and must not use tokio"));
            }
        }
        lengths(&root.join(folder).join("src"), &mut faults)?;
        circles::check(name, &root.join(folder).join("src"), &mut faults)?;
    }
    // What only might be asked for stands in Cargo.lock all the same: ring does, and is not built.
    let workspace = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    if workspace.contains("\"ring\"") || dependencies(&workspace).any(|name| name == "ring") {
        faults.push("ring is a second provider of TLS beside AWS-LC (decision 0024)".to_owned());
    }
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    for banned in BANNED {
        if lock.lines().any(|line| line == format!("name = \"{banned}\"")) {
            faults.push(format!("{banned} is in Cargo.lock; `cargo tree -i {banned}` says who brings it"));
        }
    }
    named_paths(root, &mut faults)?;
    pages::check(root, &mut faults)?;
    book::check(root, &mut faults)?;
    licences::check(root, &mut faults)?;
    versions::check(root, &mut faults)?;
    if !faults.is_empty() {
        bail!("tidy:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

/// The names in the dependency tables of a Cargo.toml of this workspace, where each stands on a line of its own.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            return None;
        }
        let name = line.split(['.', '=', ' ']).next()?;
        (inside && !name.is_empty() && !name.starts_with('#')).then_some(name)
    })
}

fn lengths(folder: &Path, faults: &mut Vec<String>) -> Result<()> {
    for path in files::below(folder, "rs")? {
        if path.file_stem().is_none_or(|stem| stem == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{} has {lines} lines without tests; split it ({FILE_LINES_MAX})", path.display()));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{} does not open with a line that says what it is", path.display()));
        }
    }
    Ok(())
}

/// Files and folders that a page names in backticks, from the root of the workspace, must be there.
fn named_paths(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    for page in PAGES {
        let text = fs::read_to_string(root.join(page)).with_context(|| format!("cannot read {page}"))?;
        let quoted = text.split('`').skip(1).step_by(2);
        let paths = quoted.filter(|quoted| quoted.contains("/src/") || quoted.starts_with("docs/"));
        for path in paths.filter(|path| !path.ends_with('…') && !root.join(path).exists()) {
            faults.push(format!("{page} names {path}, which is not there"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependency_tables_are_read() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nmodel.workspace = true\ntokio = { workspace = true }\n\n[dev-dependencies]\nserde_json.workspace = true\n[lints]\nworkspace = true\n";
        assert_eq!(dependencies(manifest).collect::<Vec<_>>(), ["model", "tokio", "serde_json"]);
    }
}
