//! At which times the samples below an expression are taken.

use crate::functions::Body;
use crate::parse::ast::{At, Expr, ExprKind, Shift, Type};

/// When the samples below an expression are taken.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reference {
    /// There is none to be taken.
    Nothing,
    /// All at one time, whatever `@` and `offset` it comes from.
    Fixed(i64),
    /// All so long before the step.
    Shifted(i64),
    /// Some so and some otherwise.
    Various,
}

impl Reference {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, Self::Nothing) | (Self::Nothing, one) => one,
            (a, b) if a == b => a,
            _ => Self::Various,
        }
    }
}

/// Are all samples below an expression taken at one time, whatever the step's is?
pub(super) fn is_uniform(expr: &Expr) -> bool {
    matches!(reference(expr, &mut Vec::new()), Reference::Fixed(_) | Reference::Shifted(_))
}

/// Offsets of the subqueries around a selector add up, until an `@` fixes it.
pub(super) fn reference<'a>(expr: &'a Expr, outer: &mut Vec<&'a Shift>) -> Reference {
    if !matches!(expr.value_type(), Type::Vector | Type::Matrix) {
        return Reference::Nothing;
    }
    let below = match &expr.kind {
        ExprKind::Vector(s) | ExprKind::Matrix(s, _) => {
            let mut at = None;
            let mut offset_ms = 0i64;
            for shift in std::iter::once(&s.shift).chain(outer.iter().rev().copied()) {
                if at.is_some() {
                    break;
                }
                at = shift.at;
                offset_ms = offset_ms.saturating_add(shift.offset.ms);
            }
            return match at {
                None => Reference::Shifted(offset_ms),
                Some(At::Ms(ms)) => Reference::Fixed(ms.saturating_sub(offset_ms)),
                // Before the times of the query are known.
                Some(At::Start | At::End) => Reference::Various,
            };
        }
        ExprKind::Subquery(s) => {
            outer.push(&s.shift);
            let below = reference(&s.expr, outer);
            outer.pop();
            below
        }
        ExprKind::Paren(e) | ExprKind::Unary(_, e) => reference(e, outer),
        ExprKind::Binary(b) => reference(&b.left, outer).and(reference(&b.right, outer)),
        ExprKind::Aggregate(a) => {
            let param = a.param.as_ref().map_or(Reference::Nothing, |param| reference(param, outer));
            reference(&a.expr, outer).and(param)
        }
        ExprKind::Call(call) => {
            let args = if matches!(call.function.body, Body::Info) { &call.args[..1] } else { &call.args[..] };
            args.iter().fold(Reference::Nothing, |all, arg| all.and(reference(arg, outer)))
        }
        ExprKind::Number(_) | ExprKind::String(_) => Reference::Nothing,
    };
    // A vector of nothing selected has the time of the step, whatever stands beside it.
    if below == Reference::Nothing { Reference::Various } else { below }
}
