//! Merged selects: scans with equal matchers form a group. Where they also have equal times, the store is read once for all
//! of them (`exec/scan_cache.rs`).

use super::common_subexpressions::SELECTORS_MAX;
use crate::options::EngineOptions;
use crate::plan::{NodeId, NodeKind, Plan};

/// Groups the scans that are evaluated.
pub(super) fn group(plan: &mut Plan, _: &EngineOptions) {
    let scans = plan.nodes.iter().filter(|node| node.kind.scan().is_some());
    if !plan.has_several_scans() || scans.count() > SELECTORS_MAX {
        return;
    }
    let mut groups: Vec<Vec<NodeId>> = Vec::new();
    let mut next = Plan::ROOT;
    while next.index() < plan.nodes.len() {
        let (id, node) = (next, plan.node(next));
        next = NodeId(id.0 + 1);
        match (&node.kind, node.decisions.common) {
            // Nodes that read a kept result do not scan.
            (_, Some(common)) if common.first != id => next = node.end,
            (NodeKind::Vector(scan) | NodeKind::Matrix(scan, _), _) => {
                let is_equal =
                    |group: &&mut Vec<NodeId>| plan.scan(group[0]).is_some_and(|first| first.matchers == scan.matchers);
                match groups.iter_mut().find(is_equal) {
                    Some(group) => group.push(id),
                    None => groups.push(vec![id]),
                }
            }
            _ => {}
        }
    }
    // A group of one has nothing to share.
    for group in groups.into_iter().filter(|group| group.len() > 1) {
        let number = plan.scan_groups.len();
        plan.scan_groups.push(group.len());
        group.into_iter().for_each(|id| plan.node_mut(id).decisions.scan_group = Some(number));
    }
}
