//! Where Weft differs on purpose. Each entry has a query that shows it, which must go on to differ.

/// A difference that is meant.
pub struct Known {
    /// A query that shows it, at one time at least.
    pub example: &'static str,
    pub why: &'static str,
    /// Only with `promql-delayed-name-removal`.
    pub delayed_names: bool,
    /// Is it this one?
    pub is: fn(seen: &Seen<'_>) -> bool,
}

/// A difference that was seen.
pub struct Seen<'a> {
    /// The smallest query that differs.
    pub query: &'a str,
    pub difference: &'a str,
    /// The values of an expression at the same times, as Prometheus has them.
    pub values: &'a dyn Fn(&str) -> Vec<f64>,
}

const DATES: [&str; 8] =
    ["day_of_month(", "day_of_week(", "day_of_year(", "days_in_month(", "hour(", "minute(", "month(", "year("];

/// What the calls of date functions in a query are applied to.
fn date_arguments(query: &str) -> Vec<&str> {
    let begins = |name: &str| query.match_indices(name).map(|(at, _)| at + name.len()).collect::<Vec<_>>();
    DATES.iter().flat_map(|name| begins(name)).map(|begin| argument(&query[begin..])).collect()
}

/// As far as the bracket that closes what has been opened before.
fn argument(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    &text[..end.unwrap_or(text.len())]
}

/// Is it beyond the seconds that 64 bits count?
fn is_no_time(value: f64) -> bool {
    value.is_nan() || value.abs() >= 9.2e18
}

/// What the processor's library and Go compute to the last bit, and no further.
const INEXACT: [&str; 20] = [
    "acos", "asin", "atan", "avg", "cos", "deg", "deriv", "exp", "ln", "log", "rad", "sin", "sqrt", "stddev", "stdvar",
    "sum", "tan", " ^ ", " - ", " % ",
];

/// Are the two numbers of a difference nearly the same?
fn nearly(difference: &str) -> bool {
    let number = |before: &str| {
        let text = difference.split(before).nth(1)?.split('"').nth(1)?;
        text.parse::<f64>().ok()
    };
    match (number("ours "), number("theirs ")) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= 1e-5 * ours.abs().max(theirs.abs()) + 1e-12,
        _ => false,
    }
}

fn has_any(query: &str, of: &[&str]) -> bool {
    of.iter().any(|part| query.contains(part))
}

/// Were fewer samples looked at here?
fn fewer_samples(difference: &str) -> bool {
    let totals = difference.split("\"totalQueryableSamples\":").skip(1);
    let mut totals = totals.filter_map(|rest| rest.split(',').next()?.parse::<u64>().ok());
    matches!((totals.next(), totals.next()), (Some(ours), Some(theirs)) if ours < theirs)
}

const JOINS: [&str; 17] = [
    " and ", " unless ", " + ", " - ", " * ", " / ", " % ", " ^ ", " atan2 ", " == ", " != ", " < ", " > ", " <= ",
    " >= ", " </ ", " >/ ",
];

pub const KNOWN: &[Known] = &[
    Known {
        example: "load and load{job=\"web\"}",
        why: "matchers of one side of an operator narrow the other: what finds no partner is not read",
        delayed_names: false,
        is: |Seen { query, difference, .. }| {
            difference.starts_with("stats:")
                && query.contains('{')
                && has_any(query, &JOINS)
                && fewer_samples(difference)
        },
    },
    Known {
        example: "minute(vector(-Inf))",
        why: "what is no time becomes whatever the processor makes of it upstream; here NaN is 1970, and the infinities are \
              the ends of time",
        delayed_names: false,
        is: |Seen { query, difference, values }| {
            difference.contains(" at ") && date_arguments(query).iter().flat_map(|of| values(of)).any(is_no_time)
        },
    },
    Known {
        example: "count_over_time(native_seconds[10m])",
        why: "how many samples a histogram counts as depends on the empty buckets that a chunk gives it upstream",
        delayed_names: false,
        is: |Seen { query, difference, .. }| {
            difference.starts_with("stats:") && has_any(query, &["native_", "mixed", "{job=\"api\", instance=\"i0\"}"])
        },
    },
    Known {
        example: "load </ fill (0) native_seconds",
        why: "of what is to be said about the pairs of one step upstream says the last alone",
        delayed_names: false,
        is: |Seen { difference, .. }| {
            (difference.starts_with("infos:") || difference.starts_with("warnings:"))
                && difference.contains("binary operator")
        },
    },
    Known {
        example: "double_exponential_smoothing(load[5m], 0.3, 1.5) > stdvar_over_time(load[1m] smoothed)",
        why: "of several errors another one is told: a modifier that a function does not take is found in the text here, before \
              upstream finds a factor that is out of range",
        delayed_names: false,
        is: |Seen { difference, .. }| {
            let (ours, theirs) = difference.split_once("theirs Some").unwrap_or_default();
            ours.contains("modifier can only be used with") && theirs.contains("factor")
        },
    },
    Known {
        example: "abs(load) != fill (0) load",
        why: "a name that is to go comes back upstream when the vector is compared or trimmed",
        delayed_names: true,
        is: |Seen { query, difference, .. }| {
            difference.starts_with("only ") && has_any(query, &["==", "!=", "<", ">", "</", ">/"])
        },
    },
    Known {
        example: "count_values (\"value\", tan(load{job=\"web\"}))",
        why: "sums and functions that are no arithmetic are exact but for the last bit, of which differences make more",
        delayed_names: false,
        is: |Seen { query, difference, .. }| {
            has_any(query, &INEXACT) && (nearly(difference) || query.contains("count_values"))
        },
    },
    Known {
        example: "histogram_quantiles(ts_of_min_over_time(latency_seconds_bucket[2m]), \"q\", 0.5, 0.9)",
        why: "upstream counts samples anew whenever it joins notes",
        delayed_names: false,
        is: |Seen { query, difference, .. }| {
            query.contains("histogram_quantile") && difference.contains("fixed for monotonicity")
        },
    },
    Known {
        example: "sum_over_time((sort_desc(load))[5m:5m] offset 7s)",
        why: "a subquery of one step leaves the order as it was; upstream looks at its bounds",
        delayed_names: false,
        is: |Seen { difference, .. }| difference.contains("sort is ineffective"),
    },
    Known {
        example: "sum (histogram_quantiles(native_seconds{job=\"api\"}, \"q\", -1, -1))",
        why: "two series with the same labels are an error here at once, upstream at the end of the query",
        delayed_names: true,
        is: |Seen { difference, .. }| difference.contains("same labelset") && difference.contains("theirs None"),
    },
];
