//! The configuration of rustls from `tls_config`. `verify` decides which servers are trusted.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use config::{TlsConfig, TlsVersion};
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::Error;
use crate::certificate::{Certificate, PublicKey};
use crate::chain::Authorities;
use crate::curve::P521;
use crate::der::{SEQUENCE, take};
use crate::stamp::Stamp;
use crate::verify::Verifier;

/// The error for a field that should hold certificates.
const NO_CERTIFICATE: &str = "it holds no PEM certificate";

/// The current state of the certificate files; if it is equal nothing need be read again.
pub(crate) fn stamps(tls: &TlsConfig) -> Vec<Option<Stamp>> {
    [&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().map(|path| Stamp::of(path.as_deref()?)).collect()
}

/// The name to check certificates against, if one is configured.
pub(crate) fn server_name(tls: &TlsConfig) -> Result<Option<ServerName<'static>>, Error> {
    let Some(name) = &tls.server_name else { return Ok(None) };
    let parsed = ServerName::try_from(name.clone());
    parsed.map(Some).map_err(|_| Error::Tls(format!("server_name {name:?} is neither a host name nor an address")))
}

/// Warns of versions that are accepted in the configuration and never used.
pub(crate) fn warn_of_old_versions(tls: &TlsConfig) {
    if let Some(min) = tls.min_version.filter(|min| *min < TlsVersion::Tls12) {
        tracing::warn!(
            min_version = min.as_str(),
            "tls_config.min_version is taken as TLS12: TLS 1.0 and 1.1 are not spoken, and servers that speak nothing newer \
             cannot be scraped"
        );
    }
}

/// The protocol versions to offer.
pub(crate) fn versions(tls: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    let (min, max) = (tls.min_version.unwrap_or(TlsVersion::Tls12), tls.max_version.unwrap_or(TlsVersion::Tls13));
    let known = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let spoken: Vec<_> = known.into_iter().filter(|(v, _)| (min..=max).contains(v)).map(|(_, v)| v).collect();
    if spoken.is_empty() {
        let message = format!("max_version {} is older than TLS12, the oldest that is spoken", max.as_str());
        return Err(Error::Tls(message));
    }
    Ok(spoken)
}

/// The client side of TLS; reads the files.
pub(crate) fn client_config(tls: &TlsConfig, http2: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(provider());
    let (authorities, of_system) = configured_authorities(tls)?;
    let verifier = Verifier {
        authorities,
        of_system,
        name: server_name(tls)?,
        believe_all: tls.insecure_skip_verify,
        algorithms: provider.signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(tls)?)
        .map_err(|error| Error::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity(tls)? {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_cert_resolver(certified(identity, &provider)?),
    };
    let h2 = http2.then(|| b"h2".to_vec());
    // HTTP/1.1 is offered, too: a server that knows ALPN but not HTTP/2 would refuse otherwise.
    config.alpn_protocols = h2.into_iter().chain([b"http/1.1".to_vec()]).collect();
    Ok(config)
}

/// Everything that rustls has, and key exchange over P-521.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.push(&P521);
    provider
}

/// The client's certificate with its key. Whether they fit is checked here, because rustls' own check
/// needs a certificate of version 3.
fn certified((chain, key): Identity, provider: &CryptoProvider) -> Result<Arc<dyn ResolvesClientCert>, Error> {
    // The provider's own error does not say which kinds of keys there are.
    let unusable =
        "the client's key cannot be used: it is none of RSA of 2048 bits or more, P-256, P-384, P-521 and Ed25519";
    let signs = provider.key_provider.load_private_key(key).map_err(|_| Error::Tls(unusable.to_owned()))?;
    let shown = chain.first().and_then(|first| Certificate::parse(first));
    let shown = shown.ok_or_else(|| Error::Tls("the client's certificate cannot be read".to_owned()))?;
    if let Some(info) = signs.public_key()
        && let Some(info) = take(&mut info.as_ref(), SEQUENCE)
        // A kind of key that cannot tell its public part is left to the server to check.
        && PublicKey::parse(info).is_some_and(|public| public.bits != shown.key.bits)
    {
        return Err(Error::Tls("the client's certificate and key do not fit: they are of two pairs".to_owned()));
    }
    Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, signs))))
}

/// The bytes of a field that is either text or a file, and their source for errors.
fn bytes(text: Option<&str>, what: &'static str, file: Option<&Path>) -> Result<Option<(Vec<u8>, String)>, Error> {
    match (text, file) {
        (_, Some(path)) => match fs::read(path) {
            Ok(bytes) => Ok(Some((bytes, path.display().to_string()))),
            Err(source) => Err(Error::Read { what, path: path.to_owned(), source }),
        },
        (Some(text), None) => Ok(Some((text.as_bytes().to_vec(), "the configuration".to_owned()))),
        (None, None) => Ok(None),
    }
}

fn certificates(pem: &[u8], from: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refused = |reason: String| Error::Pem { what: "cert", from: from.to_owned(), reason };
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| refused(of_pem(&error).to_owned()))?;
    if chain.is_empty() { Err(refused(NO_CERTIFICATE.to_owned())) } else { Ok(chain) }
}

