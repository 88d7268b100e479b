//! Durations inside brackets and after `offset`: `5m`, `5m*2`, `step()`, `max_of(range(), 1h)`. They are computed here,
//! with the times of the query; the tree builder sees one second everywhere.

use super::ast::{BinaryOp, Span};
use super::lexer::{Fault, Mode, TokenKind};
use super::locate::Walker;
use super::number;

/// The value of a duration expression.
#[derive(Clone, Copy, Debug)]
struct Computed {
    seconds: f64,
    /// It depends on the times of a query, and these are not known.
    open: bool,
    /// It is one number, perhaps with a sign.
    literal: bool,
}

/// The unary minus binds like multiplication, as in expressions.
const UNARY_OPERAND: u8 = 6;
const EXPECTED: &str = "number, duration, step(), or range()";
/// Upstream counts in nanoseconds of an int64.
const SECONDS_MAX: f64 = i64::MAX as f64 / 1e9;

impl Walker<'_> {
    /// A duration above zero, at the current token; leaves the token after it.
    pub(super) fn range_duration(&mut self, context: &str) -> Result<(), Fault> {
        let start = self.token.span.start;
        let computed = self.computed(Mode::Brackets, 0, context)?;
        let fixed = computed.literal || self.dialect.step_and_range_ms.is_some();
        if computed.seconds <= 0.0 && !computed.open && fixed {
            return Err(Fault::new(start, "duration must be greater than 0"));
        }
        self.keep_duration(start, computed)
    }

    /// What follows `offset`: an operand, with a sign or in parentheses; leaves the token after it.
    pub(super) fn offset_duration(&mut self) -> Result<usize, Fault> {
        let start = self.token.span.start;
        // Without parentheses only the sign belongs to the offset: `x offset -2 ^ 2` squares x.
        let minus = self.is("-");
        if minus || self.is("+") {
            self.advance(Mode::Statement)?;
        }
        let mut computed = self.operand(Mode::Statement, "offset")?;
        if minus {
            computed.seconds = -computed.seconds;
        }
        let end = self.end_before();
        self.keep_duration(start, computed)?;
        Ok(end)
    }

    /// Where the text before the current token ends.
    fn end_before(&self) -> usize {
        let before = self.lexer.text.get(..self.token.span.start).unwrap_or("");
        before.trim_end().len()
    }

    fn keep_duration(&mut self, start: usize, computed: Computed) -> Result<(), Fault> {
        let seconds = if computed.open { 1.0 } else { computed.seconds };
        if !seconds.is_finite() || seconds.abs() > SECONDS_MAX {
            return Err(Fault::new(start, "duration out of range"));
        }
        let span = Span { start, end: self.end_before() };
        // Whole milliseconds are what upstream keeps. The tree builder only has to see that there is a duration.
        self.outline.durations_ms.push((seconds * 1000.0).round() as i64);
        self.outline.replacements.push((span, "1s".to_owned()));
        Ok(())
    }

    fn computed(&mut self, mode: Mode, min: u8, context: &str) -> Result<Computed, Fault> {
        let mut left = self.operand(mode, context)?;
        while self.token.kind == TokenKind::Operator {
            let Some(op) = BinaryOp::from_symbol(self.text()).filter(|op| !op.is_comparison()) else { break };
            if op.precedence() < min {
                break;
            }
            let place = self.token.span.start;
            self.advance(mode)?;
            let right = self.computed(mode, op.precedence() + u8::from(op != BinaryOp::Pow), context)?;
            left = apply(op, left, right).map_err(|message| Fault::new(place, message))?;
        }
        Ok(left)
    }

    fn operand(&mut self, mode: Mode, context: &str) -> Result<Computed, Fault> {
        let start = self.token.span.start;
        let word = self.text().to_ascii_lowercase();
        if self.is("-") || self.is("+") {
            self.advance(mode)?;
            let inner = self.computed(mode, UNARY_OPERAND, context)?;
            let seconds = if word == "-" { -inner.seconds } else { inner.seconds };
            return Ok(Computed { seconds, ..inner });
        }
        if self.is("(") {
            self.advance(mode)?;
            let inner = self.computed(mode, 0, context)?;
            self.close(mode, context)?;
            return Ok(inner);
        }
        if matches!(self.token.kind, TokenKind::Number | TokenKind::Duration) {
            let value = if self.token.kind == TokenKind::Duration {
                number::duration_ms(self.text()).map(|ms| ms as f64 / 1000.0)
            } else {
                number::value(self.text())
            };
            let seconds = value.map_err(|message| Fault::new(start, message))?;
            if seconds.is_nan() || seconds.abs() > SECONDS_MAX {
                return Err(Fault::new(start, "duration out of range"));
            }
            self.advance(mode)?;
            return Ok(Computed { seconds, open: false, literal: true });
        }
        match word.as_str() {
            "step" | "range" => {
                self.advance(mode)?;
                self.open(mode, context)?;
                self.close(mode, context)?;
                let times = self.dialect.step_and_range_ms;
                let ms = times.map_or(0, |(step, range)| if word == "step" { step } else { range });
                Ok(Computed { seconds: ms as f64 / 1000.0, open: times.is_none(), literal: false })
            }
            "min_of" | "max_of" => {
                self.advance(mode)?;
                self.open(mode, context)?;
                let left = self.computed(mode, 0, context)?;
                if !self.is(",") {
                    return Err(self.unexpected(context, "\",\""));
                }
                self.advance(mode)?;
                let right = self.computed(mode, 0, context)?;
                self.close(mode, context)?;
                let pick = if word == "min_of" { f64::min } else { f64::max };
                Ok(Computed {
                    seconds: pick(left.seconds, right.seconds),
                    open: left.open || right.open,
                    literal: false,
                })
            }
            _ => Err(self.unexpected(context, EXPECTED)),
        }
    }

    fn open(&mut self, mode: Mode, context: &str) -> Result<(), Fault> {
        if !self.is("(") {
            return Err(self.unexpected(context, EXPECTED));
        }
        self.advance(mode)
    }

    fn close(&mut self, mode: Mode, context: &str) -> Result<(), Fault> {
        if !self.is(")") {
            return Err(self.unexpected(context, "\")\""));
        }
        self.advance(mode)
    }
}

fn apply(op: BinaryOp, left: Computed, right: Computed) -> Result<Computed, &'static str> {
    let (a, b) = (left.seconds, right.seconds);
    let seconds = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div if b == 0.0 && !right.open => return Err("division by zero"),
        BinaryOp::Mod if b == 0.0 && !right.open => return Err("modulo by zero"),
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        _ => a.powf(b),
    };
    Ok(Computed { seconds, open: left.open || right.open, literal: false })
}
