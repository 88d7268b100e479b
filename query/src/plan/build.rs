//! Checked tree → plan. The one place that reads the tree for evaluation.

use super::nodes::{Aggregate, Binary, Call, Decisions, Facts, Node, NodeId, NodeKind, Plan, Scan, Subquery};
use crate::parse::ast::{self, Expr, ExprKind};
use crate::parse::types::Type;

/// The plan of a query, as it is written: nothing is decided yet.
pub(crate) fn build(expr: Expr) -> Plan {
    let mut plan = Plan::default();
    add(&mut plan, expr);
    plan
}

/// Adds an expression with its operands; parentheses have no node.
fn add(plan: &mut Plan, mut expr: Expr) -> NodeId {
    while let ExprKind::Paren(inner) = expr.kind {
        expr = *inner;
    }
    // Parents come first: their place is taken before the operands are added.
    let id = NodeId(plan.nodes.len() as u32);
    let (span, value_type) = (expr.span, expr.value_type());
    if let (None, ExprKind::Call(call)) = (&plan.refused, &expr.kind) {
        // The first such error in the order of the text is kept.
        plan.refused = call.refused_extension();
    }
    let (facts, decisions) = (Facts::default(), Decisions::default());
    plan.nodes.push(Node { kind: NodeKind::Number(0.0), span, value_type, end: id, facts, decisions });
    let kind = kind(plan, expr);
    if let (None, NodeKind::Binary(binary)) = (&plan.refused, &kind)
        && binary.op.is_trim()
        && value_type == Type::Scalar
    {
        plan.refused = Some(format!("operator {:?} not allowed for Scalar operations", binary.op.symbol()));
    }
    let end = NodeId(plan.nodes.len() as u32);
    let node = plan.node_mut(id);
    (node.kind, node.end) = (kind, end);
    id
}

fn kind(plan: &mut Plan, expr: Expr) -> NodeKind {
    match expr.kind {
        ExprKind::Number(number) => NodeKind::Number(number.value),
        ExprKind::String(text) => NodeKind::String(text),
        ExprKind::Vector(selector) => NodeKind::Vector(scan(selector)),
        ExprKind::Matrix(selector, range) => NodeKind::Matrix(scan(selector), range),
        ExprKind::Subquery(subquery) => {
            let ast::Subquery { expr, range, step, shift } = *subquery;
            NodeKind::Subquery(Subquery { expr: add(plan, expr), range, step, shift })
        }
        // `add` removes parentheses before it calls this function.
        ExprKind::Paren(inner) => kind(plan, *inner),
        ExprKind::Unary(sign, inner) => NodeKind::Unary(sign, add(plan, *inner)),
        ExprKind::Binary(binary) => {
            // Read before the sides are moved into the plan.
            let of_vectors = binary.matched().is_some();
            let ast::Binary { op, left, right, return_bool, keep_name, matching, .. } = *binary;
            let left_span = left.span;
            let (left, right) = (add(plan, left), add(plan, right));
            NodeKind::Binary(Binary { op, left, right, left_span, of_vectors, return_bool, keep_name, matching })
        }
        ExprKind::Aggregate(aggregate) => {
            let ast::Aggregate { op, expr, param, grouping } = *aggregate;
            // The parameter is evaluated first.
            let param = param.map(|param| add(plan, param));
            NodeKind::Aggregate(Aggregate { op, expr: add(plan, expr), param, grouping })
        }
        ExprKind::Call(call) => {
            let ast::Call { function, args, keep_name } = call;
            let args = args.into_iter().map(|arg| add(plan, arg)).collect();
            NodeKind::Call(Call { function, args, keep_name })
        }
    }
}

fn scan(selector: ast::Selector) -> Scan {
    let ast::Selector { matchers, shift, extension, span, .. } = selector;
    Scan { matchers, shift, extension, totals: false, span }
}
