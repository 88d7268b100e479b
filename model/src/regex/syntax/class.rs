//! Classes of characters: in brackets, of Perl, of POSIX.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::{Parser, RegexError, escape, part, unicode};

/// `[:name:]` and its ranges.
const POSIX: [(&str, &[(char, char)]); 14] = [
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", &[('0', '9')]),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// The class of `\d`, `\s`, `\w` and their negations in capitals.
pub(super) fn perl(letter: char, ignore_case: bool) -> ClassUnicode {
    let ranges: &[(char, char)] = match letter.to_ascii_lowercase() {
        'd' => &[('0', '9')],
        // Unlike POSIX's class, without the vertical tab.
        's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        _ => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
    };
    named(ranges, ignore_case, letter.is_ascii_uppercase())
}

fn named(ranges: &[(char, char)], ignore_case: bool, negated: bool) -> ClassUnicode {
    let class = ClassUnicode::new(ranges.iter().map(|(from, to)| ClassUnicodeRange::new(*from, *to)));
    finished(class, ignore_case, negated)
}

/// Cases are added first: what is negated is what matches neither way.
pub(super) fn finished(mut class: ClassUnicode, ignore_case: bool, negated: bool) -> ClassUnicode {
    if ignore_case {
        class.case_fold_simple();
    }
    if negated {
        class.negate();
    }
    class
}

impl<'s> Parser<'s> {
    /// Reads a class in brackets, and gives what follows.
    pub(super) fn bracket(&self, at: &'s str) -> Result<(ClassUnicode, &'s str), RegexError> {
        let ignore_case = self.flags.ignore_case;
        let refused = |reason: &str, part: &str| RegexError { reason: reason.to_owned(), pattern: part.to_owned() };
        let (negated, mut rest) = match at[1..].strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, &at[1..]),
        };
        // Single ones and ranges; and whole classes, of which the cases are known already.
        let (mut ranges, mut classes) = (Vec::new(), Vec::new());
        let mut is_first = true;
        while is_first || !rest.starts_with(']') {
            is_first = false;
            if let Some((class, after)) = self.member_class(rest)? {
                classes.extend_from_slice(class.ranges());
                rest = after;
                continue;
            }
            let member = |text: &'s str| match text.chars().next() {
                None => Err(refused("missing closing ]", at)),
                Some('\\') => escape::code_point(text),
                Some(c) => Ok((u32::from(c), &text[c.len_utf8()..])),
            };
            let (low, after) = member(rest)?;
            let (high, after) = match after.strip_prefix('-') {
                Some(range) if !range.is_empty() && !range.starts_with(']') => member(range)?,
                _ => (low, after),
            };
            if high < low {
                return Err(refused("invalid character class range", part(rest, after)));
            }
            ranges.extend(range(low, high));
            rest = after;
        }
        let mut class = finished(ClassUnicode::new(ranges), ignore_case, false);
        class.union(&ClassUnicode::new(classes));
        Ok((finished(class, false, negated), &rest[1..]))
    }

    /// A class as a member of another, if there is one.
    fn member_class(&self, at: &'s str) -> Result<Option<(ClassUnicode, &'s str)>, RegexError> {
        let ignore_case = self.flags.ignore_case;
        if let Some((name, after)) = at.strip_prefix("[:").and_then(|name| name.split_once(":]")) {
            let (negated, plain) = name.strip_prefix('^').map_or((false, name), |plain| (true, plain));
            let Some((_, ranges)) = POSIX.iter().find(|(known, _)| *known == plain) else {
                let reason = "invalid character class range".to_owned();
                return Err(RegexError { reason, pattern: part(at, after).to_owned() });
            };
            return Ok(Some((named(ranges, ignore_case, negated), after)));
        }
        match at.strip_prefix('\\').and_then(|escaped| escaped.chars().next()) {
            Some('p' | 'P') => unicode::class(at, self.flags).map(Some),
            Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => Ok(Some((perl(c, ignore_case), &at[2..]))),
            _ => Ok(None),
        }
    }
}

/// The range without surrogates, of which no text has any.
fn range(low: u32, high: u32) -> Option<ClassUnicodeRange> {
    let low = char::from_u32(low).unwrap_or('\u{e000}');
    let high = char::from_u32(high).unwrap_or('\u{d7ff}');
    (low <= high).then(|| ClassUnicodeRange::new(low, high))
}
