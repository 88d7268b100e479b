//! Why a request failed, in words: the causes without the URL, and where the cause tells it what to change.

use std::error::Error as StdError;
use std::io;

/// Outer texts that say nothing.
const EMPTY: [&str; 5] = [
    "client error (Connect)",
    "client error (SendRequest)",
    "error trying to connect",
    "dns error",
    "error resolving DNS",
];

/// What tokio-rustls says of a server that leaves at once.
const HANDSHAKE_EOF: &str = "tls handshake eof";
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
        if !EMPTY.contains(&text.as_str()) {
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
    use rustls::{AlertDescription, CertificateError, Error};
    match error {
        Error::InvalidCertificate(CertificateError::Other(why)) => {
            format!("tls: failed to verify certificate: x509: {why}")
        }
        Error::InvalidMessage(_) => {
            format!("http: server gave HTTP response to HTTPS client, or something else that is not TLS; {SCHEME_HTTP}")
        }
        Error::AlertReceived(alert) => {
            let hint = match alert {
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::AccessDenied => "; it wants another client certificate: see tls_config.cert_file",
                AlertDescription::ProtocolVersion => "; see tls_config.min_version and max_version",
                AlertDescription::UnrecognisedName => "; see tls_config.server_name",
                _ => "",
            };
            format!("remote error: tls: {alert:?}{hint}")
        }
        other => format!("tls: {other}"),
    }
}
