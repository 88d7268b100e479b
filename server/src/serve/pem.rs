//! Certificates and keys that the web configuration holds, or names a file for.

use anyhow::{Context, Result};
use config::Pem;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// What a fault is in: a field, or the file that it names.
pub(super) fn place(pem: &Pem, name: &str) -> String {
    match pem {
        Pem::Inline(_) => format!("tls_server_config.{name}"),
        Pem::File(path) => format!("tls_server_config.{name}_file ({})", path.display()),
    }
}

/// The text.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read(pem: &Pem, name: &str) -> Result<Vec<u8>> {
    match pem {
        Pem::Inline(text) => Ok(text.expose().as_bytes().to_vec()),
        Pem::File(path) => std::fs::read(path).with_context(|| format!("cannot read {}", place(pem, name))),
    }
}

/// Those that can be read; as in Go, the others are passed over.
pub(super) fn certificates(from: &Pem, name: &str) -> Result<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_slice_iter(&read(from, name)?).filter_map(Result::ok).collect())
}
