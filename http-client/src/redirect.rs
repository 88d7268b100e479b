//! The target of a redirect, and whether credentials may be sent to it: only to the configured host and its subdomains. Once a
//! redirect has left them no credentials are sent any more, even if a later one returns.

use http::StatusCode;
use http::header::{HeaderMap, LOCATION};
use url::Url;

use crate::error::GetError;

/// The most requests of a chain of redirects, as in Go.
pub(crate) const REDIRECTS_MAX: usize = 10;

/// The URL that a response to a request for `from` redirects to, if it does.
pub(crate) fn target(from: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, GetError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    // An empty location is no redirect.
    let Some(location) = headers.get(LOCATION).filter(|location| !location.is_empty()) else { return Ok(None) };
    let location = String::from_utf8_lossy(location.as_bytes());
    let bad = |why: &str| GetError::Failed(format!("failed to parse Location header {location:?}: {why}"));
    // Relative locations are common.
    let url = from.join(&location).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(Some(url)),
        scheme => {
            Err(GetError::Failed(format!("unsupported protocol scheme {scheme:?} of a redirect to {location:?}")))
        }
    }
}

/// Is the URL one of that host, or of a subdomain?
pub(crate) fn stays_with(host: Option<&str>, url: &Url) -> bool {
    let (Some(host), Some(now)) = (host, url.host_str()) else { return false };
    // An address has no subdomains, though its text may end like another one.
    let is_name = matches!(url.host(), Some(url::Host::Domain(_)));
    host == now || is_name && now.strip_suffix(host).is_some_and(|rest| rest.ends_with('.'))
}
