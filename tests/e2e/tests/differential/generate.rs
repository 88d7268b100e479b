//! Random queries: every function, aggregation, operator and modifier, well typed. A query is a tree of texts and parts, so
//! that it can be made smaller.

use std::fmt;
use std::ops::{Deref, DerefMut};

use kit::Random;

/// What a part of a query yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Scalar,
    Vector,
    Matrix,
}

/// A query, or a part of one.
#[derive(Clone, Debug)]
pub struct Query {
    pub ty: Type,
    pub pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
pub enum Piece {
    Text(String),
    Part(Query),
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Part(part) => part.fmt(f),
        })
    }
}

const SELECTORS: [&str; 26] = [
    "requests_total",
    "requests_total{job=\"api\"}",
    "requests_total{code=~\"2..|5..\", job!=\"db\"}",
    "requests_total{instance!~\"i[12]\"}",
    "load",
    "load{job=\"web\"}",
    "load{job=~\"api|db\", instance=\"i1\"}",
    "{__name__=~\"load|requests_total\", instance=\"i0\"}",
    "odd",
    "odd{kind=~\"nan|inf|both\"}",
    "odd{kind=\"stale\"}",
    "odd{kind=~\"zero|huge\"}",
    "odd{kind=\"lone\"}",
    "{\"my.metric\"}",
    "{\"my.metric\", \"my.label\"=\"ä\"}",
    "target_info",
    "latency_seconds_bucket",
    "latency_seconds_bucket{instance=\"i0\"}",
    "latency_seconds_bucket{instance=~\"i[12]\"}",
    "native_seconds",
    "native_seconds{job=\"api\"}",
    "native_size",
    "native_size{instance=\"i1\"}",
    "mixed",
    "{job=\"api\", instance=\"i0\"}",
    "absent_metric{job=\"x\"}",
];

const OF_VECTOR: [&str; 42] = [
    "abs",
    "absent",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "exp",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "hour",
    "ln",
    "log10",
    "log2",
    "minute",
    "month",
    "rad",
    "round",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "tan",
    "tanh",
    "timestamp",
    "year",
    "start_timestamp",
];

const OF_MATRIX: [&str; 29] = [
    "absent_over_time",
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "first_over_time",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "integral",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "rate",
    "increase",
    "sum_over_time",
    "avg_over_time",
];

const AGGREGATIONS: [&str; 8] = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
const LABELS: [&str; 8] = ["job", "instance", "code", "le", "kind", "job, instance", "", "\"my.label\", absent"];
const NUMBERS: [&str; 12] = ["0", "1", "2", "0.5", "-1", "3.25", "1e9", "Inf", "-Inf", "NaN", "5m", "0x1F"];
const QUANTILES: [&str; 7] = ["0.5", "0.9", "0", "1", "-1", "1.5", "NaN"];
const RANGES: [&str; 9] = ["1m", "2m", "5m", "90s", "10m30s", "1h", "5m*2", "step()+1m", "max_of(1m, range()/4)"];

/// A query from pieces of text with `%` for each part.
fn made(ty: Type, text: &str, parts: Vec<Query>) -> Query {
    let mut pieces = Vec::new();
    let mut parts = parts.into_iter();
    for (i, piece) in text.split('%').enumerate() {
        if i > 0 {
            pieces.push(Piece::Part(parts.next().unwrap()));
        }
        pieces.push(Piece::Text(piece.to_owned()));
    }
    Query { ty, pieces }
}

/// Makes queries from the numbers of a seed.
pub struct Generator(pub Random);

impl Deref for Generator {
    type Target = Random;

    fn deref(&self) -> &Random {
        &self.0
    }
}

impl DerefMut for Generator {
    fn deref_mut(&mut self) -> &mut Random {
        &mut self.0
    }
}

impl Generator {
    /// A query that may be asked over a range too.
    pub fn query(&mut self) -> Query {
        let depth = 1 + self.below(4);
        if self.one_in(12) { self.scalar(depth) } else { self.vector(depth) }
    }

    fn text(&mut self, ty: Type, text: String) -> Query {
        Query { ty, pieces: vec![Piece::Text(text)] }
    }

