//! One HTTP client from one `http_config`.
//!
//! - **What**: [`HttpClient`] makes requests that carry the configured credentials, headers, TLS and proxy.
//! - **Path**: used by the fetch step of the scrape path, by discovery and by senders.
//! - **Invariants**: credentials are read from their files at every request and never stand in an error or log; certificate
//!   files are looked at before every request and read again when they changed; a missing file is an error of the request
//!   that needed it; answers are never decompressed here.
//! - **Files**: `client` the client · `connection` a target's own connection · `head` and `answer` what comes over it · `wire` the stream under it · `resolver` host names to addresses · `stamp` whether a file changed · `redirect` where
//!   one leads · `auth` credentials and headers · `oauth2` tokens · `assertion` what asks for
//!   one with a key · `proxy` which requests go through which · `tls` rustls
//!   from `tls_config` · `verify` which servers are believed · `chain` by whom they are vouched for · `names` for which
//!   hosts · `signature` whether a signature is right · `rsa` of short keys · `curve` P-521 · `certificate`, `der` what one says · `cause` why a request failed, in words · `error` why it
//!   could not be made.
//! - **Tests**: `tests/` runs real servers on the loopback interface.

mod answer;
mod assertion;
mod auth;
mod cause;
mod certificate;
mod chain;
mod client;
mod connection;
mod curve;
mod der;
mod error;
mod head;
mod names;
mod oauth2;
mod proxy;
mod redirect;
mod resolver;
mod rsa;
mod signature;
mod stamp;
mod tls;
mod verify;
mod wire;

pub use client::HttpClient;
pub use connection::{Connection, PIECE_BYTES_MAX, Response};
pub use error::{Error, GetError};
pub use resolver::Resolver;
pub use tls::readable_authorities;
