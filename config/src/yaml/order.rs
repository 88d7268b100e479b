//! The order in which go-yaml prints the keys of a map (`keyList.Less` in its `sorter.go`): numbers inside keys count as
//! numbers.

use std::cmp::Ordering;

use model::Regex;

/// Sorts keys for printing.
///
/// By insertion and not by `sort_by`, because the order is none: of `a1b`, `a2` and `a10` each stands before the next, and the
/// last before the first. Upstream's output then depends on the random order of Go's maps, ours on the order of `pairs` alone.
pub(super) fn sorted<K: AsRef<str>, V>(pairs: impl Iterator<Item = (K, V)>) -> Vec<(K, V)> {
    let kinds = Kinds::default();
    let mut sorted: Vec<(K, V)> = Vec::new();
    for (key, value) in pairs {
        let at = sorted.partition_point(|(known, _)| kinds.is_before(known.as_ref(), key.as_ref()));
        sorted.insert(at, (key, value));
    }
    sorted
}

/// Tells letters and digits by Unicode's categories, which differ from those of [`char::is_alphabetic`].
#[derive(Default)]
struct Kinds {
    /// Compiled for the first character that is not ASCII; nearly no key has one.
    letter: std::cell::OnceCell<Option<Regex>>,
    digit: std::cell::OnceCell<Option<Regex>>,
}

impl Kinds {
    fn is_letter(&self, c: char) -> bool {
        if c.is_ascii() { c.is_ascii_alphabetic() } else { of(&self.letter, r"\p{L}", c) }
    }

    fn is_digit(&self, c: char) -> bool {
        if c.is_ascii() { c.is_ascii_digit() } else { of(&self.digit, r"\p{Nd}", c) }
    }

    fn is_before(&self, a: &str, b: &str) -> bool {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let Some(i) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len() < b.len() };
        match (self.is_letter(a[i]), self.is_letter(b[i])) {
            (true, true) => return a[i] < b[i],
            // A letter stands behind everything else.
            (false, true) => return true,
            (true, false) => return false,
            (false, false) => {}
        }
        // Zeros behind another digit are not leading ones: both numbers get a 1 in front, so `10` and `1` differ in length.
        let zero = a[i] == '0' || b[i] == '0';
        let digits_before = a[..i].iter().rev().take_while(|c| self.is_digit(**c));
        let first = i64::from(zero && digits_before.into_iter().any(|c| *c != '0'));
        let (left, right) = (self.number(&a[i..], first), self.number(&b[i..], first));
        left.cmp(&right).then(a[i].cmp(&b[i])) == Ordering::Less
    }

    /// The number at the beginning of a text, and its length. It wraps around, as Go's integers do.
    fn number(&self, text: &[char], first: i64) -> (i64, usize) {
        let digits = text.iter().take_while(|c| self.is_digit(**c));
        digits.fold((first, 0), |(number, len), c| {
            let digit = i64::from(u32::from(*c)) - i64::from(u32::from('0'));
            (number.wrapping_mul(10).wrapping_add(digit), len + 1)
        })
    }
}

fn of(compiled: &std::cell::OnceCell<Option<Regex>>, class: &str, c: char) -> bool {
    let regex = compiled.get_or_init(|| Regex::new(class).ok());
    regex.as_ref().is_some_and(|regex| regex.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from go-yaml 2.4.4; any two of a row stand as in the row.
    #[test]
    fn keys_stand_as_go_yaml_sorts_them() {
        for expected in [
            &["a", "a1", "a2", "a10", "a11", "b"][..],
            &["x-1", "x-9", "x-10", "x10", "xA", "xa"],
            &["", "_", "1", "2", "10", "A", "Z", "a", "é", "語"],
            &["a1", "a01", "a2", "a010"],
            // Letters and digits by Unicode's categories: `Ⅷ` and `ⓐ` are none.
            &["xⅧ", "xⓐ", "x٣", "xé"],
        ] {
            let keys = |order: Vec<&&str>| {
                let keys = sorted(order.into_iter().map(|key| (key.to_string(), ())));
                keys.into_iter().map(|(key, ())| key).collect::<Vec<_>>()
            };
            assert_eq!(keys(expected.iter().collect()), expected);
            assert_eq!(keys(expected.iter().rev().collect()), expected);
        }
    }

    /// Cycles as `a1b`, `a2`, `a10` are sorted somehow; `sort_by` might panic.
    #[test]
    fn an_order_that_is_none_is_no_danger() {
        let keys = (0..200).flat_map(|i| [format!("a{i}"), format!("a{i}b"), format!("a0{i}")]);
        assert_eq!(sorted(keys.map(|key| (key, ()))).len(), 600);
    }
}
