//! Template text to tokens: text outside of actions, and what is inside `{{` and `}}` (Go: `text/template/parse/lex.go`).

use std::borrow::Cow;
use std::fmt;

use super::quote;

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const COMMENT: (&str, &str) = ("/*", "*/");
/// A trim marker: a minus sign and a space.
const MARKER_LEN: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    /// A printable ASCII character that is nothing else.
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Keyword(Keyword),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

const KEYWORDS: [(&str, Keyword); 11] = [
    ("block", Keyword::Block),
    ("break", Keyword::Break),
    ("continue", Keyword::Continue),
    ("define", Keyword::Define),
    ("else", Keyword::Else),
    ("end", Keyword::End),
    ("if", Keyword::If),
    ("nil", Keyword::Nil),
    ("range", Keyword::Range),
    ("template", Keyword::Template),
    ("with", Keyword::With),
];

#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// Byte offset in the template.
    pub(super) pos: usize,
    /// Its text; of an error, what is wrong.
    pub(super) text: Cow<'t, str>,
    /// The line it begins on, from 1.
    pub(super) line: usize,
}

/// As it stands in messages.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Eof => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            Kind::Keyword(_) | Kind::Dot => write!(f, "<{}>", self.text),
            _ if self.text.len() > 10 => {
                let start: String = self.text.chars().take(10).collect();
                write!(f, "{}...", quote::quoted(&start))
            }
            _ => f.write_str(&quote::quoted(&self.text)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Lexer<'t> {
    input: &'t str,
    /// Where the token that is read begins.
    start: usize,
    pos: usize,
    /// The line of `counted`, which only moves forward.
    line: usize,
    counted: usize,
    parens: usize,
    in_action: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(input: &'t str) -> Self {
        Self { input, start: 0, pos: 0, line: 1, counted: 0, parens: 0, in_action: false }
    }

    pub(super) fn next_token(&mut self) -> Token<'t> {
        if self.in_action { self.action() } else { self.text() }
    }

    fn rest(&self) -> &'t str {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn skip_while(&mut self, is: impl Fn(char) -> bool) {
        self.pos = self.input.len() - self.rest().trim_start_matches(is).len();
    }

    fn accept(&mut self, valid: &str) -> bool {
        let is = self.peek().is_some_and(|c| valid.contains(c));
        self.pos += usize::from(is);
        is
    }

    fn start_line(&mut self) -> usize {
        self.line += self.input[self.counted..self.start].matches('\n').count();
        self.counted = self.start;
        self.line
    }

    fn emit(&mut self, kind: Kind) -> Token<'t> {
        let line = self.start_line();
        let token = Token { kind, pos: self.start, text: Cow::Borrowed(&self.input[self.start..self.pos]), line };
        self.start = self.pos;
        token
    }

    fn error(&mut self, reason: impl Into<String>) -> Token<'t> {
        let line = self.start_line();
        Token { kind: Kind::Error, pos: self.start, text: Cow::Owned(reason.into()), line }
    }

    fn text(&mut self) -> Token<'t> {
        loop {
            let Some(len) = self.rest().find(LEFT) else {
                self.pos = self.input.len();
                let kind = if self.pos > self.start { Kind::Text } else { Kind::Eof };
                return self.emit(kind);
            };
            let delim = self.pos + len;
            let trims = left_marker(&self.input[delim + LEFT.len()..]);
            if len > 0 {
                let text = &self.input[self.start..delim];
                self.pos = self.start + if trims { text.trim_end_matches(is_space).len() } else { text.len() };
                if self.pos > self.start {
                    let token = self.emit(Kind::Text);
                    self.start = delim;
                    self.pos = delim;
                    return token;
                }
                self.start = delim;
                self.pos = delim;
            }
            self.pos += LEFT.len();
            let after = self.pos + if trims { MARKER_LEN } else { 0 };
            if !self.input[after..].starts_with(COMMENT.0) {
                let token = self.emit(Kind::LeftDelim);
                self.in_action = true;
                self.parens = 0;
                self.start = after;
                self.pos = after;
                return token;
            }
            self.start = after;
            self.pos = after;
            if let Err(reason) = self.comment() {
                return self.error(reason);
            }
        }
    }

    fn comment(&mut self) -> Result<(), &'static str> {
        self.pos += COMMENT.0.len();
        let len = self.rest().find(COMMENT.1).ok_or("unclosed comment")?;
        self.pos += len + COMMENT.1.len();
        let trims = self.at_right_delim().ok_or("comment ends before closing delimiter")?;
        self.pos += RIGHT.len() + if trims { MARKER_LEN } else { 0 };
        if trims {
            self.skip_while(is_space);
        }
        self.start = self.pos;
        Ok(())
    }

    /// Is this the end of the action, and does it trim the text behind it?
    fn at_right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if right_marker(rest) && rest[MARKER_LEN..].starts_with(RIGHT) {
            return Some(true);
        }
        rest.starts_with(RIGHT).then_some(false)
    }

    fn right_delim(&mut self, trims: bool) -> Token<'t> {
        if trims {
            self.pos += MARKER_LEN;
            self.start = self.pos;
        }
        self.pos += RIGHT.len();
        let token = self.emit(Kind::RightDelim);
        if trims {
            self.skip_while(is_space);
            self.start = self.pos;
        }
        self.in_action = false;
        token
    }

    fn action(&mut self) -> Token<'t> {
        if let Some(trims) = self.at_right_delim() {
            return if self.parens == 0 { self.right_delim(trims) } else { self.error("unclosed left paren") };
        }
        let begin = self.pos;
        let Some(c) = self.next() else { return self.error("unclosed action") };
        match c {
            _ if is_space(c) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' if self.accept("=") => self.emit(Kind::Declare),
            ':' => self.error("expected :="),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => {
                self.skip_while(|c| c != '`');
                let ends = self.next().is_some();
                if ends { self.emit(Kind::RawString) } else { self.error("unterminated raw quoted string") }
            }
            '$' => self.name(Kind::Variable, Kind::Variable),
            // A period that no digit follows begins a field; otherwise it begins a number.
            '.' if self.peek().is_some_and(|c| !c.is_ascii_digit()) => self.name(Kind::Field, Kind::Dot),
            '.' | '+' | '-' | '0'..='9' => {
                self.pos = begin;
                self.number()
            }
            _ if is_alphanumeric(c) => self.identifier(),
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.emit(Kind::RightParen)
            }
            ' '..='~' => self.emit(Kind::Char),
            _ => self.error(format!("unrecognized character in action: {}", quote::code_point(c))),
        }
    }

    fn space(&mut self) -> Token<'t> {
        self.skip_while(is_space);
        // The last space may belong to a trim marker.
        let before = self.pos - 1;
        let rest = &self.input[before..];
        if right_marker(rest) && rest[MARKER_LEN..].starts_with(RIGHT) {
            self.pos = before;
            if self.pos == self.start {
                return self.right_delim(true);
            }
        }
        self.emit(Kind::Space)
    }

    fn identifier(&mut self) -> Token<'t> {
        self.skip_while(is_alphanumeric);
        if !self.at_terminator() {
            return self.bad_character();
        }
        let word = &self.input[self.start..self.pos];
        let keyword = KEYWORDS.iter().find(|(name, _)| *name == word);
        self.emit(match (keyword, word) {
            (Some((_, keyword)), _) => Kind::Keyword(*keyword),
            (None, "true" | "false") => Kind::Bool,
            _ => Kind::Identifier,
        })
    }

    /// Behind `.` or `$`; `alone` is what that is where no name follows.
    fn name(&mut self, kind: Kind, alone: Kind) -> Token<'t> {
        if self.at_terminator() {
            return self.emit(alone);
        }
        self.skip_while(is_alphanumeric);
        if self.at_terminator() { self.emit(kind) } else { self.bad_character() }
    }

    fn bad_character(&mut self) -> Token<'t> {
        let c = self.peek().map(quote::code_point).unwrap_or_default();
        self.error(format!("bad character {c}"))
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) => is_space(c) || ".,|:)(".contains(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn quoted(&mut self, end: char, kind: Kind, unterminated: &str) -> Token<'t> {
        loop {
            match self.next() {
                Some('\\') if !matches!(self.next(), None | Some('\n')) => {}
                Some(c) if c == end => return self.emit(kind),
                None | Some('\\' | '\n') => return self.error(unterminated),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Token<'t> {
        let mut good = self.scan_number();
        let mut kind = Kind::Number;
        if good && matches!(self.peek(), Some('+' | '-')) {
            kind = Kind::Complex;
            good = self.scan_number() && self.input[..self.pos].ends_with('i');
        }
        if good {
            return self.emit(kind);
        }
        let text = quote::quoted(&self.input[self.start..self.pos]);
        self.error(format!("bad number syntax: {text}"))
    }

    /// Whether it is one is decided when it is parsed.
    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        let mut exponent = "eE";
        if self.accept("0") {
            if self.accept("xX") {
                (digits, exponent) = ("0123456789abcdefABCDEF_", "pP");
            } else if self.accept("oO") {
                (digits, exponent) = ("01234567_", "");
            } else if self.accept("bB") {
                (digits, exponent) = ("01_", "");
            }
        }
        self.skip_while(|c| digits.contains(c));
        if self.accept(".") {
            self.skip_while(|c| digits.contains(c));
        }
        if self.accept(exponent) {
            self.accept("+-");
            self.skip_while(|c| c.is_ascii_digit() || c == '_');
        }
        self.accept("i");
        match self.peek() {
            Some(c) if is_alphanumeric(c) => {
                self.pos += c.len_utf8();
                false
            }
            _ => true,
        }
    }
}

pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    // Digits of other scripts are numeric, as are some that are no digits.
    c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii() && (model::letter::is_letter(c) || c.is_numeric())
}

fn left_marker(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

fn right_marker(text: &str) -> bool {
    text.strip_prefix(is_space).is_some_and(|rest| rest.starts_with('-'))
}
