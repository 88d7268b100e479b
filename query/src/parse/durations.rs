//! Durations inside brackets and after `offset`: `5m`, `5m * 2`, `step()`, `max_of(range(), 1h)`.

use super::ast::{BinaryOp, Duration, DurationExpr, DurationKind, Number, Span};
use super::parser::{Parsed, Parser};
use super::token::{Kind, Token, Word};

/// The unary operators bind like multiplication.
const UNARY_OPERAND: u8 = 6;
/// Upstream counts in nanoseconds of an int64.
pub(super) const SECONDS_MAX: f64 = i64::MAX as f64 / 1e9;

impl Parser<'_> {
    /// A duration above zero.
    pub(super) fn positive_duration(&mut self) -> Parsed<Duration> {
        let expr = self.duration_expr(0)?;
        // Only literals can be checked before the query runs.
        if let DurationKind::Literal(number) = expr.kind
            && !expr.wrapped
            && number.value <= 0.0
        {
            self.fault(expr.span, "duration must be greater than 0");
        }
        Ok(Duration::computed(expr))
    }

    /// The operand of `offset`. Without parentheses it is a single operand: `x offset -2 ^ 2` squares x.
    pub(super) fn offset_duration(&mut self) -> Parsed<Duration> {
        let sign = self.sign();
        // In upstream's `offset_duration_expr` a literal, a function or a signed parenthesis ends the offset. A bare
        // parenthesis or a second sign begins a `duration_expr`, which further operators continue.
        let closed = match self.peek() {
            Kind::LeftParen => sign.is_some(),
            Kind::Operator(BinaryOp::Add | BinaryOp::Sub) => false,
            _ => true,
        };
        let place = sign.as_ref().map(|(_, token)| token.span);
        let mut expr = if matches!(self.peek(), Kind::Number | Kind::Duration) {
            self.duration_literal(place)
        } else if closed {
            self.duration_operand()?
        } else {
            self.duration_unary()?
        };
        if let Some((op, token)) = sign {
            expr = self.signed_duration(op, token, expr);
        }
        if !closed {
            expr = self.duration_chain(expr, 0)?;
        }
        Ok(Duration::computed(expr))
    }

    fn duration_expr(&mut self, min: u8) -> Parsed<DurationExpr> {
        let depth = self.depth();
        self.deeper()?;
        let left = self.duration_unary()?;
        let expr = self.duration_chain(left, min)?;
        self.rise_to(depth);
        Ok(expr)
    }

    fn duration_chain(&mut self, mut left: DurationExpr, min: u8) -> Parsed<DurationExpr> {
        use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
        while let Kind::Operator(op @ (Add | Sub | Mul | Div | Mod | Pow)) = self.peek() {
            if op.precedence() < min {
                break;
            }
            self.grow(1)?;
            let place = self.take().span;
            // `^` is right-associative, all others are left-associative.
            let right = self.duration_expr(op.precedence() + u8::from(op != Pow))?;
            // Only a literal zero is known now; other divisors are checked by `resolve` when the query runs.
            let zero = matches!(right.kind, DurationKind::Literal(n) if n.value == 0.0 && !right.wrapped);
            let span = Span { start: left.span.start, end: right.span.end };
            if zero && matches!(op, Div | Mod) {
                self.fault(place, if op == Div { "division by zero" } else { "modulo by zero" });
                left = zero_literal();
            } else {
                let kind = DurationKind::Binary(op, Box::new(left), Box::new(right));
                left = DurationExpr { kind, wrapped: false, span };
            }
        }
        Ok(left)
    }

    fn duration_unary(&mut self) -> Parsed<DurationExpr> {
        match self.sign() {
            Some((op, token)) => {
                let inner = self.duration_expr(UNARY_OPERAND)?;
                Ok(self.signed_duration(op, token, inner))
            }
            None => self.duration_operand(),
        }
    }

    fn signed_duration(&mut self, op: BinaryOp, token: Token, inner: DurationExpr) -> DurationExpr {
        let span = Span { start: token.span.start, end: inner.span.end };
        match inner.kind {
            // The sign becomes part of the literal, so that it is checked and printed as one.
            DurationKind::Literal(n) if !inner.wrapped => {
                let value = if op == BinaryOp::Sub { -n.value } else { n.value };
                DurationExpr { kind: DurationKind::Literal(Number { value, ..n }), wrapped: false, span }
            }
            _ if op == BinaryOp::Add => inner,
            _ => DurationExpr { kind: DurationKind::Negate(Box::new(inner)), wrapped: false, span },
        }
    }

    fn duration_operand(&mut self) -> Parsed<DurationExpr> {
        let start = match self.peek() {
            Kind::Number | Kind::Duration => return Ok(self.duration_literal(None)),
            Kind::LeftParen => {
                let start = self.take().span.start;
                let mut inner = self.duration_expr(0)?;
                self.expect(Kind::RightParen)?;
                // As upstream, only a parenthesis before a literal is part of its position.
                if matches!(inner.kind, DurationKind::Literal(_)) && !inner.wrapped {
                    inner.span.start = start;
                }
                // Redundant parentheses are reduced to one pair.
                inner.wrapped = true;
                return Ok(inner);
            }
            Kind::Word(Word::Step | Word::Range | Word::MinOf | Word::MaxOf) => self.take(),
            _ => return Err(self.unexpected()),
        };
        self.expect(Kind::LeftParen)?;
        let kind = match start.kind {
            Kind::Word(Word::Step) => DurationKind::Step,
            Kind::Word(Word::Range) => DurationKind::Range,
            name => {
                let left = Box::new(self.duration_expr(0)?);
                self.expect(Kind::Comma)?;
                let right = Box::new(self.duration_expr(0)?);
                let smaller = name == Kind::Word(Word::MinOf);
                if smaller { DurationKind::MinOf(left, right) } else { DurationKind::MaxOf(left, right) }
            }
        };
        let end = self.expect(Kind::RightParen)?.span.end;
        Ok(DurationExpr { kind, wrapped: false, span: Span { start: start.span.start, end } })
    }

    /// `place` is the position of a sign, if errors about the range are reported there.
    fn duration_literal(&mut self, place: Option<Span>) -> DurationExpr {
        let (number, span) = self.number();
        if number.value.is_nan() || number.value.abs() > SECONDS_MAX {
            self.fault(place.unwrap_or(span), "duration out of range");
            return zero_literal();
        }
        DurationExpr { kind: DurationKind::Literal(number), wrapped: false, span }
    }
}

/// Placeholder for an invalid literal; has no position, as upstream's.
fn zero_literal() -> DurationExpr {
    let zero = Number { value: 0.0, is_duration: false };
    DurationExpr { kind: DurationKind::Literal(zero), wrapped: false, span: Span::default() }
}
