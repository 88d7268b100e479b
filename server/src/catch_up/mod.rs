//! What this server missed while it was away, fetched from another replica (`--peer`).
//!
//! `state` says how far it is, `fetch` does it.

mod fetch;
mod state;

pub(crate) use fetch::run;
pub(crate) use state::CatchUp;
