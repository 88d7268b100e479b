//! What Weft is made of: the crates of Cargo.lock as cargo resolves them, and the packages of `ui/package-lock.json` that are in the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::digest::hex;

/// Where crates come from.
pub(crate) const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The binary's package.
const SERVER: &str = "server";

/// A crate or an npm package.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// By which the others name it, <https://github.com/package-url/purl-spec>.
    pub(crate) purl: String,
    /// An SPDX expression.
    pub(crate) licence: Option<String>,
    /// The algorithm, in CycloneDX' words, and the digest of its archive.
    pub(crate) digest: Option<(&'static str, String)>,
    /// Where cargo found it; nothing for our own.
    pub(crate) source: Option<String>,
    pub(crate) repository: Option<String>,
    /// What it needs while it runs, by purl.
    pub(crate) needs: BTreeSet<String>,
}

/// All crates of the workspace for Linux, tests and build scripts included.
pub(crate) fn all_crates(root: &Path) -> Result<Vec<Package>> {
    let metadata = metadata(root)?;
    let packages = list(&metadata["packages"])?;
    Ok(packages.iter().map(|package| of_cargo(package, &BTreeMap::new())).collect())
}

/// The binary's own package, and all crates that are in it.
pub(crate) fn of_binary(root: &Path) -> Result<(Package, Vec<Package>)> {
    let checksums = checksums(&fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?);
    linked(&metadata(root)?, &checksums, &built(root)?)
}

/// Name and version of all crates that cargo links into the binary: `cargo metadata` also has those that a feature would bring which is off.
fn built(root: &Path) -> Result<BTreeSet<(String, String)>> {
    let edges = ["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"];
    let said = cargo(root, &[&["tree", "--locked", "--package", SERVER][..], &edges].concat())?;
    Ok(parse_tree(&String::from_utf8_lossy(&said)))
}

/// Of lines such as `serde v1.0.229` or `model v0.1.0 (/src/model) (*)`.
fn parse_tree(said: &str) -> BTreeSet<(String, String)> {
    let parse = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    said.lines().filter_map(parse).collect()
}

fn cargo(root: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo.current_dir(root).args(args).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// What cargo says of the workspace and its dependencies on Linux.
fn metadata(root: &Path) -> Result<Value> {
    let platforms = ["--filter-platform", "x86_64-unknown-linux-gnu", "--filter-platform", "aarch64-unknown-linux-gnu"];
    let said = cargo(root, &[&["metadata", "--format-version", "1", "--locked"][..], &platforms].concat())?;
    serde_json::from_slice(&said).context("cargo metadata says what is no JSON")
}

fn linked(
    metadata: &Value,
    checksums: &BTreeMap<(String, String), String>,
    built: &BTreeSet<(String, String)>,
) -> Result<(Package, Vec<Package>)> {
    let mut packages = BTreeMap::new();
    for package in list(&metadata["packages"])? {
        if built.contains(&(text(&package["name"]), text(&package["version"]))) {
            packages.insert(text(&package["id"]), of_cargo(package, checksums));
        }
    }
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"])? {
        // Neither what only builds it nor what only tests it.
        let is_linked = |dependency: &&Value| {
            list(&dependency["dep_kinds"]).is_ok_and(|kinds| kinds.iter().any(|k| k["kind"].is_null()))
        };
        let needed = list(&node["deps"])?.iter().filter(is_linked).map(|dependency| text(&dependency["pkg"]));
        edges.insert(text(&node["id"]), needed.filter(|id| packages.contains_key(id)).collect());
    }
    let start = packages.iter().find(|(_, package)| package.source.is_none() && package.name == SERVER);
    let start = start.with_context(|| format!("cargo metadata has no package {SERVER}"))?.0.clone();
    let (mut seen, mut open) = (BTreeSet::new(), vec![start.clone()]);
    while let Some(id) = open.pop() {
        if seen.insert(id.clone()) {
            open.extend(edges.get(&id).into_iter().flatten().cloned());
        }
    }
    for id in &seen {
        let purls = edges.get(id).into_iter().flatten().filter_map(|other| Some(packages.get(other)?.purl.clone()));
        let purls: BTreeSet<String> = purls.collect();
        packages.entry(id.clone()).and_modify(|package| package.needs = purls);
    }
    let taken: Vec<Package> =
        seen.iter().filter(|id| **id != start).filter_map(|id| packages.get(id).cloned()).collect();
    Ok((packages.remove(&start).unwrap_or_default(), taken))
}

fn of_cargo(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Package {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let checksum = checksums.get(&(name.clone(), version.clone()));
    // Crates of ours have names that others have on crates.io.
    let place = if package["source"].is_null() { "generic/weft" } else { "cargo" };
    Package {
        purl: format!("pkg:{place}/{name}@{}", escaped(&version)),
        licence: package["license"].as_str().map(str::to_owned),
        digest: checksum.map(|digest| ("SHA-256", digest.clone())),
        source: package["source"].as_str().map(str::to_owned),
        repository: package["repository"].as_str().map(str::to_owned),
        needs: BTreeSet::new(),
        name,
        version,
    }
}

/// The checksums in Cargo.lock, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
        line.map(|value| value.trim_end_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| Some(((field(block, "name")?, field(block, "version")?), field(block, "checksum")?)))
        .collect()
}

