//! Binary operators on two numbers, and on a vector and a number.

use super::{Evaluator, Sink};
use crate::Error;
use crate::parse::ast::{Binary, BinaryOp, Type};
use crate::value::{ABSENT, is_absent};
use crate::window::Grid;

/// The result of an arithmetic operator; a comparison yields its left side.
#[inline]
pub(super) fn arithmetic(op: BinaryOp, left: f64, right: f64) -> f64 {
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
pub(super) fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
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
pub(super) fn scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    if op.is_comparison() { f64::from(u8::from(holds(op, left, right))) } else { arithmetic(op, left, right) }
}

impl Evaluator<'_> {
    /// Trimming is for histograms; of floats nothing is left.
    pub(super) fn note_floats(&self, binary: &Binary) {
        let op = binary.op.symbol();
        let message = format!("incompatible sample types encountered for binary operator {op:?}: float {op} float");
        self.info(binary.left.span, &message);
    }

    /// A vector and a scalar, whichever stands left.
    pub(super) fn vector_scalar(&self, binary: &Binary, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        let scalar_left = binary.left.value_type() == Type::Scalar;
        let (vector, scalar) = if scalar_left { (&binary.right, &binary.left) } else { (&binary.left, &binary.right) };
        let numbers = self.scalar(scalar, grid)?;
        let op = binary.op;
        self.stream(vector, grid, &mut |mut series| {
            if op.is_trim() {
                self.note_floats(binary);
                return Ok(());
            }
            if binary.return_bool || !op.is_comparison() {
                self.drop_name(&mut series);
            }
            for (value, number) in series.values.iter_mut().zip(&numbers).filter(|(v, _)| !is_absent(**v)) {
                let (left, right) = if scalar_left { (*number, *value) } else { (*value, *number) };
                *value = match (op.is_comparison(), binary.return_bool, holds(op, left, right)) {
                    (false, ..) => arithmetic(op, left, right),
                    (true, true, held) => f64::from(u8::from(held)),
                    (true, false, true) => *value,
                    (true, false, false) => ABSENT,
                };
            }
            sink(series)
        })
    }
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
