//! Incremental evaluation over a whole column: work that adjacent windows share is done once. Results equal those of the
//! function of one window by the same name, bit for bit.

use model::Timestamp;

use super::over_time::{self, order};
use super::rate::{Kind, Stretch};
use crate::parse::types::Extension;
use crate::value::ABSENT;
use crate::window::Window;

/// The floats of one series and the windows of the steps, whose bounds are ascending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) windows: &'a [(usize, usize)],
    /// The result of [`Sweeper::plan`].
    pub(crate) plan: &'a [Option<Planned>],
}

/// Extrapolation of a window with at least two samples, and the factor unless it would go below zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    stretch: Stretch,
    factor: f64,
    range_seconds: f64,
}

/// The functions with incremental evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sweeper {
    Change(Kind),
    Quantile,
}

impl Sweeper {
    /// By name; not for extended ranges.
    pub(crate) fn of(name: &str, extension: Option<Extension>) -> Option<Self> {
        let sweeper = match name {
            "rate" => Self::Change(Kind::RATE),
            "increase" => Self::Change(Kind::INCREASE),
            "delta" => Self::Change(Kind::DELTA),
            "quantile_over_time" => Self::Quantile,
            _ => return None,
        };
        // The bounds of extended ranges are interpolated, which adjacent windows do not share.
        extension.is_none().then_some(sweeper)
    }

    /// What depends on timestamps alone, and is the same for all columns of a batch.
    pub(crate) fn plan(
        self,
        (ts, windows): (&[Timestamp], &[(usize, usize)]),
        (ends, range_ms): (&[Timestamp], i64),
    ) -> Vec<Option<Planned>> {
        // A quantile depends on values only.
        let Self::Change(kind) = self else { return Vec::new() };
        let plan = |(&(low, high), &end): (&(usize, usize), &Timestamp)| {
            // One sample has no change.
            if high < low + 2 {
                return None;
            }
            let window = Window { start: end.saturating_sub(range_ms), end, ..Window::default() };
            let stretch = Stretch::new(&window, (ts[low], ts[high - 1]), high - low - 1);
            let range_seconds = window.seconds();
            Some(Planned { stretch, factor: stretch.factor(range_seconds, kind), range_seconds })
        };
        windows.iter().zip(ends).map(plan).collect()
    }

    /// One value per window; `args` are those of a step.
    pub(crate) fn run(self, sweep: &Sweep<'_>, arg: impl Fn(usize) -> f64, out: &mut Vec<f64>) {
        match self {
            Self::Change(kind) => changes(sweep, kind, out),
            Self::Quantile => quantiles(sweep, arg, out),
        }
    }
}

fn changes(sweep: &Sweep<'_>, kind: Kind, out: &mut Vec<f64>) {
    let values = sweep.values;
    // Positions of resets; most columns have none, which is detected without a branch per value.
    let mut resets: Vec<usize> = Vec::new();
    let falls = |pair: &[f64]| pair[1] < pair[0];
    if kind.counter && values.windows(2).fold(false, |any, pair| any | falls(pair)) {
        resets.extend((1..values.len()).filter(|&i| falls(&values[i - 1..=i])));
    }
    let mut passed = 0;
    for (&(low, high), planned) in sweep.windows.iter().zip(sweep.plan) {
        let Some(Planned { stretch, factor, range_seconds }) = planned else {
            out.push(ABSENT);
            continue;
        };
        let first = values[low];
        let mut change = values[high - 1] - first;
        // Windows only move forward: resets before the window are passed once.
        while resets.get(passed).is_some_and(|&at| at <= low) {
            passed += 1;
        }
        // The same order of additions as in `rate::extrapolated`, so that the sums round alike.
        for &at in resets[passed..].iter().take_while(|&&at| at < high) {
            change += values[at - 1];
        }
        // The correction for zero depends on values, so it cannot be planned; most windows do not need it.
        let begins = kind.counter && change > 0.0 && first >= 0.0 && stretch.may_reach_zero(first, change);
        let factor = if begins { stretch.not_below_zero(first / change).factor(*range_seconds, kind) } else { *factor };
        out.push(change * factor);
    }
}

/// Keeps the values of the window sorted; each step inserts and removes only what changed.
fn quantiles(sweep: &Sweep<'_>, arg: impl Fn(usize) -> f64, out: &mut Vec<f64>) {
    let mut sorted: Vec<f64> = Vec::new();
    let (mut from, mut to) = (0, 0);
    for (step, &(low, high)) in sweep.windows.iter().enumerate() {
        let moved = (low - from) + (high - to);
        // Sorting anew is cheaper when most of the window changed.
        if low >= to || moved * 2 > high - low {
            sorted.clear();
            sorted.extend_from_slice(&sweep.values[low..high]);
            sorted.sort_unstable_by(order);
        } else {
            for value in &sweep.values[from..low] {
                let place = sorted.partition_point(|other| order(other, value).is_lt());
                sorted.remove(place);
            }
            for value in &sweep.values[to..high] {
                let place = sorted.partition_point(|other| order(other, value).is_le());
                sorted.insert(place, *value);
            }
        }
        (from, to) = (low, high);
        out.push(if low == high { ABSENT } else { over_time::quantile_of_sorted(arg(step), &sorted) });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::functions::RangeFn;
    use crate::functions::rate;
    use crate::window::bounds;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => (0..200i32).prop_map(f64::from),
            3 => -1e3..1e3f64,
            1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, 5e-324]),
        ]
    }

    fn column() -> impl Strategy<Value = (Vec<Timestamp>, Vec<f64>)> {
        prop::collection::vec((1..3_000i64, value(), prop::bool::ANY), 0..60).prop_map(|samples| {
            let (mut at, mut sum) = (Timestamp::EPOCH, 0.0);
            samples
                .into_iter()
                .map(|(gap, value, grows)| {
                    at += gap;
                    sum = if grows && value >= 0.0 { sum + value } else { value };
                    (at, sum)
                })
                .unzip()
        })
    }

    proptest! {
        #[test]
        fn a_sweep_agrees_with_its_windows(
            (ts, values) in column(), step_ms in 1..9_000i64, range_ms in 1..30_000i64, q in -0.1..1.1f64,
        ) {
            let ends: Vec<Timestamp> = (0..40).map(|i| Timestamp(i * step_ms)).collect();
            let windows = bounds(&ts, &ends, range_ms);
            for (name, f) in [
                ("rate", rate::rate as RangeFn),
                ("increase", rate::increase),
                ("delta", rate::delta),
                ("quantile_over_time", over_time::quantile),
            ] {
                let (sweeper, mut swept) = (Sweeper::of(name, None).unwrap(), Vec::new());
                let plan = sweeper.plan((&ts, &windows), (&ends, range_ms));
                sweeper.run(&Sweep { values: &values, windows: &windows, plan: &plan }, |_| q, &mut swept);
                prop_assert_eq!(swept.len(), ends.len());
                for ((&(low, high), &end), got) in windows.iter().zip(&ends).zip(swept) {
                    let (ts, values) = (&ts[low..high], &values[low..high]);
                    let start = end - range_ms;
                    let window = Window { ts, values, start, end, ..Window::default() };
                    let wanted = f(&window, &[q]).unwrap_or(ABSENT);
                    let same = got.to_bits() == wanted.to_bits() || got.is_nan() && wanted.is_nan();
                    prop_assert!(same, "{} of {:?} at {:?}: {}, not {}", name, values, ts, got, wanted);
                }
            }
        }
    }
}
