//! Finds what is wrong with a query and where, and where each expression stands. One walk over the tokens by operator
//! precedence, with the types of what it saw but no tree: that is built by another parser, which keeps no places and
//! takes what it should not.
//!
//! Invariant: [`Outline::spans`] and [`Outline::selectors`] are in the order in which a depth-first walk of the tree
//! leaves its nodes, so the tree and the outline can be laid over each other.

use model::{MatchOp, Matcher};

use super::ast::{AggregateOp, BinaryOp, Span, Type};
use super::lexer::{Fault, Lexer, Mode, Token, TokenKind, describe, unquote};
use super::{Dialect, PLACEHOLDER, number};
use crate::functions;

/// What the walk found in a query that is right.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// The place of every expression; children before their parents.
    pub(crate) spans: Vec<Span>,
    /// The numbers among the expressions, from left to right, with the sign in front of them.
    pub(crate) numbers: Vec<f64>,
    /// The matchers of every selector, from left to right.
    pub(crate) selectors: Vec<Vec<Matcher>>,
    /// The string literals, from left to right, unquoted: also those used as names.
    pub(crate) strings: Vec<String>,
    /// Ranges, subquery steps and offsets, from left to right.
    pub(crate) durations_ms: Vec<i64>,
    /// The times after `@`, from left to right.
    pub(crate) times_ms: Vec<i64>,
    /// What to put in place of which stretches of the text, from left to right, before the tree builder sees it.
    pub(crate) replacements: Vec<(Span, String)>,
}

/// What is known of an expression once it has been walked over.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) ty: Type,
    pub(super) span: Span,
    pub(super) shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Other,
    /// A selector, range selector or subquery, with what was set on it.
    Shiftable {
        selector: bool,
        offset: bool,
        at: bool,
    },
}

pub(super) struct Walker<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) token: Token,
    pub(super) dialect: Dialect,
    pub(super) outline: Outline,
    /// The first complaint about types; a complaint about syntax further on goes before it.
    pub(super) complaint: Option<Fault>,
    pub(super) depth: usize,
}

/// Expressions inside one another, each operator of a chain counting; beyond this the stack would be at risk.
const DEPTH_MAX: usize = 200;
const UNARY_OPERAND: u8 = 6;

/// Walks over a whole expression.
pub(crate) fn outline(text: &str, dialect: Dialect) -> Result<Outline, Fault> {
    let mut walker = Walker::new(text, dialect)?;
    if walker.token.kind == TokenKind::End {
        return Err(Fault::new(0, "no expression found in input"));
    }
    walker.expr(0)?;
    if walker.token.kind != TokenKind::End {
        return Err(walker.unexpected("", ""));
    }
    match walker.complaint {
        Some(fault) => Err(fault),
        None => Ok(walker.outline),
    }
}

/// Walks over a selector with nothing after it.
pub(crate) fn lone_selector(text: &str) -> Result<Outline, Fault> {
    let mut walker = Walker::new(text, Dialect { empty_selectors: true, ..Dialect::default() })?;
    let token = walker.token;
    if walker.is("{") {
        walker.selector(None)?;
    } else if matches!(token.kind, TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Keyword) {
        let name = walker.text();
        walker.advance(Mode::Statement)?;
        walker.selector(Some((name, token.span)))?;
    }
    if walker.token.kind != TokenKind::End || token.kind == TokenKind::End {
        return Err(walker.unexpected("", ""));
    }
    match walker.complaint {
        Some(fault) => Err(fault),
        None => Ok(walker.outline),
    }
}

