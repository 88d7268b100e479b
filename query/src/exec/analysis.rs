//! What is known of an expression before it is evaluated.

use model::MatchOp;
use model::labels::METRIC_NAME;

use super::sample_times::is_uniform;
use crate::functions::Body;
use crate::parse::ast::{BinaryOp, Expr, ExprKind, Selector, Sign, Type};

/// Is the value the same at every step?
pub(crate) fn is_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Vector(s) | ExprKind::Matrix(s, _) => s.shift.at.is_some(),
        ExprKind::Subquery(s) => s.shift.at.is_some(),
        ExprKind::Paren(e) | ExprKind::Unary(_, e) => is_invariant(e),
        ExprKind::Binary(b) => is_invariant(&b.left) && is_invariant(&b.right),
        ExprKind::Aggregate(a) => is_invariant(&a.expr) && a.param.as_ref().is_none_or(is_invariant),
        // The time of a sample is the same at every step where the sample is.
        ExprKind::Call(call) if matches!(call.function.body, Body::Timestamp) => {
            matches!(call.args[0].unwrapped().kind, ExprKind::Vector(_)) && is_invariant(&call.args[0])
        }
        ExprKind::Call(call) if matches!(call.function.body, Body::Info) => {
            is_invariant(&call.args[0]) && is_uniform(&call.args[0])
        }
        ExprKind::Call(call) => {
            let default_time = call.args.is_empty() && !matches!(call.function.body, Body::Pi);
            !call.function.varies() && !default_time && call.args.iter().all(is_invariant)
        }
    }
}

/// Does each series of the result depend on one series of the operand alone?
pub(super) fn streams(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Paren(inner) => streams(inner),
        ExprKind::Vector(_) | ExprKind::Unary(..) => true,
        ExprKind::Binary(b) if b.op == BinaryOp::Default => false,
        ExprKind::Binary(b) => b.left.value_type() == Type::Scalar || b.right.value_type() == Type::Scalar,
        ExprKind::Call(call) => match call.function.body {
            Body::Range(_) | Body::RangeKeepName(_) | Body::Math(_) | Body::AcrossSteps(_) => true,
            Body::Date(_) => !call.args.is_empty(),
            Body::Timestamp | Body::OfHistograms(_) => true,
            _ => false,
        },
        _ => false,
    }
}

/// Does a selector look at other times at each step?
pub(super) fn has_own_times(leaf: &Expr) -> bool {
    match &leaf.kind {
        ExprKind::Vector(s) | ExprKind::Matrix(s, _) => s.shift.at.is_none(),
        _ => false,
    }
}

/// Has each series of what streams the name, and all other labels, of the one it comes from?
fn keeps_names(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Vector(_) | ExprKind::Matrix(..) => true,
        ExprKind::Paren(inner) | ExprKind::Unary(Sign::Plus, inner) => keeps_names(inner),
        ExprKind::Binary(b) if b.op.is_comparison() && !b.return_bool && streams(expr) => {
            keeps_names(if b.left.value_type() == Type::Scalar { &b.right } else { &b.left })
        }
        _ => false,
    }
}

/// Could two series of the result have equal labels once their names are gone?
pub(super) fn may_collide(expr: &Expr) -> bool {
    if keeps_names(expr) {
        return false;
    }
    let mut one_name = true;
    let mut selectors = 0;
    expr.walk(&mut |node| match &node.kind {
        ExprKind::Vector(s) | ExprKind::Matrix(s, _) => {
            selectors += 1;
            one_name &= has_one_name(s);
        }
        // As `count_values`, `label_replace` and similar functions are told which label to set.
        ExprKind::String(text) => one_name &= text.as_str() != Some(METRIC_NAME),
        _ => {}
    });
    !one_name || selectors > 1
}

/// Do all series that it selects have the same name?
pub(super) fn has_one_name(selector: &Selector) -> bool {
    selector.matchers.iter().any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal)
}

/// Is anything read for it?
pub(super) fn selects(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |node| found |= matches!(node.kind, ExprKind::Vector(_) | ExprKind::Matrix(..)));
    found
}

/// The one selector of an expression each of whose series comes from one series of it.
pub(super) fn leaf(expr: &Expr) -> Option<&Expr> {
    match &expr.kind {
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => leaf(inner),
        ExprKind::Vector(_) | ExprKind::Matrix(..) => Some(expr),
        ExprKind::Binary(binary) if streams(expr) => {
            let (vector, scalar) = match binary.left.value_type() {
                Type::Scalar => (&binary.right, &binary.left),
                _ => (&binary.left, &binary.right),
            };
            leaf(vector).filter(|_| !selects(scalar))
        }
        ExprKind::Call(call) if streams(expr) => {
            let mut selecting = call.args.iter().filter(|arg| selects(arg));
            match (selecting.next(), selecting.next()) {
                (Some(arg), None) => leaf(arg),
                _ => None,
            }
        }
        _ => None,
    }
}
