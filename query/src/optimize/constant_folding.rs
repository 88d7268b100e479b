//! Constant folding: a scalar expression of numbers alone is computed once, when the query is planned.

use crate::functions::Body;
use crate::functions::math;
use crate::functions::operators::scalars;
use crate::options::EngineOptions;
use crate::parse::ast::Sign;
use crate::parse::types::Type;
use crate::plan::{NodeId, NodeKind, Plan};

/// Replaces scalars whose operands are numbers by their value.
pub(super) fn fold(plan: &mut Plan, _: &EngineOptions) {
    // Operands come after their parents: in reverse, what is folded below is a number already.
    for id in plan.ids().rev() {
        if let Some(value) = constant(plan, id) {
            let node = plan.node_mut(id);
            node.kind = NodeKind::Number(value);
            node.decisions.folded = true;
        }
    }
}

/// The value of a scalar that is no number yet, if all its operands are numbers.
fn constant(plan: &Plan, id: NodeId) -> Option<f64> {
    let node = plan.node(id);
    if node.value_type != Type::Scalar {
        return None;
    }
    let number = |id: NodeId| match plan.node(id).kind {
        NodeKind::Number(value) => Some(value),
        _ => None,
    };
    match &node.kind {
        NodeKind::Unary(Sign::Plus, inner) => number(*inner),
        NodeKind::Unary(Sign::Minus, inner) => number(*inner).map(|value| -value),
        // Trimming numbers is refused when the query is evaluated.
        NodeKind::Binary(binary) if !binary.op.is_trim() => {
            Some(scalars(binary.op, number(binary.left)?, number(binary.right)?))
        }
        NodeKind::Call(call) => match (call.function.body, &call.args[..]) {
            (Body::Pi, _) => Some(std::f64::consts::PI),
            (Body::MaxOf, [a, b]) => Some(math::max(number(*a)?, number(*b)?)),
            (Body::MinOf, [a, b]) => Some(math::min(number(*a)?, number(*b)?)),
            _ => None,
        },
        _ => None,
    }
}
