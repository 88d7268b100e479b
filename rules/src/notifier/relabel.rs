//! The labels that alerts are sent with.

use std::borrow::Cow;

use model::relabel::relabel;
use model::{Labels, LabelsBuilder, RelabelRule};

use crate::Notification;

/// The alerts with external labels where they have none of that name, after these rules; without those that a rule drops.
pub(super) fn relabelled<'a>(
    alerts: &'a [Notification],
    external: &Labels,
    rules: &[RelabelRule],
) -> Cow<'a, [Notification]> {
    if external.is_empty() && rules.is_empty() {
        return Cow::Borrowed(alerts);
    }
    let one = |alert: &Notification| {
        let mut builder = LabelsBuilder::new(&alert.labels);
        for (name, value) in external {
            if builder.get(name).is_empty() {
                builder.set(name, value);
            }
        }
        let kept = relabel(&mut builder, rules).is_kept();
        kept.then(|| Notification { labels: builder.labels(), ..alert.clone() })
    };
    Cow::Owned(alerts.iter().filter_map(one).collect())
}

#[cfg(test)]
mod tests {
    use model::{NameValidation, RelabelAction, RelabelSpec, Timestamp};

    use super::*;

    fn alert(pairs: &[(&str, &str)]) -> Notification {
        Notification {
            labels: Labels::from_pairs(pairs.iter().copied()),
            annotations: Labels::empty(),
            starts_at: Timestamp(0),
            ends_at: Timestamp(1),
            generator_url: "".into(),
        }
    }

    fn rule(spec: RelabelSpec) -> RelabelRule {
        RelabelRule::new(spec, NameValidation::Utf8).unwrap()
    }

    #[test]
    fn external_labels_come_before_the_rules_and_do_not_override() {
        let external = Labels::from_pairs([("cluster", "c"), ("zone", "z")]);
        let alerts = [alert(&[("alertname", "a")]), alert(&[("alertname", "b"), ("cluster", "own")])];
        let drops = RelabelSpec {
            action: RelabelAction::Drop,
            source_labels: vec!["cluster".to_owned()],
            regex: Some("own".to_owned()),
            ..RelabelSpec::default()
        };
        let sent = relabelled(&alerts, &external, &[]);
        assert_eq!(sent[0].labels, Labels::from_pairs([("alertname", "a"), ("cluster", "c"), ("zone", "z")]));
        assert_eq!(sent[1].labels, Labels::from_pairs([("alertname", "b"), ("cluster", "own"), ("zone", "z")]));
        let kept = relabelled(&alerts, &external, &[rule(drops)]);
        assert_eq!(kept.iter().map(|alert| alert.labels.value("alertname")).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn nothing_is_copied_where_nothing_changes() {
        assert!(matches!(relabelled(&[alert(&[("a", "b")])], &Labels::empty(), &[]), Cow::Borrowed(_)));
    }
}
