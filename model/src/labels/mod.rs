//! A label set: sorted by name, in one allocation, cheap to clone.
//!
//! Layout of the text: for each pair, in the byte order of names, `len(name) name len(value) value`. A length is written
//! in ASCII bytes of six bits each, least significant first, bit 6 meaning "more follows"; so the whole is valid UTF-8 and
//! slices of it are `&str` without a check or `unsafe`.

mod entries;
mod order;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use entries::{Entries, JoinedEntries, LENGTH_DIGITS_MAX, checked_str, push_length, push_str};
pub use order::sort_by_labels;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds the type of the metric, where that is wanted.
pub const METRIC_TYPE: &str = "__type__";
/// The label that holds its unit.
pub const METRIC_UNIT: &str = "__unit__";
/// Every label whose name starts so is dropped from a target before its series are stored.
pub const RESERVED_PREFIX: &str = "__";
/// Where a target answers, `host:port`.
pub const ADDRESS: &str = "__address__";
/// The name of the scrape configuration a target belongs to.
pub const JOB: &str = "job";
/// Which of a job's targets.
pub const INSTANCE: &str = "instance";
/// The upper bound of a classic histogram's bucket.
pub const BUCKET: &str = "le";

/// Memory of each thread for the text of the next set, bytes.
const TEXT_KEPT: usize = 16 << 10;

/// An immutable set of label pairs, names unique and in byte order, values never empty.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The set without labels.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// From pairs in any order. An empty value means "no such label"; of two pairs with one name the last stays.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.labels()
    }

    /// From pairs that are already in byte order of their names, without duplicates or empty values.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut last: Option<&str> = None;
        assembled(|text| {
            for (name, value) in pairs {
                debug_assert!(last.is_none_or(|last| last < name), "label names are in order");
                debug_assert!(!value.is_empty(), "a label has a value");
                last = Some(name);
                push_str(text, name);
                push_str(text, value);
            }
        })
    }

    /// From the text of [`Labels::as_text`], as a store holds it; `None` if it is not a label set.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut last = "";
        while !rest.is_empty() {
            let (name, after) = checked_str(rest)?;
            let (value, after) = checked_str(after)?;
            // An empty name is a valid first one, so "no name before" is told by the position, not by `last`.
            if (!last.is_empty() || rest.len() < text.len()) && name <= last || value.is_empty() {
                return None;
            }
            (last, rest) = (name, after);
        }
        Some(Self(Arc::from(text)))
    }

    /// The same set in memory of its own. Threads that copy and drop one set again and again wait for each other.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self(Arc::from(&*self.0))
    }

    /// The set as one text, equal exactly when the sets are equal; stable across versions.
    #[must_use]
    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// The value of a label, or `None`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The value of a label, or the empty string, which is how matchers see a missing one.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name, or the empty string.
    #[must_use]
    pub fn name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// Is there no label at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The pairs in byte order of their names.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// These and those of another set, which stay where both have a label.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let (mut left, mut right) = (Entries(&self.0), Entries(&other.0));
        let (mut l, mut r) = (left.next(), right.next());
        assembled(|text| {
            // An upper bound: labels on both sides are written once.
            text.reserve_exact(self.0.len() + other.0.len());
            while let (Some((left_name, left_text)), Some((right_name, right_text))) = (l, r) {
                let order = left_name.cmp(right_name);
                // Whole entries are copied with their lengths; only names are read. For equal names the right one is
                // written and both sides move on.
                text.push_str(if order.is_lt() { left_text } else { right_text });
                if order.is_le() {
                    l = left.next();
                }
                if order.is_ge() {
                    r = right.next();
                }
            }
            // What is left of one is all in its last entry and what follows it.
            text.push_str(l.map_or("", |(_, entry)| entry));
            text.push_str(left.0);
            text.push_str(r.map_or("", |(_, entry)| entry));
            text.push_str(right.0);
        })
    }

    /// Those labels of [`Labels::joined`] whose names `keep` accepts.
    #[must_use]
    pub fn joined_where(&self, other: &Self, mut keep: impl FnMut(&str) -> bool) -> Self {
        assembled(|text| {
            for (name, entry) in JoinedEntries::of(&self.0, &other.0) {
                if keep(name) {
                    text.push_str(entry);
                }
            }
        })
    }

    /// Is [`Labels::joined`] of these and `other` the set `whole`? Nothing is allocated to find out.
    #[must_use]
    pub fn joins_to(&self, other: &Self, whole: &Self) -> bool {
        JoinedEntries::of(&self.0, &other.0).eq(Entries(&whole.0))
    }

    /// The same set, one label set to a value of exactly `len` bytes that `write` appends; without the label when `len` is
    /// 0. Nothing but the new text is allocated.
    #[must_use]
    pub fn with_value(&self, name: &str, len: usize, write: impl FnOnce(&mut String)) -> Self {
        assembled(|text| {
            text.reserve_exact(self.0.len() + name.len() + len + 2 * LENGTH_DIGITS_MAX);
            let mut rest = Entries(&self.0);
            // The entry at which the search ended, if it stays; it stands behind the new label.
            let mut after = None;
            for (other, entry) in rest.by_ref() {
                if other >= name {
                    after = (other > name).then_some(entry);
                    break;
                }
                text.push_str(entry);
            }
            if len > 0 {
                push_str(text, name);
                push_length(text, len);
                let before = text.len();
                write(text);
                // The length was written before the value: a wrong one would make the text unreadable from here on.
                assert_eq!(text.len() - before, len, "BUG: a label value has another length than was said");
            }
            text.push_str(after.unwrap_or(""));
            text.push_str(rest.0);
        })
    }

    /// The labels whose names `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl FnMut(&str) -> bool) -> Self {
        // Where all are kept, the set itself: it is not allocated again.
        let made = |text: &str| if text.len() == self.0.len() { self.clone() } else { Self(Arc::from(text)) };
        with_text(|text| self.filtered_text(keep, text), made)
    }

    /// Appends the text of [`Labels::filtered`], to look a set up without allocating it.
    pub fn filtered_text(&self, mut keep: impl FnMut(&str) -> bool, text: &mut String) {
        for (name, entry) in Entries(&self.0) {
            if keep(name) {
                text.push_str(entry);
            }
        }
    }

    /// Upstream's `Labels.Hash`: xxHash64 over every name and value, each preceded by its length (one byte below 255,
    /// else 255 and three bytes, least significant first), as `labels_stringlabels.go` stores them. Stable: target
    /// offsets and `limit_ratio` depend on it.
    #[must_use]
    pub fn hash64(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.0.len() + 16);
        let mut push = |s: &str| {
            match u8::try_from(s.len()) {
                // 255 is the mark of a long length, so it cannot be a length itself.
                Ok(n) if n < 255 => bytes.push(n),
                _ => {
                    // Three bytes are enough: upstream has no strings above 16 MiB.
                    let n = s.len().to_le_bytes();
                    bytes.extend([255, n[0], n[1], n[2]]);
                }
            }
            bytes.extend_from_slice(s.as_bytes());
        };
        for (name, value) in self {
            push(name);
            push(value);
        }
        xxhash_rust::xxh64::xxh64(&bytes, 0)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

