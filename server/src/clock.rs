//! Times as texts.

use std::hash::{BuildHasher as _, Hasher as _};

use jiff::Timestamp;

/// `2023-11-14T22:13:20.123Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

/// Milliseconds of an RFC 3339 time; finer digits are cut.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// The name of a snapshot taken now: the time, and something that no other has.
pub(crate) fn snapshot_name(now_ms: i64) -> String {
    let time = Timestamp::from_millisecond(now_ms).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    let unique = std::hash::RandomState::new().build_hasher().finish();
    format!("{time}-{unique:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_by_its_time() {
        let name = snapshot_name(1_700_000_000_123);
        assert!(name.starts_with("20231114T221320Z-") && name.len() == 33, "{name}");
        assert_ne!(name, snapshot_name(1_700_000_000_123));
    }

    #[test]
    fn both_ways() {
        for (ms, text) in [(0, "1970-01-01T00:00:00.000Z"), (1_700_000_000_123, "2023-11-14T22:13:20.123Z")] {
            assert_eq!(rfc3339(ms), text);
            assert_eq!(parse_rfc3339(text), Some(ms));
        }
        assert_eq!(parse_rfc3339("2023-11-14T23:13:20.5+01:00"), Some(1_700_000_000_500));
        assert_eq!(parse_rfc3339("2023-11-14"), None);
    }
}
