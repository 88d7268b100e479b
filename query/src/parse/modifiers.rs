//! Modifiers of operators (`bool`, `on`, `group_left`, `fill`) and of expressions (`[5m]`, `offset 5m`, `@ 10`, `anchored`).

use model::Timestamp;

use super::ast::{
    At, BinaryOp, Card, Duration, DurationExpr, DurationKind, Expr, ExprKind, Matching, Number, Shift, Span, Subquery,
};
use super::extensions::KEEP;
use super::lexer::is_plain;
use super::number::format_six;
use super::parser::{Context, Parsed, Parser};
use super::quote::quoted;
use super::token::{Kind, Token, Word};
use super::types::Extension;

const OPEN: Context = Context::new("grouping opts", "\"(\"");
const LABEL: Context = Context::new("grouping opts", "label");
const NEXT: Context = Context::new("grouping opts", "\",\" or \")\"");
const TIME: Context = Context::new("@", "timestamp");
const OFFSET: Context = Context::new("offset", "number, duration, step(), or range()");
const RANGE: Context = Context::new("subquery or range selector", "number, duration, step(), or range()");
const RANGE_END: Context = Context::new("subquery or range", "\":\" or \"]\"");
const STEP: Context = Context::new("subquery selector", "number, duration, step(), range(), or \"]\"");
const STEP_END: Context = Context::new("subquery selector", "\"]\"");

/// Upstream's times are an int64 of seconds before they become milliseconds.
const SECONDS_MAX: f64 = 9_223_372_036_854_775_807.0;

