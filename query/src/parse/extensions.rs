//! Extensions of MetricsQL (`docs/promql-extensions.md`): keywords, and default ranges. `templates` parses `WITH`.

use super::ast::{BinaryOp, Duration, DurationExpr, DurationKind, Expr, ExprKind, Number, Selector, Span};
use super::parser::{Parsed, Parser};
use super::token::Kind;
use super::types::Type;
use crate::functions::{Body, Function};

pub(super) const KEEP: &str = "keep_metric_names";
pub(super) const DEFAULT: &str = "default";

/// Is the word a binary operator with extensions enabled?
pub(super) fn is_operator(word: &str) -> bool {
    word.eq_ignore_ascii_case(DEFAULT)
}

impl Parser<'_> {
    /// Is the next token this keyword? With extensions disabled it is remembered for the error message.
    pub(super) fn extension_next(&mut self, word: &'static str) -> bool {
        if self.peek() != Kind::Identifier || !self.str(self.last_span()).eq_ignore_ascii_case(word) {
            return false;
        }
        // The words are plain identifiers for the lexer, so that metrics and labels may have these names.
        if !self.dialect.extensions {
            self.extension_seen = Some(word);
        }
        self.dialect.extensions
    }

    /// The next token, if it is a binary operator.
    pub(super) fn operator(&mut self) -> Option<BinaryOp> {
        match self.peek() {
            Kind::Operator(op) => Some(op),
            _ => self.extension_next(DEFAULT).then_some(BinaryOp::Default),
        }
    }

    /// `keep_metric_names` after a call, or after an operator in parentheses.
    pub(super) fn keep_names(&mut self, expr: &mut Expr) -> Parsed<()> {
        let span = self.take().span;
        // After a parenthesis the modifier belongs to the operator in it, not to a call in it.
        let is_call = matches!(expr.kind, ExprKind::Call(_));
        match innermost(expr) {
            ExprKind::Call(call) if is_call && keeps(call.function) => call.keep_name = true,
            ExprKind::Binary(binary) if !is_call => binary.keep_name = true,
            _ => {
                let wanted = "a function whose result loses its name, or an operator in parentheses";
                self.fault(span, format!("{KEEP} must be preceded by {wanted}"));
            }
        }
        expr.span.end = span.end;
        Ok(())
    }

    /// Gives selectors a default range where a function expects one.
    pub(super) fn give_ranges(&self, function: &Function, args: &mut [Expr]) {
        if !self.dialect.extensions {
            return;
        }
        for (i, arg) in args.iter_mut().enumerate() {
            // Only a bare selector: one with a range has it already, and other expressions would need a subquery.
            if let (Some(Type::Matrix), ExprKind::Vector(selector)) = (function.arg_type(i), &mut arg.kind) {
                let range = implied_range(function, self.dialect.scrape_interval_ms, arg.span);
                arg.kind = ExprKind::Matrix(std::mem::take::<Selector>(selector), range);
            }
        }
    }
}

fn innermost(expr: &mut Expr) -> &mut ExprKind {
    match &mut expr.kind {
        ExprKind::Paren(inner) => innermost(inner),
        kind => kind,
    }
}

fn keeps(function: &Function) -> bool {
    matches!(
        function.body,
        Body::Range(_)
            | Body::RangeKeepName(_)
            | Body::Math(_)
            | Body::Date(_)
            | Body::Timestamp
            | Body::AcrossSteps(_)
    ) || matches!(function.body, Body::OfHistograms(_))
}

/// Functions that need at least two samples.
const OF_TWO: [&str; 10] = [
    "changes",
    "delta",
    "deriv",
    "double_exponential_smoothing",
    "idelta",
    "increase",
    "irate",
    "predict_linear",
    "rate",
    "resets",
];

