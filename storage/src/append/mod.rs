//! Rows in.

pub(crate) mod plan;
pub(crate) mod state;
mod timed;
