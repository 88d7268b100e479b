//! Escape sequences.

use regex_syntax::hir::{ClassUnicode, Look};

use super::flags::Flags;
use super::text::part;
use super::{set, unicode};
use crate::regex::error::RegexError;

/// Outside a class.
#[derive(Debug)]
pub(super) enum Escaped<'s> {
    Look(Look),
    Class(ClassUnicode),
    /// What stands between `\Q` and `\E`.
    Quoted(&'s str),
    CodePoint(u32),
}

/// Reads an escape outside a class, and gives what follows.
pub(super) fn escaped(at: &str, flags: Flags) -> Result<(Escaped<'_>, &str), RegexError> {
    let mut chars = at[1..].chars();
    let next = chars.next();
    let after = chars.as_str();
    let escaped = match next {
        Some('A') => Escaped::Look(Look::Start),
        Some('z') => Escaped::Look(Look::End),
        Some('b') => Escaped::Look(Look::WordAscii),
        Some('B') => Escaped::Look(Look::WordAsciiNegate),
        Some('Q') => {
            // Without `\E` the quoted text reaches to the end of the expression.
            let (text, after) = after.split_once("\\E").unwrap_or((after, ""));
            return Ok((Escaped::Quoted(text), after));
        }
        Some('p' | 'P') => {
            let (class, after) = unicode::class(at, flags)?;
            return Ok((Escaped::Class(class), after));
        }
        Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => Escaped::Class(set::perl(c, flags.ignore_case)),
        _ => {
            let (code, after) = code_point(at)?;
            return Ok((Escaped::CodePoint(code), after));
        }
    };
    Ok((escaped, after))
}

/// The code point of an escaped character, and the rest of the expression.
pub(super) fn code_point(at: &str) -> Result<(u32, &str), RegexError> {
    let mut chars = at[1..].chars();
    let Some(c) = chars.next() else {
        return Err(RegexError::new("trailing backslash at end of expression", ""));
    };
    let after = chars.as_str();
    let code = match c {
        'a' => 0x07,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        'v' => 0x0b,
        '0'..='7' => {
            // Up to three octal digits, as in Perl.
            let digits = at[1..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            // A single digit other than zero would be a reference to a group, which Go does not have.
            if c != '0' && digits < 2 {
                return Err(RegexError::new("invalid escape sequence", part(at, after)));
            }
            let (digits, after) = at[1..].split_at(digits);
            return Ok((u32::from_str_radix(digits, 8).unwrap_or_default(), after));
        }
        'x' => return hexadecimal(after).map_err(|end| RegexError::new("invalid escape sequence", part(at, end))),
        // Punctuation stands for itself. Letters are refused, so that they may get a meaning later.
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        _ => return Err(RegexError::new("invalid escape sequence", part(at, after))),
    };
    Ok((code, after))
}

/// The digits after `\x`: two, or any number in braces. The error is what is left where reading ended.
fn hexadecimal(text: &str) -> Result<(u32, &str), &str> {
    let mut chars = text.chars();
    if let Some(braced) = text.strip_prefix('{') {
        let mut chars = braced.chars();
        let (mut code, mut digits) = (0, 0);
        loop {
            match chars.next() {
                Some('}') if digits > 0 => return Ok((code, chars.as_str())),
                Some(c) => {
                    let digit = c.to_digit(16).ok_or(chars.as_str())?;
                    code = code * 16 + digit;
                    digits += 1;
                    // Checked at every digit: the number would overflow before its end.
                    if code > u32::from(char::MAX) {
                        return Err(chars.as_str());
                    }
                }
                None => return Err(""),
            }
        }
    }
    if text.is_empty() {
        return Err("");
    }
    let mut digit = || chars.next().and_then(|c| c.to_digit(16));
    let (high, low) = (digit(), digit());
    match (high, low) {
        (Some(high), Some(low)) => Ok((high * 16 + low, chars.as_str())),
        _ => Err(chars.as_str()),
    }
}
