//! Read hints: tells the store what a scan is for (Prometheus: `storage.SelectHints`).

use crate::options::EngineOptions;
use crate::plan::{NodeId, NodeKind, Plan};

/// Sets the function or aggregation that each scan is for, and its grouping.
pub(super) fn set(plan: &mut Plan, _: &EngineOptions) {
    // The nearest call or aggregation above each node; an operator ends the path, as upstream's does.
    let mut nearest = vec![""; plan.nodes.len()];
    for id in plan.ids() {
        let node = plan.node_mut(id);
        node.decisions.read_for = if node.kind.scan().is_some() { nearest[id.index()] } else { "" };
        let below = match &node.kind {
            NodeKind::Aggregate(aggregate) => aggregate.op.name(),
            NodeKind::Call(call) => call.function.name,
            NodeKind::Binary(_) => "",
            _ => nearest[id.index()],
        };
        node.kind.operands().for_each(|operand| nearest[operand.index()] = below);
    }
    for id in plan.ids() {
        group_by(plan, id);
    }
}

/// A scan whose labels are read for one aggregation alone is told its grouping.
fn group_by(plan: &mut Plan, id: NodeId) {
    let NodeKind::Aggregate(aggregate) = &plan.node(id).kind else { return };
    if plan.node(id).decisions.projection == [id]
        && let Some(leaf) = plan.node(aggregate.expr).facts.leaf
        // Merged selects serve several aggregations.
        && plan.node(leaf).decisions.scan_group.is_none()
    {
        plan.node_mut(leaf).decisions.grouped_by = Some(id);
    }
}
