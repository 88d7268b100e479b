//! Query text → tokens with their places. What may stand where depends on the brackets around it, so the recogniser in
//! `locate` says which alphabet applies when it asks for the next token.

use super::ast::Span;

/// Something is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) start: usize,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(start: usize, message: impl Into<String>) -> Self {
        Self { start, message: message.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    End,
    Identifier,
    /// An identifier with a colon in it.
    MetricIdentifier,
    /// A word of the language, an operator such as `and` or an aggregation among them.
    Keyword,
    Number,
    Duration,
    String,
    /// `+ - * / % ^ == != < <= > >= @ =~ !~`
    Operator,
    /// `( ) [ ] { } , : =`
    Punctuation,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// Which alphabet applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Statement,
    Braces,
    Brackets,
}

const OPERATOR_WORDS: [&str; 4] = ["and", "or", "unless", "atan2"];
const AGGREGATIONS: [&str; 14] = [
    "sum",
    "avg",
    "min",
    "max",
    "group",
    "count",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "count_values",
    "limitk",
    "limit_ratio",
];
const KEYWORDS: [&str; 17] = [
    "offset",
    "smoothed",
    "anchored",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "fill",
    "fill_left",
    "fill_right",
    "start",
    "end",
    "step",
    "range",
];

pub(crate) struct Lexer<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
    pub(crate) paren_depth: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, paren_depth: 0 }
    }

    pub(crate) fn str(&self, token: Token) -> &'a str {
        self.text.get(token.span.start..token.span.end).unwrap_or("")
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_blanks(&mut self, mode: Mode) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if mode != Mode::Statement || !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn token(&mut self, kind: TokenKind, len: usize) -> Token {
        let span = Span { start: self.at, end: self.at + len };
        self.at = span.end;
        Token { kind, span }
    }

    pub(crate) fn next(&mut self, mode: Mode) -> Result<Token, Fault> {
        self.skip_blanks(mode);
        let rest = self.rest();
        let Some(c) = rest.chars().next() else {
            return self.end(mode);
        };
        if matches!(c, '"' | '\'' | '`') && mode != Mode::Brackets {
            return self.string(c);
        }
        match mode {
            Mode::Statement => self.statement(c, rest),
            Mode::Braces => self.braces(c, rest),
            Mode::Brackets => self.brackets(c, rest),
        }
    }

    fn end(&mut self, mode: Mode) -> Result<Token, Fault> {
        let fault = |message: &str| Err(Fault::new(self.at, message));
        match mode {
            Mode::Braces => fault("unexpected end of input inside braces"),
            Mode::Brackets => fault("unexpected end of input in duration expression"),
            Mode::Statement if self.paren_depth > 0 => fault("unclosed left parenthesis"),
            Mode::Statement => Ok(self.token(TokenKind::End, 0)),
        }
    }

    fn statement(&mut self, c: char, rest: &str) -> Result<Token, Fault> {
        let second = rest[c.len_utf8()..].chars().next();
        let after = |this: &Self, c: char| {
            let what = second.map_or_else(|| "end of input".to_owned(), |s| format!("'{s}'"));
            Fault::new(this.at, format!("unexpected character after '{c}': {what}"))
        };
        match c {
            '+' | '-' | '*' | '/' | '%' | '^' | '@' => Ok(self.token(TokenKind::Operator, 1)),
            '=' if second == Some('=') => Ok(self.token(TokenKind::Operator, 2)),
            '=' if second == Some('~') => Err(after(self, c)),
            '!' if second == Some('=') => Ok(self.token(TokenKind::Operator, 2)),
            '!' => Err(after(self, c)),
            '<' | '>' => Ok(self.token(TokenKind::Operator, 1 + usize::from(second == Some('=')))),
            ',' | '=' | '{' | '[' => Ok(self.token(TokenKind::Punctuation, 1)),
            '(' => {
                self.paren_depth += 1;
                Ok(self.token(TokenKind::Punctuation, 1))
            }
            ')' if self.paren_depth == 0 => Err(Fault::new(self.at + 1, "unexpected right parenthesis ')'")),
            ')' => {
                self.paren_depth -= 1;
                Ok(self.token(TokenKind::Punctuation, 1))
            }
            ']' => Err(Fault::new(self.at, "unexpected right bracket ']'")),
            '.' if !second.is_some_and(|s| s.is_ascii_digit()) => Err(Fault::new(self.at, "unexpected character: '.'")),
            '0'..='9' | '.' => self.number(rest),
            c if c.is_ascii_alphabetic() || c == '_' || c == ':' => Ok(self.word(rest)),
            c => Err(unexpected(self.at, c)),
        }
    }

    fn braces(&mut self, c: char, rest: &str) -> Result<Token, Fault> {
        let second = rest[c.len_utf8()..].chars().next();
        match c {
            ',' | '}' => Ok(self.token(TokenKind::Punctuation, 1)),
            '=' if second == Some('~') => Ok(self.token(TokenKind::Operator, 2)),
            '=' => Ok(self.token(TokenKind::Punctuation, 1)),
            '!' if matches!(second, Some('=' | '~')) => Ok(self.token(TokenKind::Operator, 2)),
            '!' => {
                let what = second.map_or_else(|| "end of input".to_owned(), |s| format!("'{s}'"));
                Err(Fault::new(self.at, format!("unexpected character after '!' inside braces: {what}")))
            }
            '{' => Err(Fault::new(self.at, "unexpected left brace '{'")),
            c if c.is_ascii_alphabetic() || c == '_' => {
                let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                Ok(self.token(TokenKind::Identifier, len))
            }
            c if is_typographic(c) => Err(unexpected(self.at, c)),
            c => Err(Fault::new(self.at, format!("unexpected character inside braces: '{c}'"))),
        }
    }

    fn brackets(&mut self, c: char, rest: &str) -> Result<Token, Fault> {
        match c {
            ']' | ':' | '(' | ')' | ',' => Ok(self.token(TokenKind::Punctuation, 1)),
            '+' | '-' | '*' | '/' | '%' | '^' => Ok(self.token(TokenKind::Operator, 1)),
            '0'..='9' | '.' => self.number(rest),
            c if c.is_ascii_alphabetic() || c == '_' => {
                let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                Ok(self.token(TokenKind::Identifier, len))
            }
            c => Err(Fault::new(self.at, format!("unexpected character in duration expression: '{c}'"))),
        }
    }

    fn word(&mut self, rest: &str) -> Token {
        let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':')).count();
        let word = rest.get(..len).unwrap_or("");
        let among = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(word));
        let kind = if among(&["inf", "nan"]) {
            TokenKind::Number
        } else if is_keyword(word) {
            TokenKind::Keyword
        } else if word.contains(':') {
            TokenKind::MetricIdentifier
        } else {
            TokenKind::Identifier
        };
        self.token(kind, len)
    }

    fn number(&mut self, rest: &str) -> Result<Token, Fault> {
        let bytes = rest.as_bytes();
        let len = number_len(bytes);
        let follows = |n: usize| bytes.get(n).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
        if len > 0 && !follows(len) {
            return Ok(self.token(TokenKind::Number, len));
        }
        let len = duration_len(bytes);
        if len > 0 && !follows(len) {
            return Ok(self.token(TokenKind::Duration, len));
        }
        // The text up to and with the character that does not belong, as upstream shows it.
        let longest = number_len(bytes).max(duration_len(bytes));
        let shown: String = rest.get(..longest).unwrap_or("").chars().chain(rest[longest..].chars().take(1)).collect();
        Err(Fault::new(self.at, format!("bad number or duration syntax: {shown:?}")))
    }

    fn string(&mut self, quote: char) -> Result<Token, Fault> {
        let body = &self.rest()[1..];
        let mut escaped = false;
        for (i, c) in body.char_indices() {
            if escaped {
                escaped = false;
            } else if c == quote {
                return Ok(self.token(TokenKind::String, i + 2));
            } else if quote != '`' && c == '\\' {
                escaped = true;
            } else if quote != '`' && c == '\n' {
                break;
            }
        }
        Err(Fault::new(
            self.at,
            match (quote, escaped) {
                ('`', _) => "unterminated raw string",
                (_, true) => "escape sequence not terminated",
                _ => "unterminated quoted string",
            },
        ))
    }
}