    fn scalar(&mut self, depth: usize) -> Query {
        let number = self.pick(&NUMBERS).to_owned();
        if depth == 0 || self.one_in(3) {
            return self.text(Type::Scalar, number);
        }
        match self.below(8) {
            0 => {
                let name = self.pick(&["time", "pi", "start", "end", "step", "range"]);
                self.text(Type::Scalar, format!("{name}()"))
            }
            1 | 2 => made(Type::Scalar, "scalar(%)", vec![self.vector(depth - 1)]),
            3 => made(Type::Scalar, "(-%)", vec![self.scalar(depth - 1)]),
            4 => {
                let name = self.pick(&["min_of", "max_of"]);
                made(Type::Scalar, &format!("{name}(%, %)"), vec![self.scalar(depth - 1), self.scalar(depth - 1)])
            }
            _ => {
                let op = self.pick(&["+", "-", "*", "/", "^", "atan2", "== bool", "< bool", ">= bool"]);
                made(Type::Scalar, &format!("(% {op} %)"), vec![self.scalar(depth - 1), self.scalar(depth - 1)])
            }
        }
    }

    fn modifiers(&mut self) -> &'static str {
        if !self.one_in(4) {
            return "";
        }
        self.pick(&[
            " offset 5m",
            " offset -2m",
            " @ end()",
            " @ start()",
            " @ MIDDLE",
            " @ MIDDLE offset 90s",
            " offset step()",
            " offset (2*1m)",
        ])
    }

    fn selector(&mut self) -> Query {
        let text = format!("{}{}", self.pick(&SELECTORS), self.modifiers());
        self.text(Type::Vector, text)
    }

    fn vector(&mut self, depth: usize) -> Query {
        if depth == 0 {
            return if self.one_in(8) {
                made(Type::Vector, "vector(%)", vec![self.scalar(0)])
            } else {
                self.selector()
            };
        }
        match self.below(20) {
            0 | 1 => self.selector(),
            2..=4 => {
                let name = self.pick(&OF_VECTOR);
                made(Type::Vector, &format!("{name}(%)"), vec![self.vector(depth - 1)])
            }
            5..=8 => self.of_range(depth),
            9..=12 => self.aggregation(depth),
            13..=16 => self.binary(depth),
            17 => made(Type::Vector, "(-%)", vec![self.vector(depth - 1)]),
            18 => self.with_scalars(depth),
            _ => self.labels(depth),
        }
    }

    fn of_range(&mut self, depth: usize) -> Query {
        if self.one_in(5) {
            return match self.below(3) {
                0 => made(Type::Vector, "predict_linear(%, %)", vec![self.matrix(depth - 1), self.scalar(0)]),
                1 => {
                    let factors = self.pick(&["0.5, 0.5", "0.1, 0.9", "0.3, 1.5"]);
                    made(
                        Type::Vector,
                        &format!("double_exponential_smoothing(%, {factors})"),
                        vec![self.matrix(depth - 1)],
                    )
                }
                _ => {
                    let q = self.pick(&QUANTILES);
                    made(Type::Vector, &format!("quantile_over_time({q}, %)"), vec![self.matrix(depth - 1)])
                }
            };
        }
        let name = self.pick(&OF_MATRIX);
        made(Type::Vector, &format!("{name}(%)"), vec![self.matrix(depth - 1)])
    }

    fn matrix(&mut self, depth: usize) -> Query {
        let (range, modifiers) = (self.pick(&RANGES), self.modifiers());
        if depth == 0 || !self.one_in(4) {
            let extension = if self.one_in(6) { self.pick(&[" anchored", " smoothed"]) } else { "" };
            let text = format!("{}[{range}]{extension}{modifiers}", self.pick(&SELECTORS));
            return self.text(Type::Matrix, text);
        }
        let step = self.pick(&["", "30s", "1m", "45s", "5m"]);
        let range = self.pick(&["5m", "10m", "7m30s"]);
        made(Type::Matrix, &format!("(%)[{range}:{step}]{modifiers}"), vec![self.vector(depth - 1)])
    }

    fn aggregation(&mut self, depth: usize) -> Query {
        let grouping = match self.below(4) {
            0 => String::new(),
            1 => format!(" without ({})", self.pick(&LABELS)),
            _ => format!(" by ({})", self.pick(&LABELS)),
        };
        if !self.one_in(3) {
            let name = self.pick(&AGGREGATIONS);
            return made(Type::Vector, &format!("{name}{grouping} (%)"), vec![self.vector(depth - 1)]);
        }
        let head = match self.below(6) {
            0 => format!("topk{grouping} ({}, %)", self.pick(&["1", "3", "0", "2.7"])),
            1 => format!("bottomk{grouping} ({}, %)", self.pick(&["1", "3", "5"])),
            2 => format!("quantile{grouping} ({}, %)", self.pick(&QUANTILES)),
            3 => format!("count_values{grouping} (\"value\", %)"),
            4 => format!("limitk{grouping} ({}, %)", self.pick(&["1", "2", "4"])),
            _ => format!("limit_ratio{grouping} ({}, %)", self.pick(&["0.5", "-0.5", "0.9", "1"])),
        };
        made(Type::Vector, &head, vec![self.vector(depth - 1)])
    }

    fn binary(&mut self, depth: usize) -> Query {
        let arithmetic = ["+", "-", "*", "/", "%%", "^", "atan2", "</", ">/"];
        let comparison = ["==", "!=", ">", "<", ">=", "<=", "> bool", "== bool", "!= bool"];
        let op = if self.one_in(2) { self.pick(&arithmetic) } else { self.pick(&comparison) };
        let op = op.replace("%%", "\u{1}");
        match self.below(6) {
            0 => self.joined(&op, Type::Vector, Type::Scalar, depth),
            1 => self.joined(&op, Type::Scalar, Type::Vector, depth),
            2 => {
                let set = self.pick(&["and", "or", "unless"]);
                let on = self.pick(&["", " on (job)", " ignoring (code, le)", " on ()", " on (job, instance)"]);
                self.joined(&format!("{set}{on}"), Type::Vector, Type::Vector, depth)
            }
            3 => {
                let matching = self.pick(&[
                    " on (job, instance) group_left",
                    " ignoring (code) group_left ()",
                    " on (job) group_right (code)",
                    " on (instance) group_left (version)",
                    " on () group_left",
                ]);
                self.joined(&format!("{op}{matching}"), Type::Vector, Type::Vector, depth)
            }
            4 => {
                let fill = self.pick(&[
                    " fill (0)",
                    " fill_left (1)",
                    " fill_right (-1)",
                    " on (job) fill_left (2) fill_right (3)",
                ]);
                self.joined(&format!("{op}{fill}"), Type::Vector, Type::Vector, depth)
            }
            _ => {
                let matching = self.pick(&["", "", " on (job, instance)", " ignoring (code)", " on (instance)"]);
                self.joined(&format!("{op}{matching}"), Type::Vector, Type::Vector, depth)
            }
        }
    }

    fn joined(&mut self, op: &str, left: Type, right: Type, depth: usize) -> Query {
        let mut side = |ty| if ty == Type::Scalar { self.scalar(depth - 1) } else { self.vector(depth - 1) };
        let parts = vec![side(left), side(right)];
        let mut query = made(Type::Vector, &format!("(% {op} %)"), parts);
        for piece in &mut query.pieces {
            if let Piece::Text(text) = piece {
                *text = text.replace('\u{1}', "%");
            }
        }
        query
    }

    fn with_scalars(&mut self, depth: usize) -> Query {
        let (vector, mut scalar) = (self.vector(depth - 1), || self.scalar(depth - 1));
        match [scalar(), scalar()] {
            [a, b] => match self.below(8) {
                0 => made(Type::Vector, "clamp(%, %, %)", vec![vector, a, b]),
                1 => made(Type::Vector, "clamp_max(%, %)", vec![vector, a]),
                2 => made(Type::Vector, "clamp_min(%, %)", vec![vector, a]),
                3 => made(Type::Vector, "round(%, %)", vec![vector, a]),
                4 => made(Type::Vector, "histogram_fraction(%, %, %)", vec![a, b, vector]),
                5 => {
                    let q = self.pick(&QUANTILES);
                    made(Type::Vector, &format!("histogram_quantile({q}, %)"), vec![vector])
                }
                6 => {
                    let (q, p) = (self.pick(&QUANTILES), self.pick(&QUANTILES));
                    made(Type::Vector, &format!("histogram_quantiles(%, \"q\", {q}, {p})"), vec![vector])
                }
                _ => made(Type::Vector, "vector(%)", vec![a]),
            },
        }
    }

    fn labels(&mut self, depth: usize) -> Query {
        let text = match self.below(5) {
            0 => "label_replace(%, \"to\", \"$1-x\", \"instance\", \"i(.*)\")",
            1 => "label_join(%, \"to\", \"/\", \"job\", \"instance\")",
            2 => self.pick(&["sort_by_label(%, \"job\")", "sort_by_label_desc(%, \"instance\", \"code\")"]),
            3 => self.pick(&["info(%)", "info(%, {version=~\".+\"})", "info(%, {version=\"1.0\"})"]),
            _ => self.pick(&[
                "label_replace(%, \"__name__\", \"n_$1\", \"job\", \"(.*)\")",
                "label_replace(%, \"job\", \"\", \"\", \"\")",
            ]),
        };
        made(Type::Vector, text, vec![self.vector(depth - 1)])
    }
}
