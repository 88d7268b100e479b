//! Selectors: a name, and matchers in braces.

use model::labels::METRIC_NAME;
use model::{MatchOp, Matcher};

use super::ast::{BinaryOp, Expr, ExprKind, Selector, Span};
use super::parser::{Context, Parsed, Parser, Stop};
use super::token::Kind;

const LABEL: Context = Context::new("label matching", "identifier or \"}\"");
const OPERATOR: Context = Context::new("label matching", "label matching operator");
const VALUE: Context = Context::new("label matching", "string");
const NEXT: Context = Context::new("label matching", "\",\" or \"}\"");

impl Parser<'_> {
    /// Can the next token be a metric name?
    pub(super) fn names_metric(&mut self) -> bool {
        match self.peek() {
            // `and`, `or` and `unless` are valid metric names, as in upstream's `metric_identifier`.
            Kind::Operator(op) => op.is_set(),
            Kind::Word(word) => word.is_metric(),
            Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregate(_) => true,
            _ => false,
        }
    }

    /// A selector from its opening brace, or after its name.
    pub(super) fn selector(&mut self, name: Option<Span>) -> Parsed<Expr> {
        let utf8_names = self.dialect.utf8_names;
        let mut selector =
            Selector { name: name.map(|span| self.str(span).to_owned()), utf8_names, ..Selector::default() };
        let braces = if self.peek() == Kind::LeftBrace { Some(self.matchers(&mut selector.matchers)?) } else { None };
        let (first, last) = (name.or(braces).unwrap_or_default(), braces.or(name).unwrap_or_default());
        selector.span = Span { start: first.start, end: last.end };
        // Pushed last: `check` tells it by its place from a matcher that was written in the braces.
        if let Some(name) = &selector.name {
            selector.matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        let span = selector.span;
        Ok(Expr { kind: ExprKind::Vector(selector), span })
    }

    /// Matchers in braces.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<Span> {
        let start = self.take().span.start;
        let outer = self.enter(LABEL);
        let end = loop {
            if let Some(brace) = self.take_if(Kind::RightBrace) {
                break brace.span.end;
            }
            self.enter(LABEL);
            self.matcher(matchers)?;
            self.enter(NEXT);
            if self.take_if(Kind::Comma).is_none() {
                break self.expect(Kind::RightBrace)?.span.end;
            }
            self.enter(LABEL);
        };
        self.enter(outer);
        Ok(Span { start, end })
    }

    /// A matcher, a quoted name, or the matchers of a template; none if the regular expression is invalid.
    fn matcher(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<()> {
        let label = match self.peek() {
            Kind::Identifier | Kind::String => self.take(),
            _ => return Err(self.unexpected()),
        };
        let is_string = label.kind == Kind::String;
        let name = if is_string { self.unquoted(label.span) } else { self.str(label.span).to_owned() };
        let op = match self.peek() {
            Kind::Assign => MatchOp::Equal,
            Kind::Operator(BinaryOp::Ne) => MatchOp::NotEqual,
            Kind::Matches => MatchOp::Regex,
            Kind::MatchesNot => MatchOp::NotRegex,
            // `{"name"}`: a quoted metric name.
            _ if is_string => {
                self.grow(1)?;
                matchers.push(Matcher::equal(METRIC_NAME, name));
                return Ok(());
            }
            _ => {
                // Only an identifier without an operator can be a template, so labels may have the name of one.
                if let Some(templated) = self.templated_matchers(label.span)? {
                    matchers.extend(templated);
                    return Ok(());
                }
                self.enter(OPERATOR);
                return Err(self.unexpected());
            }
        };
        self.take();
        self.enter(VALUE);
        let value = self.expect(Kind::String)?.span;
        let text = self.unquoted(value);
        let span = Span { start: label.span.start, end: value.end };
        self.grow(1)?;
        // Compiling a regular expression is the one step whose memory is not proportional to the text.
        match Matcher::new_within(op, name, text, &mut |bytes| self.within(bytes).is_ok()) {
            Ok(matcher) => matchers.push(matcher),
            // The limit ended the compilation; the expression itself may be valid.
            Err(_) if self.stopped.is_some() => return Err(Stop),
            Err(error) => self.fault(span, error.to_string()),
        }
        Ok(())
    }
}
