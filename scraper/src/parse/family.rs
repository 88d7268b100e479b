//! Groups the series of one histogram, or of one counter or summary, with their `_created` series.

use std::borrow::Cow;

use model::labels::BUCKET;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::MetricKind;
use super::labels::{RawLabel, blanks, name_len, unescape, walk_labels};
use super::number::parse_value;

/// The role of a series within its metric family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// Observations up to a bound.
    Bucket(f64),
    Sum,
    Count,
    /// The start timestamp.
    Created,
    /// The series that has the family's name, or `_total` behind it.
    Value,
}

/// A series of a family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Member {
    /// Hash of the labels without `le` or `quantile`: equal for the series that belong together.
    pub(super) group: u64,
    pub(super) role: Role,
}

impl Member {
    /// The role of a series in the family of this name and type; `None` if it does not belong to it.
    pub(super) fn of(series: &str, family: &str, kind: MetricKind) -> Option<Self> {
        let apart = match kind {
            MetricKind::Histogram => BUCKET,
            MetricKind::Summary => "quantile",
            _ => "",
        };
        // Names from different places, so that no label is hashed for a series of another family.
        let name = name_len(series.as_bytes(), true);
        let (name, rest) = series.split_at_checked(name)?;
        // With an empty name before the brace, the name is the quoted string inside it.
        let mut suffix = if name.is_empty() { None } else { Some(Cow::Borrowed(name.strip_prefix(family)?)) };
        let (mut group, mut bound) = (0u64, None);
        if let Some(inside) = rest.get(blanks(rest.as_bytes()) + 1..) {
            let piece = |range: std::ops::Range<usize>| inside.get(range).unwrap_or_default();
            let on_label = |label: RawLabel| {
                let (name, value) = (piece(label.name), piece(label.value));
                if label.is_name {
                    suffix = match unescape(name) {
                        Cow::Borrowed(name) => name.strip_prefix(family).map(Cow::Borrowed),
                        Cow::Owned(name) => name.strip_prefix(family).map(|suffix| Cow::Owned(suffix.to_owned())),
                    };
                } else if name == apart {
                    bound = Some(unescape(value));
                } else if !value.is_empty() {
                    // In whichever order they stand.
                    // A sum is the same for every order of the labels. Empty values count as no label.
                    group = group.wrapping_add(xxh3_64_with_seed(name.as_bytes(), xxh3_64(value.as_bytes())));
                }
                Ok(())
            };
            walk_labels(inside.as_bytes(), on_label).ok()?;
        }
        let role = role(&suffix?, kind, bound.as_ref())?;
        Some(Self { group, role })
    }
}

fn role(suffix: &str, kind: MetricKind, bound: Option<&Cow<'_, str>>) -> Option<Role> {
    Some(match (suffix, kind) {
        ("_bucket", MetricKind::Histogram) => {
            Role::Bucket(parse_value(bound?.as_bytes()).ok().filter(|bound| !bound.is_nan())?)
        }
        ("_sum", MetricKind::Histogram | MetricKind::Summary) => Role::Sum,
        ("_count", MetricKind::Histogram | MetricKind::Summary) => Role::Count,
        ("_created", _) => Role::Created,
        ("", MetricKind::Counter | MetricKind::Summary) | ("_total", MetricKind::Counter) => Role::Value,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(series: &str, kind: MetricKind) -> Option<Role> {
        Member::of(series, "a.b", kind).or(Member::of(series, "h", kind)).map(|member| member.role)
    }

    #[test]
    fn names_and_bounds_say_what_a_series_is() {
        use MetricKind::{Counter, Histogram, Summary};
        for (series, kind, role) in [
            ("h_bucket{le=\"0.5\"}", Histogram, Some(Role::Bucket(0.5))),
            ("h_bucket { x=\"1\" , le=\"+Inf\", }", Histogram, Some(Role::Bucket(f64::INFINITY))),
            ("{\"h_bucket\",le=\"1\"}", Histogram, Some(Role::Bucket(1.0))),
            ("{le=\"1\",\"a.b_bucket\"}", Histogram, Some(Role::Bucket(1.0))),
            ("h_bucket{le=\"much\"}", Histogram, None),
            ("h_bucket{le=\"NaN\"}", Histogram, None),
            ("h_bucket", Histogram, None),
            ("h_sum", Histogram, Some(Role::Sum)),
            ("h_count{}", Summary, Some(Role::Count)),
            ("h{quantile=\"0.5\"}", Summary, Some(Role::Value)),
            ("h", Histogram, None),
            ("h_total", Counter, Some(Role::Value)),
            ("h_created", Counter, Some(Role::Created)),
            ("hh_sum", Histogram, None),
            ("g_sum", Histogram, None),
        ] {
            assert_eq!(role_of(series, kind), role, "{series}");
        }
    }

    #[test]
    fn what_tells_series_apart_is_no_part_of_what_joins_them() {
        let group = |series: &str| Member::of(series, "h", MetricKind::Histogram).unwrap().group;
        let one = group("h_bucket{le=\"1\",x=\"1\",y=\"2\"}");
        for same in
            ["h_bucket{x=\"1\",le=\"2\",y=\"2\"}", "h_sum{y=\"2\",x=\"1\"}", "{\"h_count\",x=\"1\",y=\"2\",z=\"\"}"]
        {
            assert_eq!(group(same), one, "{same}");
        }
        for other in ["h_sum{x=\"2\",y=\"1\"}", "h_sum{x=\"1\"}", "h_sum", "h_sum{x=\"1\",y=\"2\",z=\"3\"}"] {
            assert_ne!(group(other), one, "{other}");
        }
    }
}
