//! Where Weft differs on purpose. Each entry must go on to differ.

use serde_json::Value;

use crate::observed::{Difference, Place, Samples};
use crate::recorder::BROKEN;
use crate::targets::Target;

/// A difference that is meant.
pub struct Known {
    pub why: &'static str,
    /// Who shows it.
    pub target: Target,
    pub is: fn(case: &str, difference: &Difference) -> bool,
}

pub const KNOWN: &[Known] = &[
    Known {
        why: "a body that is broken leaves nothing behind here, so all series of its target go stale; upstream leaves out \
              those that it has read before the break",
        target: Target::Go,
        is: |_, difference| {
            let broken = difference.theirs.iter().all(|(place, _)| *place == Place::Page(BROKEN));
            difference.what == "instant" && difference.ours.is_empty() && broken
        },
    },
    Known {
        why: "nothing of a scrape that is refused is kept, so what was new in it is new in the next one too; upstream \
              remembers having seen it",
        target: Target::Node,
        is: |_, difference| {
            let refused = |place: &Place| matches!(place, Place::Page(page) if *page > 0);
            let all = difference.ours.iter().chain(&difference.theirs).all(|(place, _)| refused(place));
            difference.labels.contains("\"scrape_series_added\"") && all && more(&difference.ours, &difference.theirs)
        },
    },
    Known {
        why: "upstream knows OpenMetrics 2.0, which no target gets that does not ask for it: its weights begin a tenth \
              higher, in the same order",
        target: Target::Go,
        is: |_, difference| difference.what == "accept" && by_a_tenth(&difference.ours, &difference.theirs),
    },
];

/// Is each number of ours the larger?
fn more(ours: &Samples, theirs: &Samples) -> bool {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|((_, one), (_, other))| number(one) > number(other))
}

/// Are the headers the same, but for weights that are all a tenth lower?
fn by_a_tenth(ours: &Samples, theirs: &Samples) -> bool {
    let raised = |header: &Value| {
        let header = header.as_str().unwrap_or_default();
        (1..9).rev().fold(header.to_owned(), |text, n| text.replace(&format!(";q=0.{n}"), &format!(";q=0.{}", n + 1)))
    };
    let [ours, theirs] = [ours, theirs].map(|samples| samples.iter().map(|(_, header)| header).collect::<Vec<_>>());
    ours.len() == theirs.len() && ours.into_iter().zip(theirs).all(|(one, other)| raised(one) == *other)
}
