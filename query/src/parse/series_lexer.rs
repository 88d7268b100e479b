//! The part of the lexer for series descriptions: points, and histograms in double braces.

use super::ast::BinaryOp;
use super::lexer::{Lexer, Misread, State, is_alpha, is_space};
use super::quote::{quoted, quoted_char};
use super::token::{Key, Kind, hint, keyword};

impl Lexer<'_> {
    /// Between the points.
    pub(super) fn sequence(&mut self) -> Result<Option<Kind>, Misread> {
        // `statement` knows which brackets are open at the end of the text.
        let Some(c) = self.bump() else {
            self.state = State::Statement;
            return Ok(None);
        };
        let kind = match c {
            '{' if self.accept("{") => {
                self.state = State::Histogram;
                Kind::OpenHistogram
            }
            c if is_space(c) => return Ok(Some(self.space())),
            '+' => Kind::Operator(BinaryOp::Add),
            '-' => Kind::Operator(BinaryOp::Sub),
            'x' => Kind::Times,
            '_' => Kind::Blank,
            '0'..='9' => self.number()?,
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.number()?,
            // Only `stale` is valid; the parser reports other words with the context of the values.
            c if is_alpha(c) => self.name(),
            c => return Err(format!("unexpected character in series sequence: {}", quoted_char(Some(c)))),
        };
        Ok(Some(kind))
    }

    /// Consecutive whitespace is one token, with the width of its first character.
    fn space(&mut self) -> Kind {
        self.skip(is_space);
        Kind::Space
    }

    fn number(&mut self) -> Result<Kind, Misread> {
        self.at = self.start;
        if self.scan_number() {
            return Ok(Kind::Number);
        }
        Err(format!("bad number syntax: {}", quoted(self.word())))
    }

    /// Inside `{{`.
    pub(super) fn histogram(&mut self) -> Result<Option<Kind>, Misread> {
        let incomplete = |c| {
            let what = if self.bracket_open {
                "invalid character in buckets description"
            } else {
                "histogram description incomplete unexpected"
            };
            format!("{what}: {}", quoted_char(c))
        };
        // Computed before the lexer changes, which the closure borrows.
        let c = self.peek();
        let Some(first) = c else { return Err(incomplete(c)) };
        let unknown = incomplete(c);
        self.bump();
        let kind = match first {
            c if is_space(c) => self.space(),
            c if is_alpha(c) => self.descriptor()?,
            ':' if !self.bracket_open => Kind::Colon,
            '-' => Kind::Operator(BinaryOp::Sub),
            '0'..='9' => self.number()?,
            '[' if !self.bracket_open => {
                self.bracket_open = true;
                Kind::LeftBracket
            }
            ']' if self.bracket_open => {
                self.bracket_open = false;
                Kind::RightBracket
            }
            '}' if !self.bracket_open && self.accept("}") => {
                self.state = State::Sequence;
                if self.peek().is_some_and(|c| matches!(c, 'x' | '+' | '-')) {
                    self.state = State::AfterHistogram;
                }
                Kind::CloseHistogram
            }
            _ => return Err(unknown),
        };
        Ok(Some(kind))
    }

    /// A key, `Inf`, `NaN` or a counter reset hint.
    fn descriptor(&mut self) -> Result<Kind, Misread> {
        self.skip(is_alpha);
        let word = self.word();
        if let Some(key) = Key::from_name(word) {
            if self.peek() != Some(':') {
                return Err("missing `:` for histogram descriptor".to_owned());
            }
            return Ok(Kind::Key(key));
        }
        if keyword(word) == Some(Kind::Number) {
            return Ok(Kind::Number);
        }
        let hint = hint(word).map(Kind::Hint);
        hint.ok_or_else(|| format!("bad histogram descriptor found: {}", quoted(word)))
    }

    /// `x`, `+` or `-` right behind a histogram.
    pub(super) fn after_histogram(&mut self) -> Kind {
        self.state = State::Sequence;
        match self.bump() {
            Some('x') => Kind::Times,
            Some('+') => Kind::Operator(BinaryOp::Add),
            _ => Kind::Operator(BinaryOp::Sub),
        }
    }
}
