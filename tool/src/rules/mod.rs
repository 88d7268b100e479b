//! Commands about the rules of a running server and their past.

pub(crate) mod backfill;
pub(crate) mod replay;
