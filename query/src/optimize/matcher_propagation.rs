//! Matcher propagation: matchers that hold for one side of an operator between vectors are given to the scans of the other,
//! so that what cannot find a partner is not read.
//!
//! Series that match have equal values of the labels they match on, or none on both sides; so what a matcher says of such a
//! label on one side holds for each partner. It may not be visible in the result:
//!
//! - Only what would find no partner may be left out. So both sides of `and` may be narrowed, of `unless` the right one, of
//!   `or` none, and none where a gap is filled.
//! - Two series of the "one" side that match on the same labels are an error, also where they find no partner, unless the
//!   other side has no sample at all. So arithmetic and comparisons are left alone, unless no two such series can be.
//! - What is not read cannot be annotated. So only plain selectors, and counts of them, are narrowed: of all others, an
//!   annotation may depend on which samples there are.
//!
//! What is not read is not counted among the samples a query looked at; upstream reads and counts it.

use model::Matcher;

use crate::options::EngineOptions;
use crate::parse::ast::{AggregateOp, BinaryOp, Card, Matching};
use crate::plan::analysis::has_one_name;
use crate::plan::{Aggregate, Binary, NodeId, NodeKind, Plan};
use crate::value::is_metadata;

/// The matchers of a side that has more than these are not propagated.
const KNOWN_MAX: usize = 32;

/// Narrows what the sides of operators select.
pub(super) fn propagate(plan: &mut Plan, _: &EngineOptions) {
    // Outer operators first: what they add is known to those below them.
    for id in plan.ids() {
        let NodeKind::Binary(binary) = &plan.node(id).kind else { continue };
        let (left, right) = (binary.left, binary.right);
        let (to_left, to_right) = propagated(plan, binary);
        to_right.iter().for_each(|matcher| add(plan, right, matcher));
        to_left.iter().for_each(|matcher| add(plan, left, matcher));
    }
}

/// The matchers that each side of an operator gets from the other.
fn propagated(plan: &Plan, binary: &Binary) -> (Vec<Matcher>, Vec<Matcher>) {
    let (left, right) = narrowed_sides(plan, binary);
    let of = |side: NodeId, wanted: bool| -> Vec<Matcher> {
        let known = if wanted { known(plan, side) } else { Vec::new() };
        // Long chains would otherwise hand ever longer lists from operator to operator.
        let few = known.len() <= KNOWN_MAX;
        known.into_iter().filter(|m| few && matches_on(&binary.matching, &m.name)).cloned().collect()
    };
    (of(binary.right, left), of(binary.left, right))
}

/// May the left side be narrowed, and the right one?
fn narrowed_sides(plan: &Plan, binary: &Binary) -> (bool, bool) {
    if !binary.of_vectors {
        return (false, false);
    }
    match binary.op {
        BinaryOp::And => (true, true),
        BinaryOp::Unless => (false, true),
        BinaryOp::Or | BinaryOp::Default => (false, false),
        _ => {
            let Matching { card, fill_left, fill_right, .. } = &binary.matching;
            let one = if *card == Card::OneToMany { binary.left } else { binary.right };
            let fills = fill_left.is_some() || fill_right.is_some();
            // A gap that is filled is a result without a partner.
            let both = !fills && has_unique_matches(plan, one, &binary.matching);
            (both, both)
        }
    }
}

/// Is it one of the labels that decide a match?
fn matches_on(matching: &Matching, label: &str) -> bool {
    let listed = matching.labels.iter().any(|l| l == label);
    if matching.on { listed } else { !listed && !is_metadata(label) }
}

/// Does the group of a series have this label, if the series has it?
fn keeps_label(aggregate: &Aggregate, label: &str) -> bool {
    let listed = aggregate.grouping.labels.iter().any(|l| l == label);
    if aggregate.grouping.without { !listed && !is_metadata(label) } else { listed }
}

/// What holds for every series of a node.
fn known(plan: &Plan, id: NodeId) -> Vec<&Matcher> {
    let node = plan.node(id);
    match &node.kind {
        NodeKind::Aggregate(aggregate) if aggregate.op == AggregateOp::CountValues => Vec::new(),
        NodeKind::Aggregate(aggregate) => {
            let mut found = known(plan, aggregate.expr);
            // These select series, which keep their labels.
            let selects = matches!(aggregate.op.name(), "topk" | "bottomk" | "limitk" | "limit_ratio");
            found.retain(|m| selects || keeps_label(aggregate, &m.name));
            found
        }
        // The result consists of series of the left side.
        NodeKind::Binary(binary) if matches!(binary.op, BinaryOp::And | BinaryOp::Unless) => known(plan, binary.left),
        _ => match node.facts.leaf.and_then(|leaf| plan.scan(leaf)) {
            // Functions take the name away, and what else begins so.
            Some(scan) => scan.matchers.iter().filter(|m| !m.name.starts_with("__")).collect(),
            None => Vec::new(),
        },
    }
}

