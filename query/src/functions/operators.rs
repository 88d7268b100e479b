//! Binary operators on two floats.

use crate::parse::ast::BinaryOp;

/// The result of an arithmetic operator; a comparison yields its left side.
#[inline]
pub(crate) fn arithmetic(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => left,
    }
}

/// Does a comparison hold? Other operators always do.
#[inline]
pub(crate) fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Gt => left > right,
        BinaryOp::Lt => left < right,
        BinaryOp::Ge => left >= right,
        BinaryOp::Le => left <= right,
        _ => true,
    }
}

/// Of two scalars; a comparison yields 0 or 1.
pub(crate) fn scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    if op.is_comparison() { f64::from(u8::from(holds(op, left, right))) } else { arithmetic(op, left, right) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_computes() {
        assert_eq!(arithmetic(BinaryOp::Mod, -5.0, 3.0), -2.0);
        assert_eq!(arithmetic(BinaryOp::Pow, 2.0, 0.5), std::f64::consts::SQRT_2);
        assert_eq!(scalars(BinaryOp::Ge, 2.0, 2.0), 1.0);
        assert!(!holds(BinaryOp::Eq, f64::NAN, f64::NAN) && holds(BinaryOp::Ne, f64::NAN, f64::NAN));
    }
}
