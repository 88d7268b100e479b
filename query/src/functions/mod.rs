//! The table of functions: their types, and which family evaluates them.

mod entries;
pub(crate) mod histogram;
pub(crate) mod histogram_rate;
pub(crate) mod integral;
pub(crate) mod kahan;
pub(crate) mod label;
pub(crate) mod math;
pub(crate) mod mixed;
#[cfg(test)]
mod naive;
pub(crate) mod operators;
pub(crate) mod over_time;
pub(crate) mod rate;
pub(crate) mod sort;
pub(crate) mod sweep;
pub(crate) mod time;

use model::MatchOp;

use crate::histogram as native;
use crate::parse::types::Type;
use crate::window::Window;

/// A function of the language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// The last type repeats as far as `variadic` allows.
    pub(crate) args: &'static [Type],
    /// 0: exactly `args`; n: the last argument may stand 0 to n times; -1: any number of times.
    pub(crate) variadic: i32,
    pub(crate) returns: Type,
    pub(crate) experimental: bool,
    /// Of MetricsQL, not of PromQL.
    pub(crate) extension: bool,
    pub(crate) body: Body,
}

/// The samples of a range and the scalar arguments → a value, or nothing.
pub(crate) type RangeFn = fn(&Window<'_>, &[f64]) -> Option<f64>;
/// A value and the scalar arguments → a value, or nothing.
pub(crate) type MathFn = fn(f64, &[f64]) -> Option<f64>;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// Range vector → instant vector, series by series.
    Range(RangeFn),
    /// As `Range`, and the metric keeps its name.
    RangeKeepName(RangeFn),
    /// Instant vector → instant vector, value by value.
    Math(MathFn),
    /// Seconds since the epoch → a part of the date; of the evaluation time when no vector is given.
    Date(fn(i64) -> f64),
    Absent,
    AbsentOverTime,
    Scalar,
    Vector,
    Time,
    Pi,
    Timestamp,
    Sort(sort::Order),
    LabelReplace,
    LabelJoin,
    /// The series whose label matches, or does not.
    LabelMatch(MatchOp),
    /// Instant vector → one number of all the values that a series has at the steps of the query.
    AcrossSteps(RangeFn),
    HistogramQuantile,
    HistogramQuantiles,
    HistogramFraction,
    /// A number of each native histogram; floats yield nothing.
    OfHistograms(fn(&model::Histogram) -> f64),
    Info,
    Start,
    StartTimestamp,
    End,
    Range_,
    Step,
    /// The larger or smaller of two scalars.
    MaxOf,
    MinOf,
}

// Short names keep one function on one line of the table.
use Body as B;
use Type::{Matrix as M, Scalar as S, String as T, Vector as V};

const fn stable(name: &'static str, args: &'static [Type], variadic: i32, returns: Type, body: Body) -> Function {
    Function { name, args, variadic, returns, experimental: false, extension: false, body }
}

const fn range(name: &'static str, f: RangeFn) -> Function {
    stable(name, &[M], 0, V, B::Range(f))
}

const fn math(name: &'static str, f: MathFn) -> Function {
    stable(name, &[V], 0, V, B::Math(f))
}

const fn date(name: &'static str, f: fn(i64) -> f64) -> Function {
    stable(name, &[V], 1, V, B::Date(f))
}

const fn experimental(function: Function) -> Function {
    Function { experimental: true, ..function }
}

const fn extension(name: &'static str, args: &'static [Type], body: Body) -> Function {
    Function { extension: true, ..stable(name, args, 0, V, body) }
}

const fn across(name: &'static str, f: RangeFn) -> Function {
    extension(name, &[V], B::AcrossSteps(f))
}

