//! Random queries against the crate promql-parser: the same tree, as far as that crate goes.

use promql_parser::parser as pp;
use proptest::prelude::*;

use super::Dialect;
use super::ast::{At, Binary, Card, Duration, Expr, ExprKind, Selector, Shift, Sign};
use super::quote::quoted;
use super::random::{ALL_ON, Part, query};
use super::types::Type;

/// What that crate does not take although upstream does.
const REFUSED: &[&str] = &[
    "up anchored",
    "rate(up[5m] smoothed)",
    "up </ 5",
    "up[5m * 2]",
    "up offset (5m)",
    "up[max_of(step(), 5m)]",
    "info(up, {data=~\".*\"})",
    "1_000 + 1",
    "label_replace(up, \"a\", \"$1\", \"b\", `\\d+`)",
];

/// What it takes although upstream does not.
const TAKEN: &[&str] = &["up @ 1e300", "up{a=\"b\" or c=\"d\"}", "info(up, target_info)"];

#[test]
fn the_gaps_are_still_there() {
    let ours = |text: &str| super::tree(text, ALL_ON).is_ok();
    let theirs = |text: &str| std::panic::catch_unwind(|| pp::parse(text).is_ok()).unwrap_or(true);
    for text in REFUSED {
        assert!(ours(text) && !theirs(text), "{text} is no gap any more: take it off the list");
    }
    for text in TAKEN {
        assert!(!ours(text) && theirs(text), "{text} is no gap any more: take it off the list");
    }
}

/// Both trees as one kind of text. A plus sign leaves no trace in theirs, nor does the name of a duration.
fn ours(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Number(n) => format!("{}", n.value),
        ExprKind::String(text) => text.to_string(),
        ExprKind::Vector(s) => vector(s),
        ExprKind::Matrix(s, range) => format!("[{} {}]", vector(s), range.ms),
        ExprKind::Subquery(s) => {
            let step = s.step.as_ref().map_or(0, |step: &Duration| step.ms);
            format!("[{} {}:{step}{}]", ours(&s.expr), s.range.ms, shift(&s.shift))
        }
        ExprKind::Paren(e) => format!("({})", ours(e)),
        ExprKind::Unary(Sign::Plus, e) => ours(e),
        ExprKind::Unary(Sign::Minus, e) => format!("neg({})", ours(e)),
        ExprKind::Binary(b) => binary(b),
        ExprKind::Aggregate(a) => {
            let param = a.param.as_ref().map_or_else(String::new, ours);
            let mut labels = a.grouping.labels.clone();
            labels.sort();
            format!("{}<{} {labels:?} {param}>({})", a.op.name(), a.grouping.without, ours(&a.expr))
        }
        ExprKind::Call(c) => {
            let args: Vec<String> = c.args.iter().map(ours).collect();
            format!("{}({})", c.function.name, args.join(","))
        }
    }
}

fn vector(s: &Selector) -> String {
    let mut all: Vec<String> = s.matchers.iter().map(|m| format!("{}{}{:?}", m.name, m.op.as_str(), m.value)).collect();
    all.sort();
    format!("{{{}}}{}", all.join(","), shift(&s.shift))
}

fn shift(s: &Shift) -> String {
    let at = match s.at {
        None => String::new(),
        Some(At::Time(time)) => format!(" @{time}"),
        Some(At::Start) => " @start".to_owned(),
        Some(At::End) => " @end".to_owned(),
    };
    format!("{at} {}", s.offset.ms)
}

fn binary(b: &Binary) -> String {
    let m = &b.matching;
    let card = match m.card {
        Card::OneToOne => String::new(),
        Card::ManyToOne => format!("left{:?}", m.include),
        Card::OneToMany => format!("right{:?}", m.include),
    };
    let mut labels = m.labels.clone();
    labels.sort();
    // `ignoring ()` says nothing.
    let on = if m.on || !labels.is_empty() { format!("{}{labels:?}", m.on) } else { String::new() };
    format!("{}<{} {on} {card}>({}, {})", b.op.symbol(), b.return_bool, ours(&b.left), ours(&b.right))
}

