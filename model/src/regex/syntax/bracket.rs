//! Classes in brackets.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::flags::Flags;
use super::text::part;
use super::{escape, set, unicode};
use crate::regex::error::RegexError;

/// Reads a class in brackets, and gives what follows.
pub(super) fn bracket(at: &str, flags: Flags) -> Result<(ClassUnicode, &str), RegexError> {
    let ignore_case = flags.ignore_case;
    let (negated, mut rest) = match at[1..].strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, &at[1..]),
    };
    // Single ones and ranges; and whole classes, of which the cases are known already.
    let (mut ranges, mut classes) = (Vec::new(), Vec::new());
    let mut is_first = true;
    // A closing bracket directly behind the opening one is a member.
    while is_first || !rest.starts_with(']') {
        is_first = false;
        if let Some((class, after)) = member_class(rest, flags)? {
            classes.extend_from_slice(class.ranges());
            rest = after;
            continue;
        }
        let (low, after) = member(at, rest)?;
        // A minus sign before the closing bracket is a member, not a range.
        let (high, after) = match after.strip_prefix('-') {
            Some(range) if !range.is_empty() && !range.starts_with(']') => member(at, range)?,
            _ => (low, after),
        };
        if high < low {
            return Err(RegexError::new("invalid character class range", part(rest, after)));
        }
        ranges.extend(range(low, high));
        rest = after;
    }
    // Cases are added to ranges only. Classes such as `\D` have had theirs added before they were negated; to fold a
    // negated class would add letters back.
    let mut class = set::finished(ClassUnicode::new(ranges), ignore_case, false);
    class.union(&ClassUnicode::new(classes));
    Ok((set::finished(class, false, negated), &rest[1..]))
}

/// A class as a member of another, if there is one.
fn member_class(at: &str, flags: Flags) -> Result<Option<(ClassUnicode, &str)>, RegexError> {
    let ignore_case = flags.ignore_case;
    if let Some((name, after)) = at.strip_prefix("[:").and_then(|name| name.split_once(":]")) {
        let (negated, plain) = name.strip_prefix('^').map_or((false, name), |plain| (true, plain));
        let class = set::posix(plain, ignore_case, negated);
        let class = class.ok_or_else(|| RegexError::new("invalid character class range", part(at, after)))?;
        return Ok(Some((class, after)));
    }
    match at.strip_prefix('\\').and_then(|escaped| escaped.chars().next()) {
        Some('p' | 'P') => unicode::class(at, flags).map(Some),
        Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => Ok(Some((set::perl(c, ignore_case), &at[2..]))),
        _ => Ok(None),
    }
}

/// One character as a member, and what follows; `class` is where the bracket opens.
fn member<'s>(class: &'s str, at: &'s str) -> Result<(u32, &'s str), RegexError> {
    match at.chars().next() {
        None => Err(RegexError::new("missing closing ]", class)),
        Some('\\') => escape::code_point(at),
        Some(c) => Ok((u32::from(c), &at[c.len_utf8()..])),
    }
}

/// The range without surrogates, of which no text has any.
fn range(low: u32, high: u32) -> Option<ClassUnicodeRange> {
    let low = char::from_u32(low).unwrap_or('\u{e000}');
    let high = char::from_u32(high).unwrap_or('\u{d7ff}');
    (low <= high).then(|| ClassUnicodeRange::new(low, high))
}
