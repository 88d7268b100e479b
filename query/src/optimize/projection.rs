//! Projection pushdown: aggregations need only the labels that they group by, and the name. The scan below drops the others,
//! and series with equal projections share one label set, which is grouped once (`exec/projection.rs`).

use crate::options::EngineOptions;
use crate::parse::ast::AggregateOp;
use crate::plan::analysis::has_own_times;
use crate::plan::{NodeId, NodeKind, Plan};

/// Records on aggregations whose operand streams which groupings need labels.
pub(super) fn push_down(plan: &mut Plan, options: &EngineOptions) {
    for id in plan.ids() {
        let NodeKind::Aggregate(aggregate) = &plan.node(id).kind else { continue };
        let quantile = aggregate.op == AggregateOp::Quantile;
        // Other aggregations return series with their labels.
        let folds = aggregate.op.param().is_none() || quantile;
        if !folds || !streams_once(plan, aggregate.expr, options, quantile) {
            continue;
        }
        let node = plan.node_mut(id);
        node.decisions.projection = [id].into_iter().chain(node.decisions.together.iter().copied()).collect();
    }
}

/// Does the operand stream the series of one scan to this aggregation only, without using whole label sets?
fn streams_once(plan: &Plan, operand: NodeId, options: &EngineOptions, is_distinct: bool) -> bool {
    let node = plan.node(operand);
    let facts = node.facts;
    // Where names could collide, series are merged by whole label sets. Invariant operands are collected.
    let merges = facts.may_collide && (is_distinct || !options.delayed_name_removal);
    // A scan with a fixed `@` is evaluated once and collected.
    let own_times = node.decisions.partitioned.and_then(|leaf| plan.scan(leaf)).is_some_and(has_own_times);
    !merges && own_times && node.decisions.common.is_none()
}