/// The default range: a step, so that no sample is skipped, and at least a scrape interval. Functions that need two samples
/// get one more interval, and at least four, so that a missed scrape causes no gap (Grafana: `$__rate_interval`).
fn implied_range(function: &Function, interval_ms: i64, span: Span) -> Duration {
    let node = |kind| Box::new(DurationExpr { kind, wrapped: false, span });
    let intervals = |n: i64| {
        let value = (interval_ms * n) as f64 / 1000.0;
        node(DurationKind::Literal(Number { value, is_duration: true }))
    };
    let step = node(DurationKind::Step);
    let kind = if OF_TWO.contains(&function.name) {
        // `max_of(step() + interval, 4 * interval)`, computed once the step of the query is known.
        let more = node(DurationKind::Binary(BinaryOp::Add, step, intervals(1)));
        DurationKind::MaxOf(more, intervals(4))
    } else {
        DurationKind::MaxOf(step, intervals(1))
    };
    Duration { ms: 0, expr: Some(node(kind)), implied: true }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, json, parse, pretty};

    const ON: Dialect = Dialect {
        experimental_functions: false,
        fill_modifiers: false,
        utf8_names: false,
        extensions: true,
        scrape_interval_ms: 15_000,
    };

    fn printed(query: &str) -> String {
        let expr = parse(query, ON).unwrap_or_else(|error| panic!("{query}: {error}"));
        let text = expr.to_string();
        let again = parse(&text, ON).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((json(&again), again.to_string()), (json(&expr), text.clone()), "{query}");
        assert!(parse(&pretty(&expr), ON).is_ok());
        text
    }

    #[test]
    fn they_print_as_themselves() {
        for query in [
            "rate(up)",
            "quantile_over_time(0.5, up{job=\"a\"} offset 5m)",
            "a default b default 0",
            "a default on (job) b",
            "abs(up) keep_metric_names",
            "sum(rate(up[5m]) keep_metric_names) by (job) default 1",
            "(a / b) keep_metric_names",
            "label_match(up, \"job\", \"a.*\")",
            "range_quantile(0.9, up)",
        ] {
            let query = query.replace(
                "sum(rate(up[5m]) keep_metric_names) by (job)",
                "sum by (job) (rate(up[5m]) keep_metric_names)",
            );
            assert_eq!(printed(&query), query);
        }
        // The words stay names where they stand as names.
        assert_eq!(printed("default default default"), "default default default");
        assert_eq!(printed("with{default=\"a\"} + keep_metric_names"), "with{default=\"a\"} + keep_metric_names");
    }

    #[test]
    fn templates_are_expanded() {
        for (query, expected) in [
            ("WITH (x = up) x", "up"),
            ("WITH (x = a + b,) x * 2", "(a + b) * 2"),
            ("WITH (f(m, w) = rate(m[5m]) / w) f(up{job=\"a\"}, 2 - 1)", "(rate(up{job=\"a\"}[5m]) / (2 - 1))"),
            ("with (job = {job=\"a\"}) up{env=\"b\", job} / x{job}", "up{env=\"b\",job=\"a\"} / x{job=\"a\"}"),
            ("WITH (a = x, b = a offset 1h) WITH (a = y) a - b", "y - x offset 1h"),
            ("WITH (sq(x) = x * x, q(x) = sq(sq(x))) q(up)", "((up * up) * (up * up))"),
            ("sum(WITH (x = up) x[5m:1m] offset 2m)", ""),
        ] {
            if expected.is_empty() {
                assert!(parse(query, ON).is_err(), "{query}");
            } else {
                assert_eq!(printed(query), expected, "{query}");
            }
        }
    }

    #[test]
    fn faults_of_templates() {
        let error = |query: &str| parse(query, ON).unwrap_err().to_string();
        assert_eq!(error("WITH (f(x) = x) f(a, b)"), "1:17: parse error: template \"f\" takes 1 argument(s), got 2");
        assert_eq!(error("WITH (x = a +) x"), "1:14: parse error: unexpected end of input");
        assert_eq!(
            error("WITH (x a) x"),
            "1:9: parse error: unexpected identifier \"a\" in WITH, expected \"(\" or \"=\""
        );
        // A template sees those before it: none can go round in circles.
        assert_eq!(printed("WITH (x = x) x"), "x");
        let doubled: Vec<String> = (1..30).map(|i| format!("x{i} = x{} + x{}", i - 1, i - 1)).collect();
        let bomb = format!("WITH (x0 = up, {}) x29", doubled.join(", "));
        assert!(error(&bomb).contains("templates are used more than 1000 times"), "{}", error(&bomb));
    }

    #[test]
    fn without_the_flag_the_message_names_it() {
        for (query, upstream) in [
            ("a default 0", "1:3: parse error: unexpected identifier \"default\""),
            ("abs(a) keep_metric_names", "1:8: parse error: unexpected identifier \"keep_metric_names\""),
            ("label_match(a, \"b\", \"c\")", "1:1: parse error: unknown function with name \"label_match\""),
            ("range_avg(a)", "1:1: parse error: unknown function with name \"range_avg\""),
            ("WITH (x = up) x", "1:9: parse error: unexpected \"=\""),
        ] {
            let error = parse(query, Dialect::default()).unwrap_err().to_string();
            assert!(error.starts_with(upstream) && error.contains(super::super::dialect::FLAG), "{error}");
        }
        // What is no extension is told as before.
        let error = |query: &str| parse(query, Dialect::default()).unwrap_err().to_string();
        assert_eq!(error("a defaul 0"), "1:3: parse error: unexpected identifier \"defaul\"");
        assert!(error("rate(up)").ends_with("got instant vector"));
    }
}
