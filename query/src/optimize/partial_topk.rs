//! Partial top-k: `topk`, `bottomk` and `limitk` of an operand that streams hold only series that could still be among the k
//! (`exec/partial_topk.rs`).

use crate::options::EngineOptions;
use crate::parse::ast::AggregateOp;
use crate::plan::{NodeKind, Plan};

/// Marks the aggregations whose operand streams.
pub(super) fn choose(plan: &mut Plan, options: &EngineOptions) {
    for id in plan.ids() {
        let NodeKind::Aggregate(aggregate) = &plan.node(id).kind else { continue };
        let limits = matches!(aggregate.op, AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK);
        let facts = plan.node(aggregate.expr).facts;
        // Series that may have to be merged cannot be dropped one by one.
        let streams = facts.streams && (options.delayed_name_removal || !facts.may_collide);
        plan.node_mut(id).decisions.partial_topk = limits && streams;
    }
}
