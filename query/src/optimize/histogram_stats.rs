//! Histogram statistics: marks scans of whose histograms only count and sum are needed (upstream: `UseHistogramStats`,
//! `HistogramStatsIterator`).

use crate::options::EngineOptions;
use crate::parse::ast::{AggregateOp, BinaryOp};
use crate::plan::{Node, NodeKind, Plan};

/// The functions that only use count and sum.
const STATS: [&str; 3] = ["histogram_count", "histogram_sum", "histogram_avg"];

/// What the nodes above one need of its histograms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Unknown,
    Totals,
    Buckets,
}

/// Marks the scans below `histogram_count`, `histogram_sum` and `histogram_avg`; unless above or below these stands what
/// needs buckets: quantiles, fractions and deviations, whatever compares histograms, trimming, and subqueries, which have to
/// look for resets themselves.
pub(super) fn mark(plan: &mut Plan, _: &EngineOptions) {
    // Most queries have none of these functions.
    let reads_stats = |node: &Node| matches!(&node.kind, NodeKind::Call(call) if STATS.contains(&call.function.name));
    if !plan.nodes.iter().any(reads_stats) {
        return;
    }
    let mut needs = vec![Needs::Unknown; plan.nodes.len()];
    // Parents come first, so that what they need is known when their operands are reached.
    for id in plan.ids() {
        let of_node = needs[id.index()];
        let node = plan.node_mut(id);
        if let NodeKind::Vector(scan) | NodeKind::Matrix(scan, _) = &mut node.kind {
            scan.totals = of_node == Needs::Totals;
        }
        let below = below(&node.kind, of_node);
        node.kind.operands().for_each(|operand| needs[operand.index()] = below);
    }
}

/// What is needed of the operands of a node.
fn below(kind: &NodeKind, needs: Needs) -> Needs {
    match kind {
        NodeKind::Subquery(_) => Needs::Buckets,
        NodeKind::Call(call) => match call.function.name {
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => Needs::Buckets,
            "histogram_stddev" | "histogram_stdvar" | "changes" => Needs::Buckets,
            name if STATS.contains(&name) && needs == Needs::Unknown => Needs::Totals,
            _ => needs,
        },
        // The text of a whole histogram is the label of its value.
        NodeKind::Aggregate(aggregate) if aggregate.op == AggregateOp::CountValues => Needs::Buckets,
        NodeKind::Binary(binary) if binary.op.is_trim() || matches!(binary.op, BinaryOp::Eq | BinaryOp::Ne) => {
            Needs::Buckets
        }
        _ => needs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::random::ALL_ON;

    #[test]
    fn whose_buckets_do_not_matter() {
        for (query, expected) in [
            ("histogram_count(a)", "a"),
            ("histogram_avg(sum(rate(a[5m])) + b)", "ab"),
            ("histogram_sum(a </ 3) + b", ""),
            ("histogram_count(increase(a[5m:1m]))", ""),
            ("sum_over_time(histogram_count(a)[5m:1m])", ""),
            ("histogram_count(a == b) + histogram_sum(c != d)", ""),
            ("histogram_count(a and changes(b[5m]) > 0)", "a"),
            ("histogram_count(a and on () count(count_values(\"v\", b)) > 1)", "a"),
            ("histogram_count(a and histogram_stddev(b) > 1)", "a"),
            ("histogram_count(a unless histogram_quantile(0.5, b) < 3)", "a"),
        ] {
            let mut plan = crate::plan::build(crate::parse::parse(query, ALL_ON).unwrap());
            mark(&mut plan, &EngineOptions::default());
            let scans = plan.nodes.iter().filter_map(|node| node.kind.scan()).filter(|scan| scan.totals);
            let marked: String = scans.map(|scan| scan.matchers.last().unwrap().value.clone()).collect();
            assert_eq!(marked, expected, "{query}");
        }
    }
}
