//! Why a client cannot be made or a request cannot be sent.

use std::path::PathBuf;

/// Faults of a client's configuration, and of the files it names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that holds a certificate, a key or a credential.
    #[error("cannot read {what} {path:?}")]
    Read {
        /// What it should hold, by its field: `ca_file`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// PEM without what was looked for.
    #[error("{what} holds no {wanted}")]
    Pem {
        /// The field, and the file if it is one.
        what: String,
        /// `certificate` or `private key`.
        wanted: &'static str,
    },
    /// Certificates, keys or versions that do not go together.
    #[error("cannot use the TLS configuration: {0}")]
    Tls(String),
    /// Not a URL.
    #[error("{url:?} is not a URL: {reason}")]
    Url {
        /// As it was given.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A credential or header that HTTP cannot carry.
    #[error("{0} has characters that an HTTP header cannot hold")]
    Header(String),
    /// Known and not served.
    #[error("{0} is not served yet")]
    NotServed(&'static str),
    /// The client could not be made.
    #[error("cannot make an HTTP client")]
    Build(#[source] reqwest::Error),
}
