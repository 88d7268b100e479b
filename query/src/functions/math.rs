//! Functions of one value and scalar arguments.

/// The maximum as Go's `math.Max`: infinity wins over NaN.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        // Go's `math.Max` returns +0 for zeros of different signs; Rust does not define which.
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// The minimum as Go's `math.Min`.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

pub(crate) fn clamp(value: f64, args: &[f64]) -> Option<f64> {
    let &[low, high] = args else { return None };
    // An empty interval: upstream drops all elements.
    if high < low {
        return None;
    }
    Some(max(low, min(high, value)))
}

pub(crate) fn clamp_max(value: f64, args: &[f64]) -> Option<f64> {
    Some(min(*args.first()?, value))
}

pub(crate) fn clamp_min(value: f64, args: &[f64]) -> Option<f64> {
    Some(max(*args.first()?, value))
}

/// Rounds to the nearest multiple of the argument (default 1), halves up.
pub(crate) fn round(value: f64, args: &[f64]) -> Option<f64> {
    // Dividing by the inverse is more exact for fractions such as 0.1.
    let inverse = 1.0 / args.first().copied().unwrap_or(1.0);
    // Not `round`, which rounds negative halves away from zero.
    Some((value * inverse + 0.5).floor() / inverse)
}

pub(crate) fn sgn(value: f64, _: &[f64]) -> Option<f64> {
    Some(match value {
        v if v < 0.0 => -1.0,
        v if v > 0.0 => 1.0,
        // Zeros keep their sign, and NaN stays NaN.
        v => v,
    })
}

/// Large values would overflow in the square of the standard library's formula.
pub(crate) fn acosh(value: f64) -> f64 {
    if value > 1e150 { value.ln() + std::f64::consts::LN_2 } else { value.acosh() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_steps() {
        assert_eq!(clamp(5.0, &[0.0, 3.0]), Some(3.0));
        assert_eq!(clamp(5.0, &[3.0, 0.0]), None);
        assert!(clamp(5.0, &[f64::NAN, 3.0]).is_some_and(f64::is_nan));
        assert_eq!(round(2.5, &[]), Some(3.0));
        assert_eq!(round(-2.5, &[]), Some(-2.0));
        assert_eq!(round(0.27, &[0.1]), Some(0.3));
        assert_eq!(sgn(-0.5, &[]), Some(-1.0));
    }
}
