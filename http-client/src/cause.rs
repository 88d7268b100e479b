//! Why a request failed, in words: the causes without the URL, and what to change where that is known.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;

/// Texts of outer errors that add nothing.
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

/// tokio-rustls' text for a server that closes the connection during the handshake.
const HANDSHAKE_EOF: &str = "tls handshake eof";
/// hyper's text for a connection that ends before the request is sent; a TLS alert that came with it is lost.
const CLOSED: &str = "connection closed";
/// The system's text for one that ends while the request is written.
const BROKEN: &str = "broken pipe";
/// hyper-util's text for a connection that cannot be made; the address is in its debug text alone.
const CONNECT: &str = "tcp connect error";
const CLIENT_PERHAPS: &str = "perhaps because it wants another client certificate: see tls_config.cert_file";
const SCHEME_HTTP: &str = "set scheme: http if the port speaks plain HTTP";

/// The chain of causes without the URL, which reqwest's own text names.
pub(crate) fn of(error: &(dyn StdError + 'static)) -> String {
    let mut source = if error.is::<reqwest::Error>() { error.source() } else { Some(error) };
    let mut texts: Vec<String> = Vec::new();
    while let Some(cause) = source {
        // The error of TLS says all; the ones below it only repeat parts.
        if let Some(tls) = tls_error(cause) {
            texts.push(of_tls(tls));
            break;
        }
        let text = cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), of_io);
        // Over HTTP/2 only the text of the error is left.
        if let Some((_, alert)) = text.split_once(ALERT) {
            texts.push(of_alert(alert.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()));
            break;
        }
        if text == CONNECT {
            texts.push(dial(cause));
        } else if text == CLOSED {
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
    // Wrapping errors often repeat the text of what they wrap.
    texts.dedup();
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

/// A connection that cannot be made, in Go's words: `dial tcp 10.0.0.1:9100: connect`.
fn dial(cause: &(dyn StdError + 'static)) -> String {
    let debug = format!("{cause:?}");
    let address = debug.split(&[',', '(', ')', ' ']).find(|word| word.parse::<SocketAddr>().is_ok());
    address.map_or_else(|| "dial tcp: connect".to_owned(), |address| format!("dial tcp {address}: connect"))
}

/// An error of the system in Go's words: `connection refused`.
pub(crate) fn of_io(error: &io::Error) -> String {
    let text = error.to_string();
    if text == HANDSHAKE_EOF {
        return format!("EOF: the port ended the connection instead of a TLS handshake; {SCHEME_HTTP}");
    }
    if error.raw_os_error().is_none() {
        return text;
    }
    // Go's texts have no number and begin in lower case.
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The error of rustls, also if it is wrapped in one of the system.
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
        // The details help only those who implement TLS.
        Error::PeerIncompatible(why) => format!("tls: the server asks for what is not spoken ({why:?}); {SUITES}"),
        Error::PeerMisbehaved(why) => format!("tls: the server does not keep to the protocol ({why:?})"),
        other => format!("tls: {other}"),
    }
}

const VERSIONS: &str = "TLS 1.2 and 1.3 are spoken, 1.0 and 1.1 are not; see tls_config.min_version and max_version";
const SUITES: &str = "spoken are TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM or ChaCha20; not CBC, RC4, 3DES, nor key exchange \
                      by RSA or DHE";
/// What stands before the name of an alert in texts of rustls.
const ALERT: &str = "received fatal alert: ";

/// An alert such as rustls' `UnknownCA`, in Go's words, and what to check.
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
