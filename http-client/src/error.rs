//! Why a client or a request could not be made, or got no response.

use std::path::PathBuf;

/// A client or a request that cannot be made. No text holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the configuration cannot be read.
    #[error("cannot read {what} {}: {source}", path.display())]
    Read {
        /// The field.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or key is not valid.
    #[error("cannot use {what} of {from}: {reason}")]
    Pem {
        /// The field.
        what: &'static str,
        /// The file, or the configuration.
        from: String,
        /// Why.
        reason: String,
    },
    /// The TLS settings contradict each other or ask for the impossible.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// A header's name or value is not valid.
    #[error("cannot send header {name}: not a valid header")]
    Header {
        /// Its name.
        name: String,
    },
    /// The URL is not valid for a request.
    #[error("cannot ask for {url}: not a valid URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// A proxy's URL is not valid.
    #[error("cannot use {what}: {reason}")]
    Proxy {
        /// The field or the variable.
        what: &'static str,
        /// Why; the URL may hold a password.
        reason: &'static str,
    },
    /// The OAuth 2.0 server gave no token.
    #[error("oauth2: cannot fetch token from {url}: {reason}")]
    Token {
        /// The server.
        url: String,
        /// What it said, or what went wrong on the way.
        reason: String,
    },
    /// The client could not be built.
    #[error("cannot build the HTTP client")]
    Build(#[source] reqwest::Error),
}

/// Why there is no response, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// The request could not be made.
    #[error(transparent)]
    Client(#[from] Error),
    /// It failed, or the response ended early: the causes, without the URL.
    #[error("{0}")]
    Failed(String),
}
