//! Label sets and names in messages: of what is long, the beginning.

use model::Labels;

use crate::value::LABELS_LONG;

/// A label set as messages show it.
pub(super) fn shown(labels: &Labels) -> String {
    if labels.as_text().len() <= LABELS_LONG {
        return format!("{labels:?}");
    }
    let mut shown = String::from("{");
    for (i, (name, value)) in labels.iter().take(LABELS_LONG / 16).enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        shown += &format!("{comma}{}={:?}", cut(name), cut(value));
        if shown.len() > LABELS_LONG {
            break;
        }
    }
    shown + ", …}"
}

/// The beginning of a text, where it is long.
pub(super) fn cut(text: &str) -> String {
    let short: String = text.chars().take(256).collect();
    if short.len() < text.len() { short + "…" } else { short }
}
