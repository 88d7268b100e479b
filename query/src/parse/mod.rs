//! Query text → checked tree, and back. Step 2 of the query path.
//!
//! The language is upstream's, with its messages and their places: `lexer`, `scan` and `series_lexer` make tokens,
//! `expr`, `modifiers`, `selector` and `durations` a tree of them, `check` looks at its types. `series` reads the series
//! of test scripts. `print`, `pretty` and `json` go back; `resolve` computes durations when a query's times are known.

pub(crate) mod ast;
mod check;
mod durations;
mod expr;
mod extensions;
mod json;
#[cfg(test)]
mod judged;
mod lexer;
#[cfg(test)]
mod messages;
mod modifiers;
mod number;
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
mod selector;
pub(crate) mod series;
mod series_lexer;
mod slips;
mod templates;
mod token;
mod totals;

use model::Matcher;

use self::ast::{Expr, ExprKind, Span};
use self::parser::{Fault, Parser, Stop};
pub(crate) use self::quote::{Text, unquote};
use self::token::Kind;
use crate::Error;
use crate::engine::Times;

/// Which parts of the language are switched on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dialect {
    pub(crate) experimental_functions: bool,
    pub(crate) fill_modifiers: bool,
    pub(crate) extended_range_selectors: bool,
    /// What of MetricsQL does not contradict.
    pub(crate) extensions: bool,
    /// How far apart samples usually are; what takes the place of a range that is not written depends on it.
    pub(crate) scrape_interval_ms: i64,
}

/// Parses and checks a query.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Expr, Error> {
    tree(text, dialect).map_err(|faults| told(text, &faults))
}

/// The tree, or everything that is wrong with the text; the first is what users are told.
fn tree(text: &str, dialect: Dialect) -> Result<Expr, Vec<Fault>> {
    let mut parser = Parser::new(text, dialect, false);
    let parsed = if parser.peek() == Kind::End {
        parser.fault(Span::default(), "no expression found in input");
        Err(Stop)
    } else {
        parser.expr(0)
    };
    let expr = parsed.and_then(|expr| parser.expect(Kind::End).map(|_| expr));
    let Ok(expr) = expr else { return Err(parser.faults) };
    let mut faults = parser.faults;
    if faults.is_empty() {
        faults = parser.no_text.map_or_else(|| check::check(text, &expr), |fault| vec![fault]);
    }
    if faults.is_empty() { Ok(expr) } else { Err(faults) }
}

/// The matchers of a lone selector such as `up{job="a"}`, as `match[]` has it. `{}` gives none.
///
/// # Errors
/// When the text is no selector.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    let mut parser = Parser::new(text, Dialect::default(), false);
    let selector = parser.lone_selector();
    parser.faults.extend(parser.no_text.take());
    match selector.map(|expr| expr.kind) {
        Ok(ExprKind::Vector(selector)) if parser.faults.is_empty() => Ok(selector.matchers),
        _ => Err(told(text, &parser.faults)),
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
    series::series(text).map_err(|faults| told(text, &faults))
}

/// A query over several lines where it is long.
pub(crate) fn pretty(expr: &Expr) -> String {
    pretty::pretty(expr, 0)
}

/// The tree as a JSON object.
pub(crate) fn json(expr: &Expr) -> String {
    json::json(expr)
}

/// Sets the durations that depend on the times of the query. Errors name bytes, from and to, where others name a line.
pub(crate) fn resolve(expr: &mut Expr, times: Times) -> Result<(), Error> {
    let told = |Fault { span, message }| Error::Parse(format!("{}:{}: {message}", span.start, span.end));
    resolve::resolve(expr, times).map_err(told)
}

/// Takes away the parentheses around arguments and what is aggregated: notes point to what is inside.
pub(crate) fn unwrap_args(expr: &mut Expr) {
    expr.walk_mut(&mut |node| match &mut node.kind {
        ExprKind::Call(call) => call.args.iter_mut().for_each(unwrap),
        ExprKind::Aggregate(aggregate) => {
            unwrap(&mut aggregate.expr);
            aggregate.param.iter_mut().for_each(unwrap);
        }
        _ => {}
    });
}

fn unwrap(expr: &mut Expr) {
    while let ExprKind::Paren(inner) = &mut expr.kind {
        let kind = std::mem::replace(&mut inner.kind, ExprKind::String(Text::new(String::new())));
        *expr = Expr { kind, span: inner.span };
    }
}

/// Marks the selectors of whose histograms only count and sum are looked at.
pub(crate) fn mark_totals(expr: &mut Expr) {
    totals::mark(expr, totals::Needs::Unknown);
}

/// `line:column: parse error: …`; columns count bytes, as upstream's do.
fn told(text: &str, faults: &[Fault]) -> Error {
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
