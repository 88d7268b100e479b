//! The checked expression tree that evaluation works on. It knows nothing of the parser that made it.

use model::Matcher;

use crate::functions::Function;

/// A stretch of the query text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar,
    String,
    Vector,
    Matrix,
}

impl Type {
    /// As parse errors call it.
    pub(crate) fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }

    /// As the HTTP API calls it.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

/// One expression and where it stands in the text.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Number(f64),
    String(String),
    /// `up{job="a"} offset 5m`
    Vector(Selector),
    /// `up{job="a"}[5m]`
    Matrix(Selector, i64),
    Subquery(Box<Subquery>),
    Paren(Box<Expr>),
    /// `-x`; a unary plus means nothing and leaves no trace.
    Negate(Box<Expr>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Call),
}

/// The `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Ms(i64),
    Start,
    End,
}

/// `@` and `offset` of a selector or subquery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) at: Option<At>,
    pub(crate) offset_ms: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// All of them, the one for the name among them.
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) shift: Shift,
}

/// `expr[range:step]`
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub(crate) expr: Expr,
    pub(crate) range_ms: i64,
    pub(crate) step_ms: Option<i64>,
    pub(crate) shift: Shift,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) args: Vec<Expr>,
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
    const ALL: [(&'static str, Self); 14] = [
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
    /// Sorted, without duplicates.
    pub(crate) labels: Vec<String>,
    pub(crate) without: bool,
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
}

impl BinaryOp {
    const ALL: [(&'static str, Self); 16] = [
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
    ];

    pub(crate) fn from_symbol(symbol: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(s, _)| s.eq_ignore_ascii_case(symbol));
        found.map(|(_, op)| *op)
    }

    pub(crate) fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(symbol, _)| symbol)
    }

    pub(crate) fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Gt | Self::Lt | Self::Ge | Self::Le)
    }

    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How tightly it binds; larger is tighter.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            op if op.is_comparison() => 3,
            Self::Add | Self::Sub => 4,
            Self::Pow => 7,
            _ => 5,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) left: Expr,
    pub(crate) right: Expr,
    pub(crate) return_bool: bool,
    pub(crate) matching: Matching,
}

/// Which side may have several partners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Card {
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
}

/// How the series of two vectors find each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    pub(crate) card: Card,
    /// `on` rather than `ignoring`.
    pub(crate) on: bool,
    /// Of `on` or `ignoring`; sorted, without duplicates.
    pub(crate) labels: Vec<String>,
    /// Labels that `group_left` or `group_right` takes over from the one side.
    pub(crate) include: Vec<String>,
    pub(crate) fill_left: Option<f64>,
    pub(crate) fill_right: Option<f64>,
}

impl Expr {
    pub(crate) fn value_type(&self) -> Type {
        match &self.kind {
            ExprKind::Number(_) => Type::Scalar,
            ExprKind::String(_) => Type::String,
            ExprKind::Vector(_) | ExprKind::Aggregate(_) => Type::Vector,
            ExprKind::Matrix(..) | ExprKind::Subquery(_) => Type::Matrix,
            ExprKind::Paren(e) | ExprKind::Negate(e) => e.value_type(),
            ExprKind::Call(call) => call.function.returns,
            ExprKind::Binary(b) => match (b.left.value_type(), b.right.value_type()) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
        }
    }

    /// Without the parentheses around it.
    pub(crate) fn unwrapped(&self) -> &Self {
        match &self.kind {
            ExprKind::Paren(inner) => inner.unwrapped(),
            _ => self,
        }
    }

    /// Calls `visit` for every node, parents first.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(..) => {}
            ExprKind::Paren(e) | ExprKind::Negate(e) => e.walk(visit),
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
