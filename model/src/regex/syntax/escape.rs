//! What a backslash begins.

use regex_syntax::hir::Look;

use super::{Parser, RegexError, class, part, unicode};

impl<'s> Parser<'s> {
    /// Outside a class; gives what follows.
    pub(super) fn escaped(&mut self, at: &'s str) -> Result<&'s str, RegexError> {
        let mut chars = at[1..].chars();
        let next = chars.next();
        let after = chars.as_str();
        match next {
            Some('A') => self.look(Look::Start),
            Some('z') => self.look(Look::End),
            Some('b') => self.look(Look::WordAscii),
            Some('B') => self.look(Look::WordAsciiNegate),
            Some('Q') => {
                let (text, after) = after.split_once("\\E").unwrap_or((after, ""));
                text.chars().for_each(|c| self.character(c));
                return Ok(after);
            }
            Some('p' | 'P') => {
                let (class, after) = unicode::class(at, self.flags)?;
                self.class(class)?;
                return Ok(after);
            }
            Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => self.class(class::perl(c, self.flags.ignore_case))?,
            _ => {
                let (code, after) = code_point(at)?;
                self.code_point(code);
                return Ok(after);
            }
        }
        Ok(after)
    }
}

/// The code point of an escape that stands for one character, and what follows.
pub(super) fn code_point(at: &str) -> Result<(u32, &str), RegexError> {
    let refused = |reason: &str, part: &str| RegexError { reason: reason.to_owned(), pattern: part.to_owned() };
    let mut chars = at[1..].chars();
    let Some(c) = chars.next() else {
        return Err(refused("trailing backslash at end of expression", ""));
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
            let digits = at[1..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            // A single digit other than zero would be a reference to a group, which Go does not have.
            if c != '0' && digits < 2 {
                return Err(refused("invalid escape sequence", part(at, after)));
            }
            let (digits, after) = at[1..].split_at(digits);
            return Ok((u32::from_str_radix(digits, 8).unwrap_or_default(), after));
        }
        'x' => return hexadecimal(after).map_err(|end| refused("invalid escape sequence", part(at, end))),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        _ => return Err(refused("invalid escape sequence", part(at, after))),
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
