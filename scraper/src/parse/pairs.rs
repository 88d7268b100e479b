//! Label pairs, and how the bounds among them are spelled.

use std::borrow::Cow;

use model::float::format_g;

/// Names and values.
pub type LabelPairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The bound of a bucket, or a quantile, as OpenMetrics wants it: always with a point or an exponent.
pub(super) fn format_bound(number: f64) -> String {
    let mut text = format_g(number);
    if number.is_finite() && !text.contains(['e', '.']) {
        text.push_str(".0");
    }
    text
}
