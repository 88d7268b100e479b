//! Random queries: what is valid prints as a query with the same tree, and nothing panics.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::Dialect;
use super::ast::{AggregateOp, Expr};
use super::types::Type;

pub(crate) const ALL_ON: Dialect = Dialect {
    experimental_functions: true,
    fill_modifiers: true,
    utf8_names: false,
    extensions: false,
    scrape_interval_ms: 15_000,
};

const EXTENDED: Dialect = Dialect { extensions: true, ..ALL_ON };

/// The constructs that the crate promql-parser knows too, or all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Shared,
    All,
}

fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(texts).prop_map(str::to_owned).boxed()
}

fn blank() -> BoxedStrategy<String> {
    one_of(&[" ", "  ", "\n", "\t "])
}

fn name(part: Part) -> BoxedStrategy<String> {
    match part {
        Part::Shared => one_of(&["up", "a:b", "x_total", "sum", "by", "offset", "start"]),
        Part::All => one_of(&[
            "up", "a:b", "x_total", "Sum", "BY", "offset", "start", "smoothed", "anchored", "fill", "min_of", "step",
            "or",
        ]),
    }
}

fn string(part: Part) -> BoxedStrategy<String> {
    match part {
        Part::Shared => one_of(&["\"a\"", "'b c'", "\"\"", "\"x\\\"y\"", "`raw`"]),
        Part::All => one_of(&["\"a\"", "'it\\'s'", "\"\"", "\"\\u00e9\\n\\x41\"", "`\\d`", "\"\u{200b}ä\""]),
    }
}

fn selector(part: Part) -> BoxedStrategy<String> {
    let label = one_of(&["job", "le", "by", "\"my.label\"", "instance"]);
    let matcher = (label, one_of(&["=", "!=", "=~", "!~"]), string(part)).prop_map(|(l, op, v)| format!("{l} {op}{v}"));
    let matchers = prop::collection::vec(matcher, 0..3).prop_map(|all| all.join(", "));
    let quoted = one_of(&["\"up\"", "\"my.metric\""]);
    prop_oneof![
        (name(part), matchers.clone()).prop_map(|(n, m)| if m.is_empty() { n } else { format!("{n}{{{m}}}") }),
        (quoted, matchers).prop_map(|(n, m)| if m.is_empty() { format!("{{{n}}}") } else { format!("{{{n}, {m},}}") }),
        Just("{job=\"a\"}".to_owned()),
    ]
    .boxed()
}

fn duration(part: Part) -> BoxedStrategy<String> {
    let literal = one_of(&["5m", "1h30m", "90s", "300", "1d"]);
    if part == Part::Shared {
        return literal;
    }
    let leaf = prop_oneof![3 => literal, 1 => one_of(&["step()", "RANGE()", "0x10", "1e3"])];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (pair.clone(), one_of(&["+", " - ", "*", "/", "%", "^"])).prop_map(|((a, b), op)| format!("{a}{op}{b}")),
            pair.prop_map(|(a, b)| format!("max_of({a}, {b})")),
            inner.clone().prop_map(|a| format!("({a})")),
            // The sum is what keeps a sign from being all of a range.
            inner.prop_map(|a| format!("1 + -{a}")),
        ]
    })
    .boxed()
}

fn offset(part: Part) -> BoxedStrategy<String> {
    let plain =
        one_of(&["", " offset 5m", " offset -1h", " @ 1700000000 offset 10", " @ start()", " @ end() OFFSET 1m"]);
    if part == Part::Shared {
        return plain;
    }
    let computed = duration(part).prop_map(|d| format!(" offset -({d})"));
    prop_oneof![4 => plain, 1 => computed, 1 => one_of(&[" @ -100.5", " offset step()", " offset -max_of(1m, range())"])]
        .boxed()
}

/// Infinity stands in parentheses: upstream prints it with a sign, which binds more weakly than `^`.
fn number(part: Part) -> BoxedStrategy<String> {
    match part {
        Part::Shared => one_of(&["1", "0.5", "2e3", "5m", "0x1F", "NaN"]),
        Part::All => one_of(&["1", ".5", "2.", "5m", "0x1F", "1_000", "NaN", "(inf)", "1e-7", "010", "1d12h"]),
    }
}

