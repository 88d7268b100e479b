//! One reqwest client from one `http_config`.
//!
//! - **What**: [`HttpClient`] makes requests with the TLS, credentials, proxy and headers of a configuration block.
//! - **Path**: under step 3 of the scrape path, and under whatever else speaks HTTP.
//! - **Invariants**: rustls with ring is the only TLS; certificates that change on disk are used from the next request
//!   on, credentials in files are read for each; a missing file fails the request that needs it and nothing else.
//! - **Files**: `client` clients and requests · `tls` trust and identity · `auth` credentials and headers · `error`.
//! - **Tests**: `tests/` speaks to real TLS servers on loopback.

mod auth;
mod client;
mod error;
mod tls;

pub use client::HttpClient;
pub use error::Error;
