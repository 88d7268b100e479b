//! Type checks of a tree. Errors are reported in the order of upstream's parser.

use model::labels::METRIC_NAME;

use super::ast::{Aggregate, Binary, BinaryOp, Call, Card, Expr, ExprKind, Selector, Span};
use super::fault::Fault;
use super::lexer::is_space;
use super::quote::quoted;
use super::types::Type;

pub(super) struct Checker<'a> {
    text: &'a str,
    faults: Vec<Fault>,
}

/// All type errors of a tree.
pub(super) fn check(text: &str, expr: &Expr) -> Vec<Fault> {
    let mut checker = Checker { text, faults: Vec::new() };
    checker.expr(expr);
    checker.faults
}

impl Checker<'_> {
    fn fault(&mut self, span: Span, message: impl Into<String>) {
        self.faults.push(Fault { span, message: message.into() });
    }

    fn expr(&mut self, expr: &Expr) -> Type {
        let ty = expr.value_type();
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => {}
            ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) => self.selector(selector, false),
            ExprKind::Paren(inner) => {
                self.expr(inner);
            }
            ExprKind::Unary(_, inner) => {
                let got = self.expr(inner);
                if !is_scalar_or_vector(got) {
                    let got = quoted(got.documented());
                    let allowed = "unary expression only allowed on expressions of type scalar or instant vector";
                    self.fault(expr.span, format!("{allowed}, got {got}"));
                }
            }
            ExprKind::Subquery(subquery) => {
                let got = self.expr(&subquery.expr);
                if got != Type::Vector {
                    let got = got.short();
                    self.fault(expr.span, format!("subquery is only allowed on instant vector, got {got} instead"));
                }
            }
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Binary(binary) => self.binary(binary, expr.span),
            ExprKind::Call(call) => self.call(call, expr.span),
        }
        ty
    }

    fn expect(&mut self, expr: &Expr, wanted: Type, context: &str) {
        let got = self.expr(expr);
        self.compare(expr.span, (wanted, got), context);
    }

    fn compare(&mut self, span: Span, (wanted, got): (Type, Type), context: &str) {
        if got != wanted {
            let (wanted, got) = (wanted.documented(), got.documented());
            self.fault(span, format!("expected type {wanted} in {context}, got {got}"));
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        self.expect(&aggregate.expr, Type::Vector, "aggregation expression");
        if let (Some(wanted), Some(param)) = (aggregate.op.param(), &aggregate.param) {
            self.expect(param, wanted, "aggregation parameter");
        }
    }

    fn selector(&mut self, selector: &Selector, may_match_all: bool) {
        if let Some(name) = &selector.name {
            // The matcher of the name is the last one (see [`Selector::matchers`]); any other one of `__name__`
            // contradicts it or repeats it.
            let others = selector.matchers.split_last().map_or(&[][..], |(_, others)| others);
            for other in others.iter().filter(|m| m.name == METRIC_NAME) {
                let (name, other) = (quoted(name), quoted(&other.value));
                self.fault(selector.span, format!("metric name must not be set twice: {name} or {other}"));
            }
        } else if !may_match_all && selector.matchers.iter().all(model::Matcher::matches_empty) {
            self.fault(selector.span, "vector selector must contain at least one non-empty matcher");
        }
    }

    fn call(&mut self, call: &Call, span: Span) {
        let function = call.function;
        if let Some(message) = function.wrong_count(call.args.len()) {
            self.fault(span, message);
        }
        let context = format!("call to function {}", quoted(function.name));
        // The second argument of `info` is a selector that only names labels. It is exempt from the rule against empty
        // selectors.
        let data = call.args.get(1).filter(|_| function.name == "info");
        if let Some(data) = data {
            self.info_data(data, span, &context);
        }
        for (i, arg) in call.args.iter().enumerate() {
            // Superfluous arguments have no type; `wrong_count` reported them.
            let Some(wanted) = function.arg_type(i) else { break };
            match &arg.kind {
                // The labels of `info` may match everything.
                ExprKind::Vector(selector) if i == 1 && data.is_some() && selector.name.is_none() => {
                    self.selector(selector, true);
                    self.compare(arg.span, (wanted, Type::Vector), &context);
                }
                _ => self.expect(arg, wanted, &context),
            }
        }
    }

    /// The second argument of `info`: a selector without a metric name.
    fn info_data(&mut self, data: &Expr, span: Span, context: &str) {
        self.compare(span, (Type::Vector, data.value_type()), context);
        match &data.kind {
            ExprKind::Vector(selector) if selector.name.is_some() => {
                self.fault(data.span, "expected label selectors only, got vector selector instead");
            }
            ExprKind::Vector(_) => {}
            _ => self.fault(data.span, "expected label selectors only"),
        }
    }

    fn binary(&mut self, binary: &Binary, span: Span) {
        let Binary { op, left, right, matching, .. } = binary;
        // Operands first: errors inside of them come before those of the operator, as in upstream's `checkAST`.
        let types = [self.expr(left), self.expr(right)];
        if binary.return_bool && !op.is_comparison() {
            self.fault(self.operator(binary), "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !binary.return_bool && types == [Type::Scalar; 2] {
            self.fault(self.operator(binary), "comparisons between scalars must use BOOL modifier");
        }
        for label in matching.labels.iter().filter(|_| matching.on) {
            for _ in matching.include.iter().filter(|other| *other == label) {
                let message = format!("label {} must not occur in ON and GROUP clause at once", quoted(label));
                self.fault(self.operator(binary), message);
            }
        }
        for (side, ty) in [left, right].into_iter().zip(types) {
            if !is_scalar_or_vector(ty) {
                self.fault(side.span, "binary expression must contain only scalar and instant vector types");
            }
        }
        // Not an operator of upstream: it matches like a set operator, and so does not allow grouping either.
        if *op == BinaryOp::Default {
            if types[0] != Type::Vector {
                self.fault(left.span, "the left side of default must be an instant vector");
            }
            self.set(*op, matching.card, span);
        }
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        // As upstream, matching is only checked after the types of both sides.
        if types != [Type::Vector; 2] {
            if !matching.labels.is_empty() {
                self.fault(span, "vector matching only allowed between instant vectors");
            }
            if fills {
                self.fault(span, "filling in missing series only allowed between instant vectors");
            }
        } else if op.is_set() {
            self.set(*op, matching.card, span);
            if fills {
                self.fault(span, "filling in missing series not allowed for set operators");
            }
        }
        if op.is_set() && types.contains(&Type::Scalar) {
            let op = quoted(op.symbol());
            self.fault(span, format!("set operator {op} not allowed in binary scalar expression"));
        }
    }

    fn set(&mut self, op: BinaryOp, card: Card, span: Span) {
        if card != Card::OneToOne {
            self.fault(span, format!("no grouping allowed for {} operation", quoted(op.symbol())));
            self.fault(span, "set operations must always be many-to-many");
        }
    }

    /// The position of the operator between both sides, as upstream counts it: without the last byte.
    fn operator(&self, binary: &Binary) -> Span {
        let between = self.text.get(binary.left.span.end..binary.right.span.start).unwrap_or("");
        let start = binary.left.span.end + between.len() - between.trim_start_matches(is_space).len();
        let end = binary.left.span.end + between.trim_end_matches(is_space).len();
        Span { start, end: end.saturating_sub(1) }
    }
}

fn is_scalar_or_vector(ty: Type) -> bool {
    matches!(ty, Type::Scalar | Type::Vector)
}
