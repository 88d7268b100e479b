//! Which selectors need no more of histograms than count and sum.

use super::ast::{Expr, ExprKind};

/// What is known of an expression from those around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Unknown,
    Totals,
    Buckets,
}

/// Marks the selectors below `histogram_count`, `histogram_sum` and `histogram_avg`; unless above or below these stands
/// what needs buckets: quantiles and fractions, trimming, and subqueries, which have to look for resets themselves.
pub(crate) fn mark(expr: &mut Expr, needs: Needs) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) => selector.totals = needs == Needs::Totals,
        ExprKind::Subquery(subquery) => mark(&mut subquery.expr, Needs::Buckets),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => mark(inner, needs),
        ExprKind::Call(call) => {
            let needs = match call.function.name {
                "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => Needs::Buckets,
                "histogram_count" | "histogram_sum" | "histogram_avg" if needs == Needs::Unknown => Needs::Totals,
                _ => needs,
            };
            call.args.iter_mut().for_each(|arg| mark(arg, needs));
        }
        ExprKind::Aggregate(a) => {
            a.param.iter_mut().for_each(|param| mark(param, needs));
            mark(&mut a.expr, needs);
        }
        ExprKind::Binary(b) => {
            let needs = if b.op.is_trim() { Needs::Buckets } else { needs };
            mark(&mut b.left, needs);
            mark(&mut b.right, needs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::random::ALL_ON;

    #[test]
    fn whose_buckets_do_not_matter() {
        for (query, expected) in [
            ("histogram_count(a)", "a"),
            ("histogram_avg(sum(rate(a[5m])) + b)", "ab"),
            ("histogram_sum(a </ 3) + b", ""),
            ("histogram_count(increase(a[5m:1m]))", ""),
            ("sum_over_time(histogram_count(a)[5m:1m])", ""),
            ("histogram_count(a unless histogram_quantile(0.5, b) < 3)", "a"),
        ] {
            let mut expr = crate::parse::parse(query, ALL_ON).unwrap();
            mark(&mut expr, Needs::Unknown);
            let mut marked = String::new();
            expr.walk(&mut |node| match &node.kind {
                ExprKind::Vector(s) | ExprKind::Matrix(s, _) if s.totals => marked += s.name.as_deref().unwrap(),
                _ => {}
            });
            assert_eq!(marked, expected, "{query}");
        }
    }
}