fn theirs(expr: &pp::Expr) -> String {
    match expr {
        pp::Expr::NumberLiteral(n) => format!("{}", n.val),
        pp::Expr::StringLiteral(s) => quoted(&s.val),
        pp::Expr::VectorSelector(s) => their_vector(s),
        pp::Expr::MatrixSelector(m) => format!("[{} {}]", their_vector(&m.vs), m.range.as_millis()),
        pp::Expr::Subquery(s) => {
            let step = s.step.map_or(0, |step| step.as_millis());
            let shift = their_shift(s.offset.as_ref(), s.at.as_ref());
            format!("[{} {}:{step}{shift}]", theirs(&s.expr), s.range.as_millis())
        }
        pp::Expr::Paren(e) => format!("({})", theirs(&e.expr)),
        pp::Expr::Unary(e) => format!("neg({})", theirs(&e.expr)),
        pp::Expr::Binary(b) => their_binary(b),
        pp::Expr::Aggregate(a) => {
            let (mut labels, without) =
                a.modifier.as_ref().map_or((Vec::new(), false), |m| (m.labels().labels.clone(), !m.is_include()));
            labels.sort();
            let param = a.param.as_ref().map_or_else(String::new, |p| theirs(p));
            format!("{}<{without} {labels:?} {param}>({})", a.op, theirs(&a.expr))
        }
        pp::Expr::Call(c) => {
            let args: Vec<String> = c.args.args.iter().map(|a| theirs(a)).collect();
            format!("{}({})", c.func.name, args.join(","))
        }
        pp::Expr::Extension(_) => String::new(),
    }
}

fn their_vector(s: &pp::VectorSelector) -> String {
    let named = s.name.iter().map(|name| format!("__name__={name:?}"));
    let mut all: Vec<String> =
        s.matchers.matchers.iter().map(|m| format!("{}{}{:?}", m.name, m.op, m.value)).chain(named).collect();
    all.sort();
    format!("{{{}}}{}", all.join(","), their_shift(s.offset.as_ref(), s.at.as_ref()))
}

fn their_shift(offset: Option<&pp::Offset>, at: Option<&pp::AtModifier>) -> String {
    let offset = match offset {
        None => 0,
        Some(pp::Offset::Pos(d)) => d.as_millis() as i64,
        Some(pp::Offset::Neg(d)) => -(d.as_millis() as i64),
    };
    let at = match at {
        None => String::new(),
        Some(pp::AtModifier::Start) => " @start".to_owned(),
        Some(pp::AtModifier::End) => " @end".to_owned(),
        Some(pp::AtModifier::At(time)) => {
            format!(" @{}", time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_millis())
        }
    };
    format!("{at} {offset}")
}

fn their_binary(b: &pp::BinaryExpr) -> String {
    let default = pp::BinModifier::default();
    let m = b.modifier.as_ref().unwrap_or(&default);
    let card = match &m.card {
        pp::VectorMatchCardinality::ManyToOne(labels) => format!("left{:?}", labels.labels),
        pp::VectorMatchCardinality::OneToMany(labels) => format!("right{:?}", labels.labels),
        _ => String::new(),
    };
    let (mut labels, on) =
        m.matching.as_ref().map_or((Vec::new(), false), |l| (l.labels().labels.clone(), l.is_include()));
    labels.sort();
    let on = if on || !labels.is_empty() { format!("{on}{labels:?}") } else { String::new() };
    format!("{}<{} {on} {card}>({}, {})", b.op, m.return_bool, theirs(&b.lhs), theirs(&b.rhs))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_trees((text, _) in query(Part::Shared)) {
        let mine = super::tree(&text, Dialect { experimental_functions: true, ..Dialect::default() });
        let mine = mine.map_err(|e| TestCaseError::fail(format!("{text:?}: {e:?}")))?;
        let other = pp::parse(&text).map_err(|e| TestCaseError::fail(format!("{text:?}: they say {e}")))?;
        prop_assert_eq!(ours(&mine), theirs(&other), "{}", text);
        prop_assert_eq!(mine.value_type() == Type::Scalar, other.value_type() == pp::value::ValueType::Scalar);
    }
}
