//! Builds the chain from a server's certificate to a trusted authority by Go's rules (`crypto/x509/verify.go`): those of webpki are
//! stricter, and clusters have certificates that only Go's accept. Name constraints are left to webpki.

use std::collections::HashMap;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate::Certificate;
use crate::signature;

/// Limits as in Go: signatures that are checked for one server, and certificates between a server and an authority.
const SIGNATURES_MAX: usize = 100;
const DEPTH_MAX: usize = 10;

/// Trusted authorities.
#[derive(Debug)]
pub(crate) struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
    /// The same for webpki.
    anchors: RootCertStore,
}

/// Why there is no chain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// No trusted authority issued it. If one has the right name: that name, and why it does not count.
    Unknown(Option<(String, String)>),
    /// An error that no authority can mend, in Go's words.
    Invalid(String),
}

/// The state of the search for a chain.
struct Search<'a> {
    authorities: &'a Authorities,
    intermediates: Vec<Certificate<'a>>,
    algorithms: WebPkiSupportedAlgorithms,
    now: UnixTime,
    signatures: usize,
    /// The error of the first authority that failed.
    hint: Option<(String, String)>,
    /// The error of a chain that was otherwise complete.
    spoilt: Option<&'static str>,
    /// An authority constrains names.
    constrained: bool,
}

impl Default for Authorities {
    fn default() -> Self {
        Self { certificates: Vec::new(), by_subject: HashMap::new(), anchors: RootCertStore::empty() }
    }
}

impl Authorities {
    /// Adds one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), &'static str> {
        // Parsed only to find its subject; parsing it again later is cheap and needs no lifetimes.
        let read = Certificate::parse(&certificate).ok_or("it is no X.509 certificate")?;
        self.by_subject.entry(read.subject.to_vec()).or_default().push(self.certificates.len());
        // webpki cannot parse it, so it cannot constrain names either.
        self.anchors.add(certificate.clone()).ok();
        self.certificates.push(certificate);
        Ok(())
    }

    fn of_subject(&self, subject: &[u8]) -> impl Iterator<Item = Certificate<'_>> {
        let known = self.by_subject.get(subject).map_or(&[][..], Vec::as_slice);
        known.iter().filter_map(|at| Certificate::parse(self.certificates.get(*at)?))
    }

    /// Is the server's certificate issued by one of them, for a server? The host is not checked.
    pub(crate) fn verify(
        &self,
        leaf: &Certificate<'_>,
        intermediates: &[CertificateDer<'_>],
        algorithms: WebPkiSupportedAlgorithms,
        now: UnixTime,
    ) -> Result<(), Broken> {
        // First, as in Go: an expired certificate is reported as such even if its authority is unknown.
        is_valid(leaf, now).map_err(Broken::Invalid)?;
        // A certificate that is trusted itself needs no chain.
        if self.certificates.iter().any(|known| known.as_ref() == leaf.der) {
            return if leaf.extensions.may_not_serve { Err(Broken::usage()) } else { Ok(()) };
        }
        let mut search = Search {
            authorities: self,
            intermediates: intermediates.iter().filter_map(|der| Certificate::parse(der)).collect(),
            algorithms,
            now,
            signatures: 0,
            hint: None,
            spoilt: None,
            constrained: false,
        };
        if search.leads(&mut vec![leaf.clone()]) {
            return Ok(());
        }
        // A chain exists but constrains names. webpki implements these constraints; it has to find a chain of its
        // own.
        if search.constrained && self.webpki(leaf, intermediates, algorithms, now) {
            return Ok(());
        }
        match (search.spoilt, search.constrained) {
            (Some(why), _) => Err(Broken::Invalid(why.to_owned())),
            (None, true) => Err(Broken::Invalid(
                "a root or intermediate certificate is not authorized to sign for this name".to_owned(),
            )),
            (None, false) => Err(Broken::Unknown(search.hint)),
        }
    }

    fn webpki(
        &self,
        leaf: &Certificate<'_>,
        intermediates: &[CertificateDer<'_>],
        algorithms: WebPkiSupportedAlgorithms,
        now: UnixTime,
    ) -> bool {
        let leaf = CertificateDer::from(leaf.der);
        ParsedCertificate::try_from(&leaf).is_ok_and(|leaf| {
            verify_server_cert_signed_by_trust_anchor(&leaf, &self.anchors, intermediates, now, algorithms.all).is_ok()
        })
    }
}

impl Broken {
    fn usage() -> Self {
        Self::Invalid(USAGE.to_owned())
    }
}

const USAGE: &str = "certificate specifies an incompatible key usage";

impl<'a> Search<'a> {
    /// Is there a path from the end of the chain to an authority?
    fn leads(&mut self, chain: &mut Vec<Certificate<'a>>) -> bool {
        let Some(last) = chain.last().cloned() else { return false };
        // Authorities before intermediates: the shortest chain first, and most are of one step.
        for authority in self.authorities.of_subject(last.issuer) {
            if self.signs(&authority, chain, true) && self.is_fit(&authority, chain) {
                return true;
            }
        }
        if chain.len() > DEPTH_MAX {
            return false;
        }
        for at in 0..self.intermediates.len() {
            let candidate = self.intermediates[at].clone();
            if candidate.subject == last.issuer && self.signs(&candidate, chain, false) {
                chain.push(candidate);
                if self.leads(chain) {
                    return true;
                }
                chain.pop();
            }
        }
        false
    }

    /// Did the candidate sign the last certificate of the chain, and was it allowed to?
    fn signs(&mut self, candidate: &Certificate<'a>, chain: &[Certificate<'a>], root: bool) -> bool {
        // As Go's `alreadyInChain`: cross-signed authorities would otherwise form circles.
        let again = |one: &Certificate<'_>| {
            one.subject == candidate.subject
                && one.key == candidate.key
                && one.extensions.names == candidate.extensions.names
        };
        // A server may send many intermediates of one name, and the search is exponential without this bound.
        self.signatures += 1;
        if self.signatures > SIGNATURES_MAX || chain.iter().any(again) {
            return false;
        }
        match self.try_signs(candidate, chain, root) {
            Ok(()) => true,
            Err(why) => {
                let name = candidate.common_name().unwrap_or_else(|| "an authority without a name".to_owned());
                // Go reports the first failed candidate; later ones are usually less to the point.
                self.hint.get_or_insert((name, why));
                false
            }
        }
    }

    fn try_signs(&self, candidate: &Certificate<'a>, chain: &[Certificate<'a>], root: bool) -> Result<(), String> {
        const NOT_AUTHORIZED: &str = "certificate is not authorized to sign other certificates";
        let Certificate { version, extensions, key, .. } = candidate;
        // Before version 3 a certificate could not say that it is an authority. That is accepted for roots, not in between.
        let is_authority = match extensions.basic {
            Some((is_authority, _)) => is_authority,
            None => *version < 3 && root,
        };
        if !is_authority || extensions.may_not_sign {
            return Err(NOT_AUTHORIZED.to_owned());
        }
        let last = chain.last().ok_or(NOT_AUTHORIZED)?;
        signature::of_certificate(last, key, self.algorithms)?;
        is_valid(candidate, self.now)?;
        if let Some((_, Some(most))) = extensions.basic
            // The leaf does not count, only intermediates below the candidate.
            && (chain.len() as u64 - 1) > most
        {
            return Err("too many intermediates for path length constraint".to_owned());
        }
        Ok(())
    }

    /// Is every certificate of the chain allowed for servers, and does none constrain names?
    fn is_fit(&mut self, authority: &Certificate<'_>, chain: &[Certificate<'_>]) -> bool {
        if authority.extensions.may_not_serve || chain.iter().any(|one| one.extensions.may_not_serve) {
            self.spoilt = Some(USAGE);
            return false;
        }
        let constrains = authority.extensions.constraints || chain.iter().any(|one| one.extensions.constraints);
        self.constrained |= constrains;
        !constrains
    }
}

