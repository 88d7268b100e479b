//! Histograms as text: the way upstream prints them, and the notation of test scripts.

use std::fmt;

use super::{Bucket, Buckets, Histogram, ResetHint};
use crate::float::format_g;

impl ResetHint {
    /// As series notation has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Reset => "reset",
            Self::NotReset => "not_reset",
            Self::Gauge => "gauge",
        }
    }
}

/// `(1,2]:5`
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(format_g);
        write!(f, "{open}{lower},{upper}{close}:{count}")
    }
}

/// `{count:3, sum:4.5, [-0.1,0.1]:1, (1,2]:2}`, the buckets that are not empty (upstream: `FloatHistogram.String`).
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", format_g(self.count), format_g(self.sum))?;
        let zero = Some(self.zero_bucket());
        let all = self.lowest_first().chain(zero).chain(self.positive_buckets());
        for bucket in all.filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        write!(f, "}}")
    }
}

impl Histogram {
    /// `{{schema:1 count:3 sum:4.5 buckets:[1 2]}}`: series notation, which test scripts use. What is zero or empty is
    /// left out.
    #[must_use]
    pub fn notation(&self) -> String {
        let mut parts = Vec::new();
        let mut float = |key: &str, value: f64| {
            if value != 0.0 {
                parts.push(format!("{key}:{}", format_g(value)));
            }
        };
        float("schema", f64::from(self.schema));
        float("count", self.count);
        float("sum", self.sum);
        float("z_bucket", self.zero_count);
        float("z_bucket_w", self.zero_threshold);
        if self.is_custom() {
            parts.push(format!("custom_values:[{}]", list(&self.custom_values)));
        }
        if self.reset_hint != ResetHint::Unknown {
            parts.push(format!("counter_reset_hint:{}", self.reset_hint.name()));
        }
        for (buckets, offset, counts) in
            [(&self.positive, "offset", "buckets"), (&self.negative, "n_offset", "n_buckets")]
        {
            let (first, run) = in_one_run(buckets);
            if first != 0 {
                parts.push(format!("{offset}:{first}"));
            }
            if !run.is_empty() {
                parts.push(format!("{counts}:[{}]", list(&run)));
            }
        }
        format!("{{{{{}}}}}", parts.join(" "))
    }
}

/// Notation has no gaps: empty buckets are written where nothing is. Buckets farther apart than this are cut off.
const RUN_MAX: i32 = 1 << 16;

fn in_one_run(buckets: &Buckets) -> (i32, Vec<f64>) {
    let filled = || buckets.iter().filter(|(_, count)| *count != 0.0);
    let Some((first, _)) = filled().next() else { return (0, Vec::new()) };
    let mut run = Vec::new();
    for (index, count) in filled().take_while(|(i, _)| i.saturating_sub(first) < RUN_MAX) {
        // Fills the gap up to this index with zeros.
        run.resize(usize::try_from(index.saturating_sub(first)).unwrap_or(0), 0.0);
        run.push(count);
    }
    (first, run)
}

fn list(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(|v| format_g(*v)).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let histogram = Histogram {
            reset_hint: ResetHint::Gauge,
            schema: 1,
            count: 7.0,
            sum: -2.5,
            zero_count: 1.0,
            zero_threshold: 0.001,
            positive: [(0, 1.0), (1, 0.0), (2, 2.0)].into_iter().collect(),
            negative: Buckets::run(-2, vec![3.0]),
            ..Histogram::default()
        };
        assert_eq!(
            histogram.to_string(),
            "{count:7, sum:-2.5, [-0.5,-0.35355339059327373):3, [-0.001,0.001]:1, (0.7071067811865475,1]:1, \
             (1.414213562373095,2]:2}"
        );
        assert_eq!(
            histogram.notation(),
            "{{schema:1 count:7 sum:-2.5 z_bucket:1 z_bucket_w:0.001 counter_reset_hint:gauge buckets:[1 0 2] \
             n_offset:-2 n_buckets:[3]}}"
        );
        let custom = Histogram {
            schema: Histogram::CUSTOM,
            custom_values: [1.0, 2.5].into(),
            positive: Buckets::run(0, vec![1.0, 0.0, 4.0]),
            ..Histogram::default()
        };
        assert_eq!(custom.to_string(), "{count:0, sum:0, [-Inf,1]:1, (2.5,+Inf]:4}");
        assert_eq!(custom.notation(), "{{schema:-53 custom_values:[1 2.5] buckets:[1 0 4]}}");
    }
}
