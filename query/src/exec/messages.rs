//! Label sets and names in error messages; long ones are truncated.

use model::Labels;

use crate::value::LABELS_LONG;

/// Formats a label set, truncated if it is long.
pub(super) fn format_labels(labels: &Labels) -> String {
    if labels.as_text().len() <= LABELS_LONG {
        return format!("{labels:?}");
    }
    let mut shown = String::from("{");
    for (i, (name, value)) in labels.iter().take(LABELS_LONG / 16).enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        shown += &format!("{comma}{}={:?}", truncated(name), truncated(value));
        if shown.len() > LABELS_LONG {
            break;
        }
    }
    shown + ", …}"
}

/// Truncates a long text.
pub(super) fn truncated(text: &str) -> String {
    let short: String = text.chars().take(256).collect();
    if short.len() < text.len() { short + "…" } else { short }
}