/// Is it within its validity, without unknown critical extensions?
fn is_valid(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), String> {
    if certificate.extensions.unhandled {
        return Err("unhandled critical extension".to_owned());
    }
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let (from, to) = certificate.validity;
    let expired = |order: &str, limit: i64| {
        format!("certificate has expired or is not yet valid: current time {} is {order} {}", shown(now), shown(limit))
    };
    if now < from {
        return Err(expired("before", from));
    }
    if now > to { Err(expired("after", to)) } else { Ok(()) }
}

fn shown(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, IsCa, KeyPair};
    use rustls_pki_types::ServerName;

    use super::*;
    use crate::names;

    /// A root, and a certificate with every extension that is checked.
    fn made() -> (Vec<u8>, Vec<u8>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec!["*.lan".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 99], vec![5, 0])];
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &root).unwrap();
        (root.der().to_vec(), leaf.der().to_vec())
    }

    fn verdict(root: &[u8], leaf: &[u8]) -> Option<bool> {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let mut authorities = Authorities::default();
        authorities.add(CertificateDer::from(root.to_vec())).ok()?;
        let leaf = Certificate::parse(leaf)?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        let shown = [CertificateDer::from(root)];
        let chain = authorities.verify(&leaf, &shown, algorithms, now);
        let host = ServerName::try_from("node1.lan").unwrap();
        Some(chain.is_ok() && names::check(&leaf, &host, false).is_ok())
    }

    #[test]
    fn a_certificate_in_which_any_byte_is_another_is_not_believed() {
        let (root, leaf) = made();
        assert_eq!(verdict(&root, &leaf), Some(true));
        for at in 0..leaf.len() {
            let mut changed = leaf.clone();
            changed[at] ^= 1;
            assert_ne!(verdict(&root, &changed), Some(true), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), end in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 0..80)) {
            thread_local! {
                static MADE: (Vec<u8>, Vec<u8>) = made();
            }
            MADE.with(|(root, leaf)| {
                let mut changed = leaf.clone();
                for (at, byte) in &cuts {
                    let at = at.index(changed.len());
                    changed[at] = *byte;
                }
                verdict(root, &changed);
                verdict(&changed, leaf);
                changed.truncate(end.index(changed.len()));
                verdict(root, &changed);
                verdict(root, &noise);
                if let Some(read) = Certificate::parse(&changed) {
                    read.issuer_text();
                }
            });
        }
    }
}