/// A query of this type. Binary operands are in parentheses at times, operators of all ranks follow one another.
pub(crate) fn query(part: Part) -> BoxedStrategy<(String, Type)> {
    let vector = (selector(part), offset(part)).prop_map(|(s, o)| (format!("{s}{o}"), Type::Vector));
    let scalar = number(part).prop_map(|n| (n, Type::Scalar));
    let leaf = prop_oneof![2 => vector, 1 => scalar];
    leaf.prop_recursive(5, 24, 3, move |inner| compound(part, inner)).boxed()
}

type Inner = BoxedStrategy<(String, Type)>;

fn compound(part: Part, inner: Inner) -> Inner {
    let vector = inner.clone().prop_map(|(e, ty)| if ty == Type::Vector { e } else { format!("vector({e})") }).boxed();
    prop_oneof![
        inner.clone().prop_map(|(e, ty)| (format!("( {e})"), ty)),
        inner.clone().prop_map(|(e, ty)| (format!("-{e}"), ty)),
        binary(part, inner),
        calls(part, vector.clone()),
        aggregations(part, vector),
    ]
    .boxed()
}

fn binary(part: Part, inner: Inner) -> Inner {
    let arithmetic = one_of(&["+", "-", "*", "/", "%", "^", "atan2"]);
    let comparison = one_of(&["== bool", "> bool", "<= bool"]);
    let plain =
        (inner.clone(), prop_oneof![arithmetic, comparison], blank(), inner.clone()).prop_map(|(a, op, b, c)| {
            let ty = if a.1 == Type::Scalar && c.1 == Type::Scalar { Type::Scalar } else { Type::Vector };
            (format!("{}{b}{op} {}", a.0, c.0), ty)
        });
    let vector = inner.prop_map(|(e, ty)| if ty == Type::Vector { e } else { format!("vector({e})") }).boxed();
    let shared: &[&str] = &[
        "and",
        "or on(job)",
        "unless ignoring(a, b)",
        "* on(job) group_left()",
        "/ ignoring(le) group_right(x)",
        "==",
    ];
    let all: &[&str] = &[
        "AND",
        "or on(\"my.label\",)",
        "</",
        ">/ on()",
        "+ fill(0)",
        "* ON(job) group_left() fill_left(-1) fill_right(5m)",
        "- fill_right(1) ",
        "!= ignoring() group_right()",
    ];
    let operators = if part == Part::Shared { shared } else { all };
    let matched = (vector.clone(), prop::sample::select(operators), vector);
    let matched = matched.prop_map(|(a, op, b)| (format!("({a}) {op} ({b})"), Type::Vector));
    prop_oneof![2 => plain, 1 => matched].boxed()
}

fn calls(part: Part, vector: BoxedStrategy<String>) -> Inner {
    let extension =
        if part == Part::All { one_of(&["", " anchored", " SMOOTHED"]) } else { Just(String::new()).boxed() };
    let range = (selector(part), duration(part), extension, offset(part))
        .prop_map(|(s, d, e, o)| (format!("rate({s}[{d}]{e}{o})"), Type::Vector));
    let step = prop_oneof![Just(String::new()), duration(part)];
    let subquery = (vector.clone(), duration(part), step, offset(part))
        // Upstream wants a number before the colon, `[step():]` will not do.
        .prop_map(move |(v, d, s, o)| {
            let number = if part == Part::All { "1s + " } else { "" };
            (format!("max_over_time(({v})[{number}{d}:{s}]{o})"), Type::Vector)
        });
    let strings =
        (vector.clone(), string(part)).prop_map(|(v, s)| (format!("label_join({v}, \"a\", {s})"), Type::Vector));
    let plain = vector.clone().prop_map(|v| (format!("histogram_quantile(0.9 , {v})"), Type::Vector));
    let none = one_of(&["time()", "pi()"]).prop_map(|t| (t, Type::Scalar));
    let mixed = prop_oneof![range, subquery, strings, plain, none];
    if part == Part::Shared {
        return mixed.boxed();
    }
    let info = vector.prop_map(|v| (format!("info({v}, {{data=~\".*\"}})"), Type::Vector));
    prop_oneof![5 => mixed, 1 => info, 1 => Just(("max_of(start(), step())".to_owned(), Type::Scalar))].boxed()
}

