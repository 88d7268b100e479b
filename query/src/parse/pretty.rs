//! Tree → query text over several lines: what is longer than a line is broken, and its parts are indented.

use super::ast::{Expr, ExprKind};

const COLUMNS_MAX: usize = 100;

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

/// The text of an expression at a depth. Lines begin with their indentation.
pub(super) fn pretty(expr: &Expr, level: usize) -> String {
    let whole = expr.to_string();
    let pad = indent(level);
    let fits = whole.len() <= COLUMNS_MAX;
    match &expr.kind {
        // As upstream has it: without indentation.
        ExprKind::Subquery(_) if fits => whole,
        ExprKind::Subquery(s) => format!("{}{}", pretty(&s.expr, level), s.suffix()),
        ExprKind::Unary(sign, inner) => format!("{pad}{}{}", sign.symbol(), pretty(inner, level).trim()),
        _ if fits => format!("{pad}{whole}"),
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(..) => {
            format!("{pad}{whole}")
        }
        ExprKind::Paren(inner) => format!("{pad}(\n{}\n{pad}){}", pretty(inner, level + 1), expr.kept_names()),
        ExprKind::Binary(b) => {
            let (left, right) = (pretty(&b.left, level + 1), pretty(&b.right, level + 1));
            format!("{left}\n{pad}{}\n{right}", b.operator())
        }
        ExprKind::Aggregate(a) => {
            let param = a.param.as_ref().map_or_else(String::new, |p| format!("{},\n", pretty(p, level + 1)));
            format!("{pad}{}(\n{param}{}\n{pad})", a.head(), pretty(&a.expr, level + 1))
        }
        ExprKind::Call(call) => {
            let args: Vec<String> = call.args.iter().map(|arg| pretty(arg, level + 1)).collect();
            format!("{pad}{}(\n{}\n{pad}){}", call.function.name, args.join(",\n"), expr.kept_names())
        }
    }
}
