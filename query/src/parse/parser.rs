//! The state of the parser: the current token, errors, and the context for error messages.
//!
//! Tokens are read lazily, with one token of lookahead, so that the first error and the ends of expressions are those of
//! upstream's parser.

use super::ast::Span;
use super::dialect::{Dialect, with_flag};
use super::fault::Fault;
use super::lexer::Lexer;
use super::limits::{DEPTH_MAX, FAULTS_MAX, Limits, PACE, PART_BYTES, PARTS_MAX};
use super::scope::Scope;
use super::token::{Kind, Token, describe};
use crate::Error;

/// Parsing cannot continue; the reason is among the faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop;

pub(super) type Parsed<T> = Result<T, Stop>;

/// What is being parsed, for messages about unexpected tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    name: &'static str,
    expected: &'static str,
    /// The context is an aggregation from here on.
    aggregation: Option<usize>,
}

impl Context {
    pub(super) const fn new(name: &'static str, expected: &'static str) -> Self {
        Self { name, expected, aggregation: None }
    }

    pub(super) const fn aggregation(start: usize) -> Self {
        Self { name: "aggregation", expected: "", aggregation: Some(start) }
    }
}

#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) dialect: Dialect,
    pub(super) faults: Vec<Fault>,
    /// A string with invalid UTF-8, which upstream accepts; reported if there is no other error.
    pub(super) no_text: Option<Fault>,
    /// The end of the last token that can end an expression.
    pub(super) closing: usize,
    /// The token that was read last.
    last: Token,
    ahead: Option<Token>,
    context: Context,
    depth: usize,
    /// A keyword of a disabled extension, if one was found.
    pub(super) extension_seen: Option<&'static str>,
    /// The templates in scope, and the number of uses.
    pub(super) scope: Scope,
    pub(super) uses: usize,
    /// Parts of the tree so far.
    pub(super) parts: usize,
    /// The limits, and the error when one was exceeded.
    pub(super) limits: Option<Limits<'a>>,
    pub(super) stopped: Option<Error>,
    lexer: Lexer<'a>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect, series: bool) -> Self {
        Self {
            text,
            dialect,
            faults: Vec::new(),
            no_text: None,
            closing: 0,
            last: Token { kind: Kind::End, span: Span::default() },
            ahead: None,
            context: Context::default(),
            depth: 0,
            extension_seen: None,
            scope: None,
            uses: 0,
            parts: 0,
            limits: None,
            stopped: None,
            lexer: Lexer::new(text, series, dialect.utf8_names),
        }
    }

    /// Continues at a position, at a nesting depth.
    pub(super) fn start_at(&mut self, at: usize, depth: usize) {
        self.lexer.at = at;
        self.depth = depth;
    }

    fn read(&mut self) -> Token {
        let token = self.lexer.next().unwrap_or_else(|message| {
            let span = Span { start: self.lexer.start, end: self.text.len() };
            self.fault(span, message);
            Token { kind: Kind::Error, span }
        });
        // The tokens for which upstream's `Lex` updates `lastClosing`; the ends of calls, aggregations and modifiers
        // come from it.
        let closes = [Kind::RightBrace, Kind::RightParen, Kind::RightBracket, Kind::Duration, Kind::Number];
        if closes.contains(&token.kind) {
            self.closing = token.span.end;
        }
        self.last = token;
        token
    }

    /// What kind of token comes next.
    pub(super) fn peek(&mut self) -> Kind {
        let token = self.ahead.unwrap_or_else(|| self.read());
        self.ahead = Some(token);
        token.kind
    }

    /// Consumes the next token.
    pub(super) fn take(&mut self) -> Token {
        // A token that was peeked at is not read again: reading has changed the state of the lexer.
        match self.ahead.take() {
            Some(token) => token,
            None => self.read(),
        }
    }

    /// Consumes the next token if it is of this kind.
    pub(super) fn take_if(&mut self, kind: Kind) -> Option<Token> {
        (self.peek() == kind).then(|| self.take())
    }

    /// Consumes the next token, which must be of this kind.
    pub(super) fn expect(&mut self, kind: Kind) -> Parsed<Token> {
        if self.peek() == kind { Ok(self.take()) } else { Err(self.unexpected()) }
    }

    pub(super) fn str(&self, span: Span) -> &'a str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    /// Adds an error, up to a limit.
    pub(super) fn fault(&mut self, span: Span, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { span, message: message.into() });
        }
    }

    /// Sets the context of error messages; returns the previous one.
    pub(super) fn enter(&mut self, context: Context) -> Context {
        std::mem::replace(&mut self.context, context)
    }

    /// Adds an error about the last token, which is unexpected.
    pub(super) fn unexpected(&mut self) -> Stop {
        let Context { name, expected, aggregation } = self.context;
        self.blame(name, expected);
        // Upstream's grammar has an error production for aggregations, which builds one without arguments and so adds a
        // second error.
        if let Some(start) = aggregation {
            self.fault(Span { start, end: self.closing }, "no arguments for aggregate expression provided");
        }
        Stop
    }

    /// Adds an error about the last token, unless it was a lexical error.
    pub(super) fn blame(&mut self, context: &str, expected: &str) {
        let Token { kind, span } = self.last;
        // `read` has reported the lexical error; the parser only sees that no valid token follows.
        if kind == Kind::Error {
            return;
        }
        // Consecutive whitespace counts as one token.
        let span = if kind == Kind::Space { Span { end: span.start + 1, ..span } } else { span };
        let mut message = format!("unexpected {}", describe(kind, self.str(span)));
        if !context.is_empty() {
            message += &format!(" in {context}");
        }
        if !expected.is_empty() {
            message += &format!(", expected {expected}");
        }
        // The text probably is MetricsQL: name the flag that enables it.
        if let Some(word) = self.extension_seen {
            message = with_flag(&message, word);
        }
        self.fault(span, message);
    }

    pub(super) fn last_span(&self) -> Span {
        self.last.span
    }

    /// Enters a nesting level, within the limit.
    pub(super) fn deeper(&mut self) -> Parsed<()> {
        self.deeper_by(1)?;
        self.grow(1)
    }

    pub(super) fn deeper_by(&mut self, levels: usize) -> Parsed<()> {
        self.depth += levels;
        if self.depth > DEPTH_MAX {
            self.fault(self.last.span, format!("expression is nested too deeply: more than {DEPTH_MAX} levels"));
            return Err(Stop);
        }
        Ok(())
    }

    /// Counts parts of the tree.
    pub(super) fn grow(&mut self, parts: usize) -> Parsed<()> {
        let before = self.parts;
        self.parts = before.saturating_add(parts);
        if self.parts > PARTS_MAX {
            self.fault(
                self.last.span,
                format!("query is too large: more than {PARTS_MAX} expressions, matchers and labels"),
            );
            return Err(Stop);
        }
        // The multiples of `PACE` that were passed: memory and time are checked there only, since most calls add one
        // part.
        let paces = self.parts / PACE - before / PACE;
        if paces > 0 { self.within(paces * PACE * PART_BYTES) } else { Ok(()) }
    }

    /// Reserves memory, and checks for cancellation.
    pub(super) fn within(&mut self, bytes: usize) -> Parsed<()> {
        let Some(limits) = self.limits else { return Ok(()) };
        limits.take(bytes).map_err(|error| {
            self.stopped = Some(error);
            Stop
        })
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn rise_to(&mut self, depth: usize) {
        self.depth = depth;
    }
}