fn aggregations(part: Part, vector: BoxedStrategy<String>) -> Inner {
    let ops = [AggregateOp::Sum, AggregateOp::TopK, AggregateOp::CountValues, AggregateOp::LimitRatio];
    let grouping = match part {
        Part::Shared => one_of(&["", " by (job)", " without (a, b)", " by ()"]),
        Part::All => one_of(&["", " BY(job,)", " without (\"my.label\", on)", " by () "]),
    };
    (prop::sample::select(ops.to_vec()), grouping, any::<bool>(), vector)
        .prop_map(|(op, grouping, before, vector)| {
            let param = match op.param() {
                Some(Type::String) => "\"v\", ",
                Some(_) => "0.5, ",
                None => "",
            };
            let (before, after) = if before { (grouping.as_str(), "") } else { ("", grouping.as_str()) };
            (format!("{}{before}({param}{vector}){after}", op.name()), Type::Vector)
        })
        .boxed()
}

#[rustfmt::skip]
const PIECES: [&str; 70] = [
    "sum", "rate", "foo", "by", "(", ")", "{", "}", "[", "]", "[5m", ":", ",", "=", "=~", "!~", "==", "bool",
    "on", "group_left", "ignoring", "offset", "@", "-", "+", "^", "</", "and", "'a'", "\"b\"", "`c`", "1",
    "5m", "0x", "1e", "nan", "start", "end()", "step()", "min_of", "fill", "fill_left(1)", "smoothed", "#",
    "\n", " ", "{{", "}}", "_", "x3", "stale", "buckets:[1", "schema:", "\\", "\"", "é", "\u{201c}",
    "\u{fffd}", ".", "!", "&", "topk", "info", " default ", " keep_metric_names", "WITH (foo = ",
    "with(f(a, b) = ", "f(foo, 1)", "label_match(", "range_sum(foo)",
];

/// Pieces of queries in any order, and what does not belong.
fn soup() -> BoxedStrategy<String> {
    prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..14).prop_map(|all| all.concat()).boxed()
}

/// The JSON of a tree with the matchers in order: what is printed has them so.
fn ordered(expr: &Expr) -> Json {
    fn order(value: &mut Json) {
        match value {
            Json::Object(map) => map.values_mut().for_each(order),
            Json::Array(list) => {
                list.iter_mut().for_each(order);
                if list.iter().all(|one| one["value"].is_string()) {
                    list.sort_by_key(Json::to_string);
                }
            }
            _ => {}
        }
    }
    let mut value = serde_json::from_str(&super::json(expr)).unwrap();
    order(&mut value);
    value
}

/// Parses; when it is a query, what is printed of it must be the same query.
fn round_trip(text: &str, dialect: Dialect) -> Result<bool, TestCaseError> {
    let expr = match super::tree(text, dialect) {
        Ok(expr) => expr,
        Err(faults) => {
            prop_assert!(!faults.is_empty(), "{text:?} fails without a reason");
            prop_assert!(
                faults.iter().all(|f| f.span.start <= text.len() && !f.message.is_empty()),
                "{text:?}: {faults:?}"
            );
            return Ok(false);
        }
    };
    expr.walk(&mut |node| {
        assert!(text.get(node.span.start..node.span.end).is_some_and(|t| !t.is_empty()), "{text:?}: {node:?}")
    });
    let (printed, json) = (expr.to_string(), ordered(&expr));
    for again in [&printed, &super::pretty(&expr)] {
        let second = super::tree(again, dialect)
            .map_err(|e| TestCaseError::fail(format!("{text:?} prints as {again:?}: {e:?}")))?;
        prop_assert_eq!(&ordered(&second), &json, "{:?} prints as {:?}", text, again);
        prop_assert_eq!(&second.to_string(), &printed);
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_query_prints_as_itself((text, ty) in query(Part::All)) {
        let expr = super::tree(&text, ALL_ON).map_err(|e| TestCaseError::fail(format!("{text:?}: {e:?}")))?;
        prop_assert_eq!(expr.value_type(), ty, "{}", text);
        prop_assert!(round_trip(&text, ALL_ON)?);
        // Extensions leave it alone.
        let extended = super::tree(&text, EXTENDED).map_err(|e| TestCaseError::fail(format!("{text:?}: {e:?}")))?;
        prop_assert_eq!(super::json(&extended), super::json(&expr));
    }

    #[test]
    fn no_text_panics(text in prop_oneof![soup(), any::<String>()]) {
        round_trip(&text, ALL_ON)?;
        round_trip(&text, EXTENDED)?;
        let _ = crate::parse_selector(&text);
        let _ = super::series(&text);
    }
}
