//! At which times the samples below a node are taken: `info` looks up info series at these.

use model::Timestamp;

use super::nodes::{NodeId, NodeKind, Plan};
use crate::functions::Body;
use crate::parse::ast::{At, Shift};
use crate::parse::types::Type;

/// When the samples below a node are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SampleTimes {
    /// There are none.
    None,
    /// All at one time, whatever `@` and `offset` it comes from.
    Fixed(Timestamp),
    /// All at one distance before the step, in milliseconds.
    Shifted(i64),
    /// At different times.
    Various,
}

impl SampleTimes {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, Self::None) | (Self::None, one) => one,
            (a, b) if a == b => a,
            _ => Self::Various,
        }
    }
}

/// Are all samples below a node taken at one time, whatever the step's is?
pub(super) fn is_uniform(plan: &Plan, id: NodeId) -> bool {
    matches!(sample_times(plan, id), SampleTimes::Fixed(_) | SampleTimes::Shifted(_))
}

/// When the samples below a node are taken.
pub(crate) fn sample_times(plan: &Plan, id: NodeId) -> SampleTimes {
    times_of(plan, id, &mut Vec::new())
}

/// Offsets of the subqueries around a selector add up, until an `@` fixes it.
fn times_of<'p>(plan: &'p Plan, id: NodeId, outer: &mut Vec<&'p Shift>) -> SampleTimes {
    let node = plan.node(id);
    if !matches!(node.value_type, Type::Vector | Type::Matrix) {
        return SampleTimes::None;
    }
    let below = match &node.kind {
        NodeKind::Vector(scan) | NodeKind::Matrix(scan, _) => return times_of_scan(&scan.shift, outer),
        NodeKind::Subquery(subquery) => {
            outer.push(&subquery.shift);
            let below = times_of(plan, subquery.expr, outer);
            outer.pop();
            below
        }
        // The second argument of `info` selects nothing by itself.
        NodeKind::Call(call) if matches!(call.function.body, Body::Info) => times_of(plan, call.args[0], outer),
        kind => {
            let operands = kind.operands();
            operands.fold(SampleTimes::None, |all, operand| all.and(times_of(plan, operand, outer)))
        }
    };
    // A vector without a selector has the time of the step.
    if below == SampleTimes::None { SampleTimes::Various } else { below }
}

fn times_of_scan(own: &Shift, outer: &[&Shift]) -> SampleTimes {
    let mut at = None;
    let mut offset_ms = 0i64;
    // From the inside outwards: an `@` replaces all times around it, so outer shifts do not apply.
    for shift in std::iter::once(own).chain(outer.iter().rev().copied()) {
        if at.is_some() {
            break;
        }
        at = shift.at;
        offset_ms = offset_ms.saturating_add(shift.offset.ms);
    }
    match at {
        None => SampleTimes::Shifted(offset_ms),
        Some(At::Time(time)) => SampleTimes::Fixed(time.saturating_sub(offset_ms)),
        // Before the times of the query are known.
        Some(At::Start | At::End) => SampleTimes::Various,
    }
}
