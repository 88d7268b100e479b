//! Which servers are trusted, and the error for those that are not.
//!
//! The checks are Go's: `chain` finds an authority, `names` compares the host, `signature` verifies the handshake. A server whose own
//! certificate is in the CA file is trusted, too, as self-signed certificates are deployed that way. With `insecure_skip_verify` any
//! certificate is accepted. Errors begin with Go's words and go on with what to do.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::Certificate;
use crate::chain::{Authorities, Broken};
use crate::{names, signature};

#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) authorities: Arc<Authorities>,
    /// Are they those of the system?
    pub(crate) of_system: bool,
    /// Checked instead of the requested host.
    pub(crate) name: Option<ServerName<'static>>,
    pub(crate) believe_all: bool,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

/// Why a server is not trusted.
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
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), String> {
        let leaf = Certificate::parse(end_entity).ok_or("the server's certificate cannot be read")?;
        let chain = self.authorities.verify(&leaf, intermediates, self.algorithms, now);
        // Before the name: Go checks validity first, but the name before an unknown authority.
        if let Err(Broken::Invalid(why)) = chain {
            return Err(why);
        }
        names::check(&leaf, name, self.name.is_some())?;
        match chain {
            Err(Broken::Unknown(hint)) => Err(self.unknown(&leaf, hint)),
            _ => Ok(()),
        }
    }

    fn unknown(&self, leaf: &Certificate<'_>, hint: Option<(String, String)>) -> String {
        let by = Some(leaf.issuer_text()).filter(|by| !by.is_empty());
        let by = by.map_or_else(String::new, |by| format!(" {by:?}"));
        let list = if self.of_system { "the system's list" } else { "tls_config.ca" };
        match hint {
            // An authority has the right name, but does not count.
            Some((name, why)) => format!(
                "certificate signed by unknown authority{by} (possibly because of \"x509: {why}\" while trying to verify \
                 candidate authority certificate {name:?})"
            ),
            None => format!(
                "certificate signed by unknown authority{by}, which is not in {list}; put its certificate into \
                 tls_config.ca_file, or set insecure_skip_verify: true to believe anybody"
            ),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The handshake's signature is still verified: it shows that the server owns the key.
        if self.believe_all {
            return Ok(ServerCertVerified::assertion());
        }
        let name = self.name.as_ref().unwrap_or(server_name);
        let checked = self.check(end_entity, intermediates, name, now);
        let refused = |why| CertificateError::Other(OtherError(Arc::new(Distrust(why)))).into();
        checked.map(|()| ServerCertVerified::assertion()).map_err(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signature::of_handshake(message, cert, dss, (self.algorithms, self.believe_all))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signature::is_of_tls13(dss.scheme)?;
        signature::of_handshake(message, cert, dss, (self.algorithms, self.believe_all))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