/// Can no two series have equal labels of those they match on?
fn has_unique_matches(plan: &Plan, id: NodeId, matching: &Matching) -> bool {
    match &plan.node(id).kind {
        NodeKind::Aggregate(aggregate) if aggregate.op.param().is_none() => {
            let labels = &aggregate.grouping.labels;
            if aggregate.grouping.without {
                !matching.on && matching.labels.iter().all(|label| labels.contains(label))
            } else {
                labels.iter().all(|label| matches_on(matching, label))
            }
        }
        // Series of one name that differ in their type or unit alone do not come from one target.
        NodeKind::Vector(scan) => !matching.on && matching.labels.is_empty() && has_one_name(scan),
        _ => false,
    }
}

/// Adds a matcher to what a node selects, where that leaves out the series it does not hold for, and nothing else.
fn add(plan: &mut Plan, id: NodeId, matcher: &Matcher) {
    let node = plan.node_mut(id);
    let next = match &mut node.kind {
        NodeKind::Vector(scan) if scan.extension.is_none() && !scan.matchers.contains(matcher) => {
            // The matcher of the name stays last.
            scan.matchers.insert(0, matcher.clone());
            node.decisions.added_matchers += 1;
            None
        }
        NodeKind::Aggregate(aggregate) => {
            // Other aggregations may annotate what they fold: see the head of this file.
            let counts = matches!(aggregate.op, AggregateOp::Count | AggregateOp::Group);
            (counts && keeps_label(aggregate, &matcher.name)).then_some(aggregate.expr)
        }
        NodeKind::Binary(binary) if matches!(binary.op, BinaryOp::And | BinaryOp::Unless) => Some(binary.left),
        _ => None,
    };
    if let Some(next) = next {
        add(plan, next, matcher);
    }
}

#[cfg(test)]
mod tests {
    use model::{Matcher, Timestamp};
    use proptest::prelude::*;

    use crate::options::Times;
    use crate::parse::ast::{Binary, BinaryOp, Card, Expr, ExprKind, Matching, Selector};
    use crate::promqltest::everything;
    use crate::promqltest::random_queries::store;
    use crate::{Engine, QueryOptions};

