//! Arbitrary bytes, and pages of the corpus after some accidents.

use proptest::prelude::*;
use scraper::parse::{Format, Wanted};

use crate::check::{depends_on_nothing_before, read_to_the_end};
use crate::corpus;

/// What may happen to a page. Places are taken modulo what there is.
#[derive(Clone, Debug)]
enum Accident {
    Flip {
        at: usize,
        bit: u8,
    },
    Insert {
        at: usize,
        byte: u8,
    },
    Cut {
        at: usize,
        length: usize,
    },
    End {
        at: usize,
    },
    /// A piece of it comes twice.
    Repeat {
        from: usize,
        length: usize,
        to: usize,
    },
    /// A blank is lost, as where a name runs into its value.
    Join {
        blank: usize,
    },
    /// Two lines change places.
    Swap {
        one: usize,
        other: usize,
    },
}

fn accident() -> impl Strategy<Value = Accident> {
    // Bytes that mean something are likelier than others.
    let byte = prop_oneof![prop::sample::select(b" \t\n\r\0\"\\{}[],=#_:@+-.0123456789eE".to_vec()), any::<u8>()];
    prop_oneof![
        (any::<usize>(), 0..8u8).prop_map(|(at, bit)| Accident::Flip { at, bit }),
        (any::<usize>(), byte).prop_map(|(at, byte)| Accident::Insert { at, byte }),
        (any::<usize>(), 1..40usize).prop_map(|(at, length)| Accident::Cut { at, length }),
        any::<usize>().prop_map(|at| Accident::End { at }),
        (any::<usize>(), 1..200usize, any::<usize>()).prop_map(|(from, length, to)| Accident::Repeat {
            from,
            length,
            to
        }),
        any::<usize>().prop_map(|blank| Accident::Join { blank }),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Accident::Swap { one, other }),
    ]
}

fn after(mut page: Vec<u8>, accidents: &[Accident]) -> Vec<u8> {
    for accident in accidents {
        let n = page.len().max(1);
        match *accident {
            Accident::Flip { at, bit } => {
                if let Some(byte) = page.get_mut(at % n) {
                    *byte ^= 1 << bit;
                }
            }
            Accident::Insert { at, byte } => page.insert(at % n % (page.len() + 1), byte),
            Accident::Cut { at, length } => {
                let at = at % n;
                page.drain(at.min(page.len())..(at + length).min(page.len()));
            }
            Accident::End { at } => page.truncate(at % n),
            Accident::Repeat { from, length, to } => {
                let from = (from % n).min(page.len());
                let piece = page[from..(from + length).min(page.len())].to_vec();
                let to = to % n % (page.len() + 1);
                page.splice(to..to, piece);
            }
            Accident::Join { blank } => {
                let blanks: Vec<usize> = (0..page.len()).filter(|&at| page[at] == b' ').collect();
                if !blanks.is_empty() {
                    page.remove(blanks[blank % blanks.len()]);
                }
            }
            Accident::Swap { one, other } => {
                let mut lines: Vec<&[u8]> = page.split_inclusive(|byte| *byte == b'\n').collect();
                if !lines.is_empty() {
                    let n = lines.len();
                    lines.swap(one % n, other % n);
                    page = lines.concat();
                }
            }
        }
    }
    page
}

fn format() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::Text, Format::OpenMetrics, Format::OpenMetrics2, Format::Protobuf])
}

fn wanted() -> impl Strategy<Value = Wanted> {
    any::<[bool; 5]>().prop_map(|[native, classic, convert, types, start_times]| Wanted {
        native,
        classic,
        convert,
        types,
        start_times,
        ..Wanted::default()
    })
}

fn mangled() -> impl Strategy<Value = (Format, Vec<u8>, Vec<u8>)> {
    let page = (
        any::<prop::sample::Index>(),
        prop::collection::vec(accident(), 0..6),
        prop::collection::vec(accident(), 0..4),
    );
    page.prop_map(|(index, first, then)| {
        let pages = corpus();
        let (format, page) = pages[index.index(pages.len())].clone();
        let one = after(page, &first);
        let other = after(one.clone(), &then);
        (format, one, other)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn arbitrary_bytes_break_nothing(
        format in format(),
        wanted in wanted(),
        body in prop::collection::vec(any::<u8>(), 0..300),
        before in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        read_to_the_end(format, wanted, &body);
        depends_on_nothing_before((format, wanted), &before, &body);
    }

    #[test]
    fn pages_after_accidents_are_read_as_if_they_were_the_first(
        (format, before, page) in mangled(),
        wanted in wanted(),
    ) {
        read_to_the_end(format, wanted, &page);
        depends_on_nothing_before((format, wanted), &before, &page);
    }
}

#[test]
fn pages_of_the_corpus_are_read_after_each_other() {
    let pages = corpus();
    for (format, before) in &pages {
        for (_, page) in pages.iter().filter(|(other, _)| other == format) {
            for convert in [false, true] {
                let wanted = Wanted { convert, ..Wanted::default() };
                read_to_the_end(*format, wanted, page);
                depends_on_nothing_before((*format, wanted), before, page);
            }
        }
    }
}
