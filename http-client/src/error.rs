//! Why a client or a request could not be made.

use std::path::PathBuf;

/// A client or a request that cannot be made. No text holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Understood, and not served.
    #[error("cannot use {what}: it is not served yet; {instead}")]
    NotServed {
        /// The field.
        what: &'static str,
        /// What to do.
        instead: &'static str,
    },
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
    /// A certificate or key is none.
    #[error("cannot use {what} of {from}: {reason}")]
    Pem {
        /// The field.
        what: &'static str,
        /// The file, or that it stands in the configuration.
        from: String,
        /// Why.
        reason: String,
    },
    /// The TLS settings contradict each other or what is possible.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// A header's name or value is none.
    #[error("cannot send header {name}: not a valid header")]
    Header {
        /// Its name.
        name: String,
    },
    /// The URL is none that can be asked for.
    #[error("cannot ask for {url}: not a valid URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// The proxy's URL or headers are not usable.
    #[error("cannot use proxy_url: {0}")]
    Proxy(#[source] reqwest::Error),
    /// The client could not be put together.
    #[error("cannot build the HTTP client")]
    Build(#[source] reqwest::Error),
}
