//! The value of a histogram or a summary: `{count:3,sum:1.5,bucket:[1:2,+Inf:3]}`.

use std::str::FromStr;

use model::Histogram;
use model::histogram::{Buckets, ResetHint, Span, WholeCounts};

use crate::parse::form::LINES_MAX;
use crate::parse::number::parse_value;
use crate::parse::strict::Fault;

const NAMES: [&str; 13] = [
    "count",
    "gcount",
    "sum",
    "gsum",
    "schema",
    "zero_threshold",
    "zero_count",
    "negative_spans",
    "negative_buckets",
    "positive_spans",
    "positive_buckets",
    "bucket",
    "quantile",
];

/// The type of metric that a composite value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Histogram,
    GaugeHistogram,
    Summary,
}

impl Of {
    pub(super) fn count(self) -> &'static str {
        if self == Self::GaugeHistogram { "gcount" } else { "count" }
    }

    pub(super) fn sum(self) -> &'static str {
        if self == Self::GaugeHistogram { "gsum" } else { "sum" }
    }

    fn may_have(self, name: &str) -> bool {
        match name {
            "count" | "gcount" => name == self.count(),
            "sum" | "gsum" => name == self.sum(),
            "quantile" => self == Self::Summary,
            _ => self != Self::Summary,
        }
    }
}

/// The fields of one composite value, as written and not parsed yet.
#[derive(Debug)]
pub(super) struct Composite<'a> {
    of: Of,
    fields: [Option<&'a [u8]>; NAMES.len()],
}

impl<'a> Composite<'a> {
    /// Reads the text behind an opening brace; also returns its length including the closing one.
    pub(super) fn read(text: &'a [u8], of: Of) -> Result<(Self, usize), Fault> {
        let mut this = Self { of, fields: [None; NAMES.len()] };
        let length = this.walk(text)?;
        let required: &[&str] = match of {
            Of::Summary => &["quantile"],
            // A native histogram may also carry classic buckets, but needs none.
            _ if this.is_native() => &["zero_threshold", "zero_count"],
            _ => &["bucket"],
        };
        if [of.count(), of.sum()].iter().chain(required).any(|name| this.get(name).is_none()) {
            return Err((0, "a required field of the composite value is missing"));
        }
        Ok((this, length))
    }

