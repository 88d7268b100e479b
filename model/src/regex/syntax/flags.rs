//! Opening parentheses: groups with or without a name, and flags.

use regex_syntax::hir::Look;

use super::text::part;
use crate::regex::error::RegexError;

/// The flags in force.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    /// `i`
    pub(super) ignore_case: bool,
    /// `m`: `^` and `$` also match at the lines' ends.
    pub(super) multi_line: bool,
    /// `s`
    pub(super) dot_matches_newline: bool,
    /// `U`: repetitions are lazy, and greedy with a question mark.
    pub(super) swap_greed: bool,
    /// Classes of Unicode are found by any spelling. No letter changes it.
    pub(super) loose_names: bool,
}

impl Flags {
    /// The assertion that `^` or `$` is.
    pub(super) fn anchor(self, c: char) -> Look {
        match (c, self.multi_line) {
            ('^', false) => Look::Start,
            ('^', true) => Look::StartLF,
            (_, false) => Look::End,
            (_, true) => Look::EndLF,
        }
    }
}

/// What a parenthesis begins.
#[derive(Debug)]
pub(super) enum Opening<'s> {
    /// `(` and `(?P<name>`
    Group(Option<&'s str>),
    /// `(?flags:`
    Plain(Flags),
    /// `(?flags)`, which is no group
    Flags(Flags),
}

/// Reads what `at` starts with, and gives what follows.
pub(super) fn opening(at: &str, flags: Flags) -> Result<(Opening<'_>, &str), RegexError> {
    let Some(rest) = at.strip_prefix("(?") else {
        return Ok((Opening::Group(None), &at[1..]));
    };
    // Python's spelling and, since Go 1.22, Perl's.
    for start in ["P<", "<"] {
        if let Some(name) = rest.strip_prefix(start).filter(|name| !name.is_empty()) {
            return named(at, name);
        }
    }
    changed(at, rest, flags)
}

fn named<'s>(at: &'s str, name: &'s str) -> Result<(Opening<'s>, &'s str), RegexError> {
    let refused = |part: &str| RegexError::new("invalid named capture", part);
    let (name, after) = name.split_once('>').ok_or_else(|| refused(at))?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(refused(part(at, after)));
    }
    Ok((Opening::Group(Some(name)), after))
}

fn changed<'s>(at: &'s str, mut rest: &'s str, mut flags: Flags) -> Result<(Opening<'s>, &'s str), RegexError> {
    let (mut value, mut is_flag_seen) = (true, true);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            'i' => flags.ignore_case = value,
            'm' => flags.multi_line = value,
            's' => flags.dot_matches_newline = value,
            'U' => flags.swap_greed = value,
            '-' if value => {
                (value, is_flag_seen) = (false, false);
                continue;
            }
            // A minus sign wants a flag.
            ':' if is_flag_seen => return Ok((Opening::Plain(flags), rest)),
            ')' if is_flag_seen => return Ok((Opening::Flags(flags), rest)),
            _ => break,
        }
        is_flag_seen = true;
    }
    Err(RegexError::new("invalid or unsupported Perl syntax", part(at, rest)))
}
