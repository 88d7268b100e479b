//! Partitioning: where each series of a node comes from one series of one scan, the scan is read in partitions, and each is
//! carried through the node on a thread of its own (`exec/partitions.rs`).

use crate::options::EngineOptions;
use crate::plan::{NodeKind, Plan};

/// Records on streaming nodes the scan they can be partitioned by.
pub(super) fn choose(plan: &mut Plan, _: &EngineOptions) {
    // Prefix sums of nodes that share a result: their number below a node is a difference of two. Mostly there are none.
    let mut shared = vec![0usize; if plan.common.is_empty() { 0 } else { plan.nodes.len() + 1 }];
    for i in 1..shared.len() {
        shared[i] = shared[i - 1] + usize::from(plan.nodes[i - 1].decisions.common.is_some());
    }
    for (i, node) in plan.nodes.iter_mut().enumerate() {
        // Shared results are kept by one thread, so nodes above them are not partitioned.
        let shares_below = shared.get(node.end.index()) > shared.get(i + 1);
        let streams = node.facts.streams && !matches!(node.kind, NodeKind::Matrix(..));
        node.decisions.partitioned = node.facts.leaf.filter(|_| streams && !shares_below);
    }
}
