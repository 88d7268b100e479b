//! The real binary against real peers: everything is in `tests/`, what it shares in `tests/kit`, and here the tests of the page.
#![expect(clippy::unwrap_used, reason = "of tests: a failed step is its message")]

pub mod browser;
pub mod guides;
