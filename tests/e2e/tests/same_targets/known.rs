//! Where Weft differs on purpose. Each entry must go on to differ.

use serde_json::Value;

use crate::observed::{Difference, Samples};
use crate::targets::Target;

/// A difference that is meant.
pub struct Known {
    pub why: &'static str,
    /// Who shows it.
    pub target: Target,
    pub is: fn(case: &str, difference: &Difference) -> bool,
}

pub const KNOWN: &[Known] = &[Known {
    why: "upstream knows OpenMetrics 2.0, which no target gets that does not ask for it: its weights begin a tenth \
              higher, in the same order",
    target: Target::Go,
    is: |_, difference| difference.what == "accept" && by_a_tenth(&difference.ours, &difference.theirs),
}];

/// Are the headers the same, but for weights that are all a tenth lower?
fn by_a_tenth(ours: &Samples, theirs: &Samples) -> bool {
    let raised = |header: &Value| {
        let header = header.as_str().unwrap_or_default();
        (1..9).rev().fold(header.to_owned(), |text, n| text.replace(&format!(";q=0.{n}"), &format!(";q=0.{}", n + 1)))
    };
    let [ours, theirs] = [ours, theirs].map(|samples| samples.iter().map(|(_, header)| header).collect::<Vec<_>>());
    ours.len() == theirs.len() && ours.into_iter().zip(theirs).all(|(one, other)| raised(one) == *other)
}
