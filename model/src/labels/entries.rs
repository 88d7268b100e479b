//! The text of a label set: how names and values are encoded, and its pairs one by one.

use std::iter::Peekable;

/// The most bytes of an encoded length.
pub(super) const LENGTH_DIGITS_MAX: usize = 11;

pub(super) fn push_str(text: &mut String, s: &str) {
    push_length(text, s.len());
    text.push_str(s);
}

pub(super) fn push_length(text: &mut String, mut n: usize) {
    loop {
        let low = (n & 0x3f) as u8;
        n >>= 6;
        // Six bits a byte keep bit 7 free, so every byte is ASCII and the text valid UTF-8.
        let more = if n > 0 { 0x40 } else { 0 };
        text.push(char::from(low | more));
        if n == 0 {
            break;
        }
    }
}

/// Start and end of the string whose length is encoded at `at`, in a text that was checked.
#[inline]
pub(super) fn string_at(text: &[u8], at: usize) -> (usize, usize) {
    let (len, digits) = length(&text[at..]).expect("BUG: a label text was checked when it was made");
    (at + digits, at + digits + len)
}

/// Decodes the length at the start of a text; also returns the number of its bytes.
#[inline]
fn length(text: &[u8]) -> Option<(usize, usize)> {
    // Nearly all are short.
    if let Some(&short @ 0..0x40) = text.first() {
        return Some((usize::from(short), 1));
    }
    let mut len = 0usize;
    // Six digits hold lengths up to 2^36, which no text reaches: a longer run of digits is no label text.
    for (i, &byte) in text.iter().enumerate().take(6) {
        if byte >= 0x80 {
            return None;
        }
        len |= usize::from(byte & 0x3f) << (6 * i);
        if byte & 0x40 == 0 {
            return Some((len, i + 1));
        }
    }
    None
}

#[inline]
pub(super) fn checked_str(text: &str) -> Option<(&str, &str)> {
    let (len, digits) = length(text.as_bytes())?;
    text.get(digits..)?.split_at_checked(len)
}

/// The pairs of a set as encoded, each with its name.
pub(super) struct Entries<'a>(pub(super) &'a str);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (name_start, name_end) = string_at(self.0.as_bytes(), 0);
        let (_, end) = string_at(self.0.as_bytes(), name_end);
        let (entry, rest) = self.0.split_at(end);
        self.0 = rest;
        Some((&entry[name_start..name_end], entry))
    }
}

/// The entries of two sets in the order of their names; those of the right one where both have a name.
pub(super) struct JoinedEntries<'a> {
    left: Peekable<Entries<'a>>,
    right: Peekable<Entries<'a>>,
}

impl<'a> JoinedEntries<'a> {
    pub(super) fn of(left: &'a str, right: &'a str) -> Self {
        Self { left: Entries(left).peekable(), right: Entries(right).peekable() }
    }
}

impl<'a> Iterator for JoinedEntries<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Some((left, _)) = self.left.peek() else { return self.right.next() };
        let Some((right, _)) = self.right.peek() else { return self.left.next() };
        let order = left.cmp(right);
        if order.is_lt() {
            return self.left.next();
        }
        if order.is_eq() {
            self.left.next();
        }
        self.right.next()
    }
}
