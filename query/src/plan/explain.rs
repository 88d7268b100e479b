//! Explains a plan: for each node its operation, the decisions of the optimiser, and, if they were estimated or measured, its
//! costs.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::nodes::{Node, NodeId, NodeKind, Plan};
use crate::cost::CostEstimate;
use crate::parse::ast::Grouping;

/// The plan of a query: its nodes, parents before their operands, the root first.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The nodes, as a list instead of a tree: a long chain of operators would be too deep for recursive code.
    pub nodes: Vec<PlanNode>,
}

/// One node of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PlanNode {
    /// The id of the node; decisions refer to it.
    pub id: u32,
    /// The number of nodes above it.
    pub depth: usize,
    /// The ids of its operands, in the order of evaluation; empty if it reads the result of another node.
    pub operands: Vec<u32>,
    /// The operation: `vector selector`, `function rate`, `aggregation sum`.
    pub operation: String,
    /// Its part of the query text, truncated.
    pub expression: String,
    /// The decisions of the optimiser about it.
    pub decisions: Vec<Decision>,
    /// The estimated cost of reading it; only for selectors.
    pub estimate: Option<CostEstimate>,
    /// The measured cost, if the evaluation was measured ([`QueryOptions::analysis`](crate::QueryOptions::analysis)).
    pub cost: Option<NodeCost>,
}

/// A decision of an optimiser pass about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// The pass by its usual name, `common subexpressions` for instance.
    pub pass: &'static str,
    /// The decision.
    pub detail: String,
}

/// The measured cost of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeCost {
    /// Number of evaluations: one per thread and partition.
    pub evaluations: u64,
    /// How often its result, or the batches it reads, came from the cache of an equal node.
    pub reused: u64,
    /// Time of the node and its operands, without its consumers; summed over threads.
    pub time: Duration,
    /// Series in its results.
    pub series: u64,
    /// Samples in its results.
    pub samples: u64,
    /// Series found in the store; only for selectors.
    pub series_read: u64,
    /// Samples read, counted as [`Stats::samples_read`](crate::Stats::samples_read); only for selectors.
    pub samples_read: u64,
    /// Peak memory of one thread for the node and its operands, bytes; 0 if it streams its series.
    pub peak_bytes: u64,
}

/// Maximum length of the text of a node, in characters.
const EXPRESSION_MAX: usize = 80;
/// Characters of the query text that are considered, before whitespace is collapsed.
const LOOKED_AT_MAX: usize = 4 * EXPRESSION_MAX;
/// Maximum indentation, in levels; deeper nodes are not indented further.
const INDENTED_MAX: usize = 30;

/// Explains a plan; `text` is the text of the query.
pub(crate) fn explain(plan: &Plan, text: &str) -> Explanation {
    let (scans, parents) = (labels_of_scans(plan), parents(plan));
    let mut groups: HashMap<usize, NodeId> = HashMap::new();
    let mut nodes = Vec::new();
    // An explicit stack instead of recursion: a plan may be deep.
    let mut next = vec![(Plan::ROOT, 0)];
    while let Some((id, depth)) = next.pop() {
        let node = plan.node(id);
        // Nodes below one that reads the result of another are not evaluated.
        let reads_result = node.decisions.common.is_some_and(|common| common.first != id);
        let operands: Vec<NodeId> = if reads_result { Vec::new() } else { node.kind.operands().collect() };
        // Reversed, since the list is a stack: the first operand is shown first.
        next.extend(operands.iter().rev().map(|operand| (*operand, depth + 1)));
        let mut decisions = decisions(plan, id, parents[id.index()]);
        if let Some(labels) = scans.get(&id) {
            decisions.push(Decision { pass: "projection pushdown", detail: labels.clone() });
        }
        // The first scan of a group is the one that reads.
        if let Some(group) = node.decisions.scan_group {
            let first = *groups.entry(group).or_insert(id);
            if first != id {
                let detail = format!("has the matchers of #{}: read once where the times are equal, too", first.0);
                decisions.push(Decision { pass: "merged selects", detail });
            }
        }
        nodes.push(PlanNode {
            id: id.0,
            depth,
            operands: operands.iter().map(|operand| operand.0).collect(),
            operation: operation(&node.kind),
            expression: expression(node, text),
            decisions,
            ..PlanNode::default()
        });
    }
    Explanation { nodes }
}

fn operation(kind: &NodeKind) -> String {
    match kind {
        NodeKind::Number(_) => "number".to_owned(),
        NodeKind::String(_) => "string".to_owned(),
        NodeKind::Vector(_) => "vector selector".to_owned(),
        NodeKind::Matrix(..) => "range selector".to_owned(),
        NodeKind::Subquery(_) => "subquery".to_owned(),
        NodeKind::Unary(..) => "unary operator".to_owned(),
        NodeKind::Binary(binary) => format!("operator {}", binary.op.symbol()),
        NodeKind::Aggregate(aggregate) => format!("aggregation {}", aggregate.op.name()),
        NodeKind::Call(call) => format!("function {}", call.function.name),
    }
}

