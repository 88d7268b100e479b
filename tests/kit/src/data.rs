//! Upstream's data, which tests read from outside the tree: the recordings and the scripts of the release that Weft is
//! compatible with.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Says that a test, or a part of one, cannot run here. In CI that is a failure.
///
/// # Panics
/// With `CI` in the environment.
pub fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI every test runs: {why}");
    eprintln!("SKIPPED: {why}");
}

/// A file or folder of the recordings: below `$WEFT_CONFORMANCE`, else `../shared/conformance` beside the checkout. `None`, and
/// said, where it is absent.
#[must_use]
pub fn conformance(path: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    let root = std::env::var_os("WEFT_CONFORMANCE").map_or_else(beside, PathBuf::from);
    let path = root.join(path);
    match path.canonicalize() {
        Ok(path) => Some(path),
        Err(error) => {
            skipped(&format!("{}: {error}; set WEFT_CONFORMANCE", path.display()));
            None
        }
    }
}

/// A text of the recordings.
///
/// # Panics
/// When it is there and cannot be read.
#[must_use]
pub fn conformance_text(path: &str) -> Option<String> {
    conformance(path)
        .map(|path| fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// JSON of the recordings.
///
/// # Panics
/// When it is there and is no JSON.
#[must_use]
pub fn conformance_json(path: &str) -> Option<Value> {
    conformance_text(path).map(|text| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// The version of Prometheus' Go module that the benches pin, `v0.316.0`: the release that Weft is compatible with.
///
/// # Panics
/// When the module file does not name it.
#[must_use]
pub fn prometheus_version() -> &'static str {
    let text = include_str!("../../../benches/peers/go.mod");
    let mut words = text.split_whitespace().skip_while(|word| *word != "github.com/prometheus/prometheus");
    words.nth(1).expect("go.mod names its version")
}

/// The folder of the PromQL scripts of that release: `$WEFT_PROMQLTEST`, else what `cargo xtask setup` put into the cache.
/// `None`, and said, where there is none.
#[must_use]
pub fn promqltest() -> Option<PathBuf> {
    let cached = || cache().map(|cache| cache.join(format!("promqltest-{}", prometheus_version())));
    let folder =
        std::env::var_os("WEFT_PROMQLTEST").map(PathBuf::from).or_else(cached).filter(|folder| folder.is_dir());
    if folder.is_none() {
        skipped("no scripts of the release: `cargo xtask setup` puts them into the cache, or set WEFT_PROMQLTEST");
    }
    folder
}

/// Where `cargo xtask` keeps what it built: `$WEFT_CACHE`, else `weft` in the user's cache folder.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    std::env::var_os("WEFT_CACHE").map(PathBuf::from).or_else(|| {
        let user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        user.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).map(|cache| cache.join("weft"))
    })
}
