//! Relabelling rules in words.

use model::{RelabelAction, RelabelRule};

/// A rule as one line.
pub(super) fn rule_text(rule: &RelabelRule) -> String {
    let spec = rule.spec();
    let sources = spec.source_labels.join(", ");
    let regex = spec.regex.as_deref().unwrap_or("(.*)");
    match spec.action {
        RelabelAction::Keep | RelabelAction::Drop => format!("{} [{sources}] =~ {regex:?}", spec.action.as_str()),
        action => format!("{} [{sources}] =~ {regex:?} -> {}", action.as_str(), spec.target_label),
    }
}
