//! The arithmetic of functions and aggregations, held to the plainest formulas there are, over random samples.

use model::Timestamp;
use proptest::prelude::*;

use super::kahan::{Kahan, Mean, Variance};
use super::{over_time, rate};
use crate::promqltest::Store;
use crate::window::Window;
use crate::{Engine, QueryOptions, Value};

/// A window of a minute up to 60 s.
fn window<'a>(ts: &'a [Timestamp], values: &'a [f64]) -> Window<'a> {
    let (start, end) = (Timestamp(0), Timestamp(60_000));
    Window { ts, values, start, end, eval_time: end, ..Window::default() }
}

/// Numbers of very different sizes whose sums are exact in 128 bits: whole multiples of a 2^40th.
fn exact() -> impl Strategy<Value = Vec<(i128, f64)>> {
    let number = (any::<i32>(), 0u32..80).prop_map(|(mantissa, shift)| {
        let units = i128::from(mantissa) << shift;
        (units, units as f64 / f64::from(2.0f32.powi(40)))
    });
    prop::collection::vec(number, 1..40)
}

fn sum_of(numbers: &[(i128, f64)]) -> f64 {
    numbers.iter().map(|(units, _)| units).sum::<i128>() as f64 / f64::from(2.0f32.powi(40))
}

/// Ascending times within the minute, and as many values.
fn samples() -> impl Strategy<Value = (Vec<Timestamp>, Vec<f64>)> {
    let times = prop::collection::btree_set(1i64..=60_000, 2..30);
    times.prop_flat_map(|times| {
        let values = prop::collection::vec((0u32..1000).prop_map(f64::from), times.len());
        (Just(times.into_iter().map(Timestamp).collect()), values)
    })
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-9)
}

/// What a counter rose by: a fall means that it began at zero.
fn rise(values: &[f64]) -> f64 {
    values.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] }).sum()
}

