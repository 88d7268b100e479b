//! Function calls: arguments to the families in `functions`.

use std::collections::HashMap;

use model::{Labels, LabelsBuilder, labels::BUCKET};

use super::{Evaluator, Sink, arg_of, check_factors, merged, string_of};
use crate::Error;
use crate::functions::histogram::{self, Bucket};
use crate::functions::{Body, MathFn, RangeFn, label, sort};
use crate::parse::ast::{Call, Expr, ExprKind, Type};
use crate::value::{ABSENT, Series, is_absent};
use crate::window::{Grid, Window};

impl Evaluator<'_> {
    pub(super) fn stream_call(&self, expr: &Expr, call: &Call, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        match call.function.body {
            Body::Range(f) => self.range_call(call, (f, false), grid, sink),
            Body::RangeKeepName(f) => self.range_call(call, (f, true), grid, sink),
            Body::Math(f) => self.math_call(call, f, grid, sink),
            Body::Date(f) => self.stream(&call.args[0], grid, &mut |mut series| {
                self.drop_name(&mut series);
                series.values.iter_mut().filter(|v| !is_absent(**v)).for_each(|v| *v = f(*v as i64));
                sink(series)
            }),
            Body::Timestamp => self.timestamp(&call.args[0], grid, sink),
            _ => Err(Error::execution(format!("BUG: {} does not stream (at {})", call.function.name, expr.span.start))),
        }
    }

    fn range_call(
        &self,
        call: &Call,
        (f, keep_name): (RangeFn, bool),
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let range = arg_of(&call.args, Type::Matrix)?;
        let scalars = self.scalar_args(&call.args, grid)?;
        check_factors(call.function, &scalars)?;
        let mut args = Vec::new();
        let is_quantile = call.function.name == "quantile_over_time";
        let is_counter = matches!(call.function.name, "rate" | "increase");
        self.windows(range, grid, &mut |ranges| {
            let mut values = Vec::with_capacity(grid.len);
            let mut looked = 0u64;
            // One look at the column saves one at every window.
            let rises = is_counter && ranges.rises();
            for step in 0..grid.len {
                let window = Window { rises, ..ranges.at(step) };
                looked += window.ts.len() as u64;
                scalars.at(step, &mut args);
                if is_quantile && !window.ts.is_empty() {
                    self.check_quantile(args[0], &call.args[0]);
                }
                values.push(f(&window, &args).unwrap_or(ABSENT));
            }
            self.total.set(self.total.get() + looked);
            let mut series = Series { labels: ranges.labels().clone(), drop_name: ranges.drop_name, values };
            if series.is_empty() {
                return Ok(());
            }
            if is_counter {
                self.note_non_counter(series.labels.name(), range);
            }
            if !keep_name {
                self.drop_name(&mut series);
            }
            sink(series)
        })
    }

    fn note_non_counter(&self, name: &str, arg: &Expr) {
        let counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
        if !name.is_empty() && !counter {
            let message =
                format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}");
            self.info(arg.span, &message);
        }
    }

    pub(super) fn check_quantile(&self, q: f64, arg: &Expr) {
        if !(0.0..=1.0).contains(&q) {
            let got = model::float::format_g(q);
            self.warn(arg.span, &format!("quantile value should be between 0 and 1, got {got}"));
        }
    }

    fn math_call(&self, call: &Call, f: MathFn, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        let scalars = self.scalar_args(&call.args, grid)?;
        let mut args = Vec::new();
        self.stream(arg_of(&call.args, Type::Vector)?, grid, &mut |mut series| {
            self.drop_name(&mut series);
            for (step, value) in series.values.iter_mut().enumerate().filter(|(_, v)| !is_absent(**v)) {
                scalars.at(step, &mut args);
                *value = f(*value, &args).unwrap_or(ABSENT);
            }
            sink(series)
        })
    }

    fn timestamp(&self, arg: &Expr, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), Error> {
        if let ExprKind::Vector(selector) = &arg.unwrapped().kind {
            return self.selector_times(selector, grid, &mut |mut series| {
                self.drop_name(&mut series);
                sink(series)
            });
        }
        self.stream(arg, grid, &mut |mut series| {
            self.drop_name(&mut series);
            for (step, value) in series.values.iter_mut().enumerate().filter(|(_, v)| !is_absent(**v)) {
                *value = grid.time(step) as f64 / 1000.0;
            }
            sink(series)
        })
    }

    pub(super) fn whole_call(&self, expr: &Expr, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let lone = |values| vec![Series { labels: Labels::empty(), drop_name: false, values }];
        match call.function.body {
            Body::Vector => Ok(lone(self.scalar(&call.args[0], grid)?)),
            Body::Date(f) => Ok(lone((0..grid.len).map(|i| f(grid.time(i).div_euclid(1000))).collect())),
            Body::Absent | Body::AbsentOverTime => self.absent(&call.args[0], grid),
            Body::Sort(order) => self.sort(expr, call, order, grid),
            Body::LabelReplace => {
                let mut series = self.vector(&call.args[0], grid)?;
                let texts = [1, 2, 3, 4].map(|i| string_of(&call.args[i]));
                label::replace(&mut series, texts)?;
                merged(series)
            }
            Body::LabelJoin => {
                let mut series = self.vector(&call.args[0], grid)?;
                let sources: Vec<&str> = call.args[3..].iter().map(string_of).collect();
                label::join(&mut series, string_of(&call.args[1]), string_of(&call.args[2]), &sources)?;
                merged(series)
            }
            Body::Info => self.info_call(call, grid),
            Body::HistogramQuantile => self.histogram_quantile(call, grid),
            Body::HistogramQuantiles => self.histogram_quantiles(call, grid),
            Body::HistogramFraction => self.histogram_fraction(call, grid),
            Body::StartTimestamp => Err(Error::execution("start_timestamp: start timestamps are not supported yet")),
            Body::NativeOnly => self.stream(&call.args[0], grid, &mut |_| Ok(())).map(|()| Vec::new()),
            _ => Err(Error::execution(format!("BUG: {} yields no vector", call.function.name))),
        }
    }

    fn absent(&self, arg: &Expr, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut values = vec![1.0; grid.len];
        let inner = arg.unwrapped();
        if arg.value_type() == Type::Matrix {
            self.windows(arg, grid, &mut |ranges| {
                let found = values.iter_mut().enumerate().filter(|(step, _)| !ranges.at(*step).ts.is_empty());
                found.for_each(|(_, v)| *v = ABSENT);
                Ok(())
            })?;
        } else {
            self.stream(arg, grid, &mut |series| {
                let found = values.iter_mut().zip(&series.values).filter(|(_, v)| !is_absent(**v));
                found.for_each(|(slot, _)| *slot = ABSENT);
                Ok(())
            })?;
        }
        let labels = match &inner.kind {
            ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) => label::fixed_by(&selector.matchers),
            _ => Labels::empty(),
        };
        Ok(vec![Series { labels, drop_name: false, values }])
    }

    fn sort(&self, expr: &Expr, call: &Call, order: sort::Order, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut series = self.vector(&call.args[0], grid)?;
        if self.times.step_ms > 0 {
            self.warn(expr.span, "sort is ineffective for range queries since results are always ordered by labels");
            return Ok(series);
        }
        let names: Vec<String> = call.args[1..].iter().map(|arg| string_of(arg).to_owned()).collect();
        match order {
            sort::Order::Ascending => sort::by_value(&mut series, false),
            sort::Order::Descending => sort::by_value(&mut series, true),
            sort::Order::Label => sort::by_label(&mut series, &names, false),
            sort::Order::LabelDescending => sort::by_label(&mut series, &names, true),
        }
        Ok(series)
    }

    pub(super) fn scalar_call(&self, call: &Call, grid: &Grid) -> Result<Vec<f64>, Error> {
        let constant = |value: f64| Ok(vec![value; grid.len]);
        match call.function.body {
            Body::Pi => constant(std::f64::consts::PI),
            Body::Time => Ok((0..grid.len).map(|i| grid.time(i) as f64 / 1000.0).collect()),
            Body::Start => constant(self.times.start_ms as f64 / 1000.0),
            Body::End => constant(self.times.end_ms as f64 / 1000.0),
            Body::Range_ => constant((self.times.end_ms - self.times.start_ms) as f64 / 1000.0),
            Body::Step => constant(self.times.step_ms as f64 / 1000.0),
            Body::MaxOf | Body::MinOf => {
                let (a, b) = (self.scalar(&call.args[0], grid)?, self.scalar(&call.args[1], grid)?);
                let larger = matches!(call.function.body, Body::MaxOf);
                let pick = if larger { crate::functions::math::max } else { crate::functions::math::min };
                Ok(a.iter().zip(&b).map(|(a, b)| pick(*a, *b)).collect())
            }
            Body::Scalar => {
                let mut found = vec![(0u32, f64::NAN); grid.len];
                self.stream(&call.args[0], grid, &mut |series| {
                    let present = found.iter_mut().zip(&series.values).filter(|(_, v)| !is_absent(**v));
                    present.for_each(|(slot, value)| *slot = (slot.0 + 1, *value));
                    Ok(())
                })?;
                Ok(found.iter().map(|(n, v)| if *n == 1 { *v } else { f64::NAN }).collect())
            }
            _ => Err(Error::execution(format!("BUG: {} yields no scalar", call.function.name))),
        }
    }
}

