//! How a node gets the values of its operands: the one way from one file of `exec/` to another that evaluates a node.
//! `exec/mod.rs` implements it, and chooses the file by the kind of the node.

use super::evaluator::Sink;
use crate::Error;
use crate::plan::NodeId;
use crate::value::Series;
use crate::window::Grid;

/// Evaluates nodes of the plan at the steps of a grid.
pub(super) trait Operands {
    /// An instant vector at every step. Streaming nodes are sorted by labels.
    fn vector(&self, id: NodeId, grid: &Grid) -> Result<Vec<Series>, Error>;

    /// The same without looking for a kept result.
    fn evaluated(&self, id: NodeId, grid: &Grid) -> Result<Vec<Series>, Error>;

    /// The series of an instant vector one by one, in any order.
    fn stream(&self, id: NodeId, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error>;

    /// Streams the operand of an aggregation; its labels may be reduced to the aggregation's projection.
    fn stream_projected(&self, aggregate: NodeId, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error>;

    /// Streams a node on this thread, without partitioning.
    fn stream_node(&self, id: NodeId, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error>;

    /// A scalar at every step.
    fn scalar(&self, id: NodeId, grid: &Grid) -> Result<Vec<f64>, Error>;
}
