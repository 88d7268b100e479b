//! What holds for every page, whatever it is. The fuzz target in `tests/fuzz` asks the same.

use model::Timestamp;
use scraper::Counts;
use scraper::parse::{Format, Parser, Wanted};

use crate::store::Target;

/// Reads to the end or the first fault, which comes within as many entries as there can be.
pub(crate) fn read_to_the_end(format: Format, wanted: Wanted, body: &[u8]) {
    let mut parser = Parser::of(format, body, wanted);
    // A family in protobuf is three entries, and a metric of a few bytes at most five.
    let bound = body.len() * 5 + 5;
    for _ in 0..=bound {
        match parser.next_entry() {
            Ok(Some(_)) => drop(parser.place()),
            Ok(None) | Err(_) => return,
        }
    }
    panic!("more than {bound} entries in {} bytes", body.len());
}

fn of_the_page(counts: Counts) -> (usize, usize, usize, usize) {
    (counts.scraped, counts.post_relabel, counts.duplicate, counts.out_of_bounds)
}

/// So late that no page says that its counting began a moment before.
const THEN: Timestamp = Timestamp(9_000_000_000_001_000);
const NOW: Timestamp = THEN.saturating_add(1000);

/// A page read after another is the same as read alone, and read again it has nothing new.
pub(crate) fn depends_on_nothing_before((format, wanted): (Format, Wanted), before: &[u8], page: &[u8]) {
    let (mut alone, mut after) = (Target::new(wanted), Target::new(wanted));
    let _ = after.scrape(format, before, THEN);
    let (expected_counts, expected) = alone.scrape(format, page, NOW);
    let (counts, stored) = after.scrape(format, page, NOW);
    assert_eq!(&stored, &expected);
    let (again_counts, again) = after.scrape(format, page, NOW);
    assert_eq!(&again, &expected);
    if expected.is_ok() {
        assert_eq!(of_the_page(counts), of_the_page(expected_counts));
        assert_eq!(of_the_page(again_counts), of_the_page(expected_counts));
        assert_eq!(again_counts.added, 0);
    }
}
