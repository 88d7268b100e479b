//! Native histograms as series descriptions write them. They are plain data: samples cannot hold histograms yet.

use std::fmt;

use model::float::format_g;

pub use super::token::Hint;

/// `{{schema:1 count:3 sum:0.3 buckets:[1 2]}}`; what is not written is zero or empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramLiteral {
    /// -4 to 8, or -53 for custom bounds.
    pub schema: i32,
    /// Of all observations.
    pub count: f64,
    /// Of all observed values.
    pub sum: f64,
    /// Observations near zero.
    pub zero_count: f64,
    /// How near.
    pub zero_threshold: f64,
    /// Observations above zero.
    pub positive: Buckets,
    /// Observations below zero.
    pub negative: Buckets,
    /// Upper bounds, for schema -53.
    pub custom_values: Vec<f64>,
    /// Present when it is written.
    pub hint: Option<Hint>,
}

/// Consecutive buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// The index of the first.
    pub offset: i32,
    /// Their counts, each for itself.
    pub counts: Vec<f64>,
}

const CUSTOM: i32 = -53;

impl Buckets {
    /// The counts by index, at a resolution that is `halvings` times halved.
    fn at(&self, halvings: u32) -> impl Iterator<Item = (i64, f64)> {
        let first = i64::from(self.offset);
        let merged = move |i: i64| if halvings == 0 { i } else { ((i - 1) >> halvings.min(63)) + 1 };
        self.counts.iter().zip(first..).map(move |(count, i)| (merged(i), *count))
    }

    fn plus(&self, other: &Self, halvings: u32, sign: f64) -> Result<Self, String> {
        if self.counts.is_empty() && other.counts.is_empty() {
            return Ok(self.clone());
        }
        let all = || self.at(0).chain(other.at(halvings)).map(|(i, _)| i);
        let (first, last) = (all().min().unwrap_or(0), all().max().unwrap_or(0));
        let width = usize::try_from(last - first + 1).ok().filter(|width| *width <= BUCKETS_MAX);
        let width = width.ok_or("error combining histograms: their buckets are too far apart")?;
        let mut counts = vec![0.0; width];
        for (i, count) in self.at(0).chain(other.at(halvings).map(|(i, count)| (i, sign * count))) {
            counts[(i - first) as usize] += count;
        }
        Ok(Self { offset: i32::try_from(first).unwrap_or(0), counts })
    }
}

/// A sum has at most this many buckets on a side.
const BUCKETS_MAX: usize = 1 << 20;

impl HistogramLiteral {
    /// Adds another, times `sign`; its resolution must not be the lower one.
    pub(super) fn plus(&self, other: &Self, sign: f64) -> Result<Self, String> {
        if self.schema > other.schema {
            let (from, to) = (other.schema, self.schema);
            return Err(format!("error combining histograms: cannot merge from schema {from} to {to}"));
        }
        let custom = [self.schema, other.schema].contains(&CUSTOM);
        if custom && (self.schema != other.schema || self.custom_values != other.custom_values) {
            return Err("error combining histograms: different custom bounds are not supported yet".to_owned());
        }
        if self.zero_threshold != other.zero_threshold {
            return Err("error combining histograms: different zero thresholds are not supported yet".to_owned());
        }
        let halvings = other.schema.abs_diff(self.schema);
        let same = self.hint.unwrap_or_default() == other.hint.unwrap_or_default();
        Ok(Self {
            count: self.count + sign * other.count,
            sum: self.sum + sign * other.sum,
            zero_count: self.zero_count + sign * other.zero_count,
            positive: self.positive.plus(&other.positive, halvings, sign)?,
            negative: self.negative.plus(&other.negative, halvings, sign)?,
            hint: if same { self.hint } else { None },
            ..self.clone()
        })
    }
}

impl fmt::Display for HistogramLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let whole = |key: &str, value: i32| (value != 0).then(|| format!("{key}:{value}"));
        let float = |key: &str, value: f64| (value != 0.0).then(|| format!("{key}:{}", format_g(value)));
        let list = |key: &str, values: &[f64]| {
            let texts: Vec<String> = values.iter().map(|v| format_g(*v)).collect();
            (!values.is_empty()).then(|| format!("{key}:[{}]", texts.join(" ")))
        };
        parts.extend(whole("schema", self.schema));
        parts.extend(float("count", self.count));
        parts.extend(float("sum", self.sum));
        parts.extend(float("z_bucket", self.zero_count));
        parts.extend(float("z_bucket_w", self.zero_threshold));
        parts.extend(list("custom_values", &self.custom_values));
        let hint = self.hint.filter(|hint| *hint != Hint::Unknown);
        parts.extend(hint.map(|hint| format!("counter_reset_hint:{}", hint.name())));
        for (buckets, offset, counts) in
            [(&self.positive, "offset", "buckets"), (&self.negative, "n_offset", "n_buckets")]
        {
            if !buckets.counts.is_empty() {
                parts.extend(whole(offset, buckets.offset));
                parts.extend(list(counts, &buckets.counts));
            }
        }
        write!(f, "{{{{{}}}}}", parts.join(" "))
    }
}
