//! Common subexpressions: of equal expressions the first is evaluated, the others read its result.
//!
//! A result is held in memory from its first place to its last. So it is only shared if it is collected at the first place
//! anyway, as the operand of a binary operator between vectors is. The operand of an aggregation is not, of which only a part
//! is held at a time: several aggregations of one operand are computed in one pass over its series instead, and the results
//! of the later ones are kept.
//!
//! `exec/common_subexpressions.rs` keeps the results, drops them where memory gets scarce, and counts the samples at each place
//! as if it had been evaluated.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::functions::Body;
use crate::options::EngineOptions;
use crate::parse::ast::{AggregateOp, Shift};
use crate::parse::types::Type;
use crate::plan::{Call, Common, NodeId, NodeKind, Plan, Scan};

/// Queries with more expressions than these are not searched.
const PLACES_MAX: usize = 100;
/// Nor those with more selectors, or more text of matchers and strings.
pub(super) const SELECTORS_MAX: usize = 1_000;
const TEXT_MAX: usize = 64 << 10;

/// An expression that yields an instant vector.
#[derive(Clone, Copy)]
struct Place {
    id: NodeId,
    /// It is collected here, or a vector made of it series by series is.
    whole: bool,
    /// The innermost subquery around it.
    subquery: Option<NodeId>,
}

/// Gives equal expressions one slot each.
pub(super) fn merge(plan: &mut Plan, _: &EngineOptions) {
    if !plan.has_several_scans() || !repeats_a_scan(plan) {
        return;
    }
    // Most queries ended above, before their expressions are compared.
    let mut places = Vec::new();
    visit(plan, Plan::ROOT, (true, None), &mut places);
    if places.len() > PLACES_MAX {
        return;
    }
    let numbers = value_numbers(plan);
    let mut merger = Merger { inside: vec![false; plan.nodes.len()], numbers, plan };
    merger.merge_equal(&places);
    merger.compute_together(&places);
}

struct Merger<'p> {
    plan: &'p mut Plan,
    /// By node: it is part of an expression that reads a kept result, and is not evaluated.
    inside: Vec<bool>,
    /// By node; equal expressions have equal numbers.
    numbers: Vec<u32>,
}

impl Merger<'_> {
    fn number(&self, id: NodeId) -> u32 {
        self.numbers[id.index()]
    }

    fn merge_equal(&mut self, places: &[Place]) {
        let mut equal: HashMap<u32, Vec<NodeId>> = HashMap::new();
        places.iter().for_each(|place| equal.entry(self.number(place.id)).or_default().push(place.id));
        for place in places {
            // Places inside an expression that reads a kept result are not evaluated, and so do not count.
            let found = equal[&self.number(place.id)].iter().copied();
            let same: Vec<NodeId> = found.filter(|id| !self.inside[id.index()]).collect();
            // Handled once for all equal places, at the first of them, and only if that is collected.
            if self.inside[place.id.index()] || !place.whole || same.len() < 2 || same[0] != place.id {
                continue;
            }
            let slot = self.plan.common.len();
            for id in &same {
                let node = self.plan.node_mut(*id);
                node.decisions.common = Some(Common { slot, first: place.id });
                // Nodes below the first place are evaluated, and may be shared with others.
                if *id != place.id {
                    let below = id.index()..node.end.index();
                    self.inside[below].fill(true);
                }
            }
            self.plan.common.push(same.len());
        }
    }

    /// Finds the aggregations that fold the same series, which are not shared already.
    fn compute_together(&mut self, places: &[Place]) {
        let mut first: HashMap<(u32, Option<NodeId>), NodeId> = HashMap::new();
        for place in places {
            let NodeKind::Aggregate(aggregate) = &self.plan.node(place.id).kind else { continue };
            let operand = aggregate.expr;
            let facts = self.plan.node(operand).facts;
            // Operands that do not stream are collected, and are shared by `merge_equal` where they repeat.
            let folds = aggregate.op.param().is_none() && facts.streams && !facts.invariant;
            let is_shared = |id: NodeId| self.plan.node(id).decisions.common.is_some();
            if self.inside[place.id.index()] || !folds || self.plan.subtree(operand).any(is_shared) {
                continue;
            }
            // The subquery is part of the key: inside of it expressions are evaluated at other steps.
            match first.entry((self.number(operand), place.subquery)) {
                Entry::Vacant(free) => drop(free.insert(place.id)),
                Entry::Occupied(found) => {
                    let first = *found.get();
                    if self.plan.node(place.id).decisions.common.is_none() {
                        let slot = self.plan.common.len();
                        self.plan.common.push(1);
                        self.plan.node_mut(place.id).decisions.common = Some(Common { slot, first });
                    }
                    self.plan.node_mut(first).decisions.together.push(place.id);
                }
            }
        }
    }
}

