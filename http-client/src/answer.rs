//! What callers read of an answer: its body up to a bound, the beginning of an error page, and when to ask again.

use std::time::Duration;

use http::header::{HeaderMap, RETRY_AFTER};
use model::Timestamp;

use crate::cause;

/// As much of an error page is read: enough to say what is wrong in a log, and to use the connection again.
const EXCERPT_BYTES_MAX: usize = 4 << 10;

/// The body of an answer; `None` if it is longer than `bytes_max`, of which no more is read then.
///
/// # Errors
/// When the connection breaks off; the text says why.
pub async fn body(answer: &mut reqwest::Response, bytes_max: usize) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| cause::of(&error))? {
        if body.len() + piece.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// The beginning of a body as one line of at most so many characters: an error page has many lines.
pub async fn excerpt(answer: &mut reqwest::Response, chars_max: usize) -> String {
    let mut body = Vec::new();
    while body.len() < EXCERPT_BYTES_MAX
        && let Ok(Some(piece)) = answer.chunk().await
    {
        body.extend_from_slice(&piece);
    }
    one_line(&body, chars_max)
}

fn one_line(body: &[u8], chars_max: usize) -> String {
    let text = String::from_utf8_lossy(body);
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(chars_max).collect()
}

/// The value of `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3); `None` where there is none, or it has passed.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    u64::try_from(Timestamp(date).saturating_since(Timestamp::now())).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let wait = |text| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]));
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert!(wait("Wed, 21 Oct 2099 07:28:00 GMT").is_some_and(|wait| wait > Duration::from_secs(86_400)));
        assert_eq!((wait("Wed, 21 Oct 2015 07:28:00 GMT"), wait("soon")), (None, None));
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn an_error_page_is_one_short_line() {
        assert_eq!(one_line(b"<html>\n\n  no", 300), "<html> no");
        assert_eq!(one_line(&[b'x'; 4096], 300).len(), 300);
    }
}
