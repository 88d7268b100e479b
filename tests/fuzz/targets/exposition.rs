//! Bytes of a target, read in each format and with everything that may be wanted of it: nothing breaks, and what a page says
//! does not depend on the page before it. The same as `scraper/tests/random`, led by coverage.
#![no_main]
#![allow(clippy::unwrap_used, dead_code, reason = "a fuzz target is a test, and uses a part of what tests share")]

#[path = "../../../scraper/tests/random/check.rs"]
mod check;
#[path = "../../../scraper/tests/random/store.rs"]
mod store;

use libfuzzer_sys::fuzz_target;
use scraper::parse::{Format, Wanted};

fuzz_target!(|page: &[u8]| {
    for format in [Format::Text, Format::OpenMetrics, Format::OpenMetrics2, Format::Protobuf] {
        let all = Wanted { native: true, classic: true, convert: true, types: true, start_times: true, openmetrics2: true };
        for wanted in [Wanted::default(), all, Wanted { classic: false, ..all }] {
            check::read_to_the_end(format, wanted, page);
            // Its first half is the page before it.
            let before = page.get(..page.len() / 2).unwrap_or_default();
            check::depends_on_nothing_before((format, wanted), before, page);
        }
    }
});