/// Do two scans read the same data? Else no two expressions are equal. Very many, or very long ones, are not compared.
fn repeats_a_scan(plan: &Plan) -> bool {
    let (mut scans, mut text) = (Vec::new(), 0);
    for node in &plan.nodes {
        match &node.kind {
            NodeKind::Vector(scan) | NodeKind::Matrix(scan, _) => {
                text += scan.matchers.iter().map(|m| m.name.len() + m.value.len()).sum::<usize>();
                scans.push(&scan.matchers);
            }
            NodeKind::String(string) => text += string.len(),
            _ => {}
        }
        // The comparison below is quadratic in the number of selectors.
        if scans.len() > SELECTORS_MAX || text > TEXT_MAX {
            return false;
        }
    }
    scans.iter().enumerate().any(|(i, matchers)| scans[..i].contains(matchers))
}

/// The places in the order in which they are evaluated. What aggregations and their like fold is not needed whole.
fn visit(plan: &Plan, id: NodeId, (whole, subquery): (bool, Option<NodeId>), places: &mut Vec<Place>) {
    if places.len() > PLACES_MAX {
        return;
    }
    let node = plan.node(id);
    if node.value_type == Type::Vector && node.facts.selects {
        places.push(Place { id, whole, subquery });
    }
    match &node.kind {
        NodeKind::Unary(_, inner) => visit(plan, *inner, (whole, subquery), places),
        // The inner result of a subquery is always collected.
        NodeKind::Subquery(inner) => visit(plan, inner.expr, (true, Some(id)), places),
        NodeKind::Aggregate(aggregate) => {
            aggregate.param.iter().for_each(|param| visit(plan, *param, (false, subquery), places));
            // A quantile collects all values of a group, and an operand that does not stream is collected before it is
            // folded.
            let whole = aggregate.op == AggregateOp::Quantile || !plan.node(aggregate.expr).facts.streams;
            visit(plan, aggregate.expr, (whole, subquery), places);
        }
        NodeKind::Binary(binary) => {
            visit(plan, binary.left, (binary.of_vectors || whole, subquery), places);
            visit(plan, binary.right, (binary.of_vectors || whole, subquery), places);
        }
        NodeKind::Call(call) => visit_args(plan, call, (whole, subquery), places),
        _ => {}
    }
}

fn visit_args(plan: &Plan, call: &Call, (whole, subquery): (bool, Option<NodeId>), places: &mut Vec<Place>) {
    for (i, arg) in call.args.iter().enumerate() {
        let is_selector = matches!(plan.node(*arg).kind, NodeKind::Vector(_));
        let is_vector = plan.node(*arg).value_type == Type::Vector;
        match call.function.body {
            // These read the selector themselves.
            Body::Timestamp | Body::StartTimestamp if is_selector => {}
            Body::Info if i > 0 => {}
            Body::Math(_) | Body::AcrossSteps(_) | Body::Date(_) | Body::Timestamp | Body::OfHistograms(_) => {
                visit(plan, *arg, (whole && is_vector, subquery), places);
            }
            Body::Absent | Body::AbsentOverTime | Body::Scalar | Body::StartTimestamp => {
                visit(plan, *arg, (false, subquery), places)
            }
            _ => visit(plan, *arg, (is_vector, subquery), places),
        }
    }
}

/// Value numbering: equal expressions get equal numbers, by their own content and the numbers of their operands.
fn value_numbers(plan: &Plan) -> Vec<u32> {
    let mut known: HashMap<(String, Vec<u32>), u32> = HashMap::new();
    let mut numbers = vec![0; plan.nodes.len()];
    for id in plan.ids().rev() {
        let kind = &plan.node(id).kind;
        let operands = kind.operands().map(|operand| numbers[operand.index()]).collect();
        // Children have larger ids, so their numbers are known: the loop runs backwards.
        let next = known.len() as u32;
        numbers[id.index()] = *known.entry((own_text(kind), operands)).or_insert(next);
    }
    numbers
}

/// The content of a node without its operands and its position.
fn own_text(kind: &NodeKind) -> String {
    let shift = |shift: &Shift| format!("{:?} {}", shift.at, shift.offset.ms);
    let scan = |scan: &Scan| {
        let Scan { matchers, extension, totals, .. } = scan;
        let matchers: Vec<_> = matchers.iter().map(|m| (&m.name, m.op, &m.value)).collect();
        format!("{matchers:?} {} {extension:?} {totals}", shift(&scan.shift))
    };
    match kind {
        // Bits tell apart what `==` does not: zeros of both signs, and kinds of NaN.
        NodeKind::Number(value) => format!("number {}", value.to_bits()),
        NodeKind::String(text) => format!("string {text:?}"),
        NodeKind::Vector(one) => format!("vector {}", scan(one)),
        NodeKind::Matrix(one, range) => format!("matrix {} {}", range.ms, scan(one)),
        NodeKind::Subquery(s) => {
            format!("subquery {} {:?} {}", s.range.ms, s.step.as_ref().map(|step| step.ms), shift(&s.shift))
        }
        NodeKind::Unary(sign, _) => format!("{sign:?}"),
        NodeKind::Binary(b) => format!("{:?} {} {} {:?}", b.op, b.return_bool, b.keep_name, b.matching),
        NodeKind::Aggregate(a) => format!("{:?} {:?}", a.op, a.grouping),
        NodeKind::Call(call) => format!("call {} {}", call.function.name, call.keep_name),
    }
}
