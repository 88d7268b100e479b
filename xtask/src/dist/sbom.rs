//! What Weft is made of, as a CycloneDX document (<https://cyclonedx.org/docs/1.6/json/>).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::digest::sha256;
use crate::packages::Package;

/// C and C++ that crates bring along, in their versions after the `+`: crate, name, what stands before the version, where it is from.
const INSIDE: &[(&str, &str, &str, &str)] = &[
    ("librocksdb-sys", "rocksdb", "", "pkg:github/facebook/rocksdb@v"),
    ("lz4-sys", "lz4", "lz4-", "pkg:github/lz4/lz4@v"),
    ("tikv-jemalloc-sys", "jemalloc", "", "pkg:github/jemalloc/jemalloc@"),
    ("zstd-sys", "zstd", "zstd.", "pkg:github/facebook/zstd@v"),
];

/// What goes into it.
pub(super) struct Bill<'a> {
    /// The package of the binary.
    pub(super) server: &'a Package,
    /// What is linked into it.
    pub(super) crates: &'a [Package],
    /// What the page names, and all that is in it.
    pub(super) page: &'a BTreeSet<String>,
    pub(super) of_page: &'a [Package],
}

impl Bill<'_> {
    /// The document of a version.
    pub(super) fn document(&self, version: &str, time: &str) -> Value {
        let own = format!("pkg:generic/weft@{version}");
        let all = || self.crates.iter().chain(self.of_page);
        let mut components: Vec<Value> = all().map(component).collect();
        let inside: Vec<(&Package, Value)> = self.crates.iter().filter_map(|one| Some((one, inside(one)?))).collect();
        components.extend(inside.iter().map(|(_, component)| component.clone()));
        let needs_of = |package: &Package| {
            let more = inside.iter().filter(|(of, _)| of.purl == package.purl).map(|(_, it)| it["bom-ref"].clone());
            package.needs.iter().map(|purl| json!(purl)).chain(more).collect::<Vec<_>>()
        };
        let first: Vec<&String> = self.server.needs.iter().chain(self.page).collect();
        let mut dependencies = vec![json!({"ref": own, "dependsOn": first})];
        dependencies.extend(all().map(|package| json!({"ref": package.purl, "dependsOn": needs_of(package)})));
        let mut document = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "timestamp": time,
                "tools": {"components": [{"type": "application", "name": "cargo xtask dist", "version": version}]},
                "component": {
                    "type": "application", "bom-ref": own, "name": "weft", "version": version, "purl": own,
                    "licenses": [{"license": {"id": "Apache-2.0"}}],
                },
            },
            "components": components,
            "dependencies": dependencies,
        });
        document["serialNumber"] = serial_number(&document).into();
        document
    }
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": package.purl, "name": package.name, "version": package.version,
        "scope": "required", "purl": package.purl,
    });
    if let Some(licence) = &package.licence {
        // A choice was once written with a slash, which is no expression.
        let choices: Vec<&str> = licence.split('/').map(str::trim).collect();
        component["licenses"] = json!([{"expression": choices.join(" OR ")}]);
    }
    if let Some((algorithm, digest)) = &package.digest {
        component["hashes"] = json!([{"alg": algorithm, "content": digest}]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    component
}

/// What a crate brings along that is no crate itself.
fn inside(package: &Package) -> Option<Value> {
    let (_, name, before, from) = INSIDE.iter().find(|(of, ..)| *of == package.name)?;
    let version = package.version.split_once('+')?.1.strip_prefix(before)?;
    // jemalloc's has the number of a commit after it: 5.3.0-1-ge13ca….
    let version = version.split('-').next()?;
    let purl = format!("{from}{version}");
    Some(json!({
        "type": "library", "bom-ref": purl, "name": name, "version": version, "scope": "required", "purl": purl,
    }))
}

/// A UUID of the content (version 8), so that the same content has the same.
fn serial_number(document: &Value) -> String {
    let digest = sha256(document.to_string().as_bytes());
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{packages, root};

    fn package(purl: &str, needs: &[&str]) -> Package {
        let (name, version) = purl.rsplit('/').next().and_then(|rest| rest.split_once('@')).expect("a purl");
        Package {
            name: name.to_owned(),
            version: version.replace("%2B", "+"),
            purl: purl.to_owned(),
            needs: needs.iter().map(|purl| (*purl).to_owned()).collect(),
            ..Package::default()
        }
    }

    /// What the specification asks for of the parts that are used here.
    #[track_caller]
    fn is_valid(document: &Value) {
        assert_eq!((&document["bomFormat"], &document["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
        let serial = document["serialNumber"].as_str().and_then(|text| text.strip_prefix("urn:uuid:")).expect("a UUID");
        assert_eq!(serial.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{serial}");
        assert!(serial.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c)), "{serial}");
        let time = document["metadata"]["timestamp"].as_str().expect("a time");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        let mut refs = BTreeSet::from([document["metadata"]["component"]["bom-ref"].as_str().expect("a reference")]);
        for component in document["components"].as_array().expect("components") {
            for field in ["type", "name", "version", "purl"] {
                assert!(component[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {component}");
            }
            assert!(refs.insert(component["bom-ref"].as_str().expect("a reference")), "twice: {component}");
            for hash in component["hashes"].as_array().into_iter().flatten() {
                let length = if hash["alg"] == "SHA-512" { 128 } else { 64 };
                assert_eq!(hash["content"].as_str().map(str::len), Some(length), "{component}");
            }
        }
        let mut from = BTreeSet::new();
        for dependency in document["dependencies"].as_array().expect("dependencies") {
            let of = dependency["ref"].as_str().expect("a reference");
            assert!(refs.contains(of) && from.insert(of), "{dependency}");
            let on: Vec<&str> = dependency["dependsOn"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|on| on.as_str().expect("text"))
                .collect();
            assert!(on.iter().all(|on| refs.contains(on)), "{dependency}");
            assert_eq!(on.iter().collect::<BTreeSet<_>>().len(), on.len(), "twice: {dependency}");
        }
    }

    #[test]
    fn a_document_of_a_few_packages() {
        let rocksdb = "pkg:cargo/librocksdb-sys@0.19.0%2B11.8.1";
        let server = package("pkg:cargo/server@1.0.0", &["pkg:cargo/a@1.0.0"]);
        let mut a = package("pkg:cargo/a@1.0.0", &[rocksdb]);
        a.licence = Some("MIT/Apache-2.0".to_owned());
        a.digest = Some(("SHA-256", "a".repeat(64)));
        a.repository = Some("https://example.com/a".to_owned());
        let crates = [a, package(rocksdb, &[])];
        let (page, of_page) = (BTreeSet::from(["pkg:npm/p@2.0.0".to_owned()]), [package("pkg:npm/p@2.0.0", &[])]);
        let bill = Bill { server: &server, crates: &crates, page: &page, of_page: &of_page };
        let document = bill.document("1.0.0", "1970-01-01T00:00:00Z");
        is_valid(&document);
        let components = document["components"].as_array().expect("components");
        assert_eq!(components[0]["licenses"], json!([{"expression": "MIT OR Apache-2.0"}]));
        assert_eq!(components[3]["purl"], "pkg:github/facebook/rocksdb@v11.8.1");
        assert_eq!(document["dependencies"][0]["dependsOn"], json!(["pkg:cargo/a@1.0.0", "pkg:npm/p@2.0.0"]));
        assert_eq!(document["dependencies"][2]["dependsOn"], json!(["pkg:github/facebook/rocksdb@v11.8.1"]));
        let again = bill.document("1.0.0", "1970-01-01T00:00:00Z");
        assert_eq!(document, again);
        assert_ne!(document["serialNumber"], bill.document("1.0.1", "1970-01-01T00:00:00Z")["serialNumber"]);
    }

    #[test]
    fn the_document_of_this_workspace() {
        let (server, crates) = packages::of_binary(&root()).expect("crates");
        let lock = std::fs::read_to_string(root().join("ui/package-lock.json")).expect("a lock file");
        let (page, of_page) = packages::of_page(&lock).expect("packages of the page");
        let bill = Bill { server: &server, crates: &crates, page: &page, of_page: &of_page };
        let document = bill.document("1.0.0", "1970-01-01T00:00:00Z");
        is_valid(&document);
        let components = document["components"].as_array().expect("components");
        let names: BTreeSet<&str> = components.iter().filter_map(|component| component["name"].as_str()).collect();
        for name in
            ["storage", "rocksdb", "librocksdb-sys", "jemalloc", "zstd", "lz4", "tokio", "rustls", "uplot", "preact"]
        {
            assert!(names.contains(name), "{name} is missing");
        }
        for name in ["proptest", "kit", "xtask", "vite", "bindgen"] {
            assert!(!names.contains(name), "{name} is not in the binary");
        }
        let is_said =
            |component: &&Value| component["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"));
        for component in components.iter().filter(is_said) {
            assert!(component.get("licenses").is_some(), "{component}");
        }
    }
}
