//! The recogniser's part for what joins expressions: binary operators, aggregations, ranges, `offset` and `@`.

use super::ast::{AggregateOp, BinaryOp, Span, Type};
use super::lexer::{Fault, Mode, TokenKind};
use super::locate::{Node, Shape, Walker};
use super::number;

/// What stands between an operator and its right side.
#[derive(Default)]
struct Modifiers {
    return_bool: bool,
    on: bool,
    labels: Vec<String>,
    grouped: bool,
    include: Vec<String>,
    fill: bool,
}

impl Walker<'_> {
    pub(super) fn binary(&mut self, left: Node, op: BinaryOp) -> Result<Node, Fault> {
        let op_start = self.token.span.start;
        let op_end = self.token.span.end;
        if matches!(op, BinaryOp::Lt | BinaryOp::Gt) && self.lexer.text.as_bytes().get(op_end) == Some(&b'/') {
            let message = format!("the histogram operator {}/ is not supported yet", op.symbol());
            return Err(Fault::new(op_start, message));
        }
        self.advance(Mode::Statement)?;
        let modifiers = self.modifiers()?;
        let next = op.precedence() + u8::from(op != BinaryOp::Pow);
        let right = self.expr(next)?;
        self.check_binary(left, right, (op, op_start), &modifiers);
        let ty = match (left.ty, right.ty) {
            (Type::Scalar, Type::Scalar) => Type::Scalar,
            _ => Type::Vector,
        };
        let span = Span { start: left.span.start, end: right.span.end };
        Ok(self.leave(ty, span, Shape::Other))
    }

    fn check_binary(&mut self, left: Node, right: Node, (op, op_start): (BinaryOp, usize), m: &Modifiers) {
        let scalars = [left, right].iter().filter(|n| n.ty == Type::Scalar).count();
        let start = left.span.start;
        if m.fill && !self.dialect.fill_modifiers {
            self.complain(start, "binop fill modifiers are experimental and not enabled");
        }
        if m.return_bool && !op.is_comparison() {
            self.complain(op_start, "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !m.return_bool && scalars == 2 {
            self.complain(op_start, "comparisons between scalars must use BOOL modifier");
        }
        if let Some(label) = m.labels.iter().find(|l| m.on && m.include.contains(l)) {
            self.complain(op_start, format!("label {label:?} must not occur in ON and GROUP clause at once"));
        }
        for side in [left, right] {
            if !matches!(side.ty, Type::Scalar | Type::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                self.complain(side.span.start, message);
            }
        }
        if left.ty != Type::Vector || right.ty != Type::Vector {
            if !m.labels.is_empty() {
                self.complain(start, "vector matching only allowed between instant vectors");
            }
        } else if op.is_set() && m.grouped {
            self.complain(start, format!("no grouping allowed for {:?} operation", op.symbol()));
        }
        if op.is_set() && scalars > 0 {
            self.complain(start, format!("set operator {:?} not allowed in binary scalar expression", op.symbol()));
        }
    }

    fn modifiers(&mut self) -> Result<Modifiers, Fault> {
        let mut m = Modifiers::default();
        if self.is("bool") {
            m.return_bool = true;
            self.advance(Mode::Statement)?;
        }
        if self.is("on") || self.is("ignoring") {
            m.on = self.is("on");
            self.advance(Mode::Statement)?;
            m.labels = self.labels()?;
            if self.is("group_left") || self.is("group_right") {
                m.grouped = true;
                self.advance(Mode::Statement)?;
                if self.is("(") {
                    m.include = self.labels()?;
                }
            }
        }
        // `fill` alone is a metric name; with a parenthesis after it, a modifier.
        while (self.is("fill") || self.is("fill_left") || self.is("fill_right")) && self.before_paren() {
            m.fill = true;
            self.advance(Mode::Statement)?;
            self.advance(Mode::Statement)?;
            if self.is("-") || self.is("+") {
                self.advance(Mode::Statement)?;
            }
            if self.token.kind != TokenKind::Number {
                return Err(self.unexpected("fill modifier", "number"));
            }
            self.advance(Mode::Statement)?;
            if !self.is(")") {
                return Err(self.unexpected("fill modifier", "\")\""));
            }
            self.advance(Mode::Statement)?;
        }
        Ok(m)
    }

    fn before_paren(&self) -> bool {
        self.lexer.text.get(self.token.span.end..).is_some_and(|rest| rest.trim_start().starts_with('('))
    }

    /// `(a, b,)`, from the opening parenthesis past the closing one.
    fn labels(&mut self) -> Result<Vec<String>, Fault> {
        const CONTEXT: &str = "grouping opts";
        if !self.is("(") {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        self.advance(Mode::Statement)?;
        let mut labels = Vec::new();
        while !self.is(")") {
            labels.push(match self.token.kind {
                TokenKind::Identifier => self.text().to_owned(),
                TokenKind::Keyword => {
                    let word = self.text().to_owned();
                    self.keep_name(word.clone());
                    word
                }
                TokenKind::Number if self.text().bytes().all(|b| b.is_ascii_alphabetic()) => self.text().to_owned(),
                TokenKind::String => self.take_string()?,
                _ => return Err(self.unexpected(CONTEXT, "label")),
            });
            self.advance(Mode::Statement)?;
            if self.is(",") {
                self.advance(Mode::Statement)?;
            } else if !self.is(")") {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
        self.advance(Mode::Statement)?;
        Ok(labels)
    }

    /// From just after the name of the aggregation.
    pub(super) fn aggregate(&mut self, op: AggregateOp, name: Span) -> Result<Node, Fault> {
        let before = !self.is("(");
        if before {
            self.advance(Mode::Statement)?;
            self.labels()?;
            if !self.is("(") {
                return Err(self.unexpected("aggregation", ""));
            }
        }
        let args = self.args(false)?;
        let mut span = Span { start: name.start, end: self.token.span.end };
        self.advance(Mode::Statement)?;
        if !before && (self.is("by") || self.is("without")) {
            self.advance(Mode::Statement)?;
            self.labels()?;
            span.end = self.token.span.start;
        }
        let wanted = 1 + usize::from(op.param().is_some());
        if args.is_empty() {
            return Err(Fault::new(span.start, "no arguments for aggregate expression provided"));
        }
        if args.len() != wanted {
            let got = args.len();
            let message =
                format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}");
            return Err(Fault::new(span.start, message));
        }
        if op.experimental() && !self.dialect.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.name()
            );
            return Err(Fault::new(span.start, message));
        }
        self.expect_type(args[wanted - 1], Type::Vector, "aggregation expression");
        if let Some(param) = op.param() {
            self.expect_type(args[0], param, "aggregation parameter");
        }
        Ok(self.leave(Type::Vector, span, Shape::Other))
    }

    /// Whatever may follow a finished expression: `[5m]`, `[5m:1m]`, `offset 5m`, `@ 10`.
    pub(super) fn postfix(&mut self, mut node: Node) -> Result<Node, Fault> {
        loop {
            node = if self.is("[") {
                self.range(node)?
            } else if self.is("offset") {
                self.offset(node)?
            } else if self.is("@") {
                self.at(node)?
            } else if self.is("anchored") || self.is("smoothed") {
                let word = self.text().to_ascii_lowercase();
                let message = format!("{word} modifier is experimental and not enabled");
                return Err(Fault::new(node.span.start, message));
            } else {
                return Ok(node);
            };
        }
    }

    fn range(&mut self, node: Node) -> Result<Node, Fault> {
        let open = self.token.span.start;
        self.advance(Mode::Brackets)?;
        self.range_duration("subquery or range selector")?;
        let subquery = self.is(":");
        if subquery {
            self.advance(Mode::Brackets)?;
            if !self.is("]") {
                self.range_duration("subquery selector")?;
            }
        }
        if !self.is("]") {
            return Err(self.in_brackets());
        }
        let span = Span { start: node.span.start, end: self.token.span.end };
        self.advance(Mode::Statement)?;
        let shape = Shape::Shiftable { selector: false, offset: false, at: false };
        if subquery {
            if node.ty != Type::Vector {
                let got = node.ty.short();
                self.complain(span.start, format!("subquery is only allowed on instant vector, got {got} instead"));
            }
            return Ok(self.leave(Type::Matrix, span, shape));
        }
        match node.shape {
            Shape::Shiftable { selector: true, offset: true, .. } => {
                Err(Fault::new(open, "no offset modifiers allowed before range"))
            }
            Shape::Shiftable { selector: true, at: true, .. } => {
                Err(Fault::new(open, "no @ modifiers allowed before range"))
            }
            Shape::Shiftable { selector: true, .. } => {
                if let Some(last) = self.outline.spans.last_mut() {
                    *last = span;
                }
                Ok(Node { ty: Type::Matrix, span, shape })
            }
            _ => Err(Fault::new(open, "ranges only allowed for vector selectors")),
        }
    }

    fn in_brackets(&self) -> Fault {
        let c = self.text().chars().next().unwrap_or(' ');
        Fault::new(self.token.span.start, format!("unexpected character: '{c}', expected ':'"))
    }

    fn offset(&mut self, node: Node) -> Result<Node, Fault> {
        self.advance(Mode::Statement)?;
        let end = self.offset_duration()?;
        let Shape::Shiftable { selector, offset, at } = node.shape else {
            let message =
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(Fault::new(node.span.start, message));
        };
        if offset {
            return Err(Fault::new(node.span.start, "offset may not be set multiple times"));
        }
        Ok(self.extend(node, end, Shape::Shiftable { selector, offset: true, at }))
    }

    fn at(&mut self, node: Node) -> Result<Node, Fault> {
        const EXPECTED: &str = "timestamp";
        self.advance(Mode::Statement)?;
        let negative = self.is("-");
        if negative || self.is("+") {
            self.advance(Mode::Statement)?;
        }
        let mut end = self.token.span.end;
        if (self.is("start") || self.is("end")) && self.before_paren() {
            self.advance(Mode::Statement)?;
            self.advance(Mode::Statement)?;
            if !self.is(")") {
                return Err(self.unexpected("@", EXPECTED));
            }
            end = self.token.span.end;
        } else if matches!(self.token.kind, TokenKind::Number | TokenKind::Duration) {
            let value = number::value(self.text()).map_err(|m| Fault::new(self.token.span.start, m))?;
            let value = if negative { -value } else { value };
            // Seconds as an int64 on upstream's side.
            if !value.is_finite() || value.abs() >= 9.223_372_036_854_775e18 {
                let shown = number::format_six(value);
                let message = format!("timestamp out of bounds for @ modifier: {shown}");
                return Err(Fault::new(node.span.start, message));
            }
            self.outline.times_ms.push((value * 1000.0).round() as i64);
            self.outline.replacements.push((self.token.span, "1".to_owned()));
        } else {
            return Err(self.unexpected("@", EXPECTED));
        }
        let Shape::Shiftable { selector, offset, at } = node.shape else {
            let message =
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(Fault::new(node.span.start, message));
        };
        if at {
            return Err(Fault::new(node.span.start, "@ <timestamp> may not be set multiple times"));
        }
        self.advance(Mode::Statement)?;
        Ok(self.extend(node, end, Shape::Shiftable { selector, offset, at: true }))
    }

    fn extend(&mut self, node: Node, end: usize, shape: Shape) -> Node {
        let span = Span { start: node.span.start, end };
        if let Some(last) = self.outline.spans.last_mut() {
            *last = span;
        }
        Node { span, shape, ..node }
    }
}