/// The text of a node in one line, truncated.
fn expression(node: &Node, text: &str) -> String {
    let written = text.get(node.span.start..node.span.end).unwrap_or_default();
    // In a chain of operators the text of each node includes all operands before it: without the limit, explaining
    // the chain would take quadratic time.
    let end = written.char_indices().nth(LOOKED_AT_MAX).map_or(written.len(), |(end, _)| end);
    // The query may be formatted over several lines.
    let line = written[..end].split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXPRESSION_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if end < written.len() => line + "…",
        None => line,
    }
}

/// The decisions of the passes about a node, in the order of the passes; without those about shared scans.
fn decisions(plan: &Plan, id: NodeId, parent: Option<NodeId>) -> Vec<Decision> {
    let node = plan.node(id);
    let made = &node.decisions;
    let mut all = Vec::new();
    let mut add = |pass, detail| all.push(Decision { pass, detail });
    if let (true, NodeKind::Number(value)) = (made.folded, &node.kind) {
        add("constant folding", format!("constant = {}", model::float::format_f(*value)));
    }
    if let Some(scan) = node.kind.scan() {
        if scan.totals {
            add("histogram statistics", "of histograms only count and sum are read".to_owned());
        }
        if made.added_matchers > 0 {
            let added: Vec<String> = scan.matchers[..made.added_matchers].iter().map(ToString::to_string).collect();
            add("matcher propagation", format!("added {}", added.join(", ")));
        }
    }
    let numbers = |ids: &[NodeId]| ids.iter().map(|id| format!("#{}", id.0)).collect::<Vec<_>>().join(", ");
    match made.common {
        Some(common) if common.first != id && plan.node(common.first).decisions.together.contains(&id) => {
            add("common subexpressions", format!("computed in the same pass as #{}", common.first.0));
        }
        Some(common) if common.first != id => {
            add("common subexpressions", format!("merged with #{}, whose result it reads", common.first.0));
        }
        Some(common) => {
            let places = plan.common[common.slot];
            add("common subexpressions", format!("evaluated once for all {places} places"));
        }
        None => {}
    }
    if !made.together.is_empty() {
        add("common subexpressions", format!("computes {} in the same pass", numbers(&made.together)));
    }
    // Reported once, at the topmost node that is evaluated per partition.
    let above = parent.and_then(|parent| plan.node(parent).decisions.partitioned);
    if let Some(scan) = made.partitioned.filter(|scan| above != Some(*scan)) {
        let of = if scan == id { String::new() } else { format!(" of #{}", scan.0) };
        add("partitioning", format!("computed in the partitions{of}, side by side"));
    }
    if made.partial_topk {
        add("partial top-k", "series that can no longer be among the k are dropped while others are read".to_owned());
    }
    all
}

/// The parent of each node.
fn parents(plan: &Plan) -> Vec<Option<NodeId>> {
    let mut parents = vec![None; plan.nodes.len()];
    for id in plan.ids() {
        plan.node(id).kind.operands().for_each(|operand| parents[operand.index()] = Some(id));
    }
    parents
}

/// For each scan, the labels of its series that are needed.
fn labels_of_scans(plan: &Plan) -> HashMap<NodeId, String> {
    let mut scans = HashMap::new();
    for node in &plan.nodes {
        let NodeKind::Aggregate(aggregate) = &node.kind else { continue };
        // Only projections that reach a scan have an effect.
        let Some(scan) = plan.node(aggregate.expr).facts.leaf else { continue };
        let grouping = |id: &NodeId| match &plan.node(*id).kind {
            NodeKind::Aggregate(aggregate) => labels(&aggregate.grouping),
            _ => String::new(),
        };
        let mut needed: Vec<String> = node.decisions.projection.iter().map(grouping).collect();
        // Aggregations that are computed together often group by the same labels.
        needed.dedup();
        if !needed.is_empty() {
            scans.insert(scan, format!("labels needed: {}", needed.join(" and ")));
        }
    }
    scans
}

fn labels(grouping: &Grouping) -> String {
    match (grouping.without, grouping.labels.is_empty()) {
        (true, _) => format!("all but {}", grouping.labels.join(", ")),
        (false, true) => "none".to_owned(),
        (false, false) => grouping.labels.join(", "),
    }
}

/// An indented text: a line per node, followed by lines with its decisions and costs.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nodes.iter().try_for_each(|node| node.fmt(f))
    }
}

impl fmt::Display for PlanNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bounded: a chain of operators would indent its last line by its length.
        let indent = "  ".repeat(self.depth.min(INDENTED_MAX));
        writeln!(f, "{indent}#{} {}: {}", self.id, self.operation, self.expression)?;
        for Decision { pass, detail } in &self.decisions {
            writeln!(f, "{indent}   - {pass}: {detail}")?;
        }
        if let Some(CostEstimate { series, samples_read }) = self.estimate {
            writeln!(f, "{indent}   - estimated: {series} series, {samples_read} samples read")?;
        }
        if let Some(cost) = &self.cost {
            writeln!(f, "{indent}   - measured: {cost}")?;
        }
        Ok(())
    }
}

impl fmt::Display for NodeCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { evaluations, reused, time, series, samples, series_read, samples_read, peak_bytes } = self;
        write!(f, "{time:?} in {evaluations} evaluation(s), {series} series and {samples} samples out")?;
        for (count, what) in [(reused, "reused"), (series_read, "series read"), (samples_read, "samples read")] {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if *peak_bytes > 0 { write!(f, ", {peak_bytes} bytes held at most") } else { Ok(()) }
    }
}