/// A classic histogram: the series of its buckets, by upper bound.
struct Classic {
    labels: Labels,
    name: String,
    drop_name: bool,
    buckets: Vec<(f64, Vec<f64>)>,
}

impl Classic {
    fn at(&self, step: usize, out: &mut Vec<Bucket>) {
        out.clear();
        let present = self.buckets.iter().filter(|(_, counts)| !is_absent(counts[step]));
        out.extend(present.map(|(upper, counts)| Bucket { upper: *upper, count: counts[step] }));
    }
}

impl Evaluator<'_> {
    fn classic_histograms(&self, arg: &Expr, grid: &Grid) -> Result<Vec<Classic>, Error> {
        let mut found: HashMap<Labels, usize> = HashMap::new();
        let mut histograms: Vec<Classic> = Vec::new();
        for series in self.vector(arg, grid)? {
            // Upstream's notes name the metric only while names are kept to the end.
            let delayed = self.options.delayed_name_removal;
            let name = if delayed { series.labels.name().to_owned() } else { String::new() };
            let bound = series.labels.value(BUCKET).to_owned();
            let Some(upper) = parse_bound(&bound) else {
                let of = if name.is_empty() { String::new() } else { format!(" for metric name {name:?}") };
                let message = format!("bucket label \"le\" is missing or has a malformed value of {bound:?}{of}");
                self.warn(arg.span, &message);
                continue;
            };
            let mut builder = LabelsBuilder::new(&series.labels);
            builder.del(BUCKET);
            let labels = builder.labels();
            let i = *found.entry(labels.clone()).or_insert_with(|| {
                histograms.push(Classic { labels, name, drop_name: series.drop_name, buckets: Vec::new() });
                histograms.len() - 1
            });
            histograms[i].buckets.push((upper, series.values));
        }
        Ok(histograms)
    }

    fn nameless(&self, mut series: Series) -> Series {
        self.drop_name(&mut series);
        series
    }

    fn histogram_quantile(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let quantiles = self.scalar(&call.args[0], grid)?;
        quantiles.iter().for_each(|q| self.check_quantile(*q, &call.args[0]));
        let histograms = self.classic_histograms(&call.args[1], grid)?;
        merged(histograms.iter().map(|h| self.quantiles_of(h, &quantiles, &call.args[1])).collect())
    }

    fn quantiles_of(&self, histogram: &Classic, quantiles: &[f64], arg: &Expr) -> Series {
        let mut buckets = Vec::new();
        let mut values = Vec::with_capacity(quantiles.len());
        let mut forced = false;
        for (step, q) in quantiles.iter().enumerate() {
            histogram.at(step, &mut buckets);
            if buckets.is_empty() {
                values.push(ABSENT);
                continue;
            }
            let (value, was_forced) = histogram::quantile(*q, &mut buckets);
            forced |= was_forced;
            values.push(value);
        }
        if forced {
            let of = if histogram.name.is_empty() {
                String::new()
            } else {
                format!(" for metric name {:?}", histogram.name)
            };
            let message = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){of}"
            );
            self.info(arg.span, &message);
        }
        self.nameless(Series { labels: histogram.labels.clone(), drop_name: histogram.drop_name, values })
    }

    fn histogram_quantiles(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let target = string_of(&call.args[1]);
        let histograms = self.classic_histograms(&call.args[0], grid)?;
        let mut out = Vec::new();
        for arg in &call.args[2..] {
            let quantiles = self.scalar(arg, grid)?;
            quantiles.iter().for_each(|q| self.check_quantile(*q, arg));
            for histogram in &histograms {
                let mut series = self.quantiles_of(histogram, &quantiles, &call.args[0]);
                let mut builder = LabelsBuilder::new(&series.labels);
                builder.set(target, quantile_label(quantiles[0]));
                series.labels = builder.labels();
                out.push(series);
            }
        }
        merged(out)
    }

    fn histogram_fraction(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let lower = self.scalar(&call.args[0], grid)?;
        let upper = self.scalar(&call.args[1], grid)?;
        let mut buckets = Vec::new();
        let mut out = Vec::new();
        for histogram in self.classic_histograms(&call.args[2], grid)? {
            let mut values = Vec::with_capacity(grid.len);
            for step in 0..grid.len {
                histogram.at(step, &mut buckets);
                let empty = buckets.is_empty();
                values.push(if empty { ABSENT } else { histogram::fraction(lower[step], upper[step], &mut buckets) });
            }
            out.push(self.nameless(Series { labels: histogram.labels, drop_name: histogram.drop_name, values }));
        }
        merged(out)
    }
}

/// A quantile as OpenMetrics writes it: with a fraction, be it zero.
fn quantile_label(q: f64) -> String {
    let text = model::float::format_g(q);
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') { text + ".0" } else { text }
}

/// A bucket's upper bound, as Go reads floats.
fn parse_bound(text: &str) -> Option<f64> {
    let number = text.trim_start_matches(['+', '-']);
    let special = ["inf", "infinity", "nan"].iter().any(|s| s.eq_ignore_ascii_case(number));
    if !special && !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.parse().ok()
}
