//! Expressions by operator precedence, and primary expressions: literals, calls, aggregations, parentheses.

use super::ast::{Aggregate, AggregateOp, Binary, BinaryOp, Call, Expr, ExprKind, Grouping, Number, Sign, Span};
use super::dialect::with_flag;
use super::fault::Fault;
use super::number;
use super::parser::{Context, Parsed, Parser};
use super::quote::{Text, quoted, unquote};
use super::token::{Kind, Word};
use super::types::Type;
use crate::functions;

/// The unary operators bind like multiplication.
const UNARY_OPERAND: u8 = 6;

impl Parser<'_> {
    /// An expression of operators with at least this precedence.
    pub(super) fn expr(&mut self, min: u8) -> Parsed<Expr> {
        // Precedence climbing: operators of equal precedence are a loop, so that a long chain needs no stack while it
        // is parsed.
        let depth = self.depth();
        self.deeper()?;
        let mut left = self.unary()?;
        while let Some(op) = self.operator() {
            if op.precedence() < min {
                break;
            }
            self.take();
            self.grow(1)?;
            left = self.binary(left, op)?;
        }
        self.rise_to(depth);
        Ok(left)
    }

    fn binary(&mut self, left: Expr, op: BinaryOp) -> Parsed<Expr> {
        // The modifiers are between the operator and its right operand.
        let (return_bool, matching) = self.matching()?;
        let right = match op {
            // `^` is right-associative: `a ^ b ^ c` is a chain as well, and does not count as nesting.
            BinaryOp::Pow => {
                let depth = self.depth();
                self.rise_to(depth.saturating_sub(1));
                let right = self.expr(op.precedence())?;
                self.rise_to(depth);
                right
            }
            // Left-associative: an operator of the same precedence ends the right operand.
            _ => self.expr(op.precedence() + 1)?,
        };
        let span = Span { start: left.span.start, end: right.span.end };
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !self.dialect.fill_modifiers {
            self.fault(span, "binop fill modifiers are experimental and not enabled");
        }
        // Stored on the node: computing it on demand would walk the whole chain.
        let of_scalars = [&left, &right].iter().all(|side| side.value_type() == Type::Scalar);
        let binary = Binary { op, left, right, of_scalars, return_bool, keep_name: false, matching };
        Ok(Expr { kind: ExprKind::Binary(Box::new(binary)), span })
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let sign = match self.peek() {
            Kind::Operator(BinaryOp::Add) => Sign::Plus,
            Kind::Operator(BinaryOp::Sub) => Sign::Minus,
            _ => {
                let primary = self.primary()?;
                return self.postfix(primary);
            }
        };
        let start = self.take().span.start;
        // `-a ^ b` is `-(a ^ b)`, while `-a * b` is `(-a) * b`.
        let inner = self.expr(UNARY_OPERAND)?;
        let span = Span { start, end: inner.span.end };
        let kind = match inner.kind {
            // The sign becomes part of the literal, as in upstream's tree.
            ExprKind::Number(n) if sign == Sign::Minus => ExprKind::Number(Number { value: -n.value, ..n }),
            ExprKind::Number(n) => ExprKind::Number(n),
            _ => ExprKind::Unary(sign, Box::new(inner)),
        };
        Ok(Expr { kind, span })
    }

    /// Can the next token begin an expression?
    pub(super) fn begins_expr(&mut self) -> bool {
        let other = matches!(
            self.peek(),
            Kind::Number
                | Kind::Duration
                | Kind::String
                | Kind::LeftParen
                | Kind::LeftBrace
                | Kind::Operator(BinaryOp::Add | BinaryOp::Sub)
        );
        other || self.names_metric()
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.peek() {
            Kind::Number | Kind::Duration => {
                let (number, span) = self.number();
                Ok(Expr { kind: ExprKind::Number(number), span })
            }
            Kind::String => {
                let span = self.take().span;
                Ok(Expr { kind: ExprKind::String(self.text(span)), span })
            }
            Kind::LeftParen => {
                let start = self.take().span.start;
                let inner = self.expr(0)?;
                let end = self.expect(Kind::RightParen)?.span.end;
                Ok(Expr { kind: ExprKind::Paren(Box::new(inner)), span: Span { start, end } })
            }
            Kind::LeftBrace => self.selector(None),
            Kind::Aggregate(op) => {
                let span = self.take().span;
                // Names of aggregations are metric names unless an aggregation follows.
                match self.peek() {
                    Kind::LeftParen | Kind::Word(Word::By | Word::Without) => self.aggregate(op, span),
                    _ => self.selector(Some(span)),
                }
            }
            kind if self.names_metric() => {
                let span = self.take().span;
                // Templates shadow functions and metrics of the same name.
                if let Some(expr) = self.templated(span)? {
                    return Ok(expr);
                }
                // Some keywords are functions as well, others only metrics.
                let callable = kind == Kind::Identifier || matches!(kind, Kind::Word(word) if word.is_call());
                if callable && self.peek() == Kind::LeftParen { self.call(span) } else { self.selector(Some(span)) }
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A number or duration, which must come next.
    pub(super) fn number(&mut self) -> (Number, Span) {
        let token = self.take();
        let is_duration = token.kind == Kind::Duration;
        let text = self.str(token.span);
        let (value, wrong) = if is_duration { number::duration(text) } else { number::number(text) };
        if let Some(message) = wrong {
            self.fault(token.span, message);
        }
        (Number { value, is_duration }, token.span)
    }

    /// A string literal that is an expression.
    fn text(&mut self, span: Span) -> Text {
        Text::unquoted(self.str(span)).unwrap_or_else(|message| {
            // Reported last: upstream accepts the string, and reports other errors first.
            self.no_text.get_or_insert(Fault { span, message });
            Text::new(String::new())
        })
    }

    /// The value of a string literal, for instance of a label.
    pub(super) fn unquoted(&mut self, span: Span) -> String {
        unquote(self.str(span)).unwrap_or_else(|message| {
            self.no_text.get_or_insert(Fault { span, message });
            String::new()
        })
    }

    fn call(&mut self, name: Span) -> Parsed<Expr> {
        // The arguments are parsed before the name is looked up: an error in them is reported first, as upstream does.
        let mut args = self.args()?;
        let span = Span { start: name.start, end: self.closing };
        let text = self.str(name);
        let found = functions::lookup(text);
        let Some(function) = found.filter(|function| !function.extension || self.dialect.extensions) else {
            let message = format!("unknown function with name {}", quoted(text));
            let extension = found.map(|_| text).or(self.extension_seen);
            self.fault(name, extension.map_or(message.clone(), |word| with_flag(&message, word)));
            // The parser goes on, since upstream lists later errors as well.
            return Ok(nothing(span));
        };
        if function.experimental && !self.dialect.experimental_functions {
            self.fault(name, format!("function {} is not enabled", quoted(text)));
        }
        self.give_ranges(function, &mut args);
        Ok(Expr { kind: ExprKind::Call(Call { function, args, keep_name: false }), span })
    }

    /// Arguments in parentheses.
    pub(super) fn args(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(Kind::LeftParen)?;
        let mut args = Vec::new();
        if self.take_if(Kind::RightParen).is_some() {
            return Ok(args);
        }
        args.push(self.expr(0)?);
        while let Some(comma) = self.take_if(Kind::Comma) {
            // A trailing comma has its own error message.
            if self.begins_expr() {
                args.push(self.expr(0)?);
            } else {
                self.fault(comma.span, "trailing commas not allowed in function call args");
            }
        }
        self.expect(Kind::RightParen)?;
        Ok(args)
    }

    /// An aggregation, after its name.
    fn aggregate(&mut self, op: AggregateOp, name: Span) -> Parsed<Expr> {
        let outer = self.enter(Context::aggregation(name.start));
        // The grouping may be before or after the arguments.
        let before = self.grouping()?;
        let mut args = self.args()?;
        // The parenthesis of the arguments; a grouping behind them extends the position below.
        let mut span = Span { start: name.start, end: self.closing };
        let grouping = match before {
            Some(grouping) => grouping,
            None => match self.grouping()? {
                Some(grouping) => {
                    span.end = self.closing;
                    grouping
                }
                None => Grouping::default(),
            },
        };
        self.enter(outer);
        // The order of these checks is that of upstream's `newAggregateExpr`: only one of the errors is reported.
        let wanted = 1 + usize::from(op.param().is_some());
        let got = args.len();
        let wrong = if got == 0 {
            Some("no arguments for aggregate expression provided".to_owned())
        } else if op.experimental() && !self.dialect.experimental_functions {
            let feature = "--enable-feature=promql-experimental-functions";
            Some(format!("{}() is experimental and must be enabled with {feature}", op.name()))
        } else if got != wanted {
            Some(format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"))
        } else {
            None
        };
        // The parameter is written first: `topk(5, expr)`.
        let last = args.pop();
        match (wrong, last) {
            (None, Some(expr)) => {
                let aggregate = Aggregate { op, expr, param: args.pop(), grouping };
                Ok(Expr { kind: ExprKind::Aggregate(Box::new(aggregate)), span })
            }
            (wrong, _) => {
                self.fault(span, wrong.unwrap_or_default());
                Ok(nothing(span))
            }
        }
    }

    /// `by (a)` or `without (a)`, optional.
    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = match self.peek() {
            Kind::Word(Word::By) => false,
            Kind::Word(Word::Without) => true,
            _ => return Ok(None),
        };
        self.take();
        let utf8_names = self.dialect.utf8_names;
        Ok(Some(Grouping { labels: self.labels()?, without, utf8_names }))
    }
}

/// Placeholder for an invalid expression, so that parsing can continue.
fn nothing(span: Span) -> Expr {
    Expr { kind: ExprKind::Paren(Box::new(Expr { kind: ExprKind::String(Text::new(String::new())), span })), span }
}
