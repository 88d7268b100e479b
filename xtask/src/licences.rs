//! Licences of what Weft is made of, and where it comes from (decision 0052).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::packages::{self, Package, REGISTRY};

/// What may be linked into a program under Apache-2.0 and given away.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Reports crates and packages of the page that are under another licence, or from somewhere else.
pub(crate) fn check(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let crates = packages::all_crates(root)?;
    let lock = fs::read_to_string(root.join("ui/package-lock.json")).context("cannot read ui/package-lock.json")?;
    let (_, page) = packages::of_page(&lock)?;
    for package in crates.iter().chain(&page) {
        faults.extend(fault(package));
    }
    let from_elsewhere = crates.iter().filter(|package| package.source.as_deref().is_some_and(|from| from != REGISTRY));
    faults.extend(from_elsewhere.map(|package| {
        format!("{} is from {}, not from crates.io", package.purl, package.source.as_deref().unwrap_or_default())
    }));
    Ok(())
}

fn fault(package: &Package) -> Option<String> {
    let Some(licence) = &package.licence else { return Some(format!("{} does not say its licence", package.purl)) };
    match is_allowed(licence) {
        Some(true) => None,
        Some(false) => Some(format!("{} is under {licence}, which xtask/src/licences.rs does not allow", package.purl)),
        None => Some(format!("{} is under {licence:?}, which is no SPDX expression", package.purl)),
    }
}

/// Does an SPDX expression leave a way that is allowed? `None` where it is none.
fn is_allowed(expression: &str) -> Option<bool> {
    // Cargo once wrote `/` for a choice.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let verdict = choice(&mut rest)?;
    rest.is_empty().then_some(verdict)
}

fn choice(words: &mut &[&str]) -> Option<bool> {
    let mut verdict = all(words)?;
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        verdict |= all(words)?;
    }
    Some(verdict)
}

fn all(words: &mut &[&str]) -> Option<bool> {
    let mut verdict = one(words)?;
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        verdict &= one(words)?;
    }
    Some(verdict)
}

fn one(words: &mut &[&str]) -> Option<bool> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    if *first == "(" {
        let verdict = choice(words)?;
        let (end, rest) = words.split_first()?;
        *words = rest;
        return (*end == ")").then_some(verdict);
    }
    if ["OR", "AND", "WITH", ")"].contains(first) {
        return None;
    }
    if let ["WITH", exception, rest @ ..] = *words {
        *words = rest;
        return Some(ALLOWED.contains(&format!("{first} WITH {exception}").as_str()));
    }
    Some(ALLOWED.contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for (expression, expected) in [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("GPL-3.0-only OR MIT", Some(true)),
            ("GPL-3.0-only/MIT", Some(true)),
            ("GPL-3.0-only AND MIT", Some(false)),
            ("(GPL-3.0-only OR MIT) AND ISC", Some(true)),
            ("MIT AND GPL-3.0-only OR ISC", Some(true)),
            ("MIT AND (GPL-3.0-only OR ISC)", Some(true)),
            ("MIT AND (GPL-3.0-only OR MPL-2.0)", Some(false)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("MIT WITH LLVM-exception", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT MIT", None),
            ("MIT)", None),
        ] {
            assert_eq!(is_allowed(expression), expected, "{expression}");
        }
    }

    #[test]
    fn faults_name_the_package() {
        let package = |licence: Option<&str>| Package {
            purl: "pkg:cargo/x@1.0.0".to_owned(),
            licence: licence.map(str::to_owned),
            ..Package::default()
        };
        assert_eq!(fault(&package(Some("MIT"))), None);
        assert_eq!(fault(&package(None)).as_deref(), Some("pkg:cargo/x@1.0.0 does not say its licence"));
        let other = fault(&package(Some("SSPL-1.0"))).expect("a fault");
        assert!(other.starts_with("pkg:cargo/x@1.0.0 is under SSPL-1.0, which"), "{other}");
    }
}
