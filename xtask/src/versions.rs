//! The version stands in Cargo.toml; where else it must be written, it is the same.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The version of the workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Lines that are in a file, with the version for `{}`.
const LINES: &[(&str, &str)] = &[
    ("CHANGELOG.md", "## {}"),
    ("deploy/Dockerfile", "LABEL org.opencontainers.image.version=\"{}\""),
    ("deploy/helm/weft/Chart.yaml", "version: {}"),
    ("deploy/helm/weft/Chart.yaml", "appVersion: {}"),
    ("deploy/kustomize/base/kustomization.yaml", "  newTag: {}"),
    ("deploy/antrea/antrea-prometheus.yml", "          image: weft:{}"),
    ("ui/openapi.yaml", "  description: The HTTP API of Weft {}, in place of Prometheus'."),
];

/// Files in which images and archives are named.
const NAMING: &[&str] = &["deploy/Dockerfile", "docs/deploying.md", "docs/migrating.md", "README.md"];

/// Reports where another version stands.
pub(crate) fn check(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
    for (path, line) in LINES {
        let line = line.replace("{}", VERSION);
        // The changelog says more on the line: when it was released.
        let is_it = |one: &str| one == line || (one.starts_with(&line) && one[line.len()..].starts_with(" ("));
        if !read(path)?.lines().any(is_it) {
            faults.push(format!("{path} must have the line {line:?}: the version is that of Cargo.toml"));
        }
    }
    for path in NAMING {
        let text = read(path)?;
        let other = named(&text).into_iter().filter(|version| *version != VERSION);
        faults.extend(other.map(|version| format!("{path} names Weft {version}, Cargo.toml {VERSION}")));
    }
    Ok(())
}

/// The versions in a text that follow the name of an image or archive: `weft:0.1.0`, `weft-0.1.0-amd64.tar`.
fn named(text: &str) -> Vec<&str> {
    let starts = text.match_indices("weft").map(|(at, name)| &text[at + name.len()..]);
    let version = |rest: &'_ str| -> Option<usize> {
        let rest = rest.strip_prefix([':', '-'])?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        (rest[..end].trim_end_matches('.').split('.').count() == 3).then_some(rest[..end].trim_end_matches('.').len())
    };
    starts.filter_map(|rest| version(rest).map(|length| &rest[1..=length])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_by_the_name_before_them() {
        let text =
            "weft:0.1.0 and weft-0.1.1-amd64.tar, weft:0.1.2-shell. http://weft:9090, weft-0, other:1.2.3, weft:1.0.0.";
        assert_eq!(named(text), ["0.1.0", "0.1.1", "0.1.2", "1.0.0"]);
    }
}
