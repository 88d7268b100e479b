//! Alerts as Alertmanager's API v2 takes them, and the parts of JSON that the messages of webhooks share.

use model::{Labels, Timestamp};

use crate::Notification;

/// A list of alerts, with the fields and their order as upstream sends them.
pub(super) fn alerts_json<'a>(alerts: impl Iterator<Item = &'a Notification>) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for (i, alert) in alerts.enumerate() {
        out.extend_from_slice(if i == 0 { b"{" } else { b",{" });
        if !alert.annotations.is_empty() {
            out.extend_from_slice(b"\"annotations\":");
            push_labels(&mut out, &alert.annotations);
            out.push(b',');
        }
        let (ends_at, starts_at) = (rfc3339_millis(alert.ends_at), rfc3339_millis(alert.starts_at));
        out.extend_from_slice(format!("\"endsAt\":\"{ends_at}\",\"startsAt\":\"{starts_at}\",").as_bytes());
        if !alert.generator_url.is_empty() {
            out.extend_from_slice(b"\"generatorURL\":");
            push_string(&mut out, &alert.generator_url);
            out.push(b',');
        }
        out.extend_from_slice(b"\"labels\":");
        push_labels(&mut out, &alert.labels);
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// An object of names and values.
pub(super) fn push_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_string(out, name);
        out.push(b':');
        push_string(out, value);
    }
    out.push(b'}');
}

/// A string in quotes.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing text into memory does not fail.
    serde_json::to_writer(out, text).ok();
}

/// A time with three digits of a second, as upstream's Go library prints it: `2026-01-02T03:04:05.000Z`.
fn rfc3339_millis(ts: Timestamp) -> String {
    format!("{:.3}", time(ts))
}

/// A time; beyond the years that RFC 3339 can express, the last one.
pub(super) fn time(ts: Timestamp) -> jiff::Timestamp {
    let end = if ts < Timestamp::EPOCH { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(ts.0).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_written_as_upstream_writes_them() {
        let full = Notification {
            labels: Labels::from_pairs([("alertname", "A\"b"), ("zone", "ü")]),
            annotations: Labels::from_pairs([("summary", "1\n2")]),
            starts_at: Timestamp(1_767_323_045_000),
            ends_at: Timestamp(1_767_323_045_678),
            generator_url: "http://p/graph?g0.expr=up&g0.tab=1".into(),
        };
        let bare = Notification { annotations: Labels::empty(), generator_url: "".into(), ..full.clone() };
        let times = r#""endsAt":"2026-01-02T03:04:05.678Z","startsAt":"2026-01-02T03:04:05.000Z""#;
        let labels = r#""labels":{"alertname":"A\"b","zone":"ü"}"#;
        let expected = format!(
            r#"[{{"annotations":{{"summary":"1\n2"}},{times},"generatorURL":"http://p/graph?g0.expr=up&g0.tab=1",{labels}}},{{{times},{labels}}}]"#
        );
        let found = alerts_json([&full, &bare].into_iter());
        assert_eq!(String::from_utf8(found).unwrap(), expected);
        assert_eq!(alerts_json(std::iter::empty()), b"[]");
    }

    #[test]
    fn times_that_cannot_be_written_are_the_last_ones() {
        assert_eq!(rfc3339_millis(Timestamp::MAX), "9999-12-30T22:00:00.999Z");
        assert!(rfc3339_millis(Timestamp::MIN).starts_with("-009999-01-02"));
    }
}