    fn walk(&mut self, text: &'a [u8]) -> Result<usize, Fault> {
        if text.first() == Some(&b'}') {
            return Ok(1);
        }
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let named = |name: &&str| rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b":"));
            // `starts_with(":")` keeps `sum` from matching a longer name that begins with it.
            let known = NAMES.iter().position(|name| named(name) && self.of.may_have(name));
            let place = known.ok_or((at, "expected a field of the composite value"))?;
            let name_at = at;
            at += NAMES[place].len() + 1;
            let rest = text.get(at..).unwrap_or_default();
            // Values are only cut out here; a field that no series needs is never parsed.
            let length = value_len(rest).ok_or((at, "expected a value of the composite value's field"))?;
            let field = &mut self.fields[place];
            // The fields may stand in any order, each at most once.
            if field.replace(rest.get(..length).unwrap_or_default()).is_some() {
                return Err((name_at, "composite value with a field twice"));
            }
            at += length;
            match text.get(at) {
                Some(b',') => at += 1,
                Some(b'}') => return Ok(at + 1),
                _ => return Err((at, "expected a comma or the closing brace of the composite value")),
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'a [u8]> {
        NAMES.iter().position(|known| *known == name).and_then(|at| self.fields[at])
    }

    /// Has native buckets.
    pub(super) fn is_native(&self) -> bool {
        self.get("schema").is_some()
    }

    /// Has classic buckets.
    pub(super) fn is_classic(&self) -> bool {
        self.get("bucket").is_some()
    }

    /// The number that a field is.
    pub(super) fn number(&self, name: &str) -> Result<f64, String> {
        let text = self.get(name).ok_or_else(|| format!("missing required field: {name}"))?;
        parse_value(text).map_err(|why| format!("invalid {name}: {why}"))
    }

    /// Bound and number of observations up to it of every classic bucket; of a native histogram that has none, of all.
    pub(super) fn buckets(&self) -> Result<Vec<(f64, f64)>, String> {
        if !self.is_classic() {
            // The classic series need at least the +Inf bucket, which equals the total count.
            return Ok(vec![(f64::INFINITY, self.number(self.of.count())?)]);
        }
        let buckets = self.pairs("bucket")?;
        // Only the counts of a gauge histogram may be negative.
        if buckets.iter().any(|(_, count)| *count < 0.0) && self.of != Of::GaugeHistogram {
            return Err("invalid bucket: value must not be negative".to_owned());
        }
        match buckets.last() {
            Some((f64::INFINITY, _)) => Ok(buckets),
            _ => Err("classic histogram buckets must include a +Inf threshold".to_owned()),
        }
    }

    /// The quantiles of a summary and what they are.
    pub(super) fn quantiles(&self) -> Result<Vec<(f64, f64)>, String> {
        let quantiles = self.pairs("quantile")?;
        if quantiles.iter().any(|(quantile, _)| !(0.0..=1.0).contains(quantile)) {
            return Err("invalid quantile: must be between 0.0 and 1.0".to_owned());
        }
        Ok(quantiles)
    }

    /// The histogram that the native buckets are.
    pub(super) fn native(&self) -> Result<Histogram, String> {
        let schema: i32 = integer(self.get("schema").unwrap_or_default(), "schema")?;
        // Custom buckets (schema -53) have no notation of their own here: they are written as classic buckets.
        if !(Histogram::EXPONENTIAL_MIN..=Histogram::EXPONENTIAL_MAX).contains(&schema) {
            return Err(format!("schema must be between -4 and 8, got {schema}"));
        }
        let (count, zero_count) = (self.number(self.of.count())?, self.number("zero_count")?);
        let zero_threshold = self.number("zero_threshold")?;
        if count < 0.0 || zero_count < 0.0 {
            return Err("counts must not be negative".to_owned());
        }
        if !zero_threshold.is_finite() || zero_threshold < 0.0 {
            return Err(format!("zero_threshold must be a non-negative, finite number, got {zero_threshold}"));
        }
        let [negative, positive] = ["negative_buckets", "positive_buckets"].map(|name| self.get(name).unwrap_or(b"[]"));
        // Upstream's counts are whole numbers unless one of them cannot be.
        let is_whole = |count: f64| count.trunc() == count && count < u64::MAX as f64;
        let is_written_whole = |text: &[u8]| !text.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
        let whole = is_whole(count) && is_whole(zero_count) && is_written_whole(negative) && is_written_whole(positive);
        // Counts are absolute in OpenMetrics 2, unlike the deltas of protobuf.
        let side = |spans: &str, buckets: &str| -> Result<Buckets, String> {
            let counts = items(self.get(buckets).unwrap_or(b"[]"), buckets)?;
            let counts: Result<_, String> = counts.map(|text| count_of(text, whole, buckets)).collect();
            let written = items(self.get(spans).unwrap_or(b"[]"), spans)?;
            let spans: Result<_, String> = written.map(|text| span(text, spans)).collect();
            Ok(Buckets { spans: spans?, counts: counts? })
        };
        let histogram = Histogram {
            reset_hint: self.hint(),
            schema,
            zero_threshold,
            // Whole numbers have no negative zero.
            zero_count: if whole { zero_count + 0.0 } else { zero_count },
            count: if whole { count + 0.0 } else { count },
            sum: self.number(self.of.sum())?,
            negative: side("negative_spans", "negative_buckets")?,
            positive: side("positive_spans", "positive_buckets")?,
            ..Histogram::default()
        };
        let checked = match whole {
            // What is whole is below 2^64, and added up as Weft keeps it.
            true => histogram.validate_whole(WholeCounts {
                count: count as u64,
                in_buckets: (zero_count + counts(&histogram.positive) + counts(&histogram.negative)) as u64,
            }),
            false => histogram.validate(),
        };
        checked.map_err(|why| format!("invalid histogram: {why}"))?;
        Ok(histogram)
    }

    /// The histogram with custom buckets that the classic ones are.
    pub(super) fn converted(&self) -> Result<Histogram, String> {
        let (count, sum) = (self.number(self.of.count())?, self.number(self.of.sum())?);
        let mut histogram =
            Histogram::from_classic(&self.buckets()?, Some(count), sum).map_err(|why| why.to_string())?;
        histogram.validate().map_err(|why| format!("invalid histogram: {why}"))?;
        histogram.reset_hint = self.hint();
        Ok(histogram)
    }

    fn hint(&self) -> ResetHint {
        if self.of == Of::GaugeHistogram { ResetHint::Gauge } else { ResetHint::Unknown }
    }

    /// `[1:2,2.5:3]`, the first of each pair in ascending order.
    fn pairs(&self, name: &str) -> Result<Vec<(f64, f64)>, String> {
        let mut pairs: Vec<(f64, f64)> = Vec::new();
        for text in items(self.get(name).unwrap_or_default(), name)? {
            let number = |text: &[u8]| parse_value(text).map_err(|why| format!("invalid {name}: {why}"));
            let (first, second) = halves(text).ok_or_else(|| format!("{name} without a colon"))?;
            let (first, second) = (number(first)?, number(second)?);
            // Strictly ascending, so no bucket repeats and the last one can be checked to be +Inf.
            if first.is_nan() || pairs.last().is_some_and(|(before, _)| *before >= first) {
                return Err(format!("invalid {name}: must be numbers in increasing order"));
            }
            if pairs.len() >= LINES_MAX {
                return Err(format!("more than {LINES_MAX} of {name}"));
            }
            pairs.push((first, second));
        }
        Ok(pairs)
    }
}

