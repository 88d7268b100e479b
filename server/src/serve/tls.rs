//! The server's side of TLS, from `tls_server_config`.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use config::{Pem, TlsVersion, WebTls};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{CipherSuite, NamedGroup, ServerConfig, SupportedCipherSuite};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::{client_certificates, pem};

/// Reads the certificates and keys, and makes of them what rustls needs.
///
/// # Errors
/// When one of them cannot be read, or asks for something that rustls does not speak.
pub(crate) fn server_config(tls: &WebTls, http2: bool) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(provider(tls)?);
    let known = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let spoken: Vec<_> =
        known.into_iter().filter(|(v, _)| (tls.min_version..=tls.max_version).contains(v)).map(|(_, v)| v).collect();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&spoken)?;
    let builder = match client_certificates::verifier(tls, &provider)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let chain = pem::certificates(&tls.cert, "cert")?;
    if chain.is_empty() {
        bail!("{} holds no certificate", pem::place(&tls.cert, "cert"));
    }
    let text = pem::read(&tls.key, "key")?;
    let key =
        PrivateKeyDer::from_pem_slice(&text).with_context(|| format!("cannot read {}", pem::place(&tls.key, "key")))?;
    let mut config = builder.with_single_cert(chain, key).context("the certificate and the key do not fit")?;
    config.ignore_client_order = tls.prefer_server_order;
    // rustls takes the first of these that the client speaks, too.
    config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(Arc::new(config))
}

/// The files that the configuration names.
pub(crate) fn files(tls: &WebTls) -> impl Iterator<Item = &Path> {
    [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()].into_iter().flatten().filter_map(|pem| match pem {
        Pem::File(path) => Some(path.as_path()),
        Pem::Inline(_) => None,
    })
}

/// What rustls has, with the cipher suites and curves that were asked for, in that order.
fn provider(tls: &WebTls) -> Result<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if !tls.cipher_suites.is_empty() {
        let wanted: Vec<SupportedCipherSuite> = tls
            .cipher_suites
            .iter()
            .filter_map(|name| provider.cipher_suites.iter().find(|suite| go_names(suite.suite()).contains(&&**name)))
            .copied()
            .collect();
        // As in Go, the list is about TLS 1.2.
        let tls12 = wanted.into_iter().filter(|suite| suite.tls13().is_none());
        let tls13 = provider.cipher_suites.iter().copied().filter(|suite| suite.tls13().is_some());
        provider.cipher_suites = tls13.chain(tls12).collect();
        // Without one of 1.2, version 1.3 can still be spoken, if it is allowed.
        let any12 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_none());
        if !any12 && tls.max_version < TlsVersion::Tls13 {
            bail!("tls_server_config.cipher_suites: none of {} is spoken", tls.cipher_suites.join(", "));
        }
    }
    if !tls.curves.is_empty() {
        let wanted: Vec<&'static dyn SupportedKxGroup> = tls
            .curves
            .iter()
            .filter_map(|name| provider.kx_groups.iter().find(|group| go_curve(group.name()) == Some(name)))
            .copied()
            .collect();
        if wanted.is_empty() {
            bail!("tls_server_config.curve_preferences: none of {} is spoken", tls.curves.join(", "));
        }
        provider.kx_groups = wanted;
    }
    Ok(provider)
}

/// What Go calls a cipher suite.
fn go_names(suite: CipherSuite) -> &'static [&'static str] {
    match suite {
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => &["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => &["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => &["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
        // Go has an older name for each of these, without the hash.
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            &["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"]
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            &["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"]
        }
        _ => &[],
    }
}

fn go_curve(group: NamedGroup) -> Option<&'static str> {
    match group {
        NamedGroup::X25519 => Some("X25519"),
        NamedGroup::secp256r1 => Some("CurveP256"),
        NamedGroup::secp384r1 => Some("CurveP384"),
        _ => None,
    }
}
