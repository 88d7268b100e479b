//! Binary operators between samples, and between a vector and a scalar.

use std::sync::Arc;

use model::{Histogram, ResetHint};

use super::evaluator::{Evaluator, Sink};
use super::operands::Operands;
use crate::Error;
use crate::annotations::{AnnotationList, Operation};
use crate::functions::operators::{arithmetic, holds};
use crate::histogram::{self as native, Total};
use crate::parse::ast::BinaryOp;
use crate::parse::types::Type;
use crate::plan::Binary;
use crate::value::{ABSENT, SampleRef, Series, is_absent};
use crate::window::Grid;

/// The result of an operator on two samples.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Combined {
    Float(f64),
    Histogram(Arc<Histogram>),
    /// A comparison that does not hold.
    Filtered,
    /// The operator is not defined for these kinds of samples.
    Incompatible,
}

impl Combined {
    fn histogram(mut histogram: Histogram) -> Self {
        histogram.compact();
        Self::Histogram(Arc::new(histogram))
    }
}

impl Evaluator<'_> {
    /// The operator on two samples of which at least one is a histogram, or a trim. A comparison yields its left side.
    pub(super) fn mixed_pair(&self, binary: &Binary, left: SampleRef<'_>, right: SampleRef<'_>) -> Combined {
        let op = binary.op;
        let compared = |held: bool, left: &Arc<Histogram>| match (binary.return_bool, held) {
            (true, _) => Combined::Float(f64::from(u8::from(held))),
            (false, true) => Combined::Histogram(Arc::clone(left)),
            (false, false) => Combined::Filtered,
        };
        match (left, op, right) {
            (SampleRef::Histogram(h), BinaryOp::Mul, SampleRef::Float(n))
            | (SampleRef::Float(n), BinaryOp::Mul, SampleRef::Histogram(h)) => {
                Combined::histogram(native::scaled(h, n))
            }
            (SampleRef::Histogram(h), BinaryOp::Div, SampleRef::Float(n)) => Combined::histogram(native::divided(h, n)),
            (SampleRef::Histogram(h), _, SampleRef::Float(n)) if op.is_trim() => {
                Combined::Histogram(Arc::new(native::trim(h, n, op == BinaryOp::TrimUpper)))
            }
            (SampleRef::Histogram(a), BinaryOp::Add | BinaryOp::Sub, SampleRef::Histogram(b)) => {
                self.sum_of_two(binary, a, b)
            }
            (SampleRef::Histogram(a), BinaryOp::Eq, SampleRef::Histogram(b)) => compared(a == b, a),
            (SampleRef::Histogram(a), BinaryOp::Ne, SampleRef::Histogram(b)) => compared(a != b, a),
            _ => {
                let kind = |cell| if matches!(cell, SampleRef::Float(_)) { "float" } else { "histogram" };
                let (left, op, right) = (kind(left), op.symbol(), kind(right));
                let message =
                    format!("incompatible sample types encountered for binary operator {op:?}: {left} {op} {right}");
                self.info(binary.left_span, &message);
                Combined::Incompatible
            }
        }
    }

    fn sum_of_two(&self, binary: &Binary, left: &Histogram, right: &Histogram) -> Combined {
        let subtracts = binary.op == BinaryOp::Sub;
        let mut total = Total::new(left);
        let result = if subtracts { total.subtract(right) } else { total.add(right) };
        // Exponential and custom bucket layouts do not mix.
        let Ok(combined) = result else {
            let op = binary.op.symbol();
            let message = format!("incompatible bucket layout encountered for binary operator {op}");
            self.warn(binary.left_span, &message);
            return Combined::Incompatible;
        };
        let mut annotations = AnnotationList::default();
        annotations.combined(combined, if subtracts { Operation::Subtraction } else { Operation::Addition });
        self.annotate_all(binary.left_span, "", &mut annotations);
        // As upstream, conflicting reset hints make the result undefined.
        if combined.resets_collide {
            return Combined::Incompatible;
        }
        let mut histogram = total.finish();
        if subtracts {
            // A difference can have decreasing counts.
            histogram.reset_hint = ResetHint::Gauge;
        }
        Combined::histogram(histogram)
    }

    /// A vector and a scalar, in either order.
    pub(super) fn vector_scalar(&self, binary: &Binary, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        let scalar_left = self.node(binary.left).value_type == Type::Scalar;
        let (vector, scalar) = if scalar_left { (binary.right, binary.left) } else { (binary.left, binary.right) };
        let numbers = self.scalar(scalar, grid)?;
        let op = binary.op;
        self.stream(vector, grid, &mut |mut series| {
            // Comparisons without `bool` and trims yield the sample itself, with its name.
            if !binary.keep_name && (binary.return_bool || !op.is_comparison() && !op.is_trim()) {
                self.drop_name(&mut series);
            }
            // The slow path, sample by sample; plain floats are computed in one loop.
            if op.is_trim() || !series.histograms.is_empty() {
                self.mixed_scalar(binary, scalar_left, &numbers, &mut series);
                return if series.is_empty() { Ok(()) } else { sink(series) };
            }
            for (value, number) in series.values.iter_mut().zip(&numbers).filter(|(v, _)| !is_absent(**v)) {
                *value = float_and_scalar(binary, scalar_left, *value, *number);
            }
            sink(series)
        })
    }

    /// The same for a series with histograms, or for a trim, which leaves only histograms.
    fn mixed_scalar(&self, binary: &Binary, scalar_left: bool, numbers: &[f64], series: &mut Series) {
        // Taken out, because results are put into the series while they are read.
        let histograms = std::mem::take(&mut series.histograms);
        for (value, number) in series.values.iter_mut().zip(numbers).filter(|(v, _)| !is_absent(**v)) {
            if binary.op.is_trim() {
                // Only for its annotation: floats cannot be trimmed.
                self.mixed_pair(binary, SampleRef::Float(*value), SampleRef::Float(*number));
                *value = ABSENT;
            } else {
                *value = float_and_scalar(binary, scalar_left, *value, *number);
            }
        }
        for (step, histogram) in histograms {
            let (vector, number) = (SampleRef::Histogram(&histogram), SampleRef::Float(numbers[step as usize]));
            let (left, right) = if scalar_left { (number, vector) } else { (vector, number) };
            match self.mixed_pair(binary, left, right) {
                Combined::Float(value) => series.values[step as usize] = value,
                Combined::Histogram(histogram) => series.histograms.push((step, histogram)),
                Combined::Filtered | Combined::Incompatible => {}
            }
        }
    }
}

#[inline]
fn float_and_scalar(binary: &Binary, scalar_left: bool, value: f64, number: f64) -> f64 {
    let op = binary.op;
    let (left, right) = if scalar_left { (number, value) } else { (value, number) };
    match (op.is_comparison(), binary.return_bool, holds(op, left, right)) {
        (false, ..) => arithmetic(op, left, right),
        (true, true, held) => f64::from(u8::from(held)),
        (true, false, true) => value,
        (true, false, false) => ABSENT,
    }
}
