//! Query text → checked tree, and back. Step 2 of the query path.
//!
//! The language is upstream's, with its error messages and their positions. `lexer`, `scan` and `series_lexer` produce tokens,
//! `expr`, `modifiers`, `selector` and `durations` parse them to a tree, `check` checks types. `series` parses the series of test
//! scripts. `print`, `pretty` and `json` format trees; `resolve` computes durations that depend on the times of a query.

pub(crate) mod ast;
mod check;
mod dialect;
mod durations;
mod expr;
mod extensions;
mod fault;
mod json;
mod lexer;
mod limits;
#[cfg(test)]
mod messages;
mod modifiers;
mod number;
#[cfg(test)]
mod oracle_tests;
mod parser;
mod pretty;
mod print;
mod quote;
#[cfg(test)]
pub(crate) mod random;
#[cfg(test)]
mod recorded;
mod resolve;
mod scan;
mod scope;
mod selector;
pub(crate) mod series;
mod series_lexer;
mod templates;
mod token;
pub(crate) mod types;
mod typo_hints;

use model::Matcher;

use self::ast::{Duration, Expr, ExprKind, Shift, Span};
use self::fault::Fault;
use self::lexer::Lexer;
pub(crate) use self::limits::{DEPTH_MAX, Limits};
use self::parser::{Parser, Stop};
pub(crate) use self::quote::{Text, unquote};
pub(crate) use self::token::keywords;
use self::token::{Kind, Token};
use crate::Error;
use crate::bounds::Bounds;
use crate::memory::Reservation;
use crate::options::Times;
pub(crate) use dialect::Dialect;

/// Parses and checks a query.
#[cfg(test)]
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Expr, Error> {
    tree(text, dialect).map_err(|faults| parse_error(text, &faults))
}

/// The same within bounds.
pub(crate) fn parse_within(text: &str, dialect: Dialect, limits: Limits<'_>) -> Result<Expr, Error> {
    limits.begin(text)?;
    let mut parser = Parser::new(text, dialect, false);
    parser.limits = Some(limits);
    let tree = whole(&mut parser);
    match parser.stopped {
        Some(error) => Err(error),
        None => tree.map_err(|faults| parse_error(text, &faults)),
    }
}

/// Shorter texts have few operators.
const FEW_BYTES: usize = 100;

/// An upper bound for the number of binary operators of a query, up to the first lexical error.
pub(crate) fn operators(text: &str) -> usize {
    // The common case, which spares reading the text twice.
    if text.len() < FEW_BYTES {
        return 0;
    }
    let mut lexer = Lexer::new(text, false, true);
    let mut found = 0;
    // Counted before parsing, since the stack that the tree needs is chosen by this number: see [`crate::stack`].
    while let Ok(Token { kind, span }) = lexer.next() {
        match kind {
            Kind::End => break,
            Kind::Operator(_) => found += 1,
            Kind::Identifier if text.get(span.start..span.end).is_some_and(extensions::is_operator) => found += 1,
            _ => {}
        }
    }
    found
}

/// The tree, or all errors; users see the first one.
#[cfg(test)]
fn tree(text: &str, dialect: Dialect) -> Result<Expr, Vec<Fault>> {
    whole(&mut Parser::new(text, dialect, false))
}

fn whole(parser: &mut Parser<'_>) -> Result<Expr, Vec<Fault>> {
    let text = parser.text;
    let parsed = if parser.peek() == Kind::End {
        parser.fault(Span::default(), "no expression found in input");
        Err(Stop)
    } else {
        parser.expr(0)
    };
    let expr = parsed.and_then(|expr| parser.expect(Kind::End).map(|_| expr));
    let mut faults = std::mem::take(&mut parser.faults);
    let Ok(expr) = expr else { return Err(faults) };
    // As upstream: types are only checked in a tree without syntax errors.
    if faults.is_empty() {
        faults = parser.no_text.take().map_or_else(|| check::check(text, &expr), |fault| vec![fault]);
    }
    if faults.is_empty() { Ok(expr) } else { Err(faults) }
}