pub(crate) static FUNCTIONS: &[Function] = &[
    math("abs", |v, _| Some(v.abs())),
    stable("absent", &[V], 0, V, B::Absent),
    stable("absent_over_time", &[M], 0, V, B::AbsentOverTime),
    math("acos", |v, _| Some(v.acos())),
    math("acosh", |v, _| Some(math::acosh(v))),
    math("asin", |v, _| Some(v.asin())),
    math("asinh", |v, _| Some(v.asinh())),
    math("atan", |v, _| Some(v.atan())),
    math("atanh", |v, _| Some(v.atanh())),
    range("avg_over_time", over_time::avg),
    math("ceil", |v, _| Some(v.ceil())),
    range("changes", over_time::changes),
    stable("clamp", &[V, S, S], 0, V, B::Math(math::clamp)),
    stable("clamp_max", &[V, S], 0, V, B::Math(math::clamp_max)),
    stable("clamp_min", &[V, S], 0, V, B::Math(math::clamp_min)),
    math("cos", |v, _| Some(v.cos())),
    math("cosh", |v, _| Some(v.cosh())),
    range("count_over_time", over_time::count),
    date("day_of_month", time::day_of_month),
    date("day_of_week", time::day_of_week),
    date("day_of_year", time::day_of_year),
    date("days_in_month", time::days_in_month),
    math("deg", |v, _| Some(v * (180.0 / std::f64::consts::PI))),
    range("delta", rate::delta),
    range("deriv", rate::deriv),
    experimental(stable("double_exponential_smoothing", &[M, S, S], 0, V, B::Range(over_time::smoothing))),
    experimental(stable("end", &[], 0, S, B::End)),
    math("exp", |v, _| Some(v.exp())),
    stable("first_over_time", &[M], 0, V, B::RangeKeepName(over_time::first)),
    math("floor", |v, _| Some(v.floor())),
    stable("histogram_avg", &[V], 0, V, B::OfHistograms(native::average)),
    stable("histogram_count", &[V], 0, V, B::OfHistograms(|h| h.count)),
    stable("histogram_fraction", &[S, S, V], 0, V, B::HistogramFraction),
    stable("histogram_quantile", &[S, V], 0, V, B::HistogramQuantile),
    experimental(stable("histogram_quantiles", &[V, T, S, S], 9, V, B::HistogramQuantiles)),
    stable("histogram_stddev", &[V], 0, V, B::OfHistograms(|h| native::variance(h).sqrt())),
    stable("histogram_stdvar", &[V], 0, V, B::OfHistograms(native::variance)),
    stable("histogram_sum", &[V], 0, V, B::OfHistograms(|h| h.sum)),
    date("hour", time::hour),
    range("idelta", rate::idelta),
    range("increase", rate::increase),
    experimental(stable("info", &[V, V], 1, V, B::Info)),
    experimental(stable("integral", &[M, S], 1, V, B::Range(integral::integral))),
    range("irate", rate::irate),
    stable("label_join", &[V, T, T, T], -1, V, B::LabelJoin),
    extension("label_match", &[V, T, T], B::LabelMatch(MatchOp::Regex)),
    extension("label_mismatch", &[V, T, T], B::LabelMatch(MatchOp::NotRegex)),
    stable("label_replace", &[V, T, T, T, T], 0, V, B::LabelReplace),
    stable("last_over_time", &[M], 0, V, B::RangeKeepName(over_time::last)),
    math("ln", |v, _| Some(v.ln())),
    math("log10", |v, _| Some(v.log10())),
    math("log2", |v, _| Some(v.log2())),
    experimental(range("mad_over_time", over_time::mad)),
    range("max_over_time", over_time::max),
    experimental(stable("max_of", &[S, S], 0, S, B::MaxOf)),
    range("min_over_time", over_time::min),
    experimental(stable("min_of", &[S, S], 0, S, B::MinOf)),
    date("minute", time::minute),
    date("month", time::month),
    stable("pi", &[], 0, S, B::Pi),
    stable("predict_linear", &[M, S], 0, V, B::Range(rate::predict_linear)),
    range("present_over_time", over_time::present),
    stable("quantile_over_time", &[S, M], 0, V, B::Range(over_time::quantile)),
    math("rad", |v, _| Some(v * (std::f64::consts::PI / 180.0))),
    experimental(stable("range", &[], 0, S, B::Range_)),
    across("range_avg", over_time::avg),
    across("range_first", over_time::first),
    across("range_last", over_time::last),
    across("range_max", over_time::max),
    across("range_median", |window, _| over_time::quantile(window, &[0.5])),
    across("range_min", over_time::min),
    extension("range_quantile", &[S, V], B::AcrossSteps(over_time::quantile)),
    across("range_sum", over_time::sum),
    range("rate", rate::rate),
    range("resets", over_time::resets),
    stable("round", &[V, S], 1, V, B::Math(math::round)),
    stable("scalar", &[V], 0, S, B::Scalar),
    math("sgn", math::sgn),
    math("sin", |v, _| Some(v.sin())),
    math("sinh", |v, _| Some(v.sinh())),
    stable("sort", &[V], 0, V, B::Sort(sort::Order::Ascending)),
    experimental(stable("sort_by_label", &[V, T], -1, V, B::Sort(sort::Order::Label))),
    experimental(stable("sort_by_label_desc", &[V, T], -1, V, B::Sort(sort::Order::LabelDescending))),
    stable("sort_desc", &[V], 0, V, B::Sort(sort::Order::Descending)),
    math("sqrt", |v, _| Some(v.sqrt())),
    experimental(stable("start", &[], 0, S, B::Start)),
    experimental(stable("start_timestamp", &[V], 0, V, B::StartTimestamp)),
    range("stddev_over_time", over_time::stddev),
    range("stdvar_over_time", over_time::stdvar),
    experimental(stable("step", &[], 0, S, B::Step)),
    range("sum_over_time", over_time::sum),
    math("tan", |v, _| Some(v.tan())),
    math("tanh", |v, _| Some(v.tanh())),
    stable("time", &[], 0, S, B::Time),
    stable("timestamp", &[V], 0, V, B::Timestamp),
    experimental(range("ts_of_first_over_time", over_time::ts_of_first)),
    experimental(range("ts_of_last_over_time", over_time::ts_of_last)),
    experimental(range("ts_of_max_over_time", over_time::ts_of_max)),
    experimental(range("ts_of_min_over_time", over_time::ts_of_min)),
    stable("vector", &[S], 0, V, B::Vector),
    date("year", time::year),
];