impl Parser<'_> {
    /// `bool` and vector matching.
    pub(super) fn matching(&mut self) -> Parsed<(bool, Matching)> {
        let mut matching = Matching { utf8_names: self.dialect.utf8_names, ..Matching::default() };
        let return_bool = self.take_if(Kind::Word(Word::Bool)).is_some();
        if let Kind::Word(word @ (Word::On | Word::Ignoring)) = self.peek() {
            self.take();
            matching.on = word == Word::On;
            matching.labels = self.labels()?;
            let card = match self.peek() {
                Kind::Word(Word::GroupLeft) => Card::ManyToOne,
                Kind::Word(Word::GroupRight) => Card::OneToMany,
                _ => Card::OneToOne,
            };
            if card != Card::OneToOne {
                self.take();
                matching.card = card;
                // A parenthesis after `group_left` is always its label list; without one, an operand or a fill modifier follows.
                let fill = matches!(self.peek(), Kind::Word(word) if word.is_fill());
                if self.peek() == Kind::LeftParen || !fill && !self.begins_expr() {
                    matching.include = self.labels()?;
                }
            }
        }
        self.fills(&mut matching)?;
        Ok((return_bool, matching))
    }

    /// `fill(0)`, or `fill_left(0)` and `fill_right(0)` in either order.
    fn fills(&mut self, matching: &mut Matching) -> Parsed<()> {
        if self.take_if(Kind::Word(Word::Fill)).is_some() {
            let value = self.fill_value()?;
            (matching.fill_left, matching.fill_right) = (Some(value), Some(value));
            return Ok(());
        }
        // Either order, each at most once; a repeated one is left in the input and reported as unexpected.
        for _ in 0..2 {
            if matching.fill_left.is_none() && self.take_if(Kind::Word(Word::FillLeft)).is_some() {
                matching.fill_left = Some(self.fill_value()?);
            } else if matching.fill_right.is_none() && self.take_if(Kind::Word(Word::FillRight)).is_some() {
                matching.fill_right = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(Kind::LeftParen)?;
        let value = self.signed()?;
        self.expect(Kind::RightParen)?;
        Ok(value)
    }

    /// A number or duration with or without a sign.
    fn signed(&mut self) -> Parsed<f64> {
        let minus = self.sign().map(|(op, _)| op == BinaryOp::Sub);
        if !matches!(self.peek(), Kind::Number | Kind::Duration) {
            return Err(self.unexpected());
        }
        let (number, _) = self.number();
        Ok(if minus == Some(true) { -number.value } else { number.value })
    }

    /// An optional sign.
    pub(super) fn sign(&mut self) -> Option<(BinaryOp, Token)> {
        match self.peek() {
            Kind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => Some((op, self.take())),
            _ => None,
        }
    }

    /// `(a, b,)`
    pub(super) fn labels(&mut self) -> Parsed<Vec<String>> {
        let outer = self.enter(OPEN);
        self.expect(Kind::LeftParen)?;
        // The context of error messages follows the position in the list: label, then comma or parenthesis.
        self.enter(LABEL);
        let mut labels = Vec::new();
        while self.take_if(Kind::RightParen).is_none() {
            self.enter(LABEL);
            self.grow(1)?;
            labels.push(self.label()?);
            self.enter(NEXT);
            if self.take_if(Kind::Comma).is_none() {
                self.expect(Kind::RightParen)?;
                break;
            }
            self.enter(LABEL);
        }
        self.enter(outer);
        Ok(labels)
    }

    fn label(&mut self) -> Parsed<String> {
        let named = match self.peek() {
            // Keywords are valid labels (`by (on, offset)`), except `without`, which upstream's `maybe_label` does not
            // list.
            Kind::Operator(op) => op.is_set() || op == BinaryOp::Atan2,
            Kind::Identifier | Kind::MetricIdentifier | Kind::String | Kind::Aggregate(_) => true,
            Kind::Word(word) => word != Word::Without,
            _ => false,
        };
        if !named {
            return Err(self.unexpected());
        }
        let token = self.take();
        let name = match token.kind {
            Kind::String => self.unquoted(token.span),
            _ => self.str(token.span).to_owned(),
        };
        // Without the feature, names with colons are accepted as before.
        let is_bare = token.kind != Kind::String;
        if name.is_empty() || is_bare && self.dialect.utf8_names && !is_plain(&name, true) {
            self.fault(token.span, format!("invalid label name for grouping: {}", quoted(&name)));
        }
        Ok(name)
    }

    /// All modifiers after an expression.
    pub(super) fn postfix(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            match self.peek() {
                Kind::LeftBracket => expr = self.range(expr)?,
                Kind::Word(Word::Offset) => self.offset(&mut expr)?,
                Kind::At => self.at(&mut expr)?,
                Kind::Word(Word::Anchored) => self.extension(&mut expr, Extension::Anchored),
                Kind::Word(Word::Smoothed) => self.extension(&mut expr, Extension::Smoothed),
                _ if self.extension_next(KEEP) => self.keep_names(&mut expr)?,
                _ => return Ok(expr),
            }
            // Subqueries of subqueries count as nesting.
            self.deeper()?;
        }
    }

    fn range(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.take().span.start;
        let outer = self.enter(RANGE);
        let range = self.positive_duration()?;
        self.enter(RANGE_END);
        // A colon makes it a subquery, also without a step: `[5m:]` uses the default evaluation interval.
        let subquery = self.take_if(Kind::Colon).is_some();
        let mut step = None;
        if subquery {
            self.enter(STEP);
            if self.peek() != Kind::RightBracket {
                step = Some(self.positive_duration()?);
                self.enter(STEP_END);
            }
        }
        let end = self.expect(Kind::RightBracket)?.span.end;
        self.enter(outer);
        let span = Span { start: expr.span.start, end };
        if subquery {
            let subquery = Subquery { expr, range, step, shift: Shift::default() };
            return Ok(Expr { kind: ExprKind::Subquery(Box::new(subquery)), span });
        }
        // The errors are collected instead of returned: upstream goes on parsing behind the bracket.
        let selector = match expr.kind {
            ExprKind::Vector(selector) => Ok(selector),
            _ => Err("ranges only allowed for vector selectors"),
        };
        let wrong = match &selector {
            Err(message) => Some(*message),
            Ok(s) if s.shift.offset.is_set() => Some("no offset modifiers allowed before range"),
            Ok(s) if s.shift.at.is_some() => Some("no @ modifiers allowed before range"),
            Ok(_) => None,
        };
        if let Some(message) = wrong {
            self.fault(Span { start: open, end }, message);
        }
        // A selector without matchers is the placeholder of an invalid one.
        let kind = ExprKind::Matrix(selector.unwrap_or_default(), range);
        Ok(Expr { kind, span })
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.take();
        let outer = self.enter(OFFSET);
        let duration = self.offset_duration()?;
        self.enter(outer);
        // The last closing token, which for `@ start()` is its parenthesis and for `offset 5m` the duration.
        let end = self.closing;
        if let Some(shift) = self.shift_of(expr, "offset modifier") {
            if shift.offset.is_set() {
                self.fault(expr.span, "offset may not be set multiple times");
            } else if let Some(shift) = expr.shift_mut() {
                shift.offset = duration;
            }
            expr.extend_to(end);
        }
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.take();
        let outer = self.enter(TIME);
        let at = match self.peek() {
            Kind::Word(word @ (Word::Start | Word::End)) => {
                self.take();
                self.expect(Kind::LeftParen)?;
                self.expect(Kind::RightParen)?;
                if word == Word::Start { At::Start } else { At::End }
            }
            _ => {
                // NaN fails both comparisons, and so is out of bounds as well.
                let seconds = self.signed()?;
                if !(seconds > -SECONDS_MAX && seconds < SECONDS_MAX) {
                    let shown = format_six(seconds);
                    self.fault(expr.span, format!("timestamp out of bounds for @ modifier: {shown}"));
                }
                At::Time(Timestamp((seconds * 1000.0).round() as i64))
            }
        };
        self.enter(outer);
        let end = self.closing;
        if let Some(shift) = self.shift_of(expr, "@ modifier") {
            if shift.at.is_some() {
                self.fault(expr.span, "@ <timestamp> may not be set multiple times");
            } else {
                if let Some(shift) = expr.shift_mut() {
                    shift.at = Some(at);
                }
                expr.extend_to(end);
            }
        }
        Ok(())
    }

    /// The modifiers of an expression; an error if it cannot have any.
    fn shift_of(&mut self, expr: &Expr, what: &str) -> Option<Shift> {
        match &expr.kind {
            // The placeholder that `range` made of another expression: upstream reports its error again for each
            // modifier.
            ExprKind::Matrix(s, _) if s.matchers.is_empty() && !self.faults.is_empty() => {
                self.fault(expr.span, "ranges only allowed for vector selectors");
                None
            }
            ExprKind::Vector(s) | ExprKind::Matrix(s, _) => Some(s.shift.clone()),
            ExprKind::Subquery(s) => Some(s.shift.clone()),
            _ => {
                let wanted = "an instant vector selector or range vector selector or a subquery";
                self.fault(expr.span, format!("{what} must be preceded by {wanted}"));
                None
            }
        }
    }

    fn extension(&mut self, expr: &mut Expr, extension: Extension) {
        self.take();
        let word = extension.word();
        match &mut expr.kind {
            ExprKind::Vector(s) | ExprKind::Matrix(s, _) => {
                // The same modifier twice is accepted, as upstream does.
                let before = s.extension.replace(extension);
                if before.is_some_and(|e| e != extension) {
                    self.fault(expr.span, "anchored and smoothed modifiers cannot be used together");
                }
            }
            ExprKind::Subquery(_) => {
                self.fault(expr.span, format!("{word} modifier is not supported for subqueries"));
            }
            _ => self.fault(expr.span, format!("{word} modifier not implemented")),
        }
    }
}

