//! `tls_config`: whom a client trusts, and which certificate it shows.

use std::path::PathBuf;

use crate::schema::{Bool, Fields, Keyword, Path, SecretText, Text, Word, section};
use crate::{Error, Secret};

section! {
    /// TLS of a client. Of a text and a file for the same thing at most one may be set. Files are read again when they change.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct TlsConfig as "tls_config" {
        /// Trusted certificates, PEM.
        #[yaml(Text)]
        pub ca: Option<String>,
        /// The client's certificate chain, PEM.
        #[yaml(Text)]
        pub cert: Option<String>,
        /// The client's private key, PEM.
        #[yaml(SecretText)]
        pub key: Option<Secret>,
        /// A file of trusted certificates.
        #[yaml(Path)]
        pub ca_file: Option<PathBuf>,
        /// A file that holds the client's certificate chain.
        #[yaml(Path)]
        pub cert_file: Option<PathBuf>,
        /// A file that holds the client's private key.
        #[yaml(Path)]
        pub key_file: Option<PathBuf>,
        /// The name that the server's certificate must have, instead of the host of the URL.
        #[yaml(Text)]
        pub server_name: Option<String>,
        /// Accept any certificate of the server.
        #[yaml(Bool; always)]
        pub insecure_skip_verify: bool,
        /// The lowest version of TLS to use. `TLS10` and `TLS11` are taken as `TLS12`.
        #[yaml(Word<TlsVersion>)]
        pub min_version: Option<TlsVersion>,
        /// The highest version of TLS to use.
        #[yaml(Word<TlsVersion>)]
        pub max_version: Option<TlsVersion>,
    }
    check = check_tls;
}

fn check_tls(tls: &mut TlsConfig, f: &mut Fields<'_>) -> Result<(), Error> {
    for (both, what) in [
        (tls.ca.is_some() && tls.ca_file.is_some(), "ca, ca_file & ca_ref"),
        (tls.cert.is_some() && tls.cert_file.is_some(), "cert, cert_file & cert_ref"),
        (tls.key.is_some() && tls.key_file.is_some(), "key, key_file & key_ref"),
    ] {
        if both {
            return Err(f.refuse_all(format!("at most one of {what} must be configured")));
        }
    }
    // A certificate without its key proves nothing, and Go's `tls.X509KeyPair` needs both.
    let (cert, key) = (tls.cert.is_some() || tls.cert_file.is_some(), tls.key.is_some() || tls.key_file.is_some());
    if cert && !key {
        let message = "exactly one of key or key_file must be configured when a client certificate is configured";
        return Err(f.refuse_all(message));
    }
    if key && !cert {
        let message = "exactly one of cert or cert_file must be configured when a client key is configured";
        return Err(f.refuse_all(message));
    }
    if let (Some(min), Some(max)) = (tls.min_version, tls.max_version)
        && max < min
    {
        let message =
            "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified";
        return Err(f.refuse("max_version", message));
    }
    Ok(())
}

/// A version of TLS. rustls implements the last two; an older minimum does no harm, an older maximum leaves none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.0
    Tls10,
    /// TLS 1.1
    Tls11,
    /// TLS 1.2
    #[default]
    Tls12,
    /// TLS 1.3
    Tls13,
}

impl TlsVersion {
    /// The spelling in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl Keyword for TlsVersion {
    const WORDS: &'static [(&'static str, Self)] =
        &[("TLS10", Self::Tls10), ("TLS11", Self::Tls11), ("TLS12", Self::Tls12), ("TLS13", Self::Tls13)];

    // `TLSVersion.UnmarshalYAML` looks the word up, and the empty one is not among its versions.
    const EMPTY_IS_UNSET: bool = false;

    fn unknown(word: &str) -> String {
        format!("unknown TLS version: {word}; it is one of TLS10, TLS11, TLS12, TLS13")
    }
}