/// `{__name__="up", job="a"}`, every value quoted.
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// Series notation: `up{job="a"}`; names outside the legacy alphabet are quoted inside the braces.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let bare = is_legacy_metric_name(name);
        if bare {
            f.write_str(name)?;
            if self.len() == 1 {
                return Ok(());
            }
        }
        f.write_str("{")?;
        let mut comma = "";
        if !name.is_empty() && !bare {
            write!(f, "{name:?}")?;
            comma = ", ";
        }
        for (name, value) in self.iter().filter(|(n, _)| *n != METRIC_NAME) {
            if is_legacy_label_name(name) {
                write!(f, "{comma}{name}={value:?}")?;
            } else {
                write!(f, "{comma}{name:?}={value:?}")?;
            }
            comma = ", ";
        }
        f.write_str("}")
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The pairs of a [`Labels`], in byte order of their names.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a str);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (name, rest) = checked_str(self.0).expect("BUG: a label text was checked when it was made");
        let (value, rest) = checked_str(rest).expect("BUG: a label text was checked when it was made");
        self.0 = rest;
        Some((name, value))
    }
}

/// Builds a set in the text buffer of this thread.
fn assembled(write: impl FnOnce(&mut String)) -> Labels {
    // Copied into an allocation of exactly its length; the buffer's capacity does not stay with the set.
    with_text(write, |text| Labels(Arc::from(text)))
}

/// Makes something out of what is written into the text buffer of this thread.
fn with_text<T>(write: impl FnOnce(&mut String), make: impl FnOnce(&str) -> T) -> T {
    thread_local! {
        static TEXT: Cell<String> = const { Cell::new(String::new()) };
    }
    // Taken out of the thread's cell: should `write` build another set, that one gets a buffer of its own.
    let mut text = TEXT.take();
    text.clear();
    write(&mut text);
    let made = make(&text);
    // One huge label set must not pin its buffer for the life of the thread.
    if text.capacity() <= TEXT_KEPT {
        TEXT.set(text);
    }
    made
}

