//! One HTTP client from one `http_config`.
//!
//! - **What**: [`HttpClient`] makes requests that carry the configured credentials, headers, TLS and proxy.
//! - **Path**: used by the fetch step of the scrape path, by discovery and by senders.
//! - **Invariants**: credentials are read from their files at every request and never stand in an error or log; certificate
//!   files are looked at before every request and read again when they changed; a missing file is an error of the request
//!   that needed it; answers are never decompressed here.
//! - **Files**: `client` the client · `connection` a target's own connection · `auth` credentials and headers · `tls` rustls from `tls_config` · `validity` the dates of a
//!   certificate · `error` why not.
//! - **Tests**: `tests/` runs real servers on the loopback interface.

mod auth;
mod client;
mod connection;
mod error;
mod tls;
mod validity;

pub use client::HttpClient;
pub use connection::{Connection, GetError, Response};
pub use error::Error;
