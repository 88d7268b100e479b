//! How many buckets of histograms are populated.

use std::collections::BTreeSet;
use std::fmt;

use crate::api::value::Stream;

/// Populated buckets of one histogram series over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Statistics {
    min: usize,
    avg: f64,
    max: usize,
    /// All buckets, populated at some time or not.
    total: usize,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:.3}/{}", self.min, self.avg, self.max)?;
        if self.max == self.total { Ok(()) } else { write!(f, "/{}", self.total) }
    }
}

impl Statistics {
    fn of(populated: &[usize], total: usize) -> Option<Self> {
        let (min, max) = (*populated.iter().min()?, *populated.iter().max()?);
        let sum: usize = populated.iter().sum();
        Some(Self { min, avg: sum as f64 / populated.len() as f64, max, total })
    }

    /// Those of a native histogram, which needs two samples.
    pub(super) fn native(stream: &Stream) -> Option<Self> {
        if stream.histograms.len() < 2 {
            return None;
        }
        let buckets = |at: usize| stream.histograms.get(at).and_then(|(_, histogram)| histogram.buckets.as_deref());
        let counts: Vec<usize> = (0..stream.histograms.len()).map(|at| buckets(at).unwrap_or_default().len()).collect();
        let bounds = (0..stream.histograms.len()).flat_map(|at| buckets(at).unwrap_or_default());
        let bounds: BTreeSet<_> =
            bounds.map(|bucket| (bucket.boundaries, bucket.lower.to_bits(), bucket.upper.to_bits())).collect();
        Self::of(&counts, bounds.len())
    }

    /// Those of a classic one, from the series of its buckets; it needs two samples.
    ///
    /// # Errors
    /// When the samples of the buckets are not of the same times.
    pub(super) fn classic(mut buckets: Vec<&Stream>) -> Result<Option<Self>, String> {
        let Some(n_samples) = buckets.first().map(|bucket| bucket.values.len()).filter(|n| *n >= 2) else {
            return Ok(None);
        };
        let le = |bucket: &&Stream| bucket.metric.get("le").and_then(|le| le.parse::<f64>().ok()).unwrap_or(0.0);
        buckets.sort_by(|a, b| le(a).total_cmp(&le(b)));
        let counts: Result<Vec<usize>, String> = (0..n_samples).map(|at| populated_at(&buckets, at)).collect();
        Ok(Self::of(&counts?, buckets.len()))
    }
}

/// How many of the cumulative buckets have observations of their own at the nth sample. Past the end of one there are none.
fn populated_at(buckets: &[&Stream], at: usize) -> Result<usize, String> {
    let (mut n, mut previous): (usize, Option<(i64, f64)>) = (0, None);
    for bucket in buckets {
        let Some((ts, value)) = bucket.values.get(at).copied() else { return Ok(n) };
        let (before_ts, before) = previous.unwrap_or((ts, 0.0));
        if ts != before_ts {
            return Err("matrix result is not time aligned".to_owned());
        }
        // Observations are counted in whole numbers.
        n += usize::from((value - before) as i64 != 0);
        previous = Some((ts, value));
    }
    Ok(n)
}

/// The least, the mean and the most of a number over several series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Distribution {
    min: usize,
    avg: f64,
    max: usize,
    n: usize,
}

impl Distribution {
    fn add(&mut self, value: usize) {
        self.min = if self.n == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.n += 1;
        let n = self.n as f64;
        self.avg += value as f64 / n - self.avg / n;
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:.3}/{}", self.min, self.avg, self.max)
    }
}

/// Statistics over several series.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    min: Distribution,
    avg: Distribution,
    max: Distribution,
    total: Distribution,
}

impl Summary {
    pub(super) fn add(&mut self, one: &Statistics) {
        self.min.add(one.min);
        self.avg.add(one.avg as usize);
        self.max.add(one.max);
        self.total.add(one.total);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.min.n == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, avg, max, total } = self;
        write!(
            f,
            "histogram series ({} in total):\n- min populated: {min}\n- avg populated: {avg}\n- max populated: {max}",
            min.n
        )?;
        if max == total { Ok(()) } else { write!(f, "\n- total: {total}") }
    }
}
