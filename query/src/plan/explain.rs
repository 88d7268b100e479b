//! A plan as people read it: for each node what it is, what the optimiser decided, and, where it was estimated or measured,
//! what it costs.

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
    /// The nodes. As a list and not as a tree: a chain of operators may be too long for whatever calls itself at each level.
    pub nodes: Vec<PlanNode>,
}

/// One node of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PlanNode {
    /// Its number; decisions refer to it.
    pub id: u32,
    /// How many nodes are above it.
    pub depth: usize,
    /// The numbers of its operands, in the order in which they are evaluated; none where it reads the result of another node.
    pub operands: Vec<u32>,
    /// What it is: `vector selector`, `function rate`, `aggregation sum`.
    pub operation: String,
    /// Its part of the query as it was written, shortened.
    pub expression: String,
    /// What the optimiser decided on it.
    pub decisions: Vec<Decision>,
    /// What it will read about; of selectors alone.
    pub estimate: Option<CostEstimate>,
    /// What it cost, where the query was evaluated and that was measured.
    pub cost: Option<NodeCost>,
}

/// What a pass of the optimiser decided on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// The pass by its usual name, `common subexpressions` for instance.
    pub pass: &'static str,
    /// What it decided.
    pub detail: String,
}

/// What a node cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeCost {
    /// How often it was evaluated: once on each thread and for each partition that it was carried through.
    pub evaluations: u64,
    /// How often its result, or what it reads, came from an equal node and not from the store.
    pub reused: u64,
    /// The time it and its operands took, without those that use it; summed over threads.
    pub time: Duration,
    /// Series that it yielded.
    pub series: u64,
    /// Samples that these had.
    pub samples: u64,
    /// Series that it found in the store; of selectors alone.
    pub series_read: u64,
    /// Samples that it read, as [`Stats::samples_read`](crate::Stats::samples_read) counts them; of selectors alone.
    pub samples_read: u64,
    /// The most memory that one thread held for it and its operands, bytes; 0 where series are handed on one by one.
    pub peak_bytes: u64,
}

/// What is shown of the text of a node, in characters.
const EXPRESSION_MAX: usize = 80;
/// What is looked at of it: some of it may be blanks.
const LOOKED_AT_MAX: usize = 4 * EXPRESSION_MAX;
/// Levels that are indented; what is deeper stands below the last of them.
const INDENTED_MAX: usize = 30;

/// Explains a plan; `text` is the query that it was made of.
pub(crate) fn explain(plan: &Plan, text: &str) -> Explanation {
    let (scans, parents) = (labels_of_scans(plan), parents(plan));
    let mut groups: HashMap<usize, NodeId> = HashMap::new();
    let mut nodes = Vec::new();
    // A list of what is still to come takes the place of recursion: a plan may be deep.
    let mut next = vec![(Plan::ROOT, 0)];
    while let Some((id, depth)) = next.pop() {
        let node = plan.node(id);
        // What is below a node that reads the result of another one is not evaluated.
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

/// The text of a node in one line, shortened.
fn expression(node: &Node, text: &str) -> String {
    let written = text.get(node.span.start..node.span.end).unwrap_or_default();
    // Of a chain of operators each node has all before it in its text: no more is looked at than may be shown.
    let end = written.char_indices().nth(LOOKED_AT_MAX).map_or(written.len(), |(end, _)| end);
    // The query may be formatted over several lines.
    let line = written[..end].split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXPRESSION_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if end < written.len() => line + "…",
        None => line,
    }
}

/// What the passes decided on a node, in their order, beside what concerns scans of others.
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
    // Said once, at the topmost node that the partitions of a scan are carried through.
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

/// By node, the one whose operand it is.
fn parents(plan: &Plan) -> Vec<Option<NodeId>> {
    let mut parents = vec![None; plan.nodes.len()];
    for id in plan.ids() {
        plan.node(id).kind.operands().for_each(|operand| parents[operand.index()] = Some(id));
    }
    parents
}

/// By scan, the labels that are needed of its series.
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

/// As a tree of text: a line for each node, and below it a line for each thing that is known of it.
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
