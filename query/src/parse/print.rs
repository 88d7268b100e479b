//! Tree → query text, formatted as upstream does.

use std::fmt;

use model::Matcher;
use model::duration::format_duration_ms;
use model::float::format_f;
use model::labels::METRIC_NAME;

use super::ast::{
    Aggregate, At, Binary, Card, Duration, DurationExpr, DurationKind, Expr, ExprKind, Number, Selector, Shift, Sign,
    Subquery,
};
use super::lexer::is_plain;
use super::quote::quoted;
use super::types::Extension;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => text.fmt(f),
            // The order of modifiers is fixed, whatever it was in the text; it differs between vector and matrix
            // selectors, as upstream's `String` methods do.
            ExprKind::Vector(s) => {
                write!(f, "{}{}{}{}", Bare(s), AtText(s.shift.at), Word(s.extension), Offset(&s.shift))
            }
            ExprKind::Matrix(s, range) => {
                let range = if range.implied { String::new() } else { format!("[{range}]") };
                write!(f, "{}{range}{}{}{}", Bare(s), Word(s.extension), AtText(s.shift.at), Offset(&s.shift))
            }
            ExprKind::Subquery(s) => write!(f, "{}{}", s.expr, s.suffix()),
            ExprKind::Paren(inner) => write!(f, "({inner}){}", self.kept_names()),
            ExprKind::Unary(sign, inner) => write!(f, "{}{inner}", sign.symbol()),
            ExprKind::Binary(b) => write!(f, "{} {} {}", b.left, b.operator(), b.right),
            ExprKind::Aggregate(a) => match &a.param {
                Some(param) => write!(f, "{}({param}, {})", a.head(), a.expr),
                None => write!(f, "{}({})", a.head(), a.expr),
            },
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (i, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if i > 0 { ", " } else { "" })?;
                }
                write!(f, "){}", self.kept_names())
            }
        }
    }
}

impl Expr {
    /// ` keep_metric_names` after a call, or after the parentheses of an operator.
    pub(super) fn kept_names(&self) -> &'static str {
        let kept = match &self.kind {
            ExprKind::Call(call) => call.keep_name,
            ExprKind::Paren(inner) => matches!(&inner.kind, ExprKind::Binary(binary) if binary.keep_name),
            _ => false,
        };
        if kept { " keep_metric_names" } else { "" }
    }
}

impl Sign {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_duration {
            return f.write_str(&format_f(self.value));
        }
        f.write_str(&format_duration_ms((self.value * 1000.0).round() as i64))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expr {
            Some(expr) => expr.fmt(f),
            None => f.write_str(&format_duration_ms(self.ms)),
        }
    }
}

impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wrapped {
            f.write_str("(")?;
        }
        match &self.kind {
            DurationKind::Literal(number) => number.fmt(f)?,
            DurationKind::Step => f.write_str("step()")?,
            DurationKind::Range => f.write_str("range()")?,
            DurationKind::Negate(inner) => write!(f, "-{inner}")?,
            DurationKind::MinOf(a, b) => write!(f, "min_of({a}, {b})")?,
            DurationKind::MaxOf(a, b) => write!(f, "max_of({a}, {b})")?,
            DurationKind::Binary(op, a, b) => write!(f, "{a} {} {b}", op.symbol())?,
        }
        f.write_str(if self.wrapped { ")" } else { "" })
    }
}

/// A selector without range and modifiers.
struct Bare<'a>(&'a Selector);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.name.as_deref().unwrap_or("");
        f.write_str(name)?;
        // The matcher of the name before the braces is not repeated in them; other matchers of `__name__` are.
        let is_name = |m: &&Matcher| {
            m.name == METRIC_NAME && m.op == model::MatchOp::Equal && m.value == name && !m.value.is_empty()
        };
        let others = self.0.matchers.iter().filter(|m| !is_name(m));
        let mut texts: Vec<String> = others.map(|m| matcher(m, self.0.utf8_names)).collect();
        // Upstream sorts the printed matchers, so that equal selectors are equal texts.
        texts.sort();
        if texts.is_empty() { Ok(()) } else { write!(f, "{{{}}}", texts.join(",")) }
    }
}

fn matcher(matcher: &Matcher, utf8: bool) -> String {
    format!("{}{}{}", name(&matcher.name, utf8), matcher.op.as_str(), quoted(&matcher.value))
}

/// A label name, quoted if necessary.
fn name(name: &str, utf8: bool) -> String {
    if is_plain(name, utf8) { name.to_owned() } else { quoted(name) }
}

fn names(names: &[String], utf8: bool) -> String {
    names.iter().map(|n| name(n, utf8)).collect::<Vec<_>>().join(", ")
}

struct AtText(Option<At>);

impl fmt::Display for AtText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            // Upstream's `%.3f`: always three decimals.
            Some(At::Time(time)) => write!(f, " @ {:.3}", time.as_seconds()),
            Some(At::Start) => f.write_str(" @ start()"),
            Some(At::End) => f.write_str(" @ end()"),
        }
    }
}