/// The matchers of a lone selector such as `up{job="a"}`, as `match[]` has it. `{}` gives none.
///
/// # Errors
/// When the text is no selector.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    lone(text, Dialect::default(), None)
}

/// The same within bounds; the memory of the matchers stays reserved.
///
/// # Errors
/// When the text is no selector, or reading it goes past a limit.
pub fn parse_selector_within(text: &str, bounds: &Bounds) -> Result<Vec<Matcher>, Error> {
    let taken = Reservation::new(&bounds.memory);
    let limits = Limits { bounds, taken: &taken };
    limits.begin(text)?;
    let dialect = Dialect { utf8_names: bounds.utf8_names, ..Dialect::default() };
    let matchers = lone(text, dialect, Some(limits))?;
    // The matchers outlive the reservation: their memory stays with the query.
    taken.keep();
    Ok(matchers)
}

fn lone(text: &str, dialect: Dialect, limits: Option<Limits<'_>>) -> Result<Vec<Matcher>, Error> {
    let mut parser = Parser::new(text, dialect, false);
    parser.limits = limits;
    let selector = parser.lone_selector();
    parser.faults.extend(parser.no_text.take());
    if let Some(error) = parser.stopped {
        return Err(error);
    }
    match selector.map(|expr| expr.kind) {
        Ok(ExprKind::Vector(selector)) if parser.faults.is_empty() => Ok(selector.matchers),
        _ => Err(parse_error(text, &parser.faults)),
    }
}

impl Parser<'_> {
    fn lone_selector(&mut self) -> parser::Parsed<Expr> {
        let expr = match self.peek() {
            Kind::LeftBrace => self.selector(None)?,
            _ if self.names_metric() => {
                let name = self.take().span;
                self.selector(Some(name))?
            }
            _ => return Err(self.unexpected()),
        };
        self.expect(Kind::End)?;
        Ok(expr)
    }
}

/// The labels and points of a series description.
pub(crate) fn series(text: &str) -> Result<(model::Labels, Vec<series::Point>), Error> {
    series::series(text).map_err(|faults| parse_error(text, &faults))
}

/// An upper bound for the indentation in the result of [`pretty()`], bytes; 0 for expressions of ordinary depth.
pub(crate) fn indentation(expr: &Expr) -> usize {
    let size = limits::size(expr);
    if size.depth > DEPTH_MAX { size.parts.saturating_mul(2 * size.depth) } else { 0 }
}

/// Formats a query, over several lines if it is long.
pub(crate) fn pretty(expr: &Expr) -> String {
    let mut text = String::new();
    pretty::pretty(expr, 0, &mut text);
    text
}

/// The tree as a JSON object.
pub(crate) fn json(expr: &Expr) -> String {
    let mut text = String::new();
    json::json(expr, &mut text);
    text
}

/// Sets the `@` and the offset of a selector or subquery, once the times of the query are known.
pub(crate) fn resolve_shift(shift: &mut Shift, times: Times) -> Result<(), Error> {
    resolve::shift(shift, times).map_err(unresolved)
}

/// Sets a range or a step.
pub(crate) fn resolve_duration(duration: &mut Duration, times: Times) -> Result<(), Error> {
    resolve::duration(duration, times).map_err(unresolved)
}

/// Upstream reports errors of durations with a byte range instead of line and column.
fn unresolved(Fault { span, message }: Fault) -> Error {
    Error::Parse(format!("{}:{}: {message}", span.start, span.end))
}

/// `line:column: parse error: …`; columns count bytes, as upstream's do.
fn parse_error(text: &str, faults: &[Fault]) -> Error {
    let Some(fault) = faults.first() else { return Error::Parse("parse error".to_owned()) };
    if text.is_empty() {
        return Error::Parse(format!("unknown position: parse error: {}", fault.message));
    }
    Error::Parse(format!("{}: parse error: {}", line_column(text, fault.span.start), fault.message))
}

/// `line:column` of a byte of the text, both from one.
pub(crate) fn line_column(text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
    format!("{line}:{column}")
}
