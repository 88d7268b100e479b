//! Arithmetic of native histograms. Step 6 of the query path.
//!
//! - `cells` one side's buckets by index: coarser schemas, wider zero buckets, common bounds
//! - `total` sums, differences and means, with Kahan compensation
//! - `reset` detection of counter resets
//! - `read` counts, quantiles, fractions, variance
//! - `trim` the operators `</` and `>/`

mod cells;
mod read;
mod reset;
mod total;
mod trim;

use std::sync::Arc;

use model::Histogram;

pub(crate) use read::{Reading, average, fraction, quantile, variance};
pub(crate) use reset::{detect as is_reset, started_anew, starts_overlap};
pub(crate) use total::{Combined, Incompatible, Mean, Total};
pub(crate) use trim::trim;

/// Histograms of some steps of a series: (step, histogram), steps ascending.
pub(crate) type Sparse = Vec<(u32, Arc<Histogram>)>;

/// The histogram at a step.
pub(crate) fn at(histograms: &[(u32, Arc<Histogram>)], step: usize) -> Option<&Arc<Histogram>> {
    // The common case: series of floats.
    if histograms.is_empty() {
        return None;
    }
    let found = histograms.binary_search_by_key(&step, |(at, _)| *at as usize).ok()?;
    Some(&histograms[found].1)
}

/// Multiplied by a number; a negative factor makes it a gauge.
pub(crate) fn scaled(histogram: &Histogram, factor: f64) -> Histogram {
    let mut out = histogram.clone();
    each_number(&mut out, |n| n * factor);
    if factor < 0.0 {
        // Falling counts would be read as counter resets.
        out.reset_hint = model::ResetHint::Gauge;
    }
    out
}

/// Divided by a number; division by zero removes all buckets.
pub(crate) fn divided(histogram: &Histogram, divisor: f64) -> Histogram {
    let mut out = histogram.clone();
    each_number(&mut out, |n| n / divisor);
    // As upstream's `Div`: count and sum become infinite or NaN, and the buckets are dropped.
    if divisor == 0.0 {
        (out.positive, out.negative) = <_>::default();
    } else if divisor < 0.0 {
        out.reset_hint = model::ResetHint::Gauge;
    }
    out
}

fn each_number(histogram: &mut Histogram, f: impl Fn(f64) -> f64) {
    let Histogram { count, sum, zero_count, positive, negative, .. } = histogram;
    let numbers = [count, sum, zero_count].into_iter().chain(&mut positive.counts).chain(&mut negative.counts);
    numbers.for_each(|n| *n = f(*n));
}