struct Word(Option<Extension>);

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |extension| write!(f, " {}", extension.word()))
    }
}

struct Offset<'a>(&'a Shift);

impl fmt::Display for Offset<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.offset.is_set() { write!(f, " offset {}", self.0.offset) } else { Ok(()) }
    }
}

impl Subquery {
    /// `[5m:1m] @ 10.000 offset 1h`
    pub(super) fn suffix(&self) -> String {
        let step = self.step.as_ref().map_or_else(String::new, ToString::to_string);
        format!("[{}:{step}]{}{}", self.range, AtText(self.shift.at), Offset(&self.shift))
    }
}

impl Aggregate {
    /// `sum by (a) `
    pub(super) fn head(&self) -> String {
        let labels = &self.grouping.labels;
        let names = |labels| names(labels, self.grouping.utf8_names);
        match (self.grouping.without, labels.is_empty()) {
            (true, _) => format!("{} without ({}) ", self.op.name(), names(labels)),
            (false, false) => format!("{} by ({}) ", self.op.name(), names(labels)),
            (false, true) => self.op.name().to_owned(),
        }
    }
}

impl Binary {
    /// `+ on (a) group_left ()`
    pub(super) fn operator(&self) -> String {
        let mut out = self.op.symbol().to_owned();
        if self.return_bool {
            out += " bool";
        }
        let Some(m) = self.matched() else { return out };
        let group = match m.card {
            Card::ManyToOne => Some("group_left"),
            Card::OneToMany => Some("group_right"),
            _ => None,
        };
        // The grammar requires a matching clause before `group_left`: `ignoring ()` is printed, too.
        if !m.labels.is_empty() || m.on || group.is_some() {
            let word = if m.on { "on" } else { "ignoring" };
            out += &format!(" {word} ({})", names(&m.labels, m.utf8_names));
        }
        if let Some(word) = group {
            out += &format!(" {word} ({})", names(&m.include, m.utf8_names));
        }
        let fill = |word, value: f64| format!(" {word} ({})", model::float::format_v(value));
        match (m.fill_left, m.fill_right) {
            // Compared by bits: `fill(NaN)` sets both sides to NaN, which does not equal itself.
            (Some(left), Some(right)) if left.to_bits() == right.to_bits() => out += &fill("fill", left),
            (left, right) => {
                out.extend(left.map(|value| fill("fill_left", value)));
                out.extend(right.map(|value| fill("fill_right", value)));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::random::ALL_ON;
    use crate::parse::{Dialect, json, parse};

    const UTF8: Dialect = Dialect { utf8_names: true, ..ALL_ON };

    #[test]
    fn names_without_quotes() {
        for (query, printed) in [
            (
                "http.server{service.name=\"a\",\"\u{e9}quipe\"=\"b\"}",
                "http.server{service.name=\"a\",\u{e9}quipe=\"b\"}",
            ),
            ("{\"o\u{308}\"=\"x\",\"\u{6e29}\"}", "{\"o\u{308}\"=\"x\",__name__=\"\u{6e29}\"}"),
            ("sum by (a.b,\"c d\")(x)", "sum by (a.b, \"c d\") (x)"),
            ("a.b * on (c.d) group_left (e.) c..d", "a.b * on (c.d) group_left (e.) c..d"),
            ("rate.total + Inf.total + Inf", "rate.total + Inf.total + +Inf"),
            ("foo:bar.baz[5m]", "foo:bar.baz[5m]"),
            // The sign of a Kelvin is no k.
            ("top\u{212a}", "top\u{212a}"),
        ] {
            let expr = parse(query, UTF8).unwrap_or_else(|error| panic!("{query}: {error}"));
            assert_eq!(expr.to_string(), printed);
            assert_eq!(json(&parse(printed, UTF8).unwrap()), json(&expr), "{query}");
            assert!(parse(query, ALL_ON).is_err() || !query.contains(['.', '\u{212a}']), "{query}");
        }
        let error = |query, dialect| parse(query, dialect).map(|expr| expr.to_string()).unwrap_err().to_string();
        assert!(error("sum by (a:b) (x)", UTF8).contains("invalid label name for grouping: \"a:b\""));
        assert!(parse("sum by (a:b) (x)", ALL_ON).is_ok());
        assert!(error(".a", UTF8).contains("unexpected character: '.'"));
    }

    #[test]
    fn subqueries_of_computed_ranges() {
        for query in
            ["foo[range():1s]", "foo[step():step()]", "foo[max_of(range(), 5m):1m]", "foo[5m:1m] + bar[step():]"]
        {
            let expr = parse(&format!("sum_over_time({query})").replace(" + ", ") + sum_over_time("), UTF8);
            assert!(expr.is_ok(), "{query}: {expr:?}");
        }
        assert!(parse("sum_over_time(foo[5m:1m]) + sum_over_time(foo[:1m])", UTF8).is_err());
    }
}
