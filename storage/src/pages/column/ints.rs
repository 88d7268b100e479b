//! Integers as the differences that a plan chooses, block by block.

use super::block;
use super::form::Form;
use super::pack::BLOCK;
use super::plan::Plan;
use crate::kv::varint::{self, unzigzag, zigzag};

/// High bits of the first byte of a column: integers without a common factor, ...
pub(super) const PLAIN: u8 = 0x40;
/// ... and with one.
pub(super) const FACTORED: u8 = 0x80;

/// Appends a column of integers, at least two and not all equal; leaves their differences in their place.
pub(super) fn encode(ints: &mut [i64], form: Form, out: &mut Vec<u8>) {
    let plan = Plan::make(ints);
    let kind = if plan.factor > 1 { FACTORED } else { PLAIN };
    out.push(kind | plan.order << 4 | form.tag());
    if plan.factor > 1 {
        varint::put(plan.factor, out);
    }
    varint::put(zigzag(plan.first), out);
    if plan.order == 2 {
        varint::put(zigzag(plan.step), out);
    }
    varint::put(zigzag(plan.base), out);
    for differences in ints[1..].chunks(BLOCK) {
        block::encode(differences, plan.base, out);
    }
}

/// What the head of a column says of its integers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) form: Form,
    pub(super) order: u8,
    pub(super) factored: bool,
}

/// Appends `count` values, at least one; `None` when the bytes are not those of so many.
pub(super) fn decode(mut bytes: &[u8], shape: Shape, count: usize, out: &mut Vec<f64>) -> Option<()> {
    let Shape { form, order, factored } = shape;
    let bytes = &mut bytes;
    let factor = if factored { varint::take(bytes)? as i64 } else { 1 };
    let first = unzigzag(varint::take(bytes)?);
    let step = if order == 2 { unzigzag(varint::take(bytes)?) } else { 0 };
    let base = unzigzag(varint::take(bytes)?);
    // Before the base is multiplied: codes count from the base as it was written.
    let zero = base.wrapping_neg() as u64;
    let base = base.wrapping_mul(factor);
    let mut sum = Sum { order, factor, base, last: first, step: step.wrapping_mul(factor) };
    out.reserve(count);
    out.push(form.value(first));
    let (mut codes, mut ints, mut values) = ([0u64; BLOCK], [0i64; BLOCK], [0f64; BLOCK]);
    let mut left = count - 1;
    while left > 0 {
        let len = left.min(BLOCK);
        block::decode(bytes, len, zero, &mut codes)?;
        sum.integrate(&codes, &mut ints);
        form.values(&ints, &mut values);
        out.extend_from_slice(&values[..len]);
        left -= len;
    }
    // Bytes left over mean that the count is not that of this column.
    bytes.is_empty().then_some(())
}

/// From codes back to integers, block by block.
#[derive(Clone, Copy, Debug)]
struct Sum {
    order: u8,
    factor: i64,
    base: i64,
    last: i64,
    step: i64,
}

impl Sum {
    #[inline]
    fn integrate(&mut self, codes: &[u64; BLOCK], ints: &mut [i64; BLOCK]) {
        let difference = |code: u64| (code as i64).wrapping_mul(self.factor).wrapping_add(self.base);
        let pairs = ints.iter_mut().zip(codes);
        match self.order {
            // `last` stays the first.
            0 => pairs.for_each(|(n, &code)| *n = self.last.wrapping_add(difference(code))),
            1 => {
                let mut last = self.last;
                pairs.for_each(|(n, &code)| {
                    last = last.wrapping_add(difference(code));
                    *n = last;
                });
                self.last = last;
            }
            _ => {
                let (mut last, mut step) = (self.last, self.step);
                pairs.for_each(|(n, &code)| {
                    step = step.wrapping_add(difference(code));
                    last = last.wrapping_add(step);
                    *n = last;
                });
                (self.last, self.step) = (last, step);
            }
        }
    }
}