/// A label set under construction: set and remove, then [`LabelsBuilder::labels`].
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// In byte order of names, values never empty.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Starts from a set.
    #[must_use]
    pub fn new(base: &Labels) -> Self {
        Self { pairs: base.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The value of a label, or the empty string.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.find(name).map_or("", |i| &self.pairs[i].1)
    }

    /// Gives a label its value; the empty value removes the label.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        match (self.find(name), value.is_empty()) {
            (Ok(i), true) => drop(self.pairs.remove(i)),
            (Ok(i), false) => self.pairs[i].1 = value,
            (Err(_), true) => {}
            (Err(i), false) => self.pairs.insert(i, (name.to_owned(), value)),
        }
        self
    }

    /// Removes a label.
    pub fn del(&mut self, name: &str) -> &mut Self {
        if let Ok(i) = self.find(name) {
            self.pairs.remove(i);
        }
        self
    }

    /// Keeps the labels for which `keep(name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(n, v)| keep(n, v));
    }

    /// The pairs in byte order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The finished set.
    #[must_use]
    pub fn labels(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name))
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`: may stand bare before the braces.
#[must_use]
pub fn is_legacy_metric_name(name: &str) -> bool {
    is_word(name, |b| b == b':')
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`: may stand unquoted inside the braces.
#[must_use]
pub fn is_legacy_label_name(name: &str) -> bool {
    is_word(name, |_| false)
}

fn is_word(name: &str, also: impl Fn(u8) -> bool) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || also(b);
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn pairs_are_sorted_and_empty_values_dropped() {
        let set = labels(&[("job", "a"), ("__name__", "up"), ("gone", "")]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [("__name__", "up"), ("job", "a")]);
        assert_eq!((set.name(), set.value("gone"), set.get("gone"), set.len()), ("up", "", None, 2));
    }

    #[test]
    fn long_values_keep_their_length() {
        for len in [0x3f, 0x40, 0xfff, 0x1000, 100_000] {
            let value = "ü".repeat(len);
            let set = labels(&[("a", &value), ("b", "x")]);
            assert_eq!(set.value("a"), value);
            assert_eq!(set.value("b"), "x");
            assert_eq!(Labels::from_text(set.as_text()), Some(set));
        }
    }

    #[test]
    fn damaged_texts_are_refused() {
        for text in ["\u{1}", "\u{1}a", "\u{1}a\u{0}", "\u{1}b\u{1}x\u{1}a\u{1}x", "\u{1}a\u{1}x\u{1}a\u{1}x", "é"] {
            assert_eq!(Labels::from_text(text), None, "{text:?}");
        }
        assert_eq!(Labels::from_text(""), Some(Labels::empty()));
    }

    #[test]
    fn joined_and_filtered_are_those_of_the_pairs() {
        let long = "v".repeat(100);
        let sets = [
            labels(&[]),
            labels(&[("b", "1")]),
            labels(&[("a", "1"), ("c", &long)]),
            labels(&[("a", "2"), ("b", "2"), ("d", "ü")]),
            labels(&[("__name__", "up"), ("zz", &long)]),
        ];
        for (left, right) in sets.iter().flat_map(|left| sets.iter().map(move |right| (left, right))) {
            assert_eq!(left.joined(right), Labels::from_pairs(left.iter().chain(right)), "{left} {right}");
            for whole in
                sets.iter().chain([&left.joined(right), &right.joined(left), &left.filtered(|name| name != "b")])
            {
                assert_eq!(left.joins_to(right, whole), left.joined(right) == *whole, "{left} {right} {whole}");
            }
            let keeps: [fn(&str) -> bool; 4] = [|name| name != "b", |name| name >= "b", |_| true, |_| false];
            for keep in keeps {
                let expected = left.joined(right).filtered(keep);
                assert_eq!(left.joined_where(right, keep), expected, "{left} {right}");
            }
            let keep = |name: &str| right.get(name).is_none();
            let kept = Labels::from_sorted(left.iter().filter(|(name, _)| keep(name)));
            assert_eq!(left.filtered(keep), kept, "{left} {right}");
        }
    }

    #[test]
    fn one_value_is_set_as_by_a_builder() {
        let long = "v".repeat(5_000);
        let base = labels(&[("__name__", "up"), ("b", "1"), ("d", &long)]);
        for (set, name) in
            [base, Labels::empty()].iter().flat_map(|set| ["", "a", "b", "c", "d", "e"].map(|n| (set, n)))
        {
            for value in ["", "x", &long] {
                let mut builder = LabelsBuilder::new(set);
                builder.set(name, value);
                let got = set.with_value(name, value.len(), |text| text.push_str(value));
                assert_eq!(got, builder.labels(), "{name}={}", value.len());
            }
        }
    }

    #[test]
    fn series_notation_quotes_what_is_not_legacy() {
        assert_eq!(labels(&[("__name__", "up")]).to_string(), "up");
        assert_eq!(labels(&[("__name__", "up"), ("job", "a\"b")]).to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(labels(&[("__name__", "my.up"), ("l.l", "x")]).to_string(), r#"{"my.up", "l.l"="x"}"#);
        assert_eq!(Labels::empty().to_string(), "{}");
    }

    #[test]
    fn builder_replaces_and_removes() {
        let mut builder = LabelsBuilder::new(&labels(&[("a", "1"), ("b", "2")]));
        builder.set("a", "3").set("c", "4").del("b").set("c", "");
        assert_eq!(builder.labels(), labels(&[("a", "3")]));
    }
}
