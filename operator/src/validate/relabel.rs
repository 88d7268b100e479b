//! Relabelling rules. Upstream: `pkg/prometheus/validation`. What it lets through is checked again when the job is made.

use model::{NameValidation, Regex};

use super::checked::Checked;
use crate::objects::RelabelConfig;

/// What a rule has where the user sets nothing.
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REPLACEMENT: &str = "$1";

/// The first rule that is not valid.
pub(super) fn check_rules(rules: &[RelabelConfig]) -> Checked {
    for (i, rule) in rules.iter().enumerate() {
        check_rule(rule).map_err(|why| format!("[{i}]: {why}"))?;
    }
    Ok(())
}

fn check_rule(rule: &RelabelConfig) -> Checked {
    // In messages the action stands as it is written.
    let shown = if rule.action.is_empty() { "replace" } else { rule.action.as_str() };
    let action = shown.to_lowercase();
    let action = action.as_str();
    Regex::in_anchors(&rule.regex)
        .map_err(|error| format!("invalid regex {} for relabel configuration: {error}", rule.regex))?;
    // In upstream's order: a rule with several faults has the same message.
    if rule.modulus == 0 && action == "hashmod" {
        return Err("relabel configuration for hashmod requires non-zero modulus".to_owned());
    }
    // All actions that write to one label; `labelmap` makes the names of its own.
    let sets_a_label = matches!(action, "replace" | "hashmod" | "lowercase" | "uppercase" | "keepequal" | "dropequal");
    if sets_a_label && rule.target_label.is_empty() {
        return Err(format!("relabel configuration for {shown} action needs targetLabel value"));
    }
    if sets_a_label && !NameValidation::Utf8.is_label_name(&rule.target_label) {
        return Err(format!("{:?} is invalid 'target_label' for {shown} action", rule.target_label));
    }
    let replacement = rule.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT);
    if matches!(action, "lowercase" | "uppercase" | "keepequal" | "dropequal") && replacement != DEFAULT_REPLACEMENT {
        return Err(format!("'replacement' can not be set for {shown} action"));
    }
    if action == "labelmap" && !NameValidation::Utf8.is_label_name(replacement) {
        return Err(format!("{replacement:?} is invalid 'replacement' for {shown} action"));
    }
    // The default counts as not set: the schema fills it in.
    let is_plain = rule.modulus == 0
        && rule.separator.as_deref().unwrap_or(DEFAULT_SEPARATOR) == DEFAULT_SEPARATOR
        && replacement == DEFAULT_REPLACEMENT;
    let has_default_regex = rule.regex.is_empty() || rule.regex == DEFAULT_REGEX;
    if matches!(action, "keepequal" | "dropequal") && !(is_plain && has_default_regex) {
        return Err(format!("{shown} action requires only 'source_labels' and `target_label`, and no other fields"));
    }
    let has_labels = !rule.source_labels.is_empty() || !rule.target_label.is_empty();
    if matches!(action, "labeldrop" | "labelkeep") && (has_labels || !is_plain) {
        return Err(format!("{shown} action requires only 'regex', and no other fields"));
    }
    Ok(())
}
