//! URLs in sections of discoveries, as Go's `url.Parse` sees them.

use crate::Error;
use crate::schema::Fields;

/// Scheme and host with port, if the URL has both.
pub(super) fn host_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    (!scheme.is_empty() && !host.is_empty()).then_some((scheme, host))
}

/// Refuses what is not the URL of an HTTP server.
pub(super) fn check_http_url(url: &str, f: &Fields<'_>, name: &str) -> Result<(), Error> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(f.refuse(name, "URL scheme must be 'http' or 'https'"));
    }
    // Go's `url.Parse` takes `http:///path`, with an empty host.
    if host_of(url).is_none() {
        return Err(f.refuse(name, "host is missing in URL"));
    }
    Ok(())
}
