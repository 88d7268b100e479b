//! Tree → JSON, for the tree view of the UI (`/api/v1/parse_query`). Keys are in alphabetical order, and `<`, `>` and
//! `&` are escaped, as upstream's encoder has it.

use std::fmt::Write as _;

use model::Matcher;
use model::float::{format_f, format_json};

use super::ast::{
    Aggregate, At, Binary, Call, Card, Duration, DurationExpr, DurationKind, Expr, ExprKind, Number, Selector, Shift,
    Subquery,
};
use super::types::Extension;

/// Appends the JSON object of an expression; every node is written once.
pub(super) fn json(expr: &Expr, out: &mut String) {
    match &expr.kind {
        ExprKind::Number(n) => {
            // Writing to a `String` cannot fail, here and below.
            let _ = write!(out, r#"{{"type":"numberLiteral","val":{}}}"#, text(&format_f(n.value)));
        }
        ExprKind::String(value) => {
            let _ = write!(out, r#"{{"type":"stringLiteral","val":{}}}"#, text(&value.lossy()));
        }
        ExprKind::Vector(s) => {
            let _ = write!(out, r#"{{{},"type":"vectorSelector"}}"#, selector(s, ""));
        }
        ExprKind::Matrix(s, range) => {
            let range = format!(r#""range":{},"rangeExpr":{},"#, range.ms, duration_expr(Some(range)));
            let _ = write!(out, r#"{{{},"type":"matrixSelector"}}"#, selector(s, &range));
        }
        ExprKind::Subquery(s) => subquery(s, out),
        ExprKind::Paren(inner) => {
            below(inner, out);
            out.push_str(r#","type":"parenExpr"}"#);
        }
        ExprKind::Unary(sign, inner) => {
            below(inner, out);
            let _ = write!(out, r#","op":"{}","type":"unaryExpr"}}"#, sign.symbol());
        }
        ExprKind::Binary(b) => binary(b, out),
        ExprKind::Aggregate(a) => aggregate(a, out),
        ExprKind::Call(c) => call(c, out),
    }
}

/// Begins an object whose first key is the inner expression.
fn below(inner: &Expr, out: &mut String) {
    out.push_str(r#"{"expr":"#);
    json(inner, out);
}

fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            // Go's `encoding/json` escapes what is special in HTML and JavaScript.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn texts(values: &[String]) -> String {
    list(values.iter().map(|value| text(value)))
}

fn matcher(m: &Matcher) -> String {
    format!(r#"{{"name":{},"type":"{}","value":{}}}"#, text(&m.name), m.op.as_str(), text(&m.value))
}

/// `range` is inserted in alphabetical order, after the offset.
fn selector(s: &Selector, range: &str) -> String {
    let (start_or_end, timestamp) = at(&s.shift);
    format!(
        r#""anchored":{},"matchers":{},"name":{},{},{range}"smoothed":{},{start_or_end},{timestamp}"#,
        s.extension == Some(Extension::Anchored),
        list(s.matchers.iter().map(matcher)),
        text(s.name.as_deref().unwrap_or("")),
        offset(&s.shift),
        s.extension == Some(Extension::Smoothed),
    )
}

fn offset(shift: &Shift) -> String {
    format!(r#""offset":{},"offsetExpr":{}"#, shift.offset.ms, duration_expr(Some(&shift.offset)))
}

fn at(shift: &Shift) -> (&'static str, String) {
    let (word, time) = match shift.at {
        None => (r#""startOrEnd":null"#, None),
        Some(At::Start) => (r#""startOrEnd":"start""#, None),
        Some(At::End) => (r#""startOrEnd":"end""#, None),
        Some(At::Time(time)) => (r#""startOrEnd":null"#, Some(time)),
    };
    (word, format!(r#""timestamp":{}"#, time.map_or_else(|| "null".to_owned(), |time| time.to_string())))
}

fn subquery(s: &Subquery, out: &mut String) {
    let (start_or_end, timestamp) = at(&s.shift);
    below(&s.expr, out);
    let _ = write!(
        out,
        r#",{},"range":{},"rangeExpr":{},{start_or_end},"step":{},"stepExpr":{},{timestamp},"type":"subquery"}}"#,
        offset(&s.shift),
        s.range.ms,
        duration_expr(Some(&s.range)),
        s.step.as_ref().map_or(0, |step| step.ms),
        duration_expr(s.step.as_ref()),
    );
}

fn duration_expr(duration: Option<&Duration>) -> String {
    let expr = duration.and_then(|d| d.expr.as_deref());
    expr.map_or_else(|| "null".to_owned(), duration_node)
}

fn duration_node(expr: &DurationExpr) -> String {
    let null = || "null".to_owned();
    let (lhs, op, rhs) = match &expr.kind {
        DurationKind::Literal(number) if !expr.wrapped => return literal(*number),
        // Upstream represents parentheses around a literal as a unary operator without effect.
        DurationKind::Literal(number) => (null(), "+", literal(*number)),
        DurationKind::Step => (null(), "step", null()),
        DurationKind::Range => (null(), "range", null()),
        DurationKind::Negate(inner) => (null(), "-", duration_node(inner)),
        DurationKind::MinOf(a, b) => (duration_node(a), "min_of", duration_node(b)),
        DurationKind::MaxOf(a, b) => (duration_node(a), "max_of", duration_node(b)),
        DurationKind::Binary(op, a, b) => (duration_node(a), op.symbol(), duration_node(b)),
    };
    let wrapped = expr.wrapped;
    format!(r#"{{"lhs":{lhs},"op":"{op}","rhs":{rhs},"type":"durationExpr","wrapped":{wrapped}}}"#)
}

fn literal(number: Number) -> String {
    let (duration, val) = (number.is_duration, text(&format_f(number.value)));
    format!(r#"{{"duration":{duration},"type":"numberLiteral","val":{val}}}"#)
}

fn binary(b: &Binary, out: &mut String) {
    let matching = b.matched().map_or_else(
        || "null".to_owned(),
        |m| {
            let card = match m.card {
                // The tree has no such cardinality, since set operators have no other one.
                _ if b.op.is_set() => "many-to-many",
                Card::OneToOne => "one-to-one",
                Card::ManyToOne => "many-to-one",
                Card::OneToMany => "one-to-many",
            };
            // JSON has no infinity.
            let fill =
                |value: Option<f64>| value.filter(|v| v.is_finite()).map_or_else(|| "null".to_owned(), format_json);
            format!(
                r#"{{"card":"{card}","fillValues":{{"lhs":{},"rhs":{}}},"include":{},"labels":{},"on":{}}}"#,
                fill(m.fill_left),
                fill(m.fill_right),
                texts(&m.include),
                texts(&m.labels),
                m.on
            )
        },
    );
    let _ = write!(out, r#"{{"bool":{},{}"lhs":"#, b.return_bool, kept(b.keep_name));
    json(&b.left, out);
    let _ = write!(out, r#","matching":{matching},"op":{},"rhs":"#, text(b.op.symbol()));
    json(&b.right, out);
    out.push_str(r#","type":"binaryExpr"}"#);
}

/// Not a key of upstream; only written for `keep_metric_names`.
fn kept(keep_name: bool) -> &'static str {
    if keep_name { "\"keepMetricNames\":true," } else { "" }
}

fn aggregate(a: &Aggregate, out: &mut String) {
    below(&a.expr, out);
    let _ = write!(out, r#","grouping":{},"op":"{}","param":"#, texts(&a.grouping.labels), a.op.name());
    match &a.param {
        Some(param) => json(param, out),
        None => out.push_str("null"),
    }
    let _ = write!(out, r#","type":"aggregation","without":{}}}"#, a.grouping.without);
}

fn call(c: &Call, out: &mut String) {
    let f = c.function;
    out.push_str(r#"{"args":["#);
    for (i, arg) in c.args.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        json(arg, out);
    }
    let _ = write!(
        out,
        r#"],"func":{{"argTypes":{},"name":"{}","returnType":"{}","variadic":{}}},{}"type":"call"}}"#,
        list(f.args.iter().map(|ty| format!("\"{}\"", ty.short()))),
        f.name,
        f.returns.short(),
        f.variadic,
        kept(c.keep_name)
    );
}
