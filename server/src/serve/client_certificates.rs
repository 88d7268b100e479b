//! Certificates of clients: the modes of `client_auth_type` that verify none, and the names of `client_allowed_sans`
//! (Prometheus exporter-toolkit: `web/tls_config.go`; Go: `crypto/tls`, `ClientAuthType`).

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use config::{ClientAuth, WebTls};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::pem;

/// What decides about certificates of clients; `None` where none is asked for.
///
/// # Errors
/// When the authorities cannot be read.
pub(super) fn verifier(tls: &WebTls, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>> {
    let verifier: Arc<dyn ClientCertVerifier> = match (tls.client_auth, &tls.client_ca) {
        (ClientAuth::None, _) => return Ok(None),
        (auth @ (ClientAuth::Request | ClientAuth::RequireAny), _) => {
            Arc::new(AnyCertificate { provider: Arc::clone(provider), mandatory: auth == ClientAuth::RequireAny })
        }
        (ClientAuth::IfGiven | ClientAuth::Required, None) => bail!("tls_server_config.client_ca_file is missing"),
        (auth, Some(ca)) => {
            let mut roots = RootCertStore::empty();
            let (certificates, place) = (pem::certificates(ca, "client_ca")?, pem::place(ca, "client_ca"));
            // As Go's `AppendCertsFromPEM`, which passes over what it cannot parse.
            let (good, _) = roots.add_parsable_certificates(certificates);
            if good == 0 {
                bail!("{place} holds no certificate of a CA");
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            let verifier = if auth == ClientAuth::IfGiven { verifier.allow_unauthenticated() } else { verifier };
            verifier.build().context("tls_server_config.client_ca_file")?
        }
    };
    if tls.client_allowed_sans.is_empty() {
        return Ok(Some(verifier));
    }
    Ok(Some(Arc::new(AllowedNames { verifier, allowed: tls.client_allowed_sans.clone() })))
}

/// Takes every certificate whose key the client has, whoever signed it.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    mandatory: bool,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes those that another verifier takes and that have one of some names.
#[derive(Debug)]
struct AllowedNames {
    verifier: Arc<dyn ClientCertVerifier>,
    allowed: Vec<String>,
}

impl ClientCertVerifier for AllowedNames {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(certificate, intermediates, now)?;
        let names = names(certificate);
        if names.iter().any(|name| self.allowed.contains(name)) {
            return Ok(verified);
        }
        let names = names.join(", ");
        Err(Error::General(format!("the client's certificate is for {names}; none is in client_allowed_sans")))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The alternative names of a certificate's subject: DNS names, addresses of mail, IP addresses and URIs, as Go writes them.
fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let ip = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?;
            Some(ip.to_canonical().to_string())
        }
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_of_every_kind_are_written_as_in_go() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["scraper.example".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("2001:db8::1".parse().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("ann@example.org".try_into().unwrap()));
        params.subject_alt_names.push(SanType::URI("spiffe://cluster/ns/a/sa/b".try_into().unwrap()));
        let der = params.self_signed(&key).unwrap();
        let expected = ["scraper.example", "10.0.0.7", "2001:db8::1", "ann@example.org", "spiffe://cluster/ns/a/sa/b"];
        assert_eq!(names(der.der()), expected);
        let none = CertificateParams::default().self_signed(&key).unwrap();
        assert!(names(none.der()).is_empty() && names(b"no certificate").is_empty());
    }
}
