//! Query text → checked tree. Step 2 of the query path.
//!
//! `locate` decides what is a query, says what is wrong and where, and reads every literal; the crate promql-parser gives
//! the shape of the tree. It sees the text with selectors and literals replaced by placeholders, so that these
//! are read once, by us, with Go's meaning. Nothing outside this folder knows of that crate.

pub(crate) mod ast;
mod durations;
mod lexer;
mod locate;
mod number;
mod operators;

use model::Matcher;
use promql_parser::parser as pp;

use self::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Card, Expr, ExprKind, Grouping, Matching, Selector, Shift,
    Subquery,
};
use self::lexer::Fault;
pub(crate) use self::lexer::unquote;
use self::locate::Outline;
use crate::{Error, functions};

/// Which parts of the language are switched on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dialect {
    pub(crate) experimental_functions: bool,
    pub(crate) fill_modifiers: bool,
    /// What `step()` and `range()` mean inside durations, when the times of the query are known.
    pub(crate) step_and_range_ms: Option<(i64, i64)>,
    /// `{}` is a selector.
    pub(crate) empty_selectors: bool,
}

/// Marks a placeholder; cannot stand in an unquoted name.
const PLACEHOLDER: char = '\u{a7}';

/// Parses and checks a query.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Expr, Error> {
    let outline = locate::outline(text, dialect).map_err(|fault| parse_error(text, &fault))?;
    let tree = pp::parse(&with_placeholders(text, &outline)).map_err(|message| {
        // The outline found nothing wrong, so it is the tree builder that does not know the construct.
        parse_error(text, &Fault::new(0, format!("not supported yet: {message}")))
    })?;
    let mut builder =
        Builder { outline, next_span: 0, next_number: 0, next_selector: 0, next_duration: 0, next_time: 0 };
    builder.expr(&tree).map_err(|message| parse_error(text, &Fault::new(0, message)))
}

/// The matchers of a lone selector such as `up{job="a"}`, as `match[]` has it. `{}` gives none.
///
/// # Errors
/// When the text is no selector.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    let mut outline = locate::lone_selector(text).map_err(|fault| parse_error(text, &fault))?;
    Ok(outline.selectors.pop().unwrap_or_default())
}

/// The query again, broken into lines where it is long, as upstream's formatter does in most cases. Durations written as
/// numbers are printed as durations.
///
/// # Errors
/// When the text is no query.
pub fn format_query(text: &str) -> Result<String, Error> {
    let dialect = Dialect { experimental_functions: true, fill_modifiers: true, ..Dialect::default() };
    locate::outline(text, dialect).map_err(|fault| parse_error(text, &fault))?;
    let unknown = |message| parse_error(text, &Fault::new(0, format!("cannot be formatted yet: {message}")));
    pp::parse(text).map(|tree| tree.prettify()).map_err(unknown)
}

fn with_placeholders(text: &str, outline: &Outline) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, replacement) in &outline.replacements {
        out.push_str(text.get(at..span.start).unwrap_or(""));
        out.push_str(replacement);
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or(""));
    out
}

/// `line:column: parse error: …`; columns count bytes, as upstream's do.
fn parse_error(text: &str, fault: &Fault) -> Error {
    if text.is_empty() {
        return Error::Parse(format!("unknown position: parse error: {}", fault.message));
    }
    Error::Parse(format!("{}: parse error: {}", line_column(text, fault.start), fault.message))
}

/// `line:column` of a byte of the text, both from one.
pub(crate) fn line_column(text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
    format!("{line}:{column}")
}

/// Lays the foreign tree over the outline.
struct Builder {
    outline: Outline,
    next_span: usize,
    next_number: usize,
    next_selector: usize,
    next_duration: usize,
    next_time: usize,
}

type Built<T> = Result<T, String>;

impl Builder {
    fn expr(&mut self, tree: &pp::Expr) -> Built<Expr> {
        let kind = match tree {
            pp::Expr::Paren(e) => ExprKind::Paren(Box::new(self.expr(&e.expr)?)),
            pp::Expr::Unary(e) => ExprKind::Negate(Box::new(self.expr(&e.expr)?)),
            pp::Expr::NumberLiteral(_) => {
                self.next_number += 1;
                let value = self.outline.numbers.get(self.next_number - 1);
                ExprKind::Number(*value.ok_or_else(misfit)?)
            }
            pp::Expr::StringLiteral(e) => ExprKind::String(self.name(&e.val)),
            pp::Expr::VectorSelector(e) => ExprKind::Vector(self.selector(e)?),
            pp::Expr::MatrixSelector(e) => {
                let range_ms = self.duration()?;
                ExprKind::Matrix(self.selector(&e.vs)?, range_ms)
            }
            pp::Expr::Subquery(e) => ExprKind::Subquery(Box::new(Subquery {
                expr: self.expr(&e.expr)?,
                range_ms: self.duration()?,
                step_ms: e.step.map(|_| self.duration()).transpose()?,
                shift: self.shift(e.offset.is_some(), e.at.as_ref())?,
            })),
            pp::Expr::Call(e) => {
                let args = e.args.args.iter().map(|arg| self.expr(arg)).collect::<Built<Vec<_>>>()?;
                let function = functions::lookup(e.func.name).ok_or_else(misfit)?;
                ExprKind::Call(Call { function, args })
            }
            pp::Expr::Aggregate(e) => ExprKind::Aggregate(Box::new(self.aggregate(e)?)),
            pp::Expr::Binary(e) => ExprKind::Binary(Box::new(self.binary(e)?)),
            pp::Expr::Extension(_) => return Err(misfit()),
        };
        let span = self.outline.spans.get(self.next_span).copied().ok_or_else(misfit)?;
        self.next_span += 1;
        Ok(Expr { kind, span })
    }

