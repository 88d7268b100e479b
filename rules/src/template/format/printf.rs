//! Go's `fmt.Sprintf`: flags, widths, precisions and argument indexes.

use super::{Failure, Printer, Spec};
use crate::template::value::Value;

/// Widths and precisions are smaller.
const NUMBER_MAX: i64 = 1_000_000;

/// # Errors
/// When the text becomes too long. What does not fit its verb is shown in the text.
pub(in crate::template) fn printf(format: &str, values: &[Value]) -> Result<String, Failure> {
    let mut formatting =
        Formatting { printer: Printer::default(), rest: format, values, next: 0, reordered: false, good_index: true };
    while let Some((before, after)) = formatting.rest.split_once('%') {
        formatting.printer.push(before);
        formatting.rest = after;
        formatting.verb();
        if formatting.printer.is_full {
            break;
        }
    }
    let rest = formatting.rest;
    formatting.printer.push(rest);
    formatting.extra();
    formatting.printer.finish()
}

struct Formatting<'f> {
    printer: Printer,
    /// What of the format is yet to come.
    rest: &'f str,
    values: &'f [Value],
    /// The next value.
    next: usize,
    /// Values were chosen by index, so that some may be unused.
    reordered: bool,
    good_index: bool,
}

impl Formatting<'_> {
    fn accept(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Behind a percent sign.
    fn verb(&mut self) {
        self.good_index = true;
        let mut spec = Spec::default();
        while let Some(c) = self.rest.chars().next() {
            match c {
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                ' ' => spec.space = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        let mut after_index = self.index();
        after_index = self.width(&mut spec, after_index);
        // A period at the very end is the verb.
        if self.rest.len() > 1 && self.accept('.') {
            after_index = self.precision(&mut spec, after_index);
        }
        if !after_index {
            self.index();
        }
        let Some(verb) = self.rest.chars().next() else {
            return self.printer.push("%!(NOVERB)");
        };
        self.rest = &self.rest[verb.len_utf8()..];
        self.print(spec, verb);
    }

    fn print(&mut self, mut spec: Spec, verb: char) {
        if verb == '%' {
            return self.printer.push("%");
        }
        let problem = match (self.good_index, self.values.get(self.next)) {
            (false, _) => "(BADINDEX)",
            (true, None) => "(MISSING)",
            (true, Some(value)) => {
                if matches!(verb, 'v' | 'w') {
                    spec.syntax = std::mem::take(&mut spec.sharp);
                    spec.names = std::mem::take(&mut spec.plus);
                }
                self.printer.spec = spec;
                self.printer.value(value, verb, 0);
                self.next += 1;
                return;
            }
        };
        self.printer.push(&format!("%!{verb}{problem}"));
    }

    fn width(&mut self, spec: &mut Spec, after_index: bool) -> bool {
        if self.accept('*') {
            match self.star() {
                Some(width) => {
                    // To the left, without zeros to the right.
                    if width < 0 {
                        (spec.minus, spec.zero) = (true, false);
                    }
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.printer.push("%!(BADWIDTH)"),
            }
            return false;
        }
        spec.width = self.number();
        if after_index && spec.width.is_some() {
            self.good_index = false;
        }
        after_index
    }

    fn precision(&mut self, spec: &mut Spec, after_index: bool) -> bool {
        if after_index {
            self.good_index = false;
        }
        let after_index = self.index();
        if !self.accept('*') {
            spec.precision = Some(self.number().unwrap_or_default());
            return after_index;
        }
        match self.star() {
            Some(precision) if precision >= 0 => spec.precision = usize::try_from(precision).ok(),
            _ => self.printer.push("%!(BADPREC)"),
        }
        false
    }

    /// A width or precision that is a value.
    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let number = match value {
            Value::Byte(number) => i64::from(*number),
            value => value.as_int()?,
        };
        (-NUMBER_MAX..=NUMBER_MAX).contains(&number).then_some(number)
    }

    /// A number in the format. One that is too large takes all that follows, as in Go.
    fn number(&mut self) -> Option<usize> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        let mut value: i64 = 0;
        for digit in number.bytes() {
            if value > NUMBER_MAX {
                self.rest = "";
                return None;
            }
            value = value * 10 + i64::from(digit - b'0');
        }
        self.rest = rest;
        if digits == 0 { None } else { usize::try_from(value).ok() }
    }

    /// `[2]`: which value is next. True if there was an index.
    fn index(&mut self) -> bool {
        if !self.rest.starts_with('[') {
            return false;
        }
        self.reordered = true;
        let Some(end) = self.rest.find(']') else {
            self.good_index = false;
            self.rest = &self.rest[1..];
            return false;
        };
        let inside = &self.rest[1..end];
        let number = Some(inside).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let number = number.and_then(|text| text.parse::<usize>().ok()).filter(|n| *n <= 10 * NUMBER_MAX as usize);
        self.rest = &self.rest[end + 1..];
        match number.and_then(|n| n.checked_sub(1)) {
            Some(index) if index < self.values.len() => {
                self.next = index;
                true
            }
            _ => {
                self.good_index = false;
                number.is_some()
            }
        }
    }

    /// What was given and not asked for.
    fn extra(&mut self) {
        if self.reordered || self.next >= self.values.len() {
            return;
        }
        self.printer.spec = Spec::default();
        self.printer.push("%!(EXTRA ");
        for (i, value) in self.values[self.next..].iter().enumerate() {
            self.printer.push(if i > 0 { ", " } else { "" });
            if matches!(value, Value::None) {
                self.printer.push("<nil>");
            } else {
                self.printer.push(value.type_name());
                self.printer.push("=");
                self.printer.value(value, 'v', 0);
            }
        }
        self.printer.push(")");
    }
}