impl<'a> Walker<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Result<Self, Fault> {
        let mut lexer = Lexer::new(text);
        let token = lexer.next(Mode::Statement)?;
        Ok(Self { lexer, token, dialect, outline: Outline::default(), complaint: None, depth: 0 })
    }

    pub(super) fn text(&self) -> &'a str {
        self.lexer.str(self.token)
    }

    pub(super) fn advance(&mut self, mode: Mode) -> Result<(), Fault> {
        self.token = self.lexer.next(mode)?;
        Ok(())
    }

    pub(super) fn is(&self, text: &str) -> bool {
        let words = matches!(self.token.kind, TokenKind::Keyword | TokenKind::Punctuation | TokenKind::Operator);
        words && self.text().eq_ignore_ascii_case(text)
    }

    pub(super) fn unexpected(&self, context: &str, expected: &str) -> Fault {
        let mut message = format!("unexpected {}", describe(self.token.kind, self.text()));
        if !context.is_empty() {
            message += &format!(" in {context}");
        }
        if !expected.is_empty() {
            message += &format!(", expected {expected}");
        }
        Fault::new(self.token.span.start, message)
    }

    pub(super) fn complain(&mut self, start: usize, message: impl Into<String>) {
        self.complaint.get_or_insert_with(|| Fault::new(start, message));
    }

    /// Notes a finished expression.
    pub(super) fn leave(&mut self, ty: Type, span: Span, shape: Shape) -> Node {
        self.outline.spans.push(span);
        Node { ty, span, shape }
    }

    pub(super) fn take_string(&mut self) -> Result<String, Fault> {
        let value = unquote(self.text()).map_err(|message| Fault::new(self.token.span.start, message))?;
        self.keep_name(value.clone());
        Ok(value)
    }

    /// Hides the current token, a name or string, from the tree builder behind a placeholder.
    pub(super) fn keep_name(&mut self, name: String) {
        let placeholder = format!("\"{PLACEHOLDER}{}\"", self.outline.strings.len());
        self.outline.replacements.push((self.token.span, placeholder));
        self.outline.strings.push(name);
    }

    pub(super) fn expr(&mut self, min: u8) -> Result<Node, Fault> {
        let depth = self.depth;
        self.deeper()?;
        let mut left = self.unary()?;
        while let Some(op) = self.operator() {
            if op.precedence() < min {
                break;
            }
            self.deeper()?;
            left = self.binary(left, op)?;
        }
        self.depth = depth;
        Ok(left)
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(self.token.span.start, "expression is nested too deeply"));
        }
        Ok(())
    }

    fn operator(&self) -> Option<BinaryOp> {
        let candidate = matches!(self.token.kind, TokenKind::Operator | TokenKind::Keyword);
        candidate.then(|| BinaryOp::from_symbol(self.text())).flatten()
    }

    fn unary(&mut self) -> Result<Node, Fault> {
        if !self.is("-") && !self.is("+") {
            let primary = self.primary()?;
            return self.postfix(primary);
        }
        let minus = self.is("-");
        let start = self.token.span.start;
        self.advance(Mode::Statement)?;
        let inner = self.expr(UNARY_OPERAND)?;
        let span = Span { start, end: inner.span.end };
        if !matches!(inner.ty, Type::Scalar | Type::Vector) {
            let got = inner.ty.documented();
            let message =
                format!("unary expression only allowed on expressions of type scalar or instant vector, got {got:?}");
            self.complain(start, message);
        }
        if inner.shape == Shape::Number || !minus {
            if let Some(number) = self.outline.numbers.last_mut().filter(|_| minus) {
                *number = -*number;
            }
            if let Some(last) = self.outline.spans.last_mut() {
                *last = span;
            }
            return Ok(Node { span, ..inner });
        }
        Ok(self.leave(inner.ty, span, Shape::Other))
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let token = self.token;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let value = number::value(self.text()).map_err(|message| Fault::new(token.span.start, message))?;
                self.outline.numbers.push(value);
                self.outline.replacements.push((token.span, "1".to_owned()));
                self.advance(Mode::Statement)?;
                Ok(self.leave(Type::Scalar, token.span, Shape::Number))
            }
            TokenKind::String => {
                self.take_string()?;
                self.advance(Mode::Statement)?;
                Ok(self.leave(Type::String, token.span, Shape::Other))
            }
            TokenKind::Punctuation if self.is("(") => {
                self.advance(Mode::Statement)?;
                let inner = self.expr(0)?;
                if !self.is(")") {
                    return Err(self.unexpected("", ""));
                }
                let span = Span { start: token.span.start, end: self.token.span.end };
                self.advance(Mode::Statement)?;
                Ok(self.leave(inner.ty, span, Shape::Other))
            }
            TokenKind::Punctuation if self.is("{") => self.selector(None),
            TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Keyword => self.word(),
            _ => Err(self.unexpected("", "")),
        }
    }

    fn word(&mut self) -> Result<Node, Fault> {
        let token = self.token;
        let text = self.text();
        let aggregate = AggregateOp::from_name(text).filter(|_| token.kind == TokenKind::Keyword);
        let lower = text.to_ascii_lowercase();
        let no_name = ["bool", "on", "ignoring", "group_left", "group_right", "atan2"];
        let callable = token.kind == TokenKind::Identifier
            || ["start", "end", "step", "range"].contains(&lower.as_str()) && token.kind == TokenKind::Keyword;
        if no_name.contains(&lower.as_str()) {
            return Err(self.unexpected("", ""));
        }
        self.advance(Mode::Statement)?;
        match aggregate {
            Some(op) if self.is("(") || self.is("by") || self.is("without") => return self.aggregate(op, token.span),
            None if callable && self.is("(") => return self.call(text, token.span),
            _ => {}
        }
        self.selector(Some((text, token.span)))
    }

    /// A selector, at its opening brace or just after its name.
    fn selector(&mut self, name: Option<(&str, Span)>) -> Result<Node, Fault> {
        let mut span = name.map_or(self.token.span, |(_, span)| span);
        let outside = name.is_some();
        let replaced = self.outline.replacements.len();
        let mut name = name.map(|(name, _)| name.to_owned());
        let mut matchers = Vec::new();
        if self.is("{") {
            span.end = self.braces(&mut name, &mut matchers, span.start)?;
        }
        if let Some(name) = &name {
            let other = matchers.iter().find(|m| outside && m.name == model::labels::METRIC_NAME);
            if let Some(other) = other {
                let message = format!("metric name must not be set twice: {name:?} or {:?}", other.value);
                self.complain(span.start, message);
            }
            matchers.push(Matcher::equal(model::labels::METRIC_NAME, name.as_str()));
        }
        if matchers.iter().all(Matcher::matches_empty) && !self.dialect.empty_selectors {
            self.complain(span.start, "vector selector must contain at least one non-empty matcher");
        }
        self.outline.selectors.push(matchers);
        // The tree builder only has to see that there is a selector.
        self.outline.replacements.truncate(replaced);
        self.outline.replacements.push((span, "m".to_owned()));
        let shape = Shape::Shiftable { selector: true, offset: false, at: false };
        Ok(self.leave(Type::Vector, span, shape))
    }

    /// From the opening brace past the closing one; returns where that ended.
    fn braces(&mut self, name: &mut Option<String>, matchers: &mut Vec<Matcher>, start: usize) -> Result<usize, Fault> {
        const CONTEXT: &str = "label matching";
        self.advance(Mode::Braces)?;
        if self.is(",") {
            return Err(self.unexpected(CONTEXT, "identifier or \"}\""));
        }
        while !self.is("}") {
            let quoted = self.token.kind == TokenKind::String;
            let label_start = self.token.span.start;
            let label = match self.token.kind {
                TokenKind::String => self.take_string()?,
                TokenKind::Identifier => self.text().to_owned(),
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            };
            self.advance(Mode::Braces)?;
            if quoted && (self.is(",") || self.is("}")) {
                if let Some(first) = name.replace(label.clone()) {
                    self.complain(start, format!("metric name must not be set twice: {first:?} or {label:?}"));
                }
            } else {
                let matcher = self.matcher(label, label_start)?;
                matchers.push(matcher);
            }
            if self.is(",") {
                self.advance(Mode::Braces)?;
            } else if !self.is("}") {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
        let end = self.token.span.end;
        self.advance(Mode::Statement)?;
        Ok(end)
    }

    /// The operator and value after a label's name.
    fn matcher(&mut self, label: String, start: usize) -> Result<Matcher, Fault> {
        const CONTEXT: &str = "label matching";
        let op = match self.text() {
            "=" => MatchOp::Equal,
            "!=" => MatchOp::NotEqual,
            "=~" => MatchOp::Regex,
            "!~" => MatchOp::NotRegex,
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.advance(Mode::Braces)?;
        if self.token.kind != TokenKind::String {
            return Err(self.unexpected(CONTEXT, "string"));
        }
        let value = self.take_string()?;
        let matcher = Matcher::new(op, label, value).map_err(|error| Fault::new(start, error.to_string()))?;
        self.advance(Mode::Braces)?;
        Ok(matcher)
    }

    fn call(&mut self, name: &str, span: Span) -> Result<Node, Fault> {
        let args = self.args(name == "info")?;
        let span = Span { start: span.start, end: self.token.span.end };
        self.advance(Mode::Statement)?;
        let Some(function) = functions::lookup(name) else {
            return Err(Fault::new(span.start, format!("unknown function with name {name:?}")));
        };
        if function.experimental && !self.dialect.experimental_functions {
            return Err(Fault::new(span.start, format!("function {name:?} is not enabled")));
        }
        if let Some(message) = function.wrong_count(args.len()) {
            self.complain(span.start, message);
        }
        for (i, arg) in args.iter().enumerate() {
            if let Some(expected) = function.arg_type(i).filter(|expected| *expected != arg.ty) {
                self.expect_type(*arg, expected, &format!("call to function {name:?}"));
            }
        }
        if name == "info" && args.len() == 2 {
            let bare = matches!(args[1].shape, Shape::Shiftable { selector: true, .. });
            let named = self.lexer.text.as_bytes().get(args[1].span.start) != Some(&b'{');
            match (bare, named) {
                (true, true) => {
                    self.complain(args[1].span.start, "expected label selectors only, got vector selector instead");
                }
                (false, _) => self.complain(args[1].span.start, "expected label selectors only"),
                _ => {}
            }
        }
        Ok(self.leave(function.returns, span, Shape::Other))
    }

    pub(super) fn expect_type(&mut self, node: Node, expected: Type, context: &str) {
        if node.ty != expected {
            let (want, got) = (expected.documented(), node.ty.documented());
            self.complain(node.span.start, format!("expected type {want} in {context}, got {got}"));
        }
    }

    /// Arguments from the opening parenthesis to the closing one, which is the token left.
    pub(super) fn args(&mut self, info: bool) -> Result<Vec<Node>, Fault> {
        let strict = self.dialect.empty_selectors;
        self.advance(Mode::Statement)?;
        let mut args = Vec::new();
        while !self.is(")") {
            // What `info` takes second may match anything.
            self.dialect.empty_selectors = strict || info && args.len() == 1;
            args.push(self.expr(0)?);
            self.dialect.empty_selectors = strict;
            if self.is(",") {
                let comma = self.token.span.start;
                self.advance(Mode::Statement)?;
                if self.is(")") {
                    return Err(Fault::new(comma, "trailing commas not allowed in function call args"));
                }
            } else if !self.is(")") {
                return Err(self.unexpected("", ""));
            }
        }
        Ok(args)
    }
}
