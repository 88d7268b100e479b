//! The checked expression tree: what the parser produces and the plan is built from.

use super::quote::Text;
use super::types::{Extension, Type};
use crate::functions::Function;
use model::{Matcher, Timestamp};

/// A range of the query text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// An expression with its position in the text.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Number(Number),
    String(Text),
    /// `up{job="a"} offset 5m`
    Vector(Selector),
    /// `up{job="a"}[5m]`
    Matrix(Selector, Duration),
    Subquery(Box<Subquery>),
    Paren(Box<Expr>),
    /// `-x` or `+x`, where x is not a number literal, which includes its sign.
    Unary(Sign, Box<Expr>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Call),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

/// A number literal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    pub(crate) value: f64,
    /// It was written as a duration; the value is in seconds.
    pub(crate) is_duration: bool,
}

/// A range, a step or an offset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Duration {
    /// The value; 0 as long as it depends on the times of a query.
    pub(crate) ms: i64,
    /// The expression, unless it is a literal.
    pub(crate) expr: Option<Box<DurationExpr>>,
    /// It is not written in the query.
    pub(crate) implied: bool,
}

/// `5m * 2`, `step()`, `(5m)`.
#[derive(Clone, Debug)]
pub(crate) struct DurationExpr {
    pub(crate) kind: DurationKind,
    /// In parentheses.
    pub(crate) wrapped: bool,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum DurationKind {
    Literal(Number),
    Step,
    Range,
    Negate(Box<DurationExpr>),
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
}

/// The `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Time(Timestamp),
    Start,
    End,
}

/// `@` and `offset` of a selector or subquery.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shift {
    pub(crate) at: Option<At>,
    pub(crate) offset: Duration,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    /// The metric name before the braces.
    pub(crate) name: Option<String>,
    /// All matchers, with that of the name last.
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) shift: Shift,
    pub(crate) extension: Option<Extension>,
    /// Names with UTF-8 letters and dots are printed without quotes.
    pub(crate) utf8_names: bool,
    /// Without a range and what follows it.
    pub(crate) span: Span,
}

/// `expr[range:step]`
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub(crate) expr: Expr,
    pub(crate) range: Duration,
    pub(crate) step: Option<Duration>,
    pub(crate) shift: Shift,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) args: Vec<Expr>,
    /// The result has the names of its operands.
    pub(crate) keep_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Group,
    Count,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    Quantile,
    CountValues,
    LimitK,
    LimitRatio,
}

impl AggregateOp {
    pub(crate) const ALL: [(&'static str, Self); 14] = [
        ("sum", Self::Sum),
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("group", Self::Group),
        ("count", Self::Count),
        ("stddev", Self::Stddev),
        ("stdvar", Self::Stdvar),
        ("topk", Self::TopK),
        ("bottomk", Self::BottomK),
        ("quantile", Self::Quantile),
        ("count_values", Self::CountValues),
        ("limitk", Self::LimitK),
        ("limit_ratio", Self::LimitRatio),
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, op)| *op)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }

    /// The type of the parameter, for those that take one.
    pub(crate) fn param(self) -> Option<Type> {
        match self {
            Self::TopK | Self::BottomK | Self::Quantile | Self::LimitK | Self::LimitRatio => Some(Type::Scalar),
            Self::CountValues => Some(Type::String),
            _ => None,
        }
    }

    pub(crate) fn experimental(self) -> bool {
        matches!(self, Self::LimitK | Self::LimitRatio)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) expr: Expr,
    pub(crate) param: Option<Expr>,
    pub(crate) grouping: Grouping,
}

/// `by` or `without`; neither is `by ()`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grouping {
    /// As written.
    pub(crate) labels: Vec<String>,
    pub(crate) without: bool,
    /// As in [`Selector`].
    pub(crate) utf8_names: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    And,
    Or,
    Unless,
    /// `</`: trims observations above a value.
    TrimUpper,
    /// `>/`: trims observations below a value.
    TrimLower,
    /// The left side, with gaps filled from the right side (MetricsQL).
    Default,
}

impl BinaryOp {
    pub(crate) const ALL: [(&'static str, Self); 19] = [
        ("+", Self::Add),
        ("-", Self::Sub),
        ("*", Self::Mul),
        ("/", Self::Div),
        ("%", Self::Mod),
        ("^", Self::Pow),
        ("atan2", Self::Atan2),
        ("==", Self::Eq),
        ("!=", Self::Ne),
        (">", Self::Gt),
        ("<", Self::Lt),
        (">=", Self::Ge),
        ("<=", Self::Le),
        ("and", Self::And),
        ("or", Self::Or),
        ("unless", Self::Unless),
        ("</", Self::TrimUpper),
        (">/", Self::TrimLower),
        ("default", Self::Default),
    ];

    pub(crate) fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(symbol, _)| symbol)
    }

    pub(crate) fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Gt | Self::Lt | Self::Ge | Self::Le)
    }

    /// Does it trim native histograms?
    pub(crate) fn is_trim(self) -> bool {
        matches!(self, Self::TrimUpper | Self::TrimLower)
    }

    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// The precedence; larger binds more tightly.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            // Below all operators of upstream, so that `a or b default c` fills gaps of the whole expression before it.
            Self::Default => 0,
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::TrimUpper | Self::TrimLower => 3,
            // As upstream's grammar: trims and comparisons are one level.
            op if op.is_comparison() => 3,
            Self::Add | Self::Sub => 4,
            Self::Pow => 7,
            // `*`, `/`, `%` and `atan2`; the unary operators are at 6, between these and `^`.
            _ => 5,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) left: Expr,
    pub(crate) right: Expr,
    /// Both sides are scalars; stored, since computing it for a long chain would be expensive.
    pub(crate) of_scalars: bool,
    pub(crate) return_bool: bool,
    /// The result has the names of its left side.
    pub(crate) keep_name: bool,
    pub(crate) matching: Matching,
}