/// How many times longer than between the samples a change is taken to have lasted.
fn stretch(ts: &[Timestamp], values: &[f64], change: f64, counter: bool) -> f64 {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let (first, last) = (ts[0], ts[ts.len() - 1]);
    let sampled = seconds(last - first);
    let average = sampled / (ts.len() - 1) as f64;
    let reach = |gap: f64| if gap < average * 1.1 { gap } else { average / 2.0 };
    let mut before = reach(seconds(first - Timestamp(0)));
    if counter && change > 0.0 {
        // A counter that went on like this was zero so long ago.
        before = before.min(sampled * values[0] / change);
    }
    (sampled + before + reach(seconds(Timestamp(60_000) - last))) / sampled
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_lose_nothing_but_the_last_bit(numbers in exact()) {
        let mut sum = Kahan::default();
        numbers.iter().for_each(|(_, number)| sum.add(*number));
        let largest = numbers.iter().map(|(_, number)| number.abs()).fold(0.0, f64::max);
        // Second-order terms of the largest addend, and half a unit of the result.
        let slack = largest * 1e-30 + sum_of(&numbers).abs() * f64::EPSILON;
        prop_assert!((sum.value() - sum_of(&numbers)).abs() <= slack, "{} {}", sum.value(), sum_of(&numbers));
        let mut mean = Mean::new(numbers[0].1);
        numbers[1..].iter().for_each(|(_, number)| mean.add(*number));
        let expected = sum_of(&numbers) / numbers.len() as f64;
        prop_assert!((mean.value() - expected).abs() <= slack * 2.0 + expected.abs() * 4.0 * f64::EPSILON);
    }

    #[test]
    fn changes_are_stretched((ts, values) in samples()) {
        let w = window(&ts, &values);
        let rise = rise(&values);
        let expected = rise * stretch(&ts, &values, rise, true);
        prop_assert!(near(rate::increase(&w, &[]).unwrap(), expected), "{ts:?} {values:?}: {expected}");
        prop_assert!(near(rate::rate(&w, &[]).unwrap(), expected / 60.0));
        let change = values[values.len() - 1] - values[0];
        let expected = change * stretch(&ts, &values, change, false);
        prop_assert!(near(rate::delta(&w, &[]).unwrap(), expected), "{ts:?} {values:?}: {expected}");
    }

    #[test]
    fn functions_over_time((ts, values) in samples()) {
        let w = window(&ts, &values);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let falls = values.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let changes = values.windows(2).filter(|pair| pair[1] != pair[0]).count();
        for (name, got, expected) in [
            ("sum", over_time::sum(&w, &[]), values.iter().sum()),
            ("avg", over_time::avg(&w, &[]), mean),
            ("stdvar", over_time::stdvar(&w, &[]), variance),
            ("stddev", over_time::stddev(&w, &[]), variance.sqrt()),
            ("min", over_time::min(&w, &[]), values.iter().copied().fold(f64::MAX, f64::min)),
            ("max", over_time::max(&w, &[]), values.iter().copied().fold(f64::MIN, f64::max)),
            ("resets", over_time::resets(&w, &[]), falls as f64),
            ("changes", over_time::changes(&w, &[]), changes as f64),
        ] {
            prop_assert!(near(got.unwrap(), expected), "{name} of {values:?}: {got:?}, not {expected}");
        }
        // A line through the samples leaves no slope in what is left.
        let slope = rate::deriv(&w, &[]).unwrap();
        let (mut covariance, mut spread) = (0.0, 0.0);
        let middle = ts.iter().map(|ts| ts.0).sum::<i64>() as f64 / n / 1000.0;
        for (ts, value) in ts.iter().zip(&values) {
            let x = ts.as_seconds() - middle;
            covariance += x * (value - mean);
            spread += x * x;
        }
        prop_assert!((slope - covariance / spread).abs() <= 1e-6 * (1.0 + slope.abs()), "{slope} {}", covariance / spread);
    }

    #[test]
    fn aggregations(rows in prop::collection::vec((0u8..4, -1000i32..1000), 1..40)) {
        let mut store = Store::default();
        for (i, (group, value)) in rows.iter().enumerate() {
            store.load_line(&format!("m{{group=\"{group}\", i=\"{i}\"}} {value}"), (Timestamp(0), 60_000)).unwrap();
        }
        for name in ["sum", "avg", "min", "max", "count", "stddev", "stdvar", "quantile"] {
            let param = if name == "quantile" { "0.25, " } else { "" };
            let query = format!("{name} by (group) ({param}m)");
            let result = Engine::default().instant(&store, &query, Timestamp(0), &QueryOptions::default()).unwrap();
            let Value::Vector(samples) = result.value else { panic!("{query} is a vector") };
            let groups: std::collections::BTreeSet<u8> = rows.iter().map(|(group, _)| *group).collect();
            prop_assert_eq!(samples.len(), groups.len());
            for sample in samples {
                let of: u8 = sample.labels.value("group").parse().unwrap();
                let mut values: Vec<f64> = rows.iter().filter(|row| row.0 == of).map(|row| f64::from(row.1)).collect();
                values.sort_by(f64::total_cmp);
                let expected = plain(name, &values);
                prop_assert!(near(sample.value, expected), "{query} of {values:?}: {}, not {expected}", sample.value);
            }
        }
    }
}

/// An aggregation of sorted values, from its definition.
fn plain(name: &str, values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let variance = values.iter().map(|v| (v - sum / n).powi(2)).sum::<f64>() / n;
    match name {
        "sum" => sum,
        "avg" => sum / n,
        "min" => values[0],
        "max" => values[values.len() - 1],
        "count" => n,
        "stdvar" => variance,
        "stddev" => variance.sqrt(),
        _ => {
            let rank = 0.25 * (n - 1.0);
            let below = rank.floor() as usize;
            let above = (below + 1).min(values.len() - 1);
            values[below] + (values[above] - values[below]) * rank.fract()
        }
    }
}

#[test]
fn variance_of_large_numbers_that_lie_close() {
    let mut variance = Variance::default();
    [1e9, 1e9 + 1.0, 1e9 + 2.0].iter().for_each(|value| variance.add(*value));
    assert!(near(variance.value(), 2.0 / 3.0), "{}", variance.value());
}
