//! Random pages: whatever comes, nothing breaks, and what a page says does not depend on the page before it.
//!
//! Three sources: arbitrary bytes; pages of our own in `tests/corpus`, cut up and put together again; and expositions made
//! from one description in all three formats, which then have to say the same.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod check;
mod described;
mod mangled;
mod store;

use std::path::Path;

use scraper::parse::Format;

/// The pages of the corpus, by their formats.
fn corpus() -> Vec<(Format, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let pages: Vec<_> = paths
        .iter()
        .filter_map(|path| {
            let format = match path.extension()?.to_str()? {
                "txt" => Format::Text,
                "om" => Format::OpenMetrics,
                "om2" => Format::OpenMetrics2,
                "pb" => Format::Protobuf,
                _ => return None,
            };
            Some((format, std::fs::read(path).unwrap()))
        })
        .collect();
    assert!(pages.len() >= 10, "{} pages", pages.len());
    pages
}