/// The packages of a lock file of npm that are not for building and testing alone, and which of them the page itself names.
pub(crate) fn of_page(lock: &str) -> Result<(BTreeSet<String>, Vec<Package>)> {
    let lock: Value = serde_json::from_str(lock).context("package-lock.json is no JSON")?;
    let all = lock["packages"].as_object().context("package-lock.json has no packages: npm 7 or newer writes them")?;
    let is_shipped = |path: &str, entry: &Value| !path.is_empty() && entry["dev"] != true;
    let name = |path: &str| path.rsplit("node_modules/").next().unwrap_or(path).to_owned();
    let purl = |path: &str| {
        let version = all.get(path).map(|entry| text(&entry["version"])).unwrap_or_default();
        format!("pkg:npm/{}@{}", name(path).replace('@', "%40"), escaped(&version))
    };
    // As Node.js looks: below the package, then below each folder around it.
    let find = |mut from: &str, wanted: &str| loop {
        let path = if from.is_empty() { String::new() } else { format!("{from}/") } + "node_modules/" + wanted;
        if all.contains_key(&path) {
            return Some(purl(&path));
        }
        if from.is_empty() {
            return None;
        }
        from = from.rfind("/node_modules/").map_or("", |end| &from[..end]);
    };
    let needs = |path: &str, entry: &Value| -> BTreeSet<String> {
        let names = entry["dependencies"].as_object().into_iter().flat_map(|names| names.keys());
        names.filter_map(|name| find(path, name)).collect()
    };
    let mut packages = Vec::new();
    for (path, entry) in all.iter().filter(|(path, entry)| is_shipped(path, entry)) {
        let digest =
            entry["integrity"].as_str().and_then(|text| BASE64_STANDARD.decode(text.strip_prefix("sha512-")?).ok());
        packages.push(Package {
            name: name(path),
            version: text(&entry["version"]),
            purl: purl(path),
            licence: entry["license"].as_str().map(str::to_owned),
            digest: digest.map(|digest| ("SHA-512", hex(&digest))),
            source: entry["resolved"].as_str().map(str::to_owned),
            repository: None,
            needs: needs(path, entry),
        });
    }
    Ok((needs("", &all[""]), packages))
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().context("cargo metadata misses a list")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A version in a purl.
fn escaped(version: &str) -> String {
    version.replace('+', "%2B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_taken_and_nothing_else() {
        let package = |name: &str, source: Value| serde_json::json!({"id": name, "name": name, "version": "1.0.0+a", "license": "MIT", "source": source});
        let needs = |name: &str, kind: Value| serde_json::json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = serde_json::json!({
            "packages": [
                package("server", Value::Null), package("model", Value::Null), package("a", REGISTRY.into()),
                package("b", REGISTRY.into()), package("cc", REGISTRY.into()), package("proptest", REGISTRY.into()),
                package("off", REGISTRY.into()),
            ],
            "resolve": {"nodes": [
                {"id": "server", "deps": [needs("model", Value::Null), needs("cc", "build".into()), needs("proptest", "dev".into())]},
                {"id": "model", "deps": [needs("a", Value::Null)]},
                {"id": "a", "deps": [needs("b", Value::Null), needs("off", Value::Null)]},
                {"id": "b", "deps": []}, {"id": "cc", "deps": []}, {"id": "proptest", "deps": [needs("a", Value::Null)]},
            ]},
        });
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0+a\"\nchecksum = \"abcd\"\n\n[[package]]\nname = \"model\"\nversion = \"1.0.0+a\"\n";
        let built = parse_tree(
            "server v1.0.0+a (/src/server)\nmodel v1.0.0+a (/src/model)\na v1.0.0+a\nb v1.0.0+a\na v1.0.0+a (*)\n",
        );
        let (server, linked) = linked(&metadata, &checksums(lock), &built).expect("packages");
        assert_eq!(server.needs, BTreeSet::from(["pkg:generic/weft/model@1.0.0%2Ba".to_owned()]));
        assert_eq!(linked.iter().map(|package| &*package.name).collect::<Vec<_>>(), ["a", "b", "model"]);
        assert_eq!(linked[0].digest, Some(("SHA-256", "abcd".to_owned())));
        assert_eq!((&linked[2].digest, &linked[2].source), (&None, &None));
    }

    #[test]
    fn packages_of_the_page() {
        let lock = r#"{"packages": {
            "": {"dependencies": {"@a/b": "1"}, "devDependencies": {"d": "1"}},
            "node_modules/@a/b": {"version": "1.2.0", "integrity": "sha512-q80=", "license": "MIT", "dependencies": {"c": "2"}},
            "node_modules/@a/b/node_modules/c": {"version": "2.0.0"},
            "node_modules/c": {"version": "1.0.0", "dev": true},
            "node_modules/d": {"version": "1.0.0", "dev": true}
        }}"#;
        let (named, packages) = of_page(lock).expect("packages");
        assert_eq!(named, BTreeSet::from(["pkg:npm/%40a/b@1.2.0".to_owned()]));
        assert_eq!(packages.iter().map(|package| &*package.name).collect::<Vec<_>>(), ["@a/b", "c"]);
        assert_eq!(packages[0].digest, Some(("SHA-512", "abcd".to_owned())));
        assert_eq!(packages[0].needs, BTreeSet::from(["pkg:npm/c@2.0.0".to_owned()]));
        assert!(of_page("{}").is_err());
    }
}
