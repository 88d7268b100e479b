//! The optimiser: passes over the plan, in the order of [`PASSES`]. Each is one file under its usual name, and records what
//! it decided on the nodes (`plan::Decisions`, matchers and flags of scans). Step 3 of the query path.
//!
//! No pass may change a result, a warning or an info. What may differ is how much is read and held.

mod common_subexpressions;
mod constant_folding;
mod histogram_stats;
mod matcher_propagation;
mod partial_topk;
mod partitions;
mod projection;
mod read_hints;
mod scan_sharing;

use crate::options::EngineOptions;
use crate::plan::{Plan, analysis};

/// A pass: it looks at the plan as those before it left it.
type Pass = fn(&mut Plan, &EngineOptions);

/// The passes. Facts are computed once what could change them is done: folded constants and propagated matchers neither
/// read more nor less of names.
const PASSES: [Pass; 10] = [
    constant_folding::fold,
    |plan, _| analysis::analyse(plan),
    histogram_stats::mark,
    matcher_propagation::propagate,
    common_subexpressions::merge,
    scan_sharing::group,
    partitions::choose,
    projection::push_down,
    partial_topk::choose,
    read_hints::set,
];

/// Optimises a plan whose durations are known.
pub(crate) fn optimize(plan: &mut Plan, options: &EngineOptions) {
    PASSES.iter().for_each(|pass| pass(plan, options));
}
