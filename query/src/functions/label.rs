//! Error messages of functions that set labels, and the labels of `absent`.

use model::{Labels, LabelsBuilder};

use crate::parse::Text;
use crate::value::is_metadata;

/// The error for an invalid label name.
pub(crate) fn no_target(function: &'static str) -> impl Fn(&Text) -> String {
    move |name| format!("invalid destination label name in {function}(): {}", name.lossy())
}

/// The labels of the result of `absent`: those with an equality matcher, unless there is another matcher of the same label.
pub(crate) fn fixed_by(matchers: &[model::Matcher]) -> Labels {
    let mut builder = LabelsBuilder::default();
    for (i, matcher) in matchers.iter().enumerate().filter(|(_, m)| !is_metadata(&m.name)) {
        let same = |other: &&model::Matcher| other.name == matcher.name;
        let is_equal = |other: &model::Matcher| other.op == model::MatchOp::Equal;
        // As upstream's `createLabelsForAbsentFunction`: a label with several matchers has no certain value.
        let is_first = !matchers[..i].iter().filter(same).any(is_equal);
        let is_last = !matchers[i + 1..].iter().any(|other| same(&other));
        if is_equal(matcher) && is_first && is_last {
            builder.set(&matcher.name, matcher.value.as_str());
        }
    }
    builder.labels()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_selector;

    #[test]
    fn the_last_matcher_of_a_label_decides() {
        for (selector, expected) in [
            (r#"x{k="x",j=~"a.*",j="b"}"#, r#"{j="b", k="x"}"#),
            (r#"x{k="x",j="b",j=~"a.*"}"#, r#"{k="x"}"#),
            (r#"x{j="a",j="b"}"#, "{}"),
            (r#"x{j="a",j!="c",j="b"}"#, "{}"),
            (r#"x{j!="c",j=~"a|b",j="b"}"#, r#"{j="b"}"#),
            (r#"{__name__="x",__type__="counter",__unit__="bytes",j="b"}"#, r#"{j="b"}"#),
        ] {
            assert_eq!(fixed_by(&parse_selector(selector).unwrap()).to_string(), expected, "{selector}");
        }
    }
}
