//! Labels as upstream prints them.

use model::labels::is_legacy_label_name;

/// `{__name__="up", job="a"}`: the name is one of the labels.
pub(super) fn braced<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let label = |(name, value): (&str, &str)| match is_legacy_label_name(name) {
        true => format!("{name}={value:?}"),
        false => format!("{name:?}={value:?}"),
    };
    format!("{{{}}}", labels.map(label).collect::<Vec<_>>().join(", "))
}