/// The function of this name.
pub(crate) fn lookup(name: &str) -> Option<&'static Function> {
    // A linear search of about a hundred names, once per call in a query text.
    FUNCTIONS.iter().find(|f| f.name == name)
}

impl Function {
    /// The type of the i-th argument.
    pub(crate) fn arg_type(&self, i: usize) -> Option<Type> {
        // Only the last argument of a variadic function repeats, or may be absent.
        let last = if self.variadic == 0 { None } else { self.args.last() };
        self.args.get(i).or(last).copied()
    }

    /// What to say when this number of arguments is wrong.
    pub(crate) fn wrong_count(&self, got: usize) -> Option<String> {
        let (name, n) = (self.name, self.args.len());
        if self.variadic == 0 {
            return (got != n).then(|| format!("expected {n} argument(s) in call to {name:?}, got {got}"));
        }
        // The last argument of a variadic function is optional.
        let least = n - 1;
        if got < least {
            return Some(format!("expected at least {least} argument(s) in call to {name:?}, got {got}"));
        }
        // A negative number of repetitions means that there is no maximum, as in upstream's table.
        let most = usize::try_from(self.variadic).map(|v| least + v).unwrap_or(usize::MAX);
        (got > most).then(|| format!("expected at most {most} argument(s) in call to {name:?}, got {got}"))
    }

    /// Does the result depend on the evaluation time even when its arguments do not?
    pub(crate) fn varies(&self) -> bool {
        matches!(self.body, B::Date(_) | B::Time | B::Timestamp | B::Start | B::End | B::Range_ | B::Step)
            // It extrapolates to the evaluation time, which the samples alone do not determine; upstream lists it in
            // `AtModifierUnsafeFunctions`.
            || self.name == "predict_linear"
    }
}
