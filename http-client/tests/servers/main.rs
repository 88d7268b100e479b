//! The client against real servers.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod credentials;
mod dns;
mod http2;
mod kit;
mod oauth2;
mod post;
mod proxy;
mod tls;
