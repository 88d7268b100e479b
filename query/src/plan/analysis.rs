//! Facts about nodes, computed bottom-up: is the value invariant over steps, does it stream, can removed names cause equal
//! labels, which scan does it come from.

use model::MatchOp;
use model::labels::METRIC_NAME;

use super::nodes::{Binary, Call, Facts, NodeId, NodeKind, Plan, Scan};
use super::sample_times::is_uniform;
use crate::functions::Body;
use crate::parse::ast::{BinaryOp, Sign};
use crate::parse::types::Type;

/// The scans and names below a node, on which collisions of labels depend.
#[derive(Clone, Copy, Default)]
struct Names {
    scans: usize,
    /// A scan may find series of several names, or a string could be a label that is to be set: the name.
    several: bool,
}

/// Computes the facts of all nodes.
pub(crate) fn analyse(plan: &mut Plan) {
    let mut names = vec![Names::default(); plan.nodes.len()];
    // Operands come after their parents, and so before them here.
    for id in plan.ids().rev() {
        names[id.index()] = names_of(plan, id, &names);
        let mut facts = Facts {
            invariant: is_invariant(plan, id),
            streams: streams(plan, id),
            selects: names[id.index()].scans > 0,
            ..Facts::default()
        };
        // In this order: collisions depend on the names that are kept.
        facts.keeps_names = keeps_names(plan, id, facts.streams);
        let Names { scans, several } = names[id.index()];
        // Two metrics, or a label that becomes the name, can yield equal labels once names are dropped.
        facts.may_collide = !facts.keeps_names && (several || scans > 1);
        facts.leaf = leaf(plan, id, facts.streams);
        plan.node_mut(id).facts = facts;
    }
}

fn names_of(plan: &Plan, id: NodeId, below: &[Names]) -> Names {
    let kind = &plan.node(id).kind;
    let own = match kind {
        NodeKind::Vector(scan) | NodeKind::Matrix(scan, _) => Names { scans: 1, several: !has_one_name(scan) },
        // As `count_values`, `label_replace` and similar functions take the label that they set as a string.
        NodeKind::String(text) => Names { scans: 0, several: text.as_str() == Some(METRIC_NAME) },
        _ => Names::default(),
    };
    kind.operands()
        .map(|operand| below[operand.index()])
        .fold(own, |all, one| Names { scans: all.scans.saturating_add(one.scans), several: all.several || one.several })
}

/// Is the value the same at every step?
fn is_invariant(plan: &Plan, id: NodeId) -> bool {
    let invariant = |id: NodeId| plan.node(id).facts.invariant;
    match &plan.node(id).kind {
        NodeKind::Number(_) | NodeKind::String(_) => true,
        // As upstream's `PreprocessExpr`: a fixed `@` makes the samples the same at every step.
        NodeKind::Vector(scan) | NodeKind::Matrix(scan, _) => scan.shift.at.is_some(),
        NodeKind::Subquery(subquery) => subquery.shift.at.is_some(),
        NodeKind::Unary(_, inner) => invariant(*inner),
        NodeKind::Binary(binary) => invariant(binary.left) && invariant(binary.right),
        NodeKind::Aggregate(a) => invariant(a.expr) && a.param.is_none_or(invariant),
        NodeKind::Call(call) => match call.function.body {
            // The time of a sample is the same at every step where the sample is.
            Body::Timestamp => matches!(plan.node(call.args[0]).kind, NodeKind::Vector(_)) && invariant(call.args[0]),
            Body::Info => invariant(call.args[0]) && is_uniform(plan, call.args[0]),
            _ => {
                // `hour()` and its like use the evaluation time when no vector is given.
                let default_time = call.args.is_empty() && !matches!(call.function.body, Body::Pi);
                !call.function.varies() && !default_time && call.args.iter().all(|arg| invariant(*arg))
            }
        },
    }
}

/// Does each series of the result depend on one series of one operand alone?
fn streams(plan: &Plan, id: NodeId) -> bool {
    match &plan.node(id).kind {
        // A unary operator on a scalar is never asked for its series.
        NodeKind::Vector(_) | NodeKind::Unary(..) => true,
        NodeKind::Binary(binary) => binary.op != BinaryOp::Default && !binary.of_vectors,
        NodeKind::Call(call) => match call.function.body {
            Body::Range(_) | Body::RangeKeepName(_) | Body::Math(_) | Body::AcrossSteps(_) => true,
            Body::Date(_) => !call.args.is_empty(),
            Body::Timestamp | Body::OfHistograms(_) => true,
            _ => false,
        },
        _ => false,
    }
}

/// The operand of an operator that is a vector, and the one that is a scalar.
fn vector_and_scalar(plan: &Plan, binary: &Binary) -> (NodeId, NodeId) {
    match plan.node(binary.left).value_type {
        Type::Scalar => (binary.right, binary.left),
        _ => (binary.left, binary.right),
    }
}

/// Has each series of what streams the name, and all other labels, of the one it comes from?
fn keeps_names(plan: &Plan, id: NodeId, streams: bool) -> bool {
    let keeps = |id: NodeId| plan.node(id).facts.keeps_names;
    match &plan.node(id).kind {
        NodeKind::Vector(_) | NodeKind::Matrix(..) => true,
        NodeKind::Unary(Sign::Plus, inner) => keeps(*inner),
        NodeKind::Binary(b) if b.op.is_comparison() && !b.return_bool && streams => keeps(vector_and_scalar(plan, b).0),
        _ => false,
    }
}

/// Do all series that it reads have the same name?
pub(crate) fn has_one_name(scan: &Scan) -> bool {
    scan.matchers.iter().any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal)
}

/// The one scan of an expression each of whose series comes from one series of it.
fn leaf(plan: &Plan, id: NodeId, streams: bool) -> Option<NodeId> {
    let facts = |id: NodeId| plan.node(id).facts;
    match &plan.node(id).kind {
        NodeKind::Unary(_, inner) => facts(*inner).leaf,
        NodeKind::Vector(_) | NodeKind::Matrix(..) => Some(id),
        NodeKind::Binary(binary) if streams => {
            let (vector, scalar) = vector_and_scalar(plan, binary);
            // A scalar that selects is another scan, whose partitions differ.
            facts(vector).leaf.filter(|_| !facts(scalar).selects)
        }
        NodeKind::Call(call) if streams => leaf_of_call(plan, call),
        _ => None,
    }
}

fn leaf_of_call(plan: &Plan, call: &Call) -> Option<NodeId> {
    // Scalar arguments may select as well: then the call has no single scan.
    let mut selecting = call.args.iter().map(|arg| plan.node(*arg).facts).filter(|facts| facts.selects);
    match (selecting.next(), selecting.next()) {
        (Some(one), None) => one.leaf,
        _ => None,
    }
}

/// Does a scan read other times at each step?
pub(crate) fn has_own_times(scan: &Scan) -> bool {
    scan.shift.at.is_none()
}
