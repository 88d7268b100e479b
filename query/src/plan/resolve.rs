//! Resolves durations and `@` of a plan that depend on the times of the query.

use super::nodes::{NodeKind, Plan};
use crate::Error;
use crate::options::Times;
use crate::parse::ast::{At, Duration, Shift};
use crate::parse::{resolve_duration, resolve_shift};

/// Does the plan have computed durations, `@ start()` or `@ end()`?
pub(crate) fn needs_times(plan: &Plan) -> bool {
    let computed = |duration: &Duration| duration.expr.is_some();
    let moved = |shift: &Shift| computed(&shift.offset) || matches!(shift.at, Some(At::Start | At::End));
    plan.nodes.iter().any(|node| match &node.kind {
        NodeKind::Vector(scan) => moved(&scan.shift),
        NodeKind::Matrix(scan, range) => moved(&scan.shift) || computed(range),
        NodeKind::Subquery(s) => moved(&s.shift) || computed(&s.range) || s.step.as_ref().is_some_and(computed),
        _ => false,
    })
}

/// Sets every duration that is more than a literal, and `@ start()` and `@ end()` to times.
pub(crate) fn resolve(plan: &mut Plan, times: Times) -> Result<(), Error> {
    // Parents first, as the text is read: of several errors the first is reported.
    for node in &mut plan.nodes {
        match &mut node.kind {
            NodeKind::Vector(scan) => resolve_shift(&mut scan.shift, times)?,
            NodeKind::Matrix(scan, range) => {
                resolve_shift(&mut scan.shift, times)?;
                resolve_duration(range, times)?;
            }
            NodeKind::Subquery(subquery) => {
                resolve_shift(&mut subquery.shift, times)?;
                // The step before the range, as upstream's `durationVisitor` does.
                subquery.step.as_mut().map_or(Ok(()), |step| resolve_duration(step, times))?;
                resolve_duration(&mut subquery.range, times)?;
            }
            _ => {}
        }
    }
    Ok(())
}
