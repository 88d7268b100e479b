//! Tree → query text over several lines: expressions longer than a line are broken and indented.

use std::fmt::{self, Write as _};

use super::ast::{Expr, ExprKind};
use super::limits::is_small;

const COLUMNS_MAX: usize = 100;

/// Appends the text of an expression at a depth. Lines begin with their indentation.
pub(super) fn pretty(expr: &Expr, level: usize, out: &mut String) {
    let fits = Short::fits(expr);
    match &expr.kind {
        // As upstream: without indentation.
        ExprKind::Subquery(_) if fits => put(out, expr),
        ExprKind::Subquery(s) => {
            pretty(&s.expr, level, out);
            put(out, s.suffix());
        }
        ExprKind::Unary(sign, inner) => {
            indent(level, out);
            out.push_str(sign.symbol());
            let from = out.len();
            pretty(inner, level, out);
            // The sign is indented already: the indentation of the operand behind it is removed.
            let blanks = out[from..].len() - out[from..].trim_start().len();
            out.replace_range(from..from + blanks, "");
            out.truncate(out.trim_end().len());
        }
        _ if fits => whole(expr, level, out),
        // A leaf cannot be broken, however long it is.
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(..) => {
            whole(expr, level, out);
        }
        ExprKind::Paren(inner) => {
            indent(level, out);
            out.push_str("(\n");
            pretty(inner, level + 1, out);
            close(expr, level, out);
        }
        ExprKind::Binary(b) => {
            pretty(&b.left, level + 1, out);
            out.push('\n');
            indent(level, out);
            put(out, b.operator());
            out.push('\n');
            pretty(&b.right, level + 1, out);
        }
        ExprKind::Aggregate(a) => {
            indent(level, out);
            put(out, a.head());
            out.push_str("(\n");
            if let Some(param) = &a.param {
                pretty(param, level + 1, out);
                out.push_str(",\n");
            }
            pretty(&a.expr, level + 1, out);
            out.push('\n');
            indent(level, out);
            out.push(')');
        }
        ExprKind::Call(call) => {
            indent(level, out);
            out.push_str(call.function.name);
            out.push_str("(\n");
            for (i, arg) in call.args.iter().enumerate() {
                out.push_str(if i > 0 { ",\n" } else { "" });
                pretty(arg, level + 1, out);
            }
            close(expr, level, out);
        }
    }
}

fn put(out: &mut String, text: impl fmt::Display) {
    let _ = write!(out, "{text}");
}

fn indent(level: usize, out: &mut String) {
    const BLANKS: &str = "                                                                ";
    // Levels are limited by memory only: a chain of operators nests as deep as it is long.
    let mut left = 2 * level;
    while left > 0 {
        let some = left.min(BLANKS.len());
        out.push_str(&BLANKS[..some]);
        left -= some;
    }
}

fn whole(expr: &Expr, level: usize, out: &mut String) {
    indent(level, out);
    put(out, expr);
}

/// The closing parenthesis of an expression, on its own line.
fn close(expr: &Expr, level: usize, out: &mut String) {
    out.push('\n');
    indent(level, out);
    out.push(')');
    out.push_str(expr.kept_names());
}

/// Counts characters, up to the length of a line.
struct Short(usize);

impl Short {
    fn fits(expr: &Expr) -> bool {
        // Each expression has at least one character.
        is_small(expr, COLUMNS_MAX) && write!(Self(COLUMNS_MAX), "{expr}").is_ok()
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}
