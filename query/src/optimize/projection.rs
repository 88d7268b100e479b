//! Projection pushdown: of the labels of what an aggregation folds only those that it groups by, and the name, are needed.
//! The scan below it yields the rest not at all, and what many series have in common as one label set, which is grouped
//! once (`exec/projection.rs`).

use crate::options::EngineOptions;
use crate::parse::ast::AggregateOp;
use crate::plan::analysis::has_own_times;
use crate::plan::{NodeId, NodeKind, Plan};

/// Says for each aggregation whose operand streams, by which groupings labels are needed.
pub(super) fn push_down(plan: &mut Plan, options: &EngineOptions) {
    for id in plan.ids() {
        let NodeKind::Aggregate(aggregate) = &plan.node(id).kind else { continue };
        let quantile = aggregate.op == AggregateOp::Quantile;
        let folds = aggregate.op.param().is_none() || quantile;
        if !folds || !streams_once(plan, aggregate.expr, options, quantile) {
            continue;
        }
        let node = plan.node_mut(id);
        node.decisions.projection = [id].into_iter().chain(node.decisions.together.iter().copied()).collect();
    }
}

/// Does the operand hand on each series of one scan, to nobody else, and without looking at whole label sets?
fn streams_once(plan: &Plan, operand: NodeId, options: &EngineOptions, is_distinct: bool) -> bool {
    let node = plan.node(operand);
    let facts = node.facts;
    // Where names could collide, series are merged by whole label sets. What is evaluated once for all steps, as scans with
    // `@` are, is looked at whole, too.
    let merges = facts.may_collide && (is_distinct || !options.delayed_name_removal);
    let own_times = node.decisions.partitioned.and_then(|leaf| plan.scan(leaf)).is_some_and(has_own_times);
    !merges && own_times && node.decisions.common.is_none()
}
