//! TLS of a client: whom to trust, who to be, which versions; and whether the files behind it have changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{TlsConfig, TlsVersion};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::Error;

/// What files looked like when they were read: a difference means reading them again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<Option<(u64, u64, i64, i64)>>);

/// Looks at the files that a TLS configuration names.
pub(crate) fn fingerprint(tls: &TlsConfig) -> Fingerprint {
    let look = |path: &Option<PathBuf>| {
        let metadata = fs::metadata(path.as_ref()?).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    };
    Fingerprint([&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().map(look).collect())
}

/// The rustls configuration of a client.
pub(crate) fn client_config(tls: &TlsConfig, http2: bool) -> Result<ClientConfig, Error> {
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let versions = versions(tls)?;
    let refused = |error: rustls::Error| Error::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&versions).map_err(refused)?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAll(provider)))
    } else {
        builder.with_root_certificates(roots(tls)?)
    };
    let mut config = match identity(tls)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(refused)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(config)
}

fn versions(tls: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    let lowest = tls.min_version.unwrap_or(TlsVersion::Tls12);
    let highest = tls.max_version.unwrap_or(TlsVersion::Tls13);
    let known = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let spoken: Vec<_> = known.into_iter().filter(|(v, _)| (lowest..=highest).contains(v)).map(|(_, v)| v).collect();
    if spoken.is_empty() {
        return Err(Error::Tls(format!(
            "max_version {} is older than any that is spoken (TLS12, TLS13)",
            highest.as_str()
        )));
    }
    Ok(spoken)
}

fn roots(tls: &TlsConfig) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some((pem, what)) = pem(tls.ca.as_deref(), tls.ca_file.as_deref(), "ca", "ca_file")? else {
        // A machine without roots still speaks to servers that need none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let (added, _) = roots.add_parsable_certificates(certificates(&pem));
    if added == 0 {
        return Err(Error::Pem { what, wanted: "certificate" });
    }
    Ok(roots)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client's certificate and key: PKCS#8, PKCS#1 or SEC1.
fn identity(tls: &TlsConfig) -> Result<Option<Identity>, Error> {
    let Some((cert, cert_what)) = pem(tls.cert.as_deref(), tls.cert_file.as_deref(), "cert", "cert_file")? else {
        return Ok(None);
    };
    let key = pem(tls.key.as_ref().map(config::Secret::expose), tls.key_file.as_deref(), "key", "key_file")?;
    let Some((key, key_what)) = key else {
        return Err(Error::Tls("a client certificate needs key or key_file".to_owned()));
    };
    let chain: Vec<_> = certificates(&cert).collect();
    if chain.is_empty() {
        return Err(Error::Pem { what: cert_what, wanted: "certificate" });
    }
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| Error::Pem { what: key_what, wanted: "private key" })?;
    Ok(Some((chain, key)))
}

fn certificates(pem: &[u8]) -> impl Iterator<Item = CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok)
}

/// PEM from the configuration or from a file, and what to call it.
fn pem(
    text: Option<&str>,
    file: Option<&Path>,
    field: &'static str,
    file_field: &'static str,
) -> Result<Option<(Vec<u8>, String)>, Error> {
    match (text, file) {
        (Some(text), _) => Ok(Some((text.as_bytes().to_vec(), field.to_owned()))),
        (None, Some(path)) => {
            let bytes =
                fs::read(path).map_err(|source| Error::Read { what: file_field, path: path.to_owned(), source })?;
            Ok(Some((bytes, format!("{file_field} {}", path.display()))))
        }
        (None, None) => Ok(None),
    }
}

/// `insecure_skip_verify`: any certificate will do, as long as the server holds its key.
#[derive(Debug)]
struct TrustAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
