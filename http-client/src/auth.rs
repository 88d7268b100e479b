//! Credentials and further headers, their files read anew for every request.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::{HttpClientConfig, Secret};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Error;

/// The headers that a configuration adds to every request.
pub(crate) fn headers(config: &HttpClientConfig) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, header) in &config.http_headers {
        let parsed = HeaderName::try_from(name).map_err(|_| Error::Header(format!("http_headers name {name:?}")))?;
        let texts = header.values.iter().cloned().chain(header.secrets.iter().map(|s| s.expose().to_owned()));
        let mut texts: Vec<String> = texts.collect();
        for file in &header.files {
            texts.push(read(file, "http_headers file")?);
        }
        for text in texts {
            headers.append(parsed.clone(), secret_value(&text, &format!("http_headers {name}"))?);
        }
    }
    if let Some(basic) = &config.basic_auth {
        let user =
            one(None, basic.username_file.as_deref(), "username_file")?.unwrap_or_else(|| basic.username.clone());
        let password =
            one(basic.password.as_ref(), basic.password_file.as_deref(), "password_file")?.unwrap_or_default();
        let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        headers.insert(AUTHORIZATION, secret_value(&text, "basic_auth")?);
    }
    if let Some(authorization) = &config.authorization
        && let Some(credentials) =
            one(authorization.credentials.as_ref(), authorization.credentials_file.as_deref(), "credentials_file")?
    {
        let text = format!("{} {credentials}", authorization.kind);
        headers.insert(AUTHORIZATION, secret_value(&text, "the credentials of authorization")?);
    }
    Ok(headers)
}

fn one(text: Option<&Secret>, file: Option<&Path>, field: &'static str) -> Result<Option<String>, Error> {
    match (text, file) {
        (Some(secret), _) => Ok(Some(secret.expose().to_owned())),
        (None, Some(path)) => read(path, field).map(Some),
        (None, None) => Ok(None),
    }
}

fn read(path: &Path, what: &'static str) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read { what, path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

fn secret_value(text: &str, what: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(text).map_err(|_| Error::Header(what.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
