//! Why a request failed, in words: the causes without the URL, and where the cause tells it what to change.

use std::error::Error as StdError;
use std::io;

/// Outer texts that say nothing.
const EMPTY: [&str; 8] = [
    "connection error",
    "client error (Canceled)",
    "operation was canceled",
    "client error (Connect)",
    "client error (SendRequest)",
    "error trying to connect",
    "dns error",
    "error resolving DNS",
];

/// What tokio-rustls says of a server that leaves at once.
const HANDSHAKE_EOF: &str = "tls handshake eof";
/// What hyper says when a connection ends before the request is on its way: an alert that came with the end is lost.
const CLOSED: &str = "connection closed";
/// And what the system says when it ends while the request is written.
const BROKEN: &str = "broken pipe";
const CLIENT_PERHAPS: &str = "perhaps because it wants another client certificate: see tls_config.cert_file";
const SCHEME_HTTP: &str = "set scheme: http if the port speaks plain HTTP";

/// The chain of causes without the URL, which reqwest's own first words name.
pub(crate) fn of(error: &(dyn StdError + 'static)) -> String {
    let mut source = if error.is::<reqwest::Error>() { error.source() } else { Some(error) };
    let mut texts: Vec<String> = Vec::new();
    while let Some(cause) = source {
        if let Some(tls) = tls_error(cause) {
            texts.push(of_tls(tls));
            break;
        }
        let text = cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), of_io);
        // HTTP/2 passes on nothing but the text.
        if let Some((_, alert)) = text.split_once(ALERT) {
            texts.push(of_alert(alert.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()));
            break;
        }
        if text == CLOSED {
            texts.push(format!(
                "EOF: the server ended the connection without an answer; over TLS 1.3, {CLIENT_PERHAPS}"
            ));
        } else if text.ends_with(BROKEN) {
            texts.push(format!("{text}; over TLS 1.3, {CLIENT_PERHAPS}"));
        } else if !EMPTY.contains(&text.as_str()) {
            texts.push(text);
        }
        source = cause.source();
    }
    texts.dedup();
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

/// As Go words what the system reports: `connection refused`.
pub(crate) fn of_io(error: &io::Error) -> String {
    let text = error.to_string();
    if text == HANDSHAKE_EOF {
        return format!("EOF: the port ended the connection instead of a TLS handshake; {SCHEME_HTTP}");
    }
    if error.raw_os_error().is_none() {
        return text;
    }
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The error of rustls that this one is, or that errors of the system are wrapped around.
fn tls_error<'e>(cause: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let inner = || tls_error(cause.downcast_ref::<io::Error>()?.get_ref()?);
    cause.downcast_ref::<rustls::Error>().or_else(inner)
}

fn of_tls(error: &rustls::Error) -> String {
    use rustls::{CertificateError, Error, PeerIncompatible};
    match error {
        Error::InvalidCertificate(CertificateError::Other(why)) => {
            format!("tls: failed to verify certificate: x509: {why}")
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "tls: invalid signature by the server certificate: it is wrong, or its key is of a kind that cannot be checked \
             (RSA below 1024 bits, a curve other than P-256, P-384 and P-521)"
                .to_owned()
        }
        Error::InvalidMessage(_) => {
            format!("http: server gave HTTP response to HTTPS client, or something else that is not TLS; {SCHEME_HTTP}")
        }
        Error::AlertReceived(alert) => of_alert(&format!("{alert:?}")),
        Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => format!("tls: server selected unsupported protocol version; {VERSIONS}"),
        // Their details are notes for whoever writes TLS.
        Error::PeerIncompatible(why) => format!("tls: the server asks for what is not spoken ({why:?}); {SUITES}"),
        Error::PeerMisbehaved(why) => format!("tls: the server does not keep to the protocol ({why:?})"),
        other => format!("tls: {other}"),
    }
}

const VERSIONS: &str = "TLS 1.2 and 1.3 are spoken, 1.0 and 1.1 are not; see tls_config.min_version and max_version";
const SUITES: &str = "spoken are TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM or ChaCha20; not CBC, RC4, 3DES, nor key exchange \
                      by RSA or DHE";
/// How rustls and those who pass its errors on as texts introduce an alert.
const ALERT: &str = "received fatal alert: ";

/// An alert, which rustls calls `UnknownCA`, in Go's words, and what to look at.
fn of_alert(name: &str) -> String {
    let (words, hint) = match name {
        "UnexpectedMessage" => ("unexpected message", ""),
        "BadRecordMac" => ("bad record MAC", ""),
        "HandshakeFailure" => ("handshake failure", SUITES),
        "BadCertificate" => ("bad certificate", CLIENT),
        "UnsupportedCertificate" => ("unsupported certificate", CLIENT),
        "CertificateRevoked" => ("revoked certificate", CLIENT),
        "CertificateExpired" => ("expired certificate", CLIENT),
        "CertificateUnknown" => ("unknown certificate", CLIENT),
        "UnknownCA" => ("unknown certificate authority", CLIENT),
        "AccessDenied" => ("access denied", CLIENT),
        "DecryptError" => ("error decrypting message", CLIENT),
        "CertificateRequired" => ("certificate required", CLIENT),
        "DecodeError" => ("error decoding message", ""),
        "IllegalParameter" => ("illegal parameter", ""),
        "ProtocolVersion" => ("protocol version not supported", VERSIONS),
        "InsufficientSecurity" => ("insufficient security level", SUITES),
        "InternalError" => ("internal error", ""),
        "UnrecognisedName" => ("unrecognized name", "see tls_config.server_name"),
        "NoApplicationProtocol" => ("no application protocol", "see enable_http2"),
        other => (other, ""),
    };
    let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
    format!("remote error: tls: {words}{hint}")
}

const CLIENT: &str = "it wants another client certificate: see tls_config.cert_file";
