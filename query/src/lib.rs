//! PromQL over any [`model::Querier`].
//!
//! - **What**: parses a query, checks its types, plans it, evaluates it for one time or a range of them.
//! - **Path**: steps 2 to 6 of a query: text → checked tree → optimised plan → batches from the store folded into a [`Value`].
//! - **Invariants**: no tokio, no HTTP, no knowledge of how series are stored; every loop over series looks at the deadline,
//!   the client that may have gone and the sample limit; results of equal data are equal, whatever the order of batches and
//!   whatever the optimiser decided; a plan does not change while it is evaluated, and is referred to by ids of its nodes.
//! - **Files**: `engine` entry points · `language` the words it takes · `prepared` planned queries and their evaluation ·
//!   `options` limits and switches · `bounds` how far one request may go · `stack` room for long chains of operators · `cost`
//!   what it may cost, `estimate` what it will cost · `memory/` what all may hold · `parse/` text → tree · `plan/` tree →
//!   nodes in an arena, and what is known of them · `optimize/` a pass per file · `exec/` plan → values, a file per kind of
//!   node · `functions/` a family per file, `mod` is the table · `histogram/` arithmetic of native histograms · `window` which
//!   samples a step sees, `edges` the bounds of extended ranges · `value` results · `stats` what it cost, `progress` what it
//!   has done so far · `annotations` warnings and infos · `promqltest/` upstream's test scripts.
//! - **Tests**: at the foot of each file; `tests/conformance.rs` runs upstream's scripts and ours in `tests/data`.

mod annotations;
mod bounds;
mod cost;
mod edges;
mod engine;
mod error;
mod estimate;
mod exec;
#[cfg(test)]
mod extreme_times;
mod functions;
mod histogram;
mod language;
mod memory;
mod optimize;
mod options;
mod parse;
mod plan;
mod prepared;
mod progress;
pub mod promqltest;
mod stack;
mod stats;
mod value;
mod window;

pub use bounds::{Bounds, StillWanted};
pub use cost::{CostEstimate, CostLimits};
pub use engine::Engine;
pub use error::Error;
pub use language::Language;
pub use memory::{Left, MemoryPool, QueryMemory};
pub use options::{EngineOptions, QueryOptions};
pub use parse::{parse_selector, parse_selector_within};
pub use plan::{Decision, Explanation, NodeCost, PlanNode};
pub use prepared::{Prepared, QueryResult};
pub use progress::Progress;
pub use stats::Stats;
pub use value::{RangeSeries, Sample, Value};
