//! The configured credentials and headers of a request, read from their files each time. Secrets are sent to the configured
//! host, and not to others that it redirects to.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::{HttpClientConfig, Secret};
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};

use crate::Error;

/// The headers of a request. One that is not `trusted` carries no secret.
pub(crate) fn headers(config: &HttpClientConfig, trusted: bool) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if let Some(auth) = config.basic_auth.as_ref().filter(|_| trusted) {
        let username = match &auth.username_file {
            Some(path) => read("username_file", path)?,
            None => auth.username.clone(),
        };
        let password = text_or_file(auth.password.as_ref(), "password_file", auth.password_file.as_deref())?;
        headers.insert(AUTHORIZATION, basic(&username, &password.unwrap_or_default())?);
    }
    if let Some(auth) = config.authorization.as_ref().filter(|_| trusted) {
        let credentials =
            text_or_file(auth.credentials.as_ref(), "credentials_file", auth.credentials_file.as_deref())?;
        if let Some(credentials) = credentials {
            headers.insert(AUTHORIZATION, secret_value("Authorization", &format!("{} {credentials}", auth.kind))?);
        }
    }
    for (name, header) in &config.http_headers {
        let invalid = || Error::Header { name: name.clone() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        // Cookies are credentials, although they are not configured as secrets.
        for value in header.values.iter().filter(|_| trusted || key != COOKIE) {
            headers.append(&key, HeaderValue::from_str(value).map_err(|_| invalid())?);
        }
        if !trusted {
            continue;
        }
        for secret in &header.secrets {
            headers.append(&key, secret_value(name, secret.expose())?);
        }
        for file in &header.files {
            headers.append(&key, secret_value(name, &read("http_headers file", file)?)?);
        }
    }
    Ok(headers)
}

/// `Basic …`
pub(crate) fn basic(username: &str, password: &str) -> Result<HeaderValue, Error> {
    secret_value("Authorization", &format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
}

/// The text of a field that is either a secret or a file.
pub(crate) fn text_or_file(
    text: Option<&Secret>,
    what: &'static str,
    file: Option<&Path>,
) -> Result<Option<String>, Error> {
    match (text, file) {
        (_, Some(path)) => read(what, path).map(Some),
        (Some(secret), None) => Ok(Some(secret.expose().to_owned())),
        (None, None) => Ok(None),
    }
}

/// The text of a file, trimmed, as Prometheus reads it.
fn read(what: &'static str, path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path);
    text.map(|text| text.trim().to_owned()).map_err(|source| Error::Read { what, path: path.to_owned(), source })
}

/// A header value that is never logged.
pub(crate) fn secret_value(name: &str, value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Error::Header { name: name.to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}