/// Is it a word of the language, in any case?
fn is_keyword(word: &str) -> bool {
    let among = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(word));
    among(&OPERATOR_WORDS) || among(&AGGREGATIONS) || among(&KEYWORDS)
}

/// As parse errors name a token: `<op:+>`, `<by>`, `identifier "x"`.
pub(crate) fn describe(kind: TokenKind, text: &str) -> String {
    let quoted = |text: &str| match text.char_indices().nth(10) {
        Some((cut, _)) => format!("{:?}...", &text[..cut]),
        None => format!("{text:?}"),
    };
    match kind {
        TokenKind::End => "end of input".to_owned(),
        TokenKind::Identifier => format!("identifier {text:?}"),
        TokenKind::MetricIdentifier => format!("metric identifier {text:?}"),
        TokenKind::Number => format!("number {}", quoted(text)),
        TokenKind::Duration => format!("duration {}", quoted(text)),
        TokenKind::String => format!("string {}", quoted(text)),
        TokenKind::Operator => format!("<op:{text}>"),
        TokenKind::Punctuation => quoted(text),
        TokenKind::Keyword => {
            let text = text.to_ascii_lowercase();
            if OPERATOR_WORDS.contains(&text.as_str()) {
                format!("<op:{text}>")
            } else if AGGREGATIONS.contains(&text.as_str()) {
                format!("<aggr:{text}>")
            } else {
                format!("<{text}>")
            }
        }
    }
}