/// The certificates of a bundle of authorities. As with Go's `AppendCertsFromPEM`, those that cannot be read are left out, with
/// a warning, as long as there is one that can.
fn authorities(pem: &[u8], from: &str) -> Result<Authorities, Error> {
    let (mut all, mut read, mut refused) = (Authorities::default(), 0, None);
    for block in pem_blocks(pem) {
        match authority(block, &mut all) {
            Ok(is_one) => read += usize::from(is_one),
            Err(reason) => {
                refused.get_or_insert(reason);
            }
        }
    }
    if read == 0 {
        let reason = refused.unwrap_or_else(|| NO_CERTIFICATE.to_owned());
        return Err(Error::Pem { what: "ca", from: from.to_owned(), reason });
    }
    if let Some(reason) = refused {
        tracing::warn!(from, read, reason, "certificates of a CA bundle are left out: they cannot be read");
    }
    Ok(all)
}

/// Adds the certificate of a block. A block of another kind has none.
fn authority(block: &[u8], all: &mut Authorities) -> Result<bool, String> {
    let certificate = match CertificateDer::from_pem_slice(block) {
        Err(pem::Error::NoItemsFound) => return Ok(false),
        read => read.map_err(|error| of_pem(&error).to_owned())?,
    };
    all.add(certificate).map(|()| true).map_err(str::to_owned)
}

/// The parser's own errors print whole structures.
fn of_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM block has no end line of its own",
        pem::Error::IllegalSectionStart { .. } => "a PEM block does not begin as one",
        pem::Error::Base64Decode(_) => "the text of a PEM block is no base64",
        _ => NO_CERTIFICATE,
    }
}

/// For clients that refuse a bundle of authorities because of one certificate that cannot be parsed: the certificates that can.
/// `None` if all can or none can, so that the bundle is used, or refused, as it is.
#[must_use]
pub fn readable_authorities(pem: &[u8]) -> Option<Vec<u8>> {
    // Those clients parse with webpki.
    let is_readable = |block: &&[u8]| {
        let read = CertificateDer::from_pem_slice(block);
        read.is_ok_and(|certificate| RootCertStore::empty().add(certificate).is_ok())
    };
    let (readable, others): (Vec<&[u8]>, Vec<&[u8]>) = pem_blocks(pem).partition(is_readable);
    (!readable.is_empty() && !others.is_empty()).then(|| readable.concat())
}

/// The PEM sections, each up to the next header: a truncated one does not affect the next.
fn pem_blocks(pem: &[u8]) -> impl Iterator<Item = &[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let begins = move |at: &usize| pem[*at..].starts_with(BEGIN) && (*at == 0 || matches!(pem[at - 1], b'\n' | b'\r'));
    let starts: Vec<usize> = (0..pem.len()).filter(begins).collect();
    let ends = starts.clone().into_iter().skip(1).chain([pem.len()]);
    starts.into_iter().zip(ends).map(|(start, end)| &pem[start..end])
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(tls: &TlsConfig) -> Result<Option<Identity>, Error> {
    let Some((cert, from)) = bytes(tls.cert.as_deref(), "cert_file", tls.cert_file.as_deref())? else {
        return Ok(None);
    };
    let chain = certificates(&cert, &from)?;
    let key = bytes(tls.key.as_ref().map(config::Secret::expose), "key_file", tls.key_file.as_deref())?;
    let (key, from) = key.ok_or_else(|| Error::Tls("a client certificate needs a key or key_file".to_owned()))?;
    let key = PrivateKeyDer::from_pem_slice(&key);
    // The parser's own error could quote the key.
    let reason = || "it holds no PEM private key (PKCS#1, PKCS#8 or SEC1)".to_owned();
    let key = key.map_err(|_| Error::Pem { what: "key", from, reason: reason() })?;
    Ok(Some((chain, key)))
}

/// The trusted authorities, and whether they are those of the system.
fn configured_authorities(tls: &TlsConfig) -> Result<(Arc<Authorities>, bool), Error> {
    match bytes(tls.ca.as_deref(), "ca_file", tls.ca_file.as_deref())? {
        Some((pem, from)) => Ok((Arc::new(authorities(&pem, &from)?), false)),
        // Nothing is looked up in them, so the roots of the system need not be read.
        None if tls.insecure_skip_verify => Ok((Arc::default(), true)),
        None => Ok((of_system(), true)),
    }
}

/// Read once for the process and shared by all clients. Without any no server is trusted, and plain HTTP still works.
fn of_system() -> Arc<Authorities> {
    static SYSTEM: OnceLock<Arc<Authorities>> = OnceLock::new();
    let all = SYSTEM.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!(%error, "cannot read a certificate of the system's roots");
        }
        let mut all = Authorities::default();
        for certificate in loaded.certs {
            // One that cannot be parsed is left out.
            all.add(certificate).ok();
        }
        Arc::new(all)
    });
    Arc::clone(all)
}
