//! Rows: one scrape under one key. `codec` lays a row out, `lane` packs 64 columns of it, `frame` is what rows are coded
//! against, `writer` takes rows in, `timed` their samples with times of their own, `state` is what a source's next row depends
//! on, `reader` scans, `taker` turns rows into columns.

pub(crate) mod codec;
pub(crate) mod lane;
pub(crate) mod purge;
pub(crate) mod reader;
pub(crate) mod state;
pub(crate) mod taker;
mod timed;
pub(crate) mod writer;