fn is_typographic(c: char) -> bool {
    matches!(c, '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2032}' | '\u{2033}')
}

fn unexpected(at: usize, c: char) -> Fault {
    let hint = if is_typographic(c) { " (a typographic quote: write \" or ' instead)" } else { "" };
    Fault::new(at, format!("unexpected character: '{c}'{hint}"))
}

fn digits_len(bytes: &[u8], is_digit: fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|b| is_digit(b) || **b == b'_').count()
}

/// The length of the number that the text starts with: `12`, `1_000.5e-3`, `0x1F`.
fn number_len(bytes: &[u8]) -> usize {
    if bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') {
        return 2 + digits_len(&bytes[2..], u8::is_ascii_hexdigit);
    }
    let mut len = digits_len(bytes, u8::is_ascii_digit);
    if bytes.get(len) == Some(&b'.') {
        len += 1 + digits_len(&bytes[len + 1..], u8::is_ascii_digit);
    }
    if len > 0 && matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits_len(&bytes[len + 1 + sign..], u8::is_ascii_digit);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    len
}

/// The length of the duration that the text starts with, whatever the order of its units.
fn duration_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    loop {
        let digits = bytes[len..].iter().take_while(|b| b.is_ascii_digit()).count();
        let unit = match bytes.get(len + digits..) {
            Some([b'm', b's', ..]) => 2,
            Some([b's' | b'm' | b'h' | b'd' | b'w' | b'y', ..]) => 1,
            _ => 0,
        };
        if digits == 0 || unit == 0 {
            return len;
        }
        len += digits + unit;
    }
}

/// The text inside a quoted string, with Go's escapes resolved.
pub(crate) fn unquote(quoted: &str) -> Result<String, String> {
    let quote = quoted.chars().next().unwrap_or('"');
    let body = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("");
    if quote == '`' || !body.contains('\\') {
        return Ok(body.to_owned());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            escape(&mut chars, quote, &mut out)?;
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    String::from_utf8(out).map_err(|_| "invalid UTF-8 in string".to_owned())
}

fn escape(chars: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Result<(), String> {
    let c = chars.next().ok_or("escape sequence not terminated")?;
    let (count, base) = match c {
        'a' => return push(out, 7),
        'b' => return push(out, 8),
        'f' => return push(out, 12),
        'n' => return push(out, b'\n'),
        'r' => return push(out, b'\r'),
        't' => return push(out, b'\t'),
        'v' => return push(out, 11),
        '\\' => return push(out, b'\\'),
        '\'' | '"' if c == quote => return push(out, c as u8),
        '0'..='7' => (3, 8),
        'x' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        other => return Err(format!("unknown escape sequence {}", code_point(other))),
    };
    let mut value = if base == 8 { c.to_digit(8).unwrap_or(0) } else { 0 };
    for _ in usize::from(base == 8)..count {
        let digit = chars.next().ok_or("escape sequence not terminated")?;
        let bad = || format!("illegal character {} in escape sequence", code_point(digit));
        value = value.wrapping_mul(base) + digit.to_digit(base).ok_or_else(bad)?;
    }
    if count <= 3 {
        return u8::try_from(value).map_or_else(|_| Err("escape sequence is no byte".to_owned()), |b| push(out, b));
    }
    let c = char::from_u32(value).ok_or("escape sequence is an invalid Unicode code point")?;
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

fn push(out: &mut Vec<u8>, byte: u8) -> Result<(), String> {
    out.push(byte);
    Ok(())
}

/// Go's `%#U`.
fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}