fn counts(side: &Buckets) -> f64 {
    side.counts.iter().sum()
}

/// How long the value of a field is.
fn value_len(text: &[u8]) -> Option<usize> {
    let end = |ends: &[u8]| text.iter().position(|b| ends.contains(b) || matches!(b, b' ' | b'\n' | b'\r'));
    if text.first() == Some(&b'[') {
        // A blank or a line break inside the brackets ends the search first, and the list counts as unclosed.
        return end(b"]").filter(|at| text.get(*at) == Some(&b']')).map(|at| at + 1);
    }
    Some(end(b",}[]").unwrap_or(text.len())).filter(|length| *length > 0)
}

/// The items of a list in square brackets.
fn items<'a>(text: &'a [u8], name: &str) -> Result<impl Iterator<Item = &'a [u8]>, String> {
    let inside = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]"));
    let inside = inside.ok_or_else(|| format!("{name} must be wrapped in []"))?;
    Ok(inside.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|text| !text.is_empty()))
}

fn halves(text: &[u8]) -> Option<(&[u8], &[u8])> {
    // The last colon: a bound is a number and has none.
    let colon = memchr::memrchr(b':', text)?;
    Some((text.get(..colon)?.trim_ascii(), text.get(colon + 1..)?.trim_ascii()))
}

fn integer<T: FromStr>(text: &[u8], name: &str) -> Result<T, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("invalid {name}: {:?}", String::from_utf8_lossy(text)))
}

fn count_of(text: &[u8], whole: bool, name: &str) -> Result<f64, String> {
    if whole {
        return integer::<i64>(text, name).map(|count| count as f64);
    }
    parse_value(text).map_err(|why| format!("invalid {name}: {why}"))
}

fn span(text: &[u8], name: &str) -> Result<Span, String> {
    let (offset, length) = halves(text).ok_or_else(|| format!("{name} without a colon"))?;
    Ok(Span { offset: integer(offset, name)?, length: integer(length, name)? })
}
