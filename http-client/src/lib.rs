//! One HTTP client from one `http_config`.
//!
//! - **What**: [`HttpClient`] makes requests that carry the configured credentials, headers, TLS and proxy.
//! - **Path**: used by the fetch step of the scrape path, by discovery and by senders.
//! - **Invariants**: credentials are read from their files at every request and never stand in an error or log; certificate
//!   files are looked at before every request and read again when they changed; a missing file is an error of the request
//!   that needed it; answers are never decompressed here.
//! - **Files**: `client` the client · `transport` reqwest's clients without OAuth 2.0 · `oauth2` tokens, `jwt_bearer` the assertion
//!   for one · `auth` credentials and headers · `connection` a target's own connection · `post` whole requests · `answer` what is read of the answers · `head` and `framing` the responses on it,
//!   `stream` TCP or a Unix socket below it · `resolver` host names to addresses · `redirect` where a redirect leads · `proxy`
//!   which requests use which proxy · `tls` rustls from `tls_config`, `stamp` whether a file changed · `verify` which servers
//!   are trusted, `chain` by whom they are certified, `names` for which hosts, `signature` whether a signature is right, `rsa`
//!   with short keys, `curve` on P-521, `certificate` and `der` what a certificate contains · `cause` why a request failed, in words
//!   · `error` why it could not be made · `fuzzing` responses as bytes, for `tests/fuzz`.
//! - **Tests**: `tests/` runs real servers on the loopback interface.

pub mod answer;
mod auth;
mod cause;
mod certificate;
mod chain;
mod client;
mod connection;
mod curve;
mod der;
mod error;
mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod jwt_bearer;
mod names;
mod oauth2;
mod post;
mod proxy;
mod redirect;
mod resolver;
mod rsa;
mod signature;
mod stamp;
mod stream;
mod tls;
mod transport;
mod verify;

pub use client::HttpClient;
pub use connection::{Connection, PIECE_BYTES_MAX, Response};
pub use error::{Error, GetError};
pub use resolver::{DnsRecord, LookupError, RecordKind, Resolver};
pub use tls::readable_authorities;
