//! `sort`, `sort_desc`, `sort_by_label` and `sort_by_label_desc`.

use std::cmp::Ordering;

use crate::value::Series;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
    Label,
    LabelDescending,
}

/// Removes histograms, which have no order.
pub(crate) fn floats_alone(series: &mut Vec<Series>) {
    for one in series.iter_mut() {
        one.histograms.clear();
    }
    series.retain(|s| !s.is_empty());
}

/// Sorts by the value at the first step; NaN is last in both orders.
pub(crate) fn by_value(series: &mut [Series], descending: bool) {
    series.sort_by(|a, b| {
        let (a, b) = (a.values[0], b.values[0]);
        match (a.is_nan(), b.is_nan()) {
            (false, false) if descending => b.total_cmp(&a),
            (false, false) => a.total_cmp(&b),
            // `false` before `true`: numbers before NaN.
            (a, b) => a.cmp(&b),
        }
    });
}

/// Sorts by the values of some labels in natural order, then by all labels.
pub(crate) fn by_label(series: &mut [Series], names: &[String], descending: bool) {
    series.sort_by(|a, b| {
        let by_names = names.iter().map(|n| natural(a.labels.value(n), b.labels.value(n)));
        let order = by_names.fold(Ordering::Equal, Ordering::then).then_with(|| a.labels.cmp(&b.labels));
        if descending { order.reverse() } else { order }
    });
}

/// `node-2` before `node-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        // One text is a prefix of the other: the shorter one is first.
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, rest_a) = number(a);
            let (y, rest_b) = number(b);
            // Without leading zeros the longer number is the larger one, so numbers of any length are compared without
            // parsing.
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if x == y {
            (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
        } else {
            return x.cmp(&y);
        }
    }
}

/// The digits at the start without leading zeros, and the rest.
fn number(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(digits);
    (digits.trim_start_matches('0'), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_numbers() {
        assert_eq!(natural("node-2", "node-10"), Ordering::Less);
        assert_eq!(natural("a", "b"), Ordering::Less);
        assert_eq!(natural("a1b2", "a1b10"), Ordering::Less);
        assert_eq!(natural("x", "x"), Ordering::Equal);
        assert_eq!(natural("x", "x1"), Ordering::Less);
    }
}
