//! Which characters are letters, as Go's `unicode.IsLetter` has it.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// The ranges of the general category L, ascending.
static LETTERS: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let parsed = regex_syntax::parse(r"\pL").expect("BUG: \\pL is a regular expression");
    match parsed.kind() {
        HirKind::Class(Class::Unicode(class)) => class.iter().map(|range| (range.start(), range.end())).collect(),
        _ => Vec::new(),
    }
});

/// Is it a letter of any script? Combining marks and digits are none.
#[must_use]
pub fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    let after = LETTERS.partition_point(|(start, _)| *start <= c);
    after.checked_sub(1).is_some_and(|i| c <= LETTERS[i].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts() {
        for c in ['a', 'Z', 'é', 'ß', 'а', '温', 'あ', 'ʰ', 'ª', '\u{1d400}'] {
            assert!(is_letter(c), "{c:?}");
        }
        // Alphabetic marks and numbers are no letters.
        for c in ['_', '1', '.', '\u{308}', '\u{345}', 'Ⅷ', 'ⓐ', '٣', '😀', '\u{a0}'] {
            assert!(!is_letter(c), "{c:?}");
        }
    }
}
