//! The parser's hold on the tokens: one of them at a time, what is wrong, and what was expected where.
//!
//! A token is read when it is needed and no sooner: what a text is blamed for first, and where an expression ends, comes
//! out as with upstream's parser.

use super::ast::Span;
use super::dialect::{Dialect, with_flag};
use super::fault::Fault;
use super::lexer::Lexer;
use super::limits::{DEPTH_MAX, FAULTS_MAX, Limits, PACE, PART_BYTES, PARTS_MAX};
use super::scope::Scope;
use super::token::{Kind, Token, describe};
use crate::Error;

/// The text makes no sense any more; why is among the faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop;

pub(super) type Parsed<T> = Result<T, Stop>;

/// What is being read, for the message about a token that does not belong there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    name: &'static str,
    expected: &'static str,
    /// It is an aggregation, from here on.
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
    /// A string that upstream could hold and we cannot; told when nothing else is wrong.
    pub(super) no_text: Option<Fault>,
    /// Where the last token ended that can end an expression.
    pub(super) closing: usize,
    /// The token that was read last.
    last: Token,
    ahead: Option<Token>,
    context: Context,
    depth: usize,
    /// A word of an extension that is off, where one was met.
    pub(super) extension_seen: Option<&'static str>,
    /// The templates that are known here, and how often any was used.
    pub(super) scope: Scope,
    pub(super) uses: usize,
    /// Parts of the tree so far.
    pub(super) parts: usize,
    /// What reading may take, where there are bounds, and what ended it.
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

    /// Begins in the midst of the text, and so many levels deep.
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

    /// Takes the next token.
    pub(super) fn take(&mut self) -> Token {
        match self.ahead.take() {
            Some(token) => token,
            None => self.read(),
        }
    }

    /// Takes the next token when it is of this kind.
    pub(super) fn take_if(&mut self, kind: Kind) -> Option<Token> {
        (self.peek() == kind).then(|| self.take())
    }

    /// Takes the next token, which must be of this kind.
    pub(super) fn expect(&mut self, kind: Kind) -> Parsed<Token> {
        if self.peek() == kind { Ok(self.take()) } else { Err(self.unexpected()) }
    }

    pub(super) fn str(&self, span: Span) -> &'a str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    /// Complains, unless enough was complained about.
    pub(super) fn fault(&mut self, span: Span, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { span, message: message.into() });
        }
    }

    /// Sets what is read now; returns what was read so far, to be set again.
    pub(super) fn enter(&mut self, context: Context) -> Context {
        std::mem::replace(&mut self.context, context)
    }

    /// The token that was read last does not belong.
    pub(super) fn unexpected(&mut self) -> Stop {
        let Context { name, expected, aggregation } = self.context;
        self.blame(name, expected);
        if let Some(start) = aggregation {
            self.fault(Span { start, end: self.closing }, "no arguments for aggregate expression provided");
        }
        Stop
    }

    /// Complains about the token that was read last, unless it was no token.
    pub(super) fn blame(&mut self, context: &str, expected: &str) {
        let Token { kind, span } = self.last;
        if kind == Kind::Error {
            return;
        }
        // A run of blanks counts as one of them.
        let span = if kind == Kind::Space { Span { end: span.start + 1, ..span } } else { span };
        let mut message = format!("unexpected {}", describe(kind, self.str(span)));
        if !context.is_empty() {
            message += &format!(" in {context}");
        }
        if !expected.is_empty() {
            message += &format!(", expected {expected}");
        }
        if let Some(word) = self.extension_seen {
            message = with_flag(&message, word);
        }
        self.fault(span, message);
    }

    pub(super) fn last_span(&self) -> Span {
        self.last.span
    }

    /// Goes one expression deeper, or refuses to.
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

    /// Counts parts of the tree that come to be.
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
        let paces = self.parts / PACE - before / PACE;
        if paces > 0 { self.within(paces * PACE * PART_BYTES) } else { Ok(()) }
    }

    /// Takes memory, and looks whether the text is still to be read.
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
