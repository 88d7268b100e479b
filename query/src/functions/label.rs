//! What functions that name labels say of the names, and the labels that `absent` knows.

use model::labels::METRIC_NAME;
use model::{Labels, LabelsBuilder};

use crate::parse::Text;

/// What is said of a name that no label can have.
pub(crate) fn no_target(function: &'static str) -> impl Fn(&Text) -> String {
    move |name| format!("invalid destination label name in {function}(): {}", name.lossy())
}

/// The labels that `absent` gives its only series: those that equality matchers fix, each named once.
pub(crate) fn fixed_by(matchers: &[model::Matcher]) -> Labels {
    let mut builder = LabelsBuilder::default();
    for (i, matcher) in matchers.iter().enumerate() {
        let once = !matchers.iter().enumerate().any(|(j, other)| j != i && other.name == matcher.name);
        if matcher.name != METRIC_NAME && matcher.op == model::MatchOp::Equal && once {
            builder.set(&matcher.name, matcher.value.as_str());
        }
    }
    builder.labels()
}