/// The cardinality of matching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Card {
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
}

/// How the series of two vectors are matched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    pub(crate) card: Card,
    /// `on` rather than `ignoring`.
    pub(crate) on: bool,
    /// Of `on` or `ignoring`, as written.
    pub(crate) labels: Vec<String>,
    /// Labels that `group_left` or `group_right` copies from the "one" side.
    pub(crate) include: Vec<String>,
    pub(crate) fill_left: Option<f64>,
    pub(crate) fill_right: Option<f64>,
    /// As in [`Selector`].
    pub(crate) utf8_names: bool,
}

impl Selector {
    /// Replaces all matchers of the label of this one by it.
    pub(crate) fn enforce(&mut self, matcher: &Matcher) {
        self.matchers.retain(|known| known.name != matcher.name);
        // The name before the braces stays last.
        let place = self.matchers.len() - usize::from(self.name.is_some() && !self.matchers.is_empty());
        self.matchers.insert(place, matcher.clone());
    }
}

impl DurationExpr {
    /// Calls `visit` for every node.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        match &self.kind {
            DurationKind::Literal(_) | DurationKind::Step | DurationKind::Range => {}
            DurationKind::Negate(inner) => inner.walk(visit),
            DurationKind::MinOf(a, b) | DurationKind::MaxOf(a, b) | DurationKind::Binary(_, a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
        }
    }
}

impl Call {
    /// The error when a function does not support the `anchored` or `smoothed` modifier of its range.
    pub(crate) fn refused_extension(&self) -> Option<String> {
        let extension = self.args.iter().find_map(|arg| match &arg.unwrapped().kind {
            ExprKind::Matrix(selector, _) => selector.extension,
            _ => None,
        })?;
        let takers: &[&str] = match extension {
            Extension::Anchored => &["changes", "delta", "increase", "rate", "resets"],
            Extension::Smoothed => &["delta", "increase", "rate"],
        };
        let (word, name) = (extension.word(), self.function.name);
        let refused = !takers.contains(&name);
        refused.then(|| format!("{word} modifier can only be used with: {} - not with {name}", takers.join(", ")))
    }
}

impl Binary {
    /// The vector matching, when both sides are vectors.
    pub(crate) fn matched(&self) -> Option<&Matching> {
        let vectors = [&self.left, &self.right].iter().all(|side| side.value_type() == Type::Vector);
        vectors.then_some(&self.matching)
    }
}

impl Expr {
    pub(crate) fn value_type(&self) -> Type {
        match &self.kind {
            ExprKind::Number(_) => Type::Scalar,
            ExprKind::String(_) => Type::String,
            ExprKind::Vector(_) | ExprKind::Aggregate(_) => Type::Vector,
            ExprKind::Matrix(..) | ExprKind::Subquery(_) => Type::Matrix,
            ExprKind::Paren(e) | ExprKind::Unary(_, e) => e.value_type(),
            ExprKind::Call(call) => call.function.returns,
            ExprKind::Binary(b) if b.of_scalars => Type::Scalar,
            ExprKind::Binary(_) => Type::Vector,
        }
    }

    /// The expression without parentheses around it.
    pub(crate) fn unwrapped(&self) -> &Self {
        match &self.kind {
            ExprKind::Paren(inner) => inner.unwrapped(),
            _ => self,
        }
    }

    /// Calls `visit` for every node, parents first.
    pub(crate) fn walk_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        visit(self);
        match &mut self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(..) => {}
            ExprKind::Paren(e) | ExprKind::Unary(_, e) => e.walk_mut(visit),
            ExprKind::Subquery(s) => s.expr.walk_mut(visit),
            ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| arg.walk_mut(visit)),
            ExprKind::Aggregate(a) => {
                a.param.iter_mut().for_each(|param| param.walk_mut(visit));
                a.expr.walk_mut(visit);
            }
            ExprKind::Binary(b) => {
                b.left.walk_mut(visit);
                b.right.walk_mut(visit);
            }
        }
    }

    /// Calls `visit` for every node, parents first.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(..) => {}
            ExprKind::Paren(e) | ExprKind::Unary(_, e) => e.walk(visit),
            ExprKind::Subquery(s) => s.expr.walk(visit),
            ExprKind::Call(call) => call.args.iter().for_each(|arg| arg.walk(visit)),
            ExprKind::Aggregate(a) => {
                if let Some(param) = &a.param {
                    param.walk(visit);
                }
                a.expr.walk(visit);
            }
            ExprKind::Binary(b) => {
                b.left.walk(visit);
                b.right.walk(visit);
            }
        }
    }
}
