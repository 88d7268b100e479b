//! The query plan: the nodes of a query in one arena, each known by its id. Step 3 of the query path.
//!
//! `build` makes it of the checked tree, in one place; `analysis` computes what is known of each node; the passes of
//! `optimize/` record on the nodes what they decided; `exec/` evaluates it. Nothing of it changes while a query runs, so
//! that one plan can be evaluated by many queries at once.
//!
//! Invariant: parents come before their operands, and the nodes below a node are those up to its `end`: whether a node is
//! below another is a comparison of ids, and a loop over the ids in reverse visits operands first.

pub(crate) mod analysis;
mod build;
mod explain;
mod nodes;
mod resolve;
mod sample_times;

pub(crate) use self::build::build;
pub(crate) use self::explain::explain;
pub use self::explain::{Decision, Explanation, NodeCost, PlanNode};
pub(crate) use self::nodes::{Aggregate, Binary, Call, Common, Node, NodeId, NodeKind, Plan, Scan, Subquery};
pub(crate) use self::resolve::{needs_times, resolve};
pub(crate) use self::sample_times::{SampleTimes, sample_times};
