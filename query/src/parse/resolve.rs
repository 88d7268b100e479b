//! Computes durations, `@ start()` and `@ end()` from the times of a query.

use super::ast::{At, BinaryOp, Duration, DurationExpr, DurationKind, Shift, Span};
use super::durations::SECONDS_MAX;
use super::fault::Fault;
use crate::options::Times;

/// Resolves `@ start()` and `@ end()` to their times, and sets the offset.
pub(crate) fn shift(shift: &mut Shift, times: Times) -> Result<(), Fault> {
    shift.at = shift.at.map(|at| match at {
        At::Time(time) => At::Time(time),
        At::Start => At::Time(times.start),
        At::End => At::Time(times.end),
    });
    set(&mut shift.offset, times, false)
}

/// Sets a range or a step, which must be positive.
pub(crate) fn duration(duration: &mut Duration, times: Times) -> Result<(), Fault> {
    set(duration, times, true)
}

fn set(duration: &mut Duration, times: Times, positive: bool) -> Result<(), Fault> {
    // A literal was set, and checked, by the parser.
    let Some(expr) = &duration.expr else { return Ok(()) };
    let seconds = value(expr, times)?;
    // The order of these checks is that of upstream's `calculateDuration`.
    if !seconds.is_finite() {
        return Err(fault(expr.span, "duration is NaN or infinite"));
    }
    if positive && seconds <= 0.0 {
        return Err(fault(expr.span, "duration must be greater than 0"));
    }
    if seconds.abs() > SECONDS_MAX {
        return Err(fault(expr.span, "duration is out of range"));
    }
    duration.ms = (seconds * 1000.0).round() as i64;
    Ok(())
}

fn fault(span: Span, message: &str) -> Fault {
    Fault { span, message: message.to_owned() }
}

/// Seconds.
fn value(expr: &DurationExpr, times: Times) -> Result<f64, Fault> {
    Ok(match &expr.kind {
        DurationKind::Literal(number) => number.value,
        DurationKind::Step => times.step_ms as f64 / 1000.0,
        DurationKind::Range => times.range_seconds(),
        DurationKind::Negate(inner) => -value(inner, times)?,
        DurationKind::MinOf(a, b) => value(a, times)?.min(value(b, times)?),
        DurationKind::MaxOf(a, b) => value(a, times)?.max(value(b, times)?),
        DurationKind::Binary(op, a, b) => {
            let (left, right) = (value(a, times)?, value(b, times)?);
            match op {
                BinaryOp::Add => left + right,
                BinaryOp::Sub => left - right,
                BinaryOp::Mul => left * right,
                BinaryOp::Div if right == 0.0 => return Err(fault(expr.span, "division by zero")),
                BinaryOp::Mod if right == 0.0 => return Err(fault(expr.span, "modulo by zero")),
                BinaryOp::Div => left / right,
                BinaryOp::Mod => left % right,
                // The parser accepts no operator but these and `^`.
                _ => left.powf(right),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use crate::promqltest::Store;
    use crate::{Engine, QueryOptions};

    #[test]
    fn a_function_of_durations_is_blamed_as_a_whole() {
        for (query, place) in [
            ("foo[min_of(0,step())]", "4:20"),
            ("foo[-max_of(range(),1)]", "4:22"),
            ("foo[5m:max_of(range(), -1)]", "7:26"),
            ("foo[(min_of(0,0))]", "5:16"),
        ] {
            let error =
                Engine::default().instant(&Store::default(), query, Timestamp(1_000_000), &QueryOptions::default());
            assert_eq!(error.unwrap_err().to_string(), format!("{place}: duration must be greater than 0"), "{query}");
        }
    }
}
