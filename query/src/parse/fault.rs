//! Parse errors with their positions.

use super::ast::Span;

/// A parse error at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
}
