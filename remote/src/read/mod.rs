//! Remote read, asked: what other servers have is read along with what is stored here (upstream: `storage/remote/read.go`,
//! `client.go`, `chunked.go`, `storage.go`).
//!
//! - **What**: [`Remotes`] keeps one remote per section `remote_read`; each is a store of `model::Querier`, beside the local one in a
//!   `model::MergedQuerier`.
//! - **Invariants**: an answer is whole before any of it is used: a remote that fails half way has nothing to say, and the query a
//!   warning. What it takes is reserved of the query's memory before it is allocated, and sizes that an answer declares are looked
//!   at first. What does not match, or lies outside of the time asked, is left out.
//! - **Files**: `remotes` remotes by configuration · `remote` what one is asked for · `client` requests · `wait` for what is async ·
//!   `querier` the store · `sampled`, `chunked` both forms of an answer · `gathered` series as they come · `found` and as they are handed
//!   out · `error`, `metrics`.
//! - **Tests**: at the foot of each file; `tests.rs` answers that lie; `tests/e2e/tests/remote/read.rs` against Prometheus.

mod chunked;
mod client;
mod error;
mod found;
mod gathered;
mod metrics;
mod querier;
mod remote;
mod remotes;
mod sampled;
#[cfg(test)]
mod tests;
mod wait;

pub use remote::LocalStart;
pub use remotes::{Options, Peer, ReadConfigError, Remotes};
