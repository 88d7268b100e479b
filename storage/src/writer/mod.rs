//! The row writer: what one source said at one time, decided sample by sample (`plan`, `timed`) and coded against the frames of
//! the source's open buckets (`state`; `done` is what a write changes in it). `flushed` tells which buckets may be pages already.

mod done;
pub(crate) mod flushed;
pub(crate) mod plan;
pub(crate) mod state;
mod timed;
pub(crate) mod window;