impl Duration {
    /// Is there one?
    pub(crate) fn is_set(&self) -> bool {
        self.ms != 0 || self.expr.is_some()
    }

    pub(super) fn literal(number: Number) -> Self {
        // Through nanoseconds, and truncated to milliseconds: upstream has a `time.Duration` in between.
        Self { ms: (number.value * 1e9).round() as i64 / 1_000_000, ..Self::default() }
    }

    pub(super) fn computed(expr: DurationExpr) -> Self {
        match expr.kind {
            // A literal in parentheses stays an expression: it is printed with them.
            DurationKind::Literal(number) if !expr.wrapped => Self::literal(number),
            _ => Self { expr: Some(Box::new(expr)), ..Self::default() },
        }
    }
}

impl Expr {
    /// `@` and `offset` of an expression that can have them.
    pub(crate) fn shift_mut(&mut self) -> Option<&mut Shift> {
        match &mut self.kind {
            ExprKind::Vector(s) | ExprKind::Matrix(s, _) => Some(&mut s.shift),
            ExprKind::Subquery(s) => Some(&mut s.shift),
            _ => None,
        }
    }

    fn extend_to(&mut self, end: usize) {
        self.span.end = end;
        if let ExprKind::Vector(selector) = &mut self.kind {
            // The position of a vector selector includes its modifiers; inside a matrix selector it does not.
            selector.span.end = end;
        }
    }
}
