//! Answers as JSON, straight into the body, byte for byte as upstream writes it.

mod body;
mod json;
mod label_sets;
mod result;
mod serialize;

pub(crate) use body::{escaped, escaped_labels, held, query_answer};
pub(crate) use json::*;
pub(crate) use label_sets::LabelSets;
pub(crate) use serialize::{ExemplarJson, LabelSet, Raw, serialize, serialize_plain, success_of, text_or_json};

/// `1 sample`, `2 samples`
pub(crate) fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
