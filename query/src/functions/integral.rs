//! `integral`: the area under the samples of a range, value times seconds.

use super::kahan::Kahan;
use crate::window::Window;

/// How values between two samples are assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The earlier value.
    Left,
    /// The later value.
    Right,
    /// Their mean.
    Trapezoid,
}

/// The rule by its number.
fn rule(number: f64) -> Option<Rule> {
    [Rule::Left, Rule::Right, Rule::Trapezoid]
        .into_iter()
        .zip([0.0, 1.0, 2.0])
        .find_map(|(rule, n)| (n == number).then_some(rule))
}

/// Is the argument the number of a rule?
pub(crate) fn is_rule(number: f64) -> bool {
    rule(number).is_some()
}

/// NaN counts as zero. Without a valid argument the trapezoidal rule is used.
pub(crate) fn integral(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    window.values.first()?;
    let rule = args.first().and_then(|number| rule(*number)).unwrap_or(Rule::Trapezoid);
    let or_zero = |value: f64| if value.is_nan() { 0.0 } else { value };
    let mut area = Kahan::default();
    for (times, values) in window.ts.windows(2).zip(window.values.windows(2)) {
        let (before, value) = (or_zero(values[0]), or_zero(values[1]));
        let height = match rule {
            Rule::Left => Kahan::new(before),
            Rule::Right => Kahan::new(value),
            Rule::Trapezoid => mean(before, value),
        };
        if height.sum != 0.0 || height.lost != 0.0 {
            let seconds = (times[1] - times[0]) as f64 / 1000.0;
            area.lost += height.lost * seconds;
            area.add(height.sum * seconds);
        }
    }
    Some(if area.sum.is_infinite() { area.sum } else { area.value() })
}

/// The mean of two values with its rounding error.
fn mean(a: f64, b: f64) -> Kahan {
    let mut sum = Kahan::new(a);
    sum.add(b);
    if sum.sum.is_infinite() && a.is_finite() && b.is_finite() {
        // The sum overflows, the mean does not.
        let mut halves = Kahan::new(a / 2.0);
        halves.add(b / 2.0);
        return halves;
    }
    Kahan { sum: sum.sum / 2.0, lost: sum.lost / 2.0 }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn of(samples: &[(i64, f64)], args: &[f64]) -> Option<f64> {
        let (ts, values): (Vec<Timestamp>, Vec<f64>) =
            samples.iter().map(|&(ts, value)| (Timestamp(ts), value)).unzip();
        integral(&Window { ts: &ts, values: &values, ..Window::default() }, args)
    }

    #[test]
    fn areas_by_rule() {
        let samples = [(0, 1.0), (2_000, 3.0), (3_000, f64::NAN), (7_000, 5.0)];
        assert_eq!(of(&samples, &[0.0]), Some(2.0 + 3.0));
        assert_eq!(of(&samples, &[1.0]), Some(6.0 + 20.0));
        for args in [&[][..], &[2.0], &[0.5], &[3.0], &[-1.0], &[f64::NAN], &[f64::INFINITY]] {
            assert_eq!(of(&samples, args), Some(4.0 + 1.5 + 10.0), "{args:?}");
            assert_eq!(is_rule(*args.first().unwrap_or(&2.0)), args.is_empty() || args == [2.0]);
        }
        assert_eq!(of(&samples[..1], &[]), Some(0.0));
        assert_eq!(of(&[], &[]), None);
    }

    #[test]
    fn large_and_infinite_values() {
        assert_eq!(of(&[(0, f64::MAX), (1_000, f64::MAX)], &[]), Some(f64::MAX));
        assert_eq!(of(&[(0, 1.0), (1_000, f64::INFINITY), (2_000, 1.0)], &[]), Some(f64::INFINITY));
        assert_eq!(of(&[(0, 1e100), (1_000, 1.0), (2_000, 1.0), (3_000, -1e100), (4_000, 0.0)], &[0.0]), Some(2.0));
    }
}
