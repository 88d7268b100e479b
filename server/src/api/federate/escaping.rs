//! How names outside the legacy alphabet are written for whoever knows only that alphabet (upstream: `model.EscapeName`).

use std::borrow::Cow;
use std::fmt::Write as _;

use model::labels::is_legacy_metric_name;

/// The parameter `escaping` of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escaping {
    /// Names stay as they are, in quotes.
    AllowUtf8,
    /// Each other character becomes an underscore.
    Underscores,
    /// A dot becomes `_dot_`, an underscore and each other character two underscores.
    Dots,
    /// Behind `U__` each other character becomes its number in underscores, an underscore two of them.
    Values,
}

impl Escaping {
    const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// A name of a metric or label as it is written. The alphabet is that of metric names, colons included, also for labels.
    pub(super) fn escape(self, name: &str) -> Cow<'_, str> {
        if self == Self::AllowUtf8 || name.is_empty() || is_legacy_metric_name(name) {
            return Cow::Borrowed(name);
        }
        let mut out = String::with_capacity(2 * name.len());
        if self == Self::Values {
            out.push_str("U__");
        }
        for (at, c) in name.char_indices() {
            let is_legacy = c.is_ascii_alphabetic() || c == '_' || c == ':' || c.is_ascii_digit() && at > 0;
            match (self, c) {
                (Self::Dots | Self::Values, '_') => out.push_str("__"),
                _ if is_legacy => out.push(c),
                (Self::Dots, '.') => out.push_str("_dot_"),
                (Self::Dots, _) => out.push_str("__"),
                // Writing to a string does not fail.
                (Self::Values, c) => write!(out, "_{:x}_", u32::from(c)).unwrap_or_default(),
                _ => out.push('_'),
            }
        }
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_under_each_scheme() {
        for (name, underscores, dots, values) in [
            ("", "", "", ""),
            ("plain_name:sum", "plain_name:sum", "plain_name:sum", "plain_name:sum"),
            ("with.dots_and", "with_dots_and", "with_dot_dots__and", "U__with_2e_dots__and"),
            ("1digit", "_digit", "__digit", "U___31_digit"),
            ("a1 b", "a1_b", "a1__b", "U__a1_20_b"),
            ("grüße", "gr__e", "gr____e", "U__gr_fc__df_e"),
            ("\u{1f600}\u{fffd}", "__", "____", "U___1f600__fffd_"),
        ] {
            let all = [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values];
            assert_eq!(all.map(|scheme| scheme.escape(name).into_owned()), [name, underscores, dots, values], "{name}");
        }
    }
}
