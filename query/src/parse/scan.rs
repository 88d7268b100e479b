//! Scans the extent of a number or duration, valid or not; the value is parsed later.

use super::lexer::{Lexer, is_alphanumeric};

const DIGITS: &str = "0123456789";
const HEX_DIGITS: &str = "0123456789abcdefABCDEF";

impl Lexer<'_> {
    /// `12`, `1_000.5e-3`, `0x1F`. False when there is none, positioned where that was found.
    pub(super) fn scan_number(&mut self) -> bool {
        let begin = self.at;
        let mut digits = DIGITS;
        // Series descriptions have no hexadecimal numbers: `0x3` is a repetition there.
        if !self.series && self.accept("0") && self.accept("xX") {
            self.accept("_");
            digits = HEX_DIGITS;
        }
        self.accept(".");
        self.accept(digits);
        let (mut dot, mut exponent) = (false, false);
        while let Some(c) = self.peek().filter(|c| digits.contains(*c) || "._eE".contains(*c)) {
            self.bump();
            let sound = match c {
                // A second one, or a fraction of a hexadecimal number.
                '.' => {
                    let first = !std::mem::replace(&mut dot, true);
                    first && !self.accept("_.") && digits == DIGITS
                }
                'e' | 'E' => {
                    let first = !std::mem::replace(&mut exponent, true);
                    first && {
                        self.accept("+-");
                        !self.accept("._eE") && self.peek().is_some()
                    }
                }
                '_' => !self.accept("._eE") && self.peek().is_some(),
                _ => true,
            };
            if !sound {
                return false;
            }
        }
        let end = self.peek();
        self.at > begin && (!end.is_some_and(is_alphanumeric) || self.series && end == Some('x'))
    }

    /// The units and further numbers after the first number of a duration.
    pub(super) fn scan_duration(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        self.accept("s");
        while self.accept(DIGITS) {
            while self.accept(DIGITS) {}
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        let sound = !self.peek().is_some_and(is_alphanumeric);
        if !sound {
            // The unexpected character is part of the error message.
            self.bump();
        }
        sound
    }
}
