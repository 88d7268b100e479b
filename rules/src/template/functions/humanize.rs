//! Numbers for people (upstream: `template/template.go`, `common/helpers/templates`).

use crate::template::data::Failure;
use crate::template::format::general;
use crate::template::literal::parse_float;
use crate::template::time::Time;
use crate::template::value::{IntType, Reference, Value};

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// What is a number, or a string that is one.
pub(super) fn to_float(value: &Value) -> Result<f64, Failure> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::String(text) => parse_float(text),
        Value::Int(number, IntType::Int | IntType::Int64) => Ok(*number as f64),
        Value::Duration(ns, Reference::Value) => Ok(crate::template::time::seconds(*ns)),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

/// Go's `%.4g`.
fn four(value: f64) -> String {
    general(value, 4)
}

fn divided(mut value: f64, by: f64, prefixes: [&'static str; 8]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < by {
            break;
        }
        prefix = next;
        value /= by;
    }
    four(value) + prefix
}

fn multiplied(mut value: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    four(value) + prefix
}

pub(super) fn humanize(value: f64) -> String {
    match value {
        v if v == 0.0 || !v.is_finite() => four(v),
        v if v.abs() >= 1.0 => divided(v, 1000.0, LARGE),
        v => multiplied(v),
    }
}

pub(super) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() { four(value) } else { divided(value, 1024.0, LARGE_1024) }
}

pub(super) fn humanize_percentage(value: f64) -> String {
    four(value * 100.0) + "%"
}

pub(super) fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return four(value);
    }
    if value == 0.0 {
        return four(value) + "s";
    }
    if value.abs() < 1.0 {
        return multiplied(value) + "s";
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = go_int(value.abs());
    let [seconds, minutes, hours, days] = [whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86400];
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", four(value.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// Go's conversion on amd64: what does not fit is the smallest number.
pub(super) fn go_int(value: f64) -> i64 {
    /// 2^63
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

pub(super) fn humanize_timestamp(value: f64) -> Result<String, Failure> {
    if !value.is_finite() {
        return Ok(four(value));
    }
    to_time(value).map(|time| time.to_string())
}

/// Seconds since the epoch, with whole milliseconds.
pub(super) fn to_time(value: f64) -> Result<Time, Failure> {
    if !value.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let ns = value * 1e9;
    if ns.abs() > 9_223_372_036_854_775_807.0 {
        let shown = model::float::format_g(value);
        return Err(format!("{shown} cannot be represented as a nanoseconds timestamp since it overflows int64"));
    }
    Ok(Time::from_millis(go_int(ns) / 1_000_000))
}
