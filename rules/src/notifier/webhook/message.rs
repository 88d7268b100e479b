//! The messages of webhooks, in Alertmanager's format, version 4.

use model::{Labels, LabelsBuilder};

use crate::Notification;
use crate::notifier::alerts_json::{push_labels, push_string, time};

/// Go's zero time: a firing alert has no end yet.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// A message to be written.
pub(super) struct Message<'a> {
    /// The name of the webhook.
    pub(super) receiver: &'a str,
    /// The labels that its alerts have in common by definition.
    pub(super) group_labels: &'a Labels,
    /// Each with whether it fires.
    pub(super) alerts: &'a [(&'a Notification, bool)],
    /// The most alerts that are written; 0: any number.
    pub(super) max_alerts: usize,
    /// Where this server is reached.
    pub(super) external_url: &'a str,
}

impl Message<'_> {
    /// The JSON document.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let written = if self.max_alerts == 0 { self.alerts.len() } else { self.alerts.len().min(self.max_alerts) };
        let (alerts, truncated) = self.alerts.split_at(written);
        let mut out = b"{\"receiver\":".to_vec();
        push_string(&mut out, self.receiver);
        // Of all alerts, also of those that are cut off.
        let fires = self.alerts.iter().any(|(_, fires)| *fires);
        out.extend_from_slice(format!(",\"status\":\"{}\",\"alerts\":[", status(fires)).as_bytes());
        for (i, (alert, fires)) in alerts.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            push_alert(&mut out, alert, *fires);
        }
        out.extend_from_slice(b"],\"groupLabels\":");
        push_labels(&mut out, self.group_labels);
        out.extend_from_slice(b",\"commonLabels\":");
        push_labels(&mut out, &common(alerts.iter().map(|(alert, _)| &alert.labels)));
        out.extend_from_slice(b",\"commonAnnotations\":");
        push_labels(&mut out, &common(alerts.iter().map(|(alert, _)| &alert.annotations)));
        out.extend_from_slice(b",\"externalURL\":");
        push_string(&mut out, self.external_url);
        out.extend_from_slice(b",\"version\":\"4\",\"groupKey\":");
        // Alertmanager's key of a group of its root route.
        push_string(&mut out, &format!("{{}}:{:?}", self.group_labels));
        out.extend_from_slice(format!(",\"truncatedAlerts\":{}}}", truncated.len()).as_bytes());
        out
    }
}

fn push_alert(out: &mut Vec<u8>, alert: &Notification, fires: bool) {
    out.extend_from_slice(format!("{{\"status\":\"{}\",\"labels\":", status(fires)).as_bytes());
    push_labels(out, &alert.labels);
    out.extend_from_slice(b",\"annotations\":");
    push_labels(out, &alert.annotations);
    let ends_at = if fires { NO_END.to_owned() } else { time(alert.ends_at).to_string() };
    let starts_at = time(alert.starts_at);
    out.extend_from_slice(format!(",\"startsAt\":\"{starts_at}\",\"endsAt\":\"{ends_at}\",").as_bytes());
    out.extend_from_slice(b"\"generatorURL\":");
    push_string(out, &alert.generator_url);
    out.extend_from_slice(format!(",\"fingerprint\":\"{:016x}\"}}", fingerprint(&alert.labels)).as_bytes());
}

fn status(fires: bool) -> &'static str {
    if fires { "firing" } else { "resolved" }
}

/// The labels that all sets have with the same value.
fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let Some(first) = sets.next() else { return Labels::empty() };
    let mut common = LabelsBuilder::new(first);
    for labels in sets {
        common.retain(|name, value| labels.get(name) == Some(value));
    }
    common.labels()
}

/// Alertmanager's fingerprint of a label set: FNV-1a, 64 bits, over names and values that a byte 255 ends each.
fn fingerprint(labels: &Labels) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = labels.iter().flat_map(|(name, value)| [name, value]).flat_map(|text| text.bytes().chain([255]));
    bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn alert(instance: &str, summary: &str) -> Notification {
        Notification {
            labels: Labels::from_pairs([("alertname", "Down"), ("instance", instance)]),
            annotations: Labels::from_pairs([("summary", summary), ("runbook", "r")]),
            starts_at: Timestamp(1_767_323_045_500),
            ends_at: Timestamp(1_767_323_105_000),
            generator_url: "http://p/graph".into(),
        }
    }

    fn message(alerts: &[(&Notification, bool)], max_alerts: usize) -> Value {
        let group_labels = Labels::from_pairs([("alertname", "Down")]);
        let message =
            Message { receiver: "chat", group_labels: &group_labels, alerts, max_alerts, external_url: "http://p" };
        serde_json::from_slice(&message.to_json()).unwrap()
    }

    #[test]
    fn a_message_is_alertmanagers() {
        let (one, other) = (alert("a", "x"), alert("b", "y"));
        let shown = |status: &str, instance: &str, summary: &str, ends_at: &str, fingerprint: &str| {
            json!({
                "status": status,
                "labels": {"alertname": "Down", "instance": instance},
                "annotations": {"summary": summary, "runbook": "r"},
                "startsAt": "2026-01-02T03:04:05.5Z",
                "endsAt": ends_at,
                "generatorURL": "http://p/graph",
                "fingerprint": fingerprint,
            })
        };
        assert_eq!(
            message(&[(&one, true), (&other, false)], 0),
            json!({
                "receiver": "chat",
                "status": "firing",
                "alerts": [
                    shown("firing", "a", "x", NO_END, &format!("{:016x}", fingerprint(&one.labels))),
                    shown("resolved", "b", "y", "2026-01-02T03:05:05Z", &format!("{:016x}", fingerprint(&other.labels))),
                ],
                "groupLabels": {"alertname": "Down"},
                "commonLabels": {"alertname": "Down"},
                "commonAnnotations": {"runbook": "r"},
                "externalURL": "http://p",
                "version": "4",
                "groupKey": "{}:{alertname=\"Down\"}",
                "truncatedAlerts": 0,
            })
        );
    }

    #[test]
    fn what_is_cut_off_is_counted() {
        let alerts = [alert("a", "x"), alert("b", "y"), alert("c", "z")];
        let all: Vec<_> = alerts.iter().map(|alert| (alert, false)).collect();
        let cut = message(&all, 2);
        assert_eq!((cut["alerts"].as_array().unwrap().len(), &cut["truncatedAlerts"]), (2, &json!(1)));
        assert_eq!(cut["status"], "resolved");
    }

    #[test]
    fn fingerprints_are_alertmanagers() {
        // What `Fingerprint` of github.com/prometheus/common says.
        assert_eq!(format!("{:016x}", fingerprint(&alert("a", "x").labels)), "b095cbba435360b4");
    }
}
