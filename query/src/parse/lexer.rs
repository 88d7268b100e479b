//! Query text → tokens with positions. The meaning of a character depends on the brackets around it, which the lexer tracks.

use model::letter::is_letter;

use super::ast::{BinaryOp, Span};
use super::quote::{escape, quoted, quoted_char};
use super::token::{Kind, Token, Word, keyword};
use super::typo_hints;

/// A lexical error at the start of the token.
pub(super) type Misread = String;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Outside brackets, and inside square brackets after the first number.
    Statement,
    /// Inside square brackets.
    Duration,
    /// The points of a series description.
    Sequence,
    /// Inside `{{`.
    Histogram,
    /// After the `}}` of a histogram.
    AfterHistogram,
    Done,
}

#[derive(Debug)]
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    /// Where the current token starts.
    pub(super) start: usize,
    pub(super) at: usize,
    pub(super) state: State,
    /// The text is a series description of a test script.
    pub(super) series: bool,
    /// UTF-8 letters and dots are parts of names.
    utf8_names: bool,
    paren_depth: usize,
    brace_open: bool,
    pub(super) bracket_open: bool,
    got_colon: bool,
    got_duration: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, series: bool, utf8_names: bool) -> Self {
        Self {
            text,
            start: 0,
            at: 0,
            state: State::Statement,
            series,
            utf8_names,
            paren_depth: 0,
            brace_open: false,
            bracket_open: false,
            got_colon: false,
            got_duration: false,
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Consumes the next character if it is one of these.
    pub(super) fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.bump();
        }
        found
    }

    pub(super) fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    pub(super) fn word(&self) -> &'a str {
        self.text.get(self.start..self.at).unwrap_or("")
    }

    /// The next token, or an error, after which there are no more tokens.
    pub(super) fn next(&mut self) -> Result<Token, Misread> {
        loop {
            self.start = self.at;
            let read = match self.state {
                State::Done => Ok(Some(Kind::End)),
                State::Statement if self.brace_open => self.in_braces(),
                State::Statement => self.statement(),
                State::Duration => self.duration(),
                State::Sequence => self.sequence(),
                State::Histogram => self.histogram(),
                State::AfterHistogram => Ok(Some(self.after_histogram())),
            };
            match read {
                // Only whitespace or a comment was read: the token begins behind it.
                Ok(None) => {}
                Ok(Some(kind)) => return Ok(Token { kind, span: Span { start: self.start, end: self.at } }),
                Err(misread) => {
                    // No resynchronisation: later reads return `End`, so that one typing error is not reported again
                    // and again.
                    self.state = State::Done;
                    return Err(misread);
                }
            }
        }
    }

    /// Skips whitespace and comments; false when there were none.
    fn blank(&mut self) -> bool {
        let before = self.at;
        self.skip(is_space);
        if self.peek() == Some('#') {
            // The line break is left for the next call, which skips it as whitespace.
            self.skip(|c| c != '\n' && c != '\r');
        }
        self.at > before
    }

    fn statement(&mut self) -> Result<Option<Kind>, Misread> {
        if self.blank() {
            return Ok(None);
        }
        let Some(c) = self.bump() else {
            return self.end();
        };
        let kind = match c {
            ',' => Kind::Comma,
            '@' => Kind::At,
            '*' => Kind::Operator(BinaryOp::Mul),
            '/' => Kind::Operator(BinaryOp::Div),
            '%' => Kind::Operator(BinaryOp::Mod),
            '+' => Kind::Operator(BinaryOp::Add),
            '-' => Kind::Operator(BinaryOp::Sub),
            '^' => Kind::Operator(BinaryOp::Pow),
            '=' | '!' | '<' | '>' => self.comparison(c)?,
            '"' | '\'' | '`' => self.string(c)?,
            '0'..='9' => self.number_or_duration()?,
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.number_or_duration()?,
            c if begins_name(c, self.utf8_names) || c == ':' => {
                // A colon begins the name of a recording rule, but inside brackets it separates range and step.
                return if self.bracket_open { self.bracketed_word(c) } else { Ok(Some(self.name())) };
            }
            '(' | ')' => self.paren(c)?,
            '{' => {
                self.brace_open = true;
                Kind::LeftBrace
            }
            // Brackets do not nest: a duration has no subqueries.
            '[' if self.bracket_open => return Err("unexpected left bracket '['".to_owned()),
            '[' => {
                // The state of the lexer, not of the parser, decides what a colon means, as in upstream's lexer.
                self.got_colon = false;
                self.got_duration = false;
                self.bracket_open = true;
                self.state = State::Duration;
                Kind::LeftBracket
            }
            ']' if !self.bracket_open => return Err("unexpected right bracket ']'".to_owned()),
            ']' => {
                self.bracket_open = false;
                Kind::RightBracket
            }
            c => return Err(typo_hints::hinted(format!("unexpected character: {}", quoted_char(Some(c))), c)),
        };
        Ok(Some(kind))
    }

    fn end(&mut self) -> Result<Option<Kind>, Misread> {
        self.state = State::Done;
        if self.paren_depth > 0 {
            return Err("unclosed left parenthesis".to_owned());
        }
        if self.bracket_open {
            return Err("unclosed left bracket".to_owned());
        }
        Ok(Some(Kind::End))
    }

    fn comparison(&mut self, c: char) -> Result<Kind, Misread> {
        let next = self.peek();
        let (kind, long) = match (c, next) {
            ('=', Some('=')) => (Kind::Operator(BinaryOp::Eq), true),
            // `=~` and `!~` are tokens only inside braces: see `in_braces`.
            ('=', Some('~')) => return Err("unexpected character after '=': '~'".to_owned()),
            ('=', _) => (Kind::Assign, false),
            ('!', Some('=')) => (Kind::Operator(BinaryOp::Ne), true),
            ('!', next) => return Err(format!("unexpected character after '!': {}", quoted_char(next))),
            ('<', Some('=')) => (Kind::Operator(BinaryOp::Le), true),
            // `</` and `>/` trim native histograms. No operand begins with a slash: it cannot be a comparison.
            ('<', Some('/')) => (Kind::Operator(BinaryOp::TrimUpper), true),
            ('<', _) => (Kind::Operator(BinaryOp::Lt), false),
            (_, Some('=')) => (Kind::Operator(BinaryOp::Ge), true),
            (_, Some('/')) => (Kind::Operator(BinaryOp::TrimLower), true),
            _ => (Kind::Operator(BinaryOp::Gt), false),
        };
        if long {
            self.bump();
        }
        Ok(kind)
    }

    fn paren(&mut self, c: char) -> Result<Kind, Misread> {
        if c == '(' {
            self.paren_depth += 1;
            return Ok(Kind::LeftParen);
        }
        if self.paren_depth == 0 {
            // Upstream emits the token before it checks the depth: the error is positioned behind the parenthesis.
            self.start = self.at;
            return Err("unexpected right parenthesis ')'".to_owned());
        }
        self.paren_depth -= 1;
        Ok(Kind::RightParen)
    }

    /// A keyword or the name of a metric.
    pub(super) fn name(&mut self) -> Kind {
        let utf8_names = self.utf8_names;
        self.skip(|c| continues_name(c, utf8_names) || c == ':');
        let word = self.word();
        let kind = match keyword(word) {
            // `fill` alone is a metric.
            Some(Kind::Word(word)) if word.is_fill() && !self.before_paren() => Kind::Identifier,
            Some(kind) => kind,
            None if word.contains(':') => Kind::MetricIdentifier,
            None => Kind::Identifier,
        };
        // The labels of a series description are optional: without braces, the points follow the name directly.
        if self.series && self.peek() != Some('{') {
            self.state = State::Sequence;
        }
        kind
    }

    fn before_paren(&self) -> bool {
        self.rest().trim_start_matches(is_space).starts_with('(')
    }

    /// A letter or colon inside square brackets, after a number.
    fn bracketed_word(&mut self, c: char) -> Result<Option<Kind>, Misread> {
        if c == ':' {
            if self.got_colon {
                return Err("unexpected colon ':'".to_owned());
            }
            self.got_colon = true;
            return Ok(Some(Kind::Colon));
        }
        // Only `step`, `range`, `min_of` and `max_of` are words here; any other one is a unit in the wrong place.
        let word = self.duration_word(c).map(Kind::Word);
        word.map(Some).ok_or_else(|| format!("unexpected character: {}, expected ':'", quoted_char(Some(c))))
    }

    fn duration_word(&mut self, first: char) -> Option<Word> {
        if !matches!(first, 's' | 'S' | 'm' | 'M' | 'r' | 'R') {
            return None;
        }
        self.skip(is_alpha);
        Word::in_duration(self.word())
    }

    fn duration(&mut self) -> Result<Option<Kind>, Misread> {
        let unexpected = |c| format!("unexpected character in duration expression: {}", quoted_char(Some(c)));
        let Some(c) = self.bump() else {
            return Err("unexpected end of input in duration expression".to_owned());
        };
        let kind = match c {
            c if is_space(c) => {
                self.skip(is_space);
                return Ok(None);
            }
            ']' => {
                self.bracket_open = false;
                self.got_colon = false;
                self.state = State::Statement;
                Kind::RightBracket
            }
            ':' => {
                // Errors about a colon are positioned behind it, since upstream emits the token before it checks it.
                self.start = self.at;
                if !self.got_duration {
                    return Err("unexpected colon before duration in duration expression".to_owned());
                }
                if self.got_colon {
                    return Err("unexpected repeated colon in duration expression".to_owned());
                }
                // It is a valid token, which includes the colon again.
                self.start = self.at - 1;
                self.got_colon = true;
                Kind::Colon
            }
            '(' | ')' => self.paren(c)?,
            '+' => Kind::Operator(BinaryOp::Add),
            '-' => Kind::Operator(BinaryOp::Sub),
            '*' => Kind::Operator(BinaryOp::Mul),
            '/' => Kind::Operator(BinaryOp::Div),
            '%' => Kind::Operator(BinaryOp::Mod),
            '^' => Kind::Operator(BinaryOp::Pow),
            ',' => Kind::Comma,
            '0'..='9' => self.first_number()?,
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.first_number()?,
            c => {
                let word = self.duration_word(c).ok_or_else(|| typo_hints::hinted(unexpected(c), c))?;
                self.got_duration = true;
                Kind::Word(word)
            }
        };
        Ok(Some(kind))
    }

    /// After a number, brackets are tokenised like text outside of them.
    fn first_number(&mut self) -> Result<Kind, Misread> {
        self.got_duration = true;
        self.state = State::Statement;
        self.number_or_duration()
    }

    fn in_braces(&mut self) -> Result<Option<Kind>, Misread> {
        if self.blank() {
            return Ok(None);
        }
        let Some(c) = self.bump() else {
            return Err("unexpected end of input inside braces".to_owned());
        };
        let kind = match c {
            ',' => Kind::Comma,
            '"' | '\'' | '`' => self.string(c)?,
            '=' if self.accept("~") => Kind::Matches,
            '=' => Kind::Assign,
            '!' if self.accept("~") => Kind::MatchesNot,
            '!' if self.accept("=") => Kind::Operator(BinaryOp::Ne),
            '!' => {
                return Err(format!("unexpected character after '!' inside braces: {}", quoted_char(self.peek())));
            }
            '{' => return Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.brace_open = false;
                // The points of a series description follow its labels.
                if self.series {
                    self.state = State::Sequence;
                }
                Kind::RightBrace
            }
            c if begins_name(c, self.utf8_names) => {
                let utf8_names = self.utf8_names;
                self.skip(|c| continues_name(c, utf8_names));
                Kind::Identifier
            }
            c => {
                return Err(typo_hints::hinted(
                    format!("unexpected character inside braces: {}", quoted_char(Some(c))),
                    c,
                ));
            }
        };
        Ok(Some(kind))
    }

    /// A string, after its opening quote.
    fn string(&mut self, quote: char) -> Result<Kind, Misread> {
        // Only finds the end of the string; the escapes are resolved when the parser needs the value. They are checked
        // here, because an invalid one is a lexical error.
        let mut chars = self.rest().chars();
        let mut escaped = Vec::new();
        while let Some(c) = chars.next() {
            match c {
                c if c == quote => {
                    self.at = self.text.len() - chars.as_str().len();
                    return Ok(Kind::String);
                }
                // The replacement character stands for invalid UTF-8 that was decoded before.
                char::REPLACEMENT_CHARACTER => return Err("invalid UTF-8 rune".to_owned()),
                '\\' if quote != '`' => escape(&mut chars, quote, &mut escaped)?,
                // Only raw strings may span lines.
                '\n' if quote != '`' => break,
                _ => {}
            }
        }
        Err(if quote == '`' { "unterminated raw string" } else { "unterminated quoted string" }.to_owned())
    }

    fn number_or_duration(&mut self) -> Result<Kind, Misread> {
        // The first character was consumed to choose the branch; it belongs to the number.
        self.at = self.start;
        if self.scan_number() {
            return Ok(Kind::Number);
        }
        // Continues where `scan_number` stopped: `5m` is a number up to its unit.
        if self.scan_duration() {
            return Ok(Kind::Duration);
        }
        Err(format!("bad number or duration syntax: {}", quoted(self.word())))
    }
}

pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

pub(super) fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

/// Can an unquoted name begin with this?
fn begins_name(c: char, utf8: bool) -> bool {
    is_alpha(c) || utf8 && !c.is_ascii() && is_letter(c)
}

fn continues_name(c: char, utf8: bool) -> bool {
    begins_name(c, utf8) || c.is_ascii_digit() || utf8 && c == '.'
}

/// Is it a label name that needs no quotes?
pub(super) fn is_plain(name: &str, utf8: bool) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| begins_name(c, utf8)) && chars.all(|c| continues_name(c, utf8))
}

pub(super) fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}
