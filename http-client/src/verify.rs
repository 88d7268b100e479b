//! Which servers are believed, and what is said of those that are not.
//!
//! The verifier wraps that of rustls: it can check against the configured `server_name`, believe everything, or refuse
//! everything where the system has no roots at all (so that a client that only speaks plain HTTP works there). A server whose
//! own certificate stands in the CA file is believed too, as Go does: self-signed certificates are deployed so, and rustls
//! alone refuses them. What it says begins as Go's errors do and goes on with what would match.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{is_valid_at, issuer};

/// Names of a certificate that an error shows, at most.
const NAMES_SHOWN: usize = 10;

#[derive(Debug)]
pub(crate) struct Verifier {
    /// `None` when there are no roots: then nothing is believed, unless everything is.
    pub(crate) roots: Option<Arc<WebPkiServerVerifier>>,
    /// Believed when a server shows one of them as its own.
    pub(crate) trusted: Vec<CertificateDer<'static>>,
    /// Checked instead of the name that was asked for.
    pub(crate) name: Option<ServerName<'static>>,
    pub(crate) believe_all: bool,
    pub(crate) provider: Arc<CryptoProvider>,
}

/// Why a server is not believed.
#[derive(Debug)]
struct Distrust(String);

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Distrust {}

impl Verifier {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        (name, ocsp_response): (&ServerName<'_>, &[u8]),
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.trusted.iter().any(|trusted| trusted == end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
            let valid = is_valid_at(end_entity, now);
            return valid.then(ServerCertVerified::assertion).ok_or(CertificateError::Expired.into());
        }
        match &self.roots {
            Some(roots) => roots.verify_server_cert(end_entity, intermediates, name, ocsp_response, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    /// The same error in words that name the fix.
    fn explain(&self, error: rustls::Error, end_entity: &CertificateDer<'_>, name: &ServerName<'_>) -> rustls::Error {
        let rustls::Error::InvalidCertificate(error) = error else { return error };
        let text = match &error {
            CertificateError::NotValidForNameContext { presented, .. } => self.wrong_name(presented, name),
            CertificateError::ExpiredContext { time, not_after } => {
                expired(&format!("current time {} is after {}", shown(*time), shown(*not_after)))
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                expired(&format!("current time {} is before {}", shown(*time), shown(*not_before)))
            }
            CertificateError::Expired | CertificateError::NotValidYet => expired("see its dates"),
            // webpki has no name of its own in rustls for a server that shows the certificate of an authority.
            CertificateError::UnknownIssuer | CertificateError::Other(_) => {
                let by = Some(issuer(end_entity)).filter(|by| !by.is_empty());
                let by = by.map_or_else(String::new, |by| format!(" {by:?}"));
                let list = if self.trusted.is_empty() { "the system's list" } else { "tls_config.ca" };
                format!(
                    "certificate signed by unknown authority{by}, which is not in {list}; put its certificate into \
                     tls_config.ca_file, or set insecure_skip_verify: true to believe anybody"
                )
            }
            other => other.to_string(),
        };
        CertificateError::Other(OtherError(Arc::new(Distrust(text)))).into()
    }

    fn wrong_name(&self, presented: &[String], name: &ServerName<'_>) -> String {
        let wanted = name.to_str();
        let inner = |text: &String| {
            let text = text.split_once('(').map_or(text.as_str(), |(_, inner)| inner.trim_end_matches(')'));
            text.trim_matches('"').to_owned()
        };
        let names: Vec<String> = presented.iter().map(inner).collect();
        let what_is = if names.is_empty() {
            format!("certificate is not valid for any names, but wanted to match {wanted}")
        } else {
            let more = if names.len() > NAMES_SHOWN { ", …" } else { "" };
            let listed = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("certificate is valid for {listed}{more}, not {wanted}")
        };
        match (names.first(), self.name.is_some()) {
            (None, _) => format!("{what_is}; it needs a subject alternative name"),
            (Some(_), true) => format!("{what_is}; tls_config.server_name asks for that name"),
            (Some(first), false) => format!("{what_is}; set tls_config.server_name: {first}"),
        }
    }
}

fn expired(when: &str) -> String {
    format!("certificate has expired or is not yet valid: {when}")
}

fn shown(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.believe_all {
            return Ok(ServerCertVerified::assertion());
        }
        let name = self.name.as_ref().unwrap_or(server_name);
        let checked = self.check(end_entity, intermediates, (name, ocsp_response), now);
        checked.map_err(|error| self.explain(error, end_entity, name))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
