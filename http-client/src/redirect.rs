//! Where a redirect leads, and whether credentials may go there: to the host that was configured and to hosts below it. Once a
//! redirect left it, they stay behind, even when a later one leads back.

use http::StatusCode;
use http::header::{HeaderMap, LOCATION};
use url::Url;

use crate::error::GetError;

/// As many requests as Go makes before it stops.
pub(crate) const REDIRECTS_MAX: usize = 10;

/// Where an answer sends whoever asked for `from`, if it does.
pub(crate) fn target(from: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, GetError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    // An empty one leads nowhere.
    let Some(location) = headers.get(LOCATION).filter(|location| !location.is_empty()) else { return Ok(None) };
    let location = String::from_utf8_lossy(location.as_bytes());
    let bad = |why: &str| GetError::Failed(format!("failed to parse Location header {location:?}: {why}"));
    let url = from.join(&location).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(Some(url)),
        scheme => {
            Err(GetError::Failed(format!("unsupported protocol scheme {scheme:?} of a redirect to {location:?}")))
        }
    }
}

/// Is the URL of that host, or of one below it?
pub(crate) fn stays_with(host: Option<&str>, url: &Url) -> bool {
    let (Some(host), Some(now)) = (host, url.host_str()) else { return false };
    let is_name = matches!(url.host(), Some(url::Host::Domain(_)));
    host == now || is_name && now.strip_suffix(host).is_some_and(|rest| rest.ends_with('.'))
}
