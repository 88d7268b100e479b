//! Numbers with a verb.

use super::float::{self, Layout};
use super::{Printer, quote};
use crate::template::value::Value;

impl Printer {
    pub(super) fn unsigned(&mut self, number: u64, verb: char, value: &Value) {
        if verb == 'v' && self.spec.syntax {
            return self.integer_in(number, false, 'x', true);
        }
        self.integer(number, false, verb, value);
    }

    pub(super) fn integer(&mut self, number: u64, is_negative: bool, verb: char, value: &Value) {
        match verb {
            'v' => self.integer_in(number, is_negative, 'd', self.spec.sharp),
            'd' | 'b' | 'o' | 'O' | 'x' | 'X' => self.integer_in(number, is_negative, verb, self.spec.sharp),
            'c' | 'q' | 'U' => {
                // A negative one is past the last code point.
                let c = (!is_negative).then(|| u32::try_from(number).ok().and_then(char::from_u32)).flatten();
                self.code_point(number, is_negative, c, verb);
            }
            _ => self.bad_verb(value, verb),
        }
    }

    fn code_point(&mut self, number: u64, is_negative: bool, c: Option<char>, verb: char) {
        let shown = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        match verb {
            'c' => self.pad(shown.encode_utf8(&mut [0; 4])),
            'q' => self.pad(&quote::quoted_as(shown.encode_utf8(&mut [0; 4]), '\'', self.spec.plus)),
            _ => {
                let number = if is_negative { number.wrapping_neg() } else { number };
                let digits = self.spec.precision.unwrap_or_default().clamp(4, super::TEXT_MAX);
                if !self.room(digits) {
                    return;
                }
                let mut text = format!("U+{number:0digits$X}");
                if let Some(c) = c.filter(|c| self.spec.sharp && quote::is_print(*c)) {
                    text.push_str(&format!(" '{c}'"));
                }
                self.pad_without_zeros(&text);
            }
        }
    }

    /// In the base of the verb; `prefix` as the sharp flag asks for it.
    pub(super) fn integer_in(&mut self, number: u64, is_negative: bool, verb: char, prefix: bool) {
        let sign = match (is_negative, self.spec.plus, self.spec.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let least = match (self.spec.precision, self.spec.width) {
            (Some(0), width) if number == 0 => return self.fill(width.unwrap_or_default(), ' '),
            (Some(precision), _) => precision,
            (None, Some(width)) if self.spec.zero && !self.spec.minus => width - sign.len().min(width),
            _ => 0,
        };
        let digits = match verb {
            'b' => format!("{number:b}"),
            'o' | 'O' => format!("{number:o}"),
            'x' => format!("{number:x}"),
            'X' => format!("{number:X}"),
            _ => number.to_string(),
        };
        if !self.room(least) {
            return;
        }
        let zeros = "0".repeat(least.saturating_sub(digits.len()));
        let prefix = match verb {
            'O' => "0o",
            'b' if prefix => "0b",
            'o' if prefix && !zeros.starts_with('0') && !digits.starts_with('0') => "0",
            'x' if prefix => "0x",
            'X' if prefix => "0X",
            _ => "",
        };
        // Where an octal number has both, the verb's prefix stands before the flag's.
        let flag =
            if verb == 'O' && self.spec.sharp && zeros.is_empty() && !digits.starts_with('0') { "0" } else { "" };
        self.pad_without_zeros(&format!("{sign}{prefix}{flag}{zeros}{digits}"));
    }

    pub(super) fn float(&mut self, number: f64, verb: char, value: &Value) {
        let (layout, default) = match verb {
            'v' | 'g' => (Layout::General, None),
            'G' => (Layout::General, None),
            'e' | 'E' => (Layout::Exponent, Some(6)),
            'f' | 'F' => (Layout::Fixed, Some(6)),
            'x' | 'X' => (Layout::Hex, None),
            'b' => (Layout::Binary, None),
            _ => return self.bad_verb(value, verb),
        };
        let precision = self.spec.precision.or(default);
        if !self.room(precision.unwrap_or_default()) {
            return;
        }
        let mut text = float::format(number, layout, precision);
        if matches!(verb, 'G' | 'E' | 'X') && number.is_finite() {
            text = text.to_uppercase();
        }
        let is_negative = text.starts_with('-');
        let mut digits = text.trim_start_matches(['-', '+']).to_owned();
        let sign = match (is_negative, self.spec.plus, self.spec.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            // Infinity has its sign always, but the one that is asked for instead.
            _ if number == f64::INFINITY => "+",
            _ => "",
        };
        if !number.is_finite() {
            return self.pad_without_zeros(&format!("{sign}{digits}"));
        }
        if self.spec.sharp && layout != Layout::Binary {
            let kept = match verb {
                'v' | 'g' | 'G' | 'x' => precision.unwrap_or(6),
                _ => 0,
            };
            digits = float::with_point(&digits, kept, layout);
        }
        let missing = self.spec.width.unwrap_or_default().saturating_sub(sign.len() + digits.len());
        if self.spec.zero && !self.spec.minus && !sign.is_empty() {
            self.push(sign);
            self.fill(missing, '0');
            return self.push(&digits);
        }
        self.pad(&format!("{sign}{digits}"));
    }
}