    /// The string behind a placeholder; other names are themselves.
    fn name(&self, name: &str) -> String {
        let string = name.strip_prefix(PLACEHOLDER).and_then(|i| self.outline.strings.get(i.parse::<usize>().ok()?));
        string.map_or_else(|| name.to_owned(), Clone::clone)
    }

    fn names(&self, labels: &[String]) -> Vec<String> {
        let mut names: Vec<String> = labels.iter().map(|l| self.name(l)).collect();
        names.sort();
        names.dedup();
        names
    }

    fn selector(&mut self, tree: &pp::VectorSelector) -> Built<Selector> {
        let matchers = self.outline.selectors.get_mut(self.next_selector).ok_or_else(misfit)?;
        let matchers = std::mem::take(matchers);
        self.next_selector += 1;
        Ok(Selector { matchers, shift: self.shift(tree.offset.is_some(), tree.at.as_ref())? })
    }

    fn duration(&mut self) -> Built<i64> {
        self.next_duration += 1;
        self.outline.durations_ms.get(self.next_duration - 1).copied().ok_or_else(misfit)
    }

    fn shift(&mut self, has_offset: bool, at: Option<&pp::AtModifier>) -> Built<Shift> {
        let offset_ms = if has_offset { self.duration()? } else { 0 };
        let at = match at {
            None => None,
            Some(pp::AtModifier::Start) => Some(At::Start),
            Some(pp::AtModifier::End) => Some(At::End),
            Some(pp::AtModifier::At(_)) => {
                self.next_time += 1;
                Some(At::Ms(self.outline.times_ms.get(self.next_time - 1).copied().ok_or_else(misfit)?))
            }
        };
        Ok(Shift { at, offset_ms })
    }

    fn aggregate(&mut self, tree: &pp::AggregateExpr) -> Built<Aggregate> {
        let op = AggregateOp::from_name(&tree.op.to_string()).ok_or_else(misfit)?;
        let param = tree.param.as_ref().map(|param| self.expr(param)).transpose()?;
        let expr = self.expr(&tree.expr)?;
        let grouping = tree.modifier.as_ref().map_or_else(Grouping::default, |modifier| Grouping {
            labels: self.names(&modifier.labels().labels),
            without: !modifier.is_include(),
        });
        Ok(Aggregate { op, expr, param, grouping })
    }

    fn binary(&mut self, tree: &pp::BinaryExpr) -> Built<Binary> {
        let op = BinaryOp::from_symbol(&tree.op.to_string()).ok_or_else(misfit)?;
        let left = self.expr(&tree.lhs)?;
        let right = self.expr(&tree.rhs)?;
        let mut matching = Matching::default();
        let mut return_bool = false;
        if let Some(modifier) = &tree.modifier {
            return_bool = modifier.return_bool;
            if let Some(labels) = &modifier.matching {
                matching.on = labels.is_include();
                matching.labels = self.names(&labels.labels().labels);
            }
            matching.card = match &modifier.card {
                pp::VectorMatchCardinality::ManyToOne(_) => Card::ManyToOne,
                pp::VectorMatchCardinality::OneToMany(_) => Card::OneToMany,
                _ => Card::OneToOne,
            };
            matching.include = modifier.card.labels().map_or_else(Vec::new, |labels| self.names(&labels.labels));
            matching.fill_left = modifier.fill_values.lhs;
            matching.fill_right = modifier.fill_values.rhs;
        }
        Ok(Binary { op, left, right, return_bool, matching })
    }
}

fn misfit() -> String {
    "not supported yet: the two readings of the query differ".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_alone() {
        let shown = |text: &str| {
            parse_selector(text)
                .map(|matchers| matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
                .map_err(|error| error.to_string())
        };
        assert_eq!(shown(r#"up{job=~"a|b"}"#).as_deref(), Ok(r#"job=~"a|b",__name__="up""#));
        assert_eq!(shown(r#"{"my.up", "l.l"!="x"}"#).as_deref(), Ok(r#"l.l!="x",__name__="my.up""#));
        assert_eq!(shown("{}").as_deref(), Ok(""));
        let unexpected = "1:3: parse error: unexpected \"[\"".to_owned();
        assert_eq!(shown("up[5m]"), Err(unexpected));
        assert!(shown("").is_err() && shown("up + 1").is_err() && shown("up offset 5m").is_err());
    }

    #[test]
    fn typographic_quotes_are_named() {
        let error = parse("up{job=\u{201c}a\u{201d}}", Dialect::default()).unwrap_err();
        let expected =
            "1:8: parse error: unexpected character: '\u{201c}' (a typographic quote: write \" or ' instead)";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn literals_have_gos_meaning() {
        let value = |text: &str| match parse(text, Dialect::default()).unwrap().kind {
            ExprKind::String(text) => text,
            ExprKind::Number(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(value(r#""a\x41\u00e9\t""#), "aA\u{e9}\t");
        assert_eq!(value(r"`\d`"), r"\d");
        assert_eq!(value("-0x10"), "-16");
        assert_eq!(value("1h"), "3600");
    }

    #[test]
    fn formatting() {
        assert_eq!(format_query("sum by(a)(rate(up[5m]))").unwrap(), "sum by (a) (rate(up[5m]))");
        assert!(format_query("sum(").is_err());
    }
}
