//! Rows: one scrape under one key. `codec` lays a row out, `lane` packs 64 columns of it against those of its `frame`, `scan`
//! reads rows out of the store, `decoder` turns them into `run`s of columns.

pub(crate) mod codec;
pub(crate) mod decoder;
pub(crate) mod frame;
pub(crate) mod lane;
pub(crate) mod run;
pub(crate) mod scan;
