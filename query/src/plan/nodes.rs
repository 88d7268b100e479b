//! The nodes of a plan, with facts and decisions.

use model::Matcher;

use crate::functions::Function;
use crate::parse::Text;
use crate::parse::ast::{AggregateOp, BinaryOp, Duration, Grouping, Matching, Shift, Sign, Span};
use crate::parse::types::{Extension, Type};

/// The place of a node in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A query as an arena of nodes; the first one is its root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    /// The error of its evaluation, if the query parses but is not allowed.
    pub(crate) refused: Option<String>,
    /// By slot of a common subexpression, how many nodes read it.
    pub(crate) common: Vec<usize>,
    /// By group of scans that read the same series, how many scans it has.
    pub(crate) scan_groups: Vec<usize>,
}

/// One expression of the query.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// The position in the query text, without parentheses around it.
    pub(crate) span: Span,
    pub(crate) value_type: Type,
    /// One past the last node below it.
    pub(crate) end: NodeId,
    pub(crate) facts: Facts,
    pub(crate) decisions: Decisions,
}

#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Number(f64),
    String(Text),
    /// `up{job="a"} offset 5m`
    Vector(Scan),
    /// `up{job="a"}[5m]`
    Matrix(Scan, Duration),
    Subquery(Subquery),
    Unary(Sign, NodeId),
    Binary(Binary),
    Aggregate(Aggregate),
    Call(Call),
}

/// What a selector reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    /// All must hold; those that matcher propagation added come first.
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) shift: Shift,
    pub(crate) extension: Option<Extension>,
    /// Only the count and the sum of histograms are used.
    pub(crate) totals: bool,
    /// The selector in the text, without a range and what follows it.
    pub(crate) span: Span,
}

/// `expr[range:step]`
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub(crate) expr: NodeId,
    pub(crate) range: Duration,
    pub(crate) step: Option<Duration>,
    pub(crate) shift: Shift,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) args: Vec<NodeId>,
    /// The result has the names of its operands.
    pub(crate) keep_name: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) expr: NodeId,
    pub(crate) param: Option<NodeId>,
    pub(crate) grouping: Grouping,
}

#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) left: NodeId,
    pub(crate) right: NodeId,
    /// The left side in the text, with parentheses around it: annotations on the operator point there.
    pub(crate) left_span: Span,
    /// Both sides are instant vectors, which are matched.
    pub(crate) of_vectors: bool,
    pub(crate) return_bool: bool,
    /// The result has the names of its left side.
    pub(crate) keep_name: bool,
    pub(crate) matching: Matching,
}

/// Properties of a node that are known before it is evaluated; see [`analysis`](super::analysis).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// The value is the same at every step.
    pub(crate) invariant: bool,
    /// Each series of the result depends on one series of one operand alone.
    pub(crate) streams: bool,
    /// Each series has the name, and all other labels, of the one it comes from.
    pub(crate) keeps_names: bool,
    /// Two series of the result could have equal labels once their names are gone.
    pub(crate) may_collide: bool,
    /// There is a scan below it.
    pub(crate) selects: bool,
    /// The only scan below it, if each series of the result comes from one of its series.
    pub(crate) leaf: Option<NodeId>,
}

/// What the passes of `optimize/` decided on a node; each field belongs to one pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decisions {
    /// Constant folding: the expression was replaced by a number.
    pub(crate) folded: bool,
    /// Matcher propagation: the number of matchers, the first ones, that come from the other side of an operator.
    pub(crate) added_matchers: usize,
    /// Common subexpressions: the slot that the node fills or reads.
    pub(crate) common: Option<Common>,
    /// Common subexpressions: aggregations of the same operand that are computed together with this one.
    pub(crate) together: Vec<NodeId>,
    /// Merged selects: scans of one group read the store once.
    pub(crate) scan_group: Option<usize>,
    /// Projection pushdown: the aggregations whose grouping labels are all that is read of the operand's labels; none when
    /// whole label sets are needed.
    pub(crate) projection: Vec<NodeId>,
    /// Partial top-k: series that can no longer be among the k are dropped while others are still read.
    pub(crate) partial_topk: bool,
    /// Partitioning: the scan whose partitions carry their series through this node, side by side.
    pub(crate) partitioned: Option<NodeId>,
    /// Read hints: the function or aggregation that a scan reads for; empty when there is none.
    pub(crate) read_for: &'static str,
    /// Read hints: the aggregation whose labels are all that is read of those of a scan.
    pub(crate) grouped_by: Option<NodeId>,
}

/// A node that is one of several equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) slot: usize,
    /// The node that is evaluated first and fills the slot.
    pub(crate) first: NodeId,
}

impl Plan {
    pub(crate) const ROOT: NodeId = NodeId(0);

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// A node and all below it, parents first, including operands of folded constants, which have no scans.
    pub(crate) fn subtree(&self, id: NodeId) -> impl Iterator<Item = NodeId> + use<> {
        // Nodes are in preorder, so a subtree is a contiguous range.
        (id.0..self.node(id).end.0).map(NodeId)
    }

    /// Does a node, or one above it, read the result of an equal one?
    pub(crate) fn reads_result(&self, id: NodeId) -> bool {
        // Those above a node come before it, and end behind it.
        let above = self.nodes[..=id.index()].iter().enumerate().filter(|(_, node)| node.end > id);
        let mut shared = above.filter_map(|(i, node)| node.decisions.common.map(|common| (i, common)));
        shared.any(|(i, common)| common.first.index() != i)
    }

    /// Are there two scans or more, so that one could share with another?
    pub(crate) fn has_several_scans(&self) -> bool {
        self.nodes.iter().filter(|node| node.kind.scan().is_some()).nth(1).is_some()
    }

    pub(crate) fn scan(&self, id: NodeId) -> Option<&Scan> {
        self.node(id).kind.scan()
    }
}

impl NodeKind {
    /// The scan of a selector.
    pub(crate) fn scan(&self) -> Option<&Scan> {
        match self {
            Self::Vector(scan) | Self::Matrix(scan, _) => Some(scan),
            _ => None,
        }
    }

    /// Its operands, in the order in which they are evaluated.
    pub(crate) fn operands(&self) -> impl DoubleEndedIterator<Item = NodeId> + Clone + '_ {
        // Fixed places and a slice, so that iterating does not allocate.
        let (few, args) = match self {
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(..) => ([None, None], &[][..]),
            Self::Subquery(subquery) => ([Some(subquery.expr), None], &[][..]),
            Self::Unary(_, inner) => ([Some(*inner), None], &[][..]),
            Self::Binary(binary) => ([Some(binary.left), Some(binary.right)], &[][..]),
            Self::Aggregate(aggregate) => ([aggregate.param, Some(aggregate.expr)], &[][..]),
            Self::Call(call) => ([None, None], &call.args[..]),
        };
        few.into_iter().flatten().chain(args.iter().copied())
    }
}
