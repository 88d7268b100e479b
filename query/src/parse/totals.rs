//! Which selectors need no more of histograms than count and sum.

use super::ast::{AggregateOp, BinaryOp, Expr, ExprKind};

/// What is known of an expression from those around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Unknown,
    Totals,
    Buckets,
}

/// Marks the selectors below `histogram_count`, `histogram_sum` and `histogram_avg`; unless above or below these stands
/// what needs buckets: quantiles, fractions and deviations, whatever compares histograms, trimming, and subqueries, which
/// have to look for resets themselves.
pub(crate) fn mark(expr: &mut Expr, needs: Needs) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) => selector.totals = needs == Needs::Totals,
        ExprKind::Subquery(subquery) => mark(&mut subquery.expr, Needs::Buckets),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => mark(inner, needs),
        ExprKind::Call(call) => {
            let needs = match call.function.name {
                "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => Needs::Buckets,
                "histogram_stddev" | "histogram_stdvar" | "changes" => Needs::Buckets,
                "histogram_count" | "histogram_sum" | "histogram_avg" if needs == Needs::Unknown => Needs::Totals,
                _ => needs,
            };
            call.args.iter_mut().for_each(|arg| mark(arg, needs));
        }
        ExprKind::Aggregate(a) => {
            // The text of a whole histogram is the label of its value.
            let needs = if a.op == AggregateOp::CountValues { Needs::Buckets } else { needs };
            a.param.iter_mut().for_each(|param| mark(param, needs));
            mark(&mut a.expr, needs);
        }
        ExprKind::Binary(b) => {
            let of_buckets = b.op.is_trim() || matches!(b.op, BinaryOp::Eq | BinaryOp::Ne);
            let needs = if of_buckets { Needs::Buckets } else { needs };
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
            ("histogram_count(a == b) + histogram_sum(c != d)", ""),
            ("histogram_count(a and changes(b[5m]) > 0)", "a"),
            ("histogram_count(a and on () count(count_values(\"v\", b)) > 1)", "a"),
            ("histogram_count(a and histogram_stddev(b) > 1)", "a"),
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