    #[test]
    fn what_is_narrowed() {
        for (query, narrowed) in [
            (r#"a{x="1"} and b"#, r#"a{x="1"} and b{x="1"}"#),
            (r#"a and on (x) b{x="1",y="2"}"#, r#"a{x="1"} and on (x) b{x="1",y="2"}"#),
            (r#"a{x="1"} unless b{y!="2"}"#, r#"a{x="1"} unless b{x="1",y!="2"}"#),
            (r#"a{x="1"} or b"#, r#"a{x="1"} or b"#),
            (r#"a{x="1"} / b"#, r#"a{x="1"} / b{x="1"}"#),
            (r#"a / b{x="1"}"#, r#"a{x="1"} / b{x="1"}"#),
            // The selector may find `b` and `c` that differ in their names alone.
            (r#"a{x="1"} / {__name__=~"b|c"}"#, r#"a{x="1"} / {__name__=~"b|c"}"#),
            (r#"a{x="1"} / ignoring (y) b"#, r#"a{x="1"} / ignoring (y) b"#),
            (r#"a{x="1"} / on (x) b"#, r#"a{x="1"} / on (x) b"#),
            (
                r#"a * on (x) group_left () sum by (x) (b{x="1"})"#,
                r#"a{x="1"} * on (x) group_left () sum by (x) (b{x="1"})"#,
            ),
            (
                r#"a * on (x) group_left () sum by (x,y) (b{x="1"})"#,
                r#"a * on (x) group_left () sum by (x,y) (b{x="1"})"#,
            ),
            (
                r#"count by (x) (b) * on (x) group_right () a{x="1"}"#,
                r#"count by (x) (b{x="1"}) * on (x) group_right () a{x="1"}"#,
            ),
            (r#"rate(a{x="1"}[5m]) > 0 and b"#, r#"rate(a{x="1"}[5m]) > 0 and b{x="1"}"#),
            // Whether `b` is a counter is annotated.
            (r#"a{x="1"} and rate(b[5m])"#, r#"a{x="1"} and rate(b[5m])"#),
            (r#"a{x="1"} and count by (y) (b)"#, r#"a{x="1"} and count by (y) (b)"#),
            (r#"label_replace(a{x="1"},"x","2","","") and b"#, r#"label_replace(a{x="1"},"x","2","","") and b"#),
        ] {
            let plain = |text: &str| text.replace(", ", ",");
            let expr = Engine::new(everything()).parse(query).unwrap();
            let mut plan = crate::plan::build(expr.clone());
            crate::plan::analysis::analyse(&mut plan);
            super::propagate(&mut plan, &everything());
            let expr = with_matchers(expr, &plan);
            assert_eq!(plain(&expr.to_string()), narrowed, "{query}");
        }
    }

    /// The tree with the matchers of the plan.
    fn with_matchers(mut expr: Expr, plan: &crate::plan::Plan) -> Expr {
        let mut scans = plan.nodes.iter().filter_map(|node| node.kind.scan());
        expr.walk_mut(&mut |node| {
            if let ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) = &mut node.kind {
                selector.matchers = scans.next().unwrap().matchers.clone();
            }
        });
        expr
    }

    /// The same query, of which no side of an operator can be narrowed.
    fn wide(expr: &Expr) -> Expr {
        let mut expr = expr.clone();
        expr.walk_mut(&mut |node| {
            let ExprKind::Binary(binary) = &mut node.kind else { return };
            if binary.op == BinaryOp::Or || binary.matched().is_none() {
                return;
            }
            for side in [&mut binary.left, &mut binary.right] {
                let matchers = vec![Matcher::equal("__name__", "none")];
                let none =
                    Expr { kind: ExprKind::Vector(Selector { matchers, ..Selector::default() }), span: side.span };
                let left = std::mem::replace(side, none.clone());
                let span = left.span;
                let matching = Matching { card: Card::OneToOne, ..Matching::default() };
                let or = Binary {
                    op: BinaryOp::Or,
                    left,
                    right: none,
                    of_scalars: false,
                    return_bool: false,
                    keep_name: false,
                    matching,
                };
                *side = Expr { kind: ExprKind::Binary(Box::new(or)), span };
            }
        });
        expr
    }

    const SIDES: [&str; 12] = [
        "up",
        r#"up{job="a"}"#,
        r#"up{job=~"a|c"}"#,
        r#"{job!=""}"#,
        r#"x_total{job="b"}"#,
        r#"rate(x_total{job="a"}[5m])"#,
        r#"a:b{le=""}"#,
        r#"x_total{instance!="x"}"#,
        r#"count by (job) (up)"#,
        r#"sum by (job, le) ({job=~"a|b"})"#,
        r#"(up unless x_total{job="a"})"#,
        r#"group without (le) (a:b{job="a"})"#,
    ];

    const OPERATORS: [&str; 14] = [
        "and",
        "and on (job)",
        "and ignoring (instance, le)",
        "unless",
        "unless on (job, le)",
        "or",
        "/",
        "-",
        "> on (job)",
        "* on (job) group_left (le)",
        "== bool on (job, instance) group_right ()",
        "+ ignoring (le)",
        "- on (job) fill (0)",
        "/ ignoring (instance, le) group_left ()",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn as_from_wide_sides(
            sides in [prop::sample::select(&SIDES[..]), prop::sample::select(&SIDES[..]), prop::sample::select(&SIDES[..])],
            operators in [prop::sample::select(&OPERATORS[..]), prop::sample::select(&OPERATORS[..])],
            nests_left in any::<bool>(),
        ) {
            let ([a, b, c], [f, g]) = (sides, operators);
            let text = if nests_left { format!("({a} {f} {b}) {g} {c}") } else { format!("{a} {f} ({b} {g} {c})") };
            let (engine, store, options) = (Engine::new(everything()), store(), QueryOptions::default());
            let expr = engine.parse(&text).unwrap();
            let told = |expr: Expr| {
                let times = Times { start: Timestamp(0), end: Timestamp(1_200_000), step_ms: 60_000 };
                match engine.run(&store, (&text, expr), times, &options) {
                    Ok(result) => format!("{:?} {:?} {:?}", result.value, result.warnings, result.infos),
                    Err(error) => error.to_string(),
                }
            };
            prop_assert_eq!(told(expr.clone()), told(wide(&expr)), "{}", &text);
        }
    }
}
