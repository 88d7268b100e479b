//! The order of label sets: string by string, whatever their lengths.

use std::cmp::Ordering;

use super::Labels;
use super::entries::string_at;

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As upstream compares: pair by pair, name before value; a set that is the start of another comes first.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.as_text(), other.as_text());
        let same = common_prefix(left.as_bytes(), right.as_bytes());
        // One text is the start of the other: entries are prefixed with lengths, so the shorter one has fewer labels.
        if same == left.len().min(right.len()) {
            return left.len().cmp(&right.len());
        }
        // Neighbours in an order share most of their text: only the name or value in which they part is compared.
        let mut at = 0;
        loop {
            let (start, end) = string_at(left.as_bytes(), at);
            // Strings before this one are equal, lengths included. This one differs, and only its bytes are compared,
            // not its length.
            if end > same {
                let (other_start, other_end) = string_at(right.as_bytes(), at);
                return left.as_bytes()[start..end].cmp(&right.as_bytes()[other_start..other_end]);
            }
            at = end;
        }
    }
}

/// Sorts items by their label sets; equal ones stay as they are. The strings that many sets have in common are looked at
/// once a set and not once a comparison.
pub fn sort_by_labels<T>(items: &mut [T], labels: impl Fn(&T) -> &Labels) {
    // Stores mostly hand out sorted series: one pass tells.
    if items.is_sorted_by(|a, b| labels(a) <= labels(b)) {
        return;
    }
    let mut places: Vec<Place<'_>> = items.iter().enumerate().map(|(i, item)| Place::new(labels(item), i)).collect();
    sort(&mut places);
    // `from[i]` is the item that belongs at place `i`.
    let mut from: Vec<usize> = places.iter().map(|place| place.item).collect();
    // Cycle by cycle: each swap brings an item home.
    for i in 0..from.len() {
        let mut at = i;
        while from[at] != i {
            let next = from[at];
            items.swap(at, next);
            from[at] = at;
            at = next;
        }
        from[at] = at;
    }
}

/// A string of a label set.
#[derive(Clone, Copy)]
struct Place<'a> {
    text: &'a [u8],
    /// The string; `None` behind the last.
    string: Option<&'a [u8]>,
    /// Where the next one begins.
    next: usize,
    item: usize,
}

impl<'a> Place<'a> {
    fn new(labels: &'a Labels, item: usize) -> Self {
        let mut place = Self { text: labels.as_text().as_bytes(), string: None, next: 0, item };
        place.go_on();
        place
    }

    fn go_on(&mut self) {
        self.string = (self.next < self.text.len()).then(|| {
            let (start, end) = string_at(self.text, self.next);
            self.next = end;
            &self.text[start..end]
        });
    }
}

/// Sorts places whose strings before the current one are equal.
fn sort(places: &mut [Place<'_>]) {
    while places.len() > 1 {
        let first = places[0].string;
        if places.iter().any(|place| place.string != first) {
            // Radix-like: sort by this string, then each group of equal ones by the next string.
            places.sort_unstable_by_key(|place| place.string);
            for same in places.chunk_by_mut(|a, b| a.string == b.string) {
                same.iter_mut().for_each(Place::go_on);
                sort(same);
            }
            return;
        }
        if first.is_none() {
            // Equal label sets keep their order, which makes the sort stable.
            return places.sort_unstable_by_key(|place| place.item);
        }
        places.iter_mut().for_each(Place::go_on);
    }
}

/// How many bytes two texts have in common from their start on.
fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    // Sixteen bytes at a time, which the compiler turns into one vector comparison.
    let (left_words, right_words) = (left.as_chunks::<16>().0, right.as_chunks::<16>().0);
    let words = left_words.iter().zip(right_words).take_while(|(l, r)| l == r).count() * 16;
    words + left[words..].iter().zip(&right[words..]).take_while(|(l, r)| l == r).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn order_is_pair_by_pair() {
        let (a, ab, b) = (labels(&[("a", "1")]), labels(&[("a", "1"), ("b", "1")]), labels(&[("b", "0")]));
        assert!(a < ab && ab < b);
        // A longer value is not a larger one.
        assert!(labels(&[("a", "aaaa")]) < labels(&[("a", "b")]));
    }

    #[test]
    fn order_is_that_of_the_pairs_wherever_texts_part() {
        let long = "x".repeat(70);
        let values = ["", "a", "aa", "ab", "b", "ü", "v", &long[1..], &long];
        let mut sets = Vec::new();
        for (first, second) in values.iter().flat_map(|first| values.map(|second| (*first, second))) {
            for name in ["k", "kk", "l"] {
                sets.push(labels(&[("a", first), (name, second), ("z", first)]));
            }
        }
        for (left, right) in sets.iter().flat_map(|left| sets.iter().map(move |right| (left, right))) {
            assert_eq!(left.cmp(right), left.iter().cmp(right.iter()), "{left} {right}");
        }
    }

    proptest! {
        #[test]
        fn sorted_as_compared(sets in prop::collection::vec(prop::collection::vec(("[a-c]{1,2}", "[ab\u{0}]{1,70}"), 0..5), 0..40)) {
            let mut sorted: Vec<(Labels, usize)> =
                sets.iter().map(|pairs| Labels::from_pairs(pairs.iter().cloned())).zip(0..).collect();
            let mut expected = sorted.clone();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            sort_by_labels(&mut sorted, |(labels, _)| labels);
            prop_assert_eq!(sorted, expected);
        }
    }
}
