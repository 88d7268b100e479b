//! Series descriptions: `up{job="a"} 1 _ 2+3x4 stale {{schema:1 sum:0.3}}x2`. The language of test scripts.

use std::sync::Arc;

use model::histogram::Buckets;
use model::labels::METRIC_NAME;
use model::sample::stale_nan;
use model::{Histogram, Labels, LabelsBuilder};

use super::ast::{BinaryOp, Span};
use super::dialect::Dialect;
use super::fault::Fault;
use super::parser::{Context, Parsed, Parser, Stop};
use super::quote::quoted;
use super::token::{Key, Kind};
use crate::histogram::Total;

/// One point of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// No sample.
    Absent,
    /// A sample; the stale marker is one.
    Float(f64),
    /// A native histogram.
    Histogram {
        /// With float counts.
        histogram: Arc<Histogram>,
        /// Is a reset hint given, including `unknown`?
        names_hint: bool,
    },
}

const VALUES: Context = Context::new("series values", "");
const LABEL: Context = Context::new("label set", "identifier or \"}\"");
const ASSIGN: Context = Context::new("label set", "\"=\"");
const TEXT: Context = Context::new("label set", "string");
const NEXT: Context = Context::new("label set", "\",\" or \"}\"");
const KEY: Context = Context::new("histogram description", "histogram description key, e.g. buckets:[5 10 7]");

/// Maximum of points of a line.
const POINTS_MAX: usize = 10_000_000;

/// The labels and points of a line.
pub(super) fn series(text: &str) -> Result<(Labels, Vec<Point>), Vec<Fault>> {
    let mut parser = Parser::new(text, Dialect { utf8_names: true, ..Dialect::default() }, true);
    let mut points = Vec::new();
    let parsed = parser.metric().and_then(|labels| parser.points(&mut points).map(|()| labels));
    // Reported last: upstream accepts the string, and reports other errors first.
    parser.faults.extend(parser.no_text.take());
    match parsed {
        Ok(labels) if parser.faults.is_empty() => Ok((labels, points)),
        _ => Err(parser.faults),
    }
}

/// A histogram while it is parsed: keys can come in any order.
#[derive(Default)]
struct Literal {
    rest: Histogram,
    positive: (i32, Vec<f64>),
    negative: (i32, Vec<f64>),
}

impl Literal {
    fn finish(self) -> Histogram {
        let [positive, negative] = [self.positive, self.negative].map(|(first, counts)| Buckets::run(first, counts));
        Histogram { positive, negative, ..self.rest }
    }
}

/// The next histogram of a series with constant difference.
fn combined(current: &Histogram, step: &Histogram, op: BinaryOp) -> Result<Histogram, String> {
    // Upstream's `FloatHistogram.Add` would reduce the resolution, but its test parser refuses this before: each point
    // of a series has the schema of the first.
    if current.schema > step.schema {
        let (from, to) = (step.schema, current.schema);
        return Err(format!("error combining histograms: cannot merge from schema {from} to {to}"));
    }
    let mut total = Total::new(current);
    let result = if op == BinaryOp::Sub { total.subtract(step) } else { total.add(step) };
    result.map(|_| total.finish()).map_err(|error| error.to_string())
}

impl Parser<'_> {
    fn metric(&mut self) -> Parsed<Labels> {
        let name = self.names_metric().then(|| self.take().span);
        let mut builder = LabelsBuilder::new(&Labels::empty());
        if self.peek() == Kind::LeftBrace {
            self.label_set(&mut builder)?;
        }
        // Set after the braces, so that the name before them wins.
        if let Some(span) = name {
            builder.set(METRIC_NAME, self.str(span));
        }
        Ok(builder.labels())
    }

    fn label_set(&mut self, labels: &mut LabelsBuilder) -> Parsed<()> {
        self.take();
        let outer = self.enter(LABEL);
        while self.take_if(Kind::RightBrace).is_none() {
            self.enter(LABEL);
            let label = match self.peek() {
                Kind::Identifier | Kind::String => self.take(),
                _ => return Err(self.unexpected()),
            };
            let is_string = label.kind == Kind::String;
            let name = if is_string { self.unquoted(label.span) } else { self.str(label.span).to_owned() };
            self.enter(ASSIGN);
            // `{"name"}`: a quoted metric name.
            if is_string && self.peek() != Kind::Assign {
                labels.set(METRIC_NAME, &name);
            } else {
                self.expect(Kind::Assign)?;
                self.enter(TEXT);
                let value = self.expect(Kind::String)?.span;
                let value = self.unquoted(value);
                labels.set(&name, &value);
            }
            self.enter(NEXT);
            if self.take_if(Kind::Comma).is_none() {
                self.expect(Kind::RightBrace)?;
                break;
            }
            self.enter(LABEL);
        }
        self.enter(outer);
        Ok(())
    }

    fn points(&mut self, points: &mut Vec<Point>) -> Parsed<()> {
        self.enter(VALUES);
        if !matches!(self.peek(), Kind::Space | Kind::End) {
            return Err(self.unexpected());
        }
        loop {
            // As upstream, errors about what separates points have no context.
            self.enter(Context::default());
            match self.peek() {
                Kind::End => return Ok(()),
                Kind::Space => self.take(),
                _ => return Err(self.unexpected()),
            };
            self.enter(VALUES);
            match self.peek() {
                Kind::Blank => {
                    self.take();
                    let times = self.times()?.unwrap_or(1);
                    self.repeat(points, times, &Point::Absent);
                }
                Kind::OpenHistogram => self.histogram_points(points)?,
                Kind::Number | Kind::Identifier | Kind::Operator(BinaryOp::Add | BinaryOp::Sub) => {
                    self.floats(points)?;
                }
                // Trailing whitespace, or an error that the next turn reports.
                _ => {}
            }
        }
    }

    fn repeat(&mut self, points: &mut Vec<Point>, times: usize, point: &Point) {
        // Checked before memory is allocated: `0x9999999999` is a short text.
        if points.len().saturating_add(times) > POINTS_MAX {
            self.fault(self.last_span(), format!("more than {POINTS_MAX} points in series values"));
        } else {
            points.extend(std::iter::repeat_n(point, times).cloned());
        }
    }

    /// `v`, `vxN`, `a+bxN`
    fn floats(&mut self, points: &mut Vec<Point>) -> Parsed<()> {
        let mut value = match self.take_if(Kind::Identifier) {
            Some(word) => {
                // Reported without stopping, as upstream does.
                if self.str(word.span) != "stale" {
                    self.blame("series values", "number or \"stale\"");
                }
                stale_nan()
            }
            None => self.signed_float()?,
        };
        let step = match self.peek() {
            Kind::Operator(BinaryOp::Add | BinaryOp::Sub) => {
                let step = self.signed_float()?;
                if self.peek() != Kind::Times {
                    return Err(self.unexpected());
                }
                Some(step)
            }
            _ => None,
        };
        // The first point is not counted in `xN`.
        let times = self.times()?.map_or(1, |n| n.saturating_add(1));
        let Some(step) = step else {
            self.repeat(points, times, &Point::Float(value));
            return Ok(());
        };
        // The points are reserved with the check of their number, and then set.
        let begin = points.len();
        self.repeat(points, times, &Point::Absent);
        for point in points.iter_mut().skip(begin) {
            *point = Point::Float(value);
            // Added up instead of multiplied: upstream has the same rounding errors.
            value += step;
        }
        Ok(())
    }

    fn signed_float(&mut self) -> Parsed<f64> {
        let minus = self.sign().is_some_and(|(op, _)| op == BinaryOp::Sub);
        if self.peek() != Kind::Number {
            return Err(self.unexpected());
        }
        let (number, _) = self.number();
        Ok(if minus { -number.value } else { number.value })
    }

    /// An optional `xN`.
    fn times(&mut self) -> Parsed<Option<usize>> {
        if self.take_if(Kind::Times).is_none() {
            return Ok(None);
        }
        Ok(Some(usize::try_from(self.whole()?).unwrap_or(usize::MAX)))
    }

    fn whole(&mut self) -> Parsed<u64> {
        let span = self.expect(Kind::Number)?.span;
        let text = self.str(span);
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        Ok(text.parse().unwrap_or_else(|_| {
            let why = if digits { "value out of range" } else { "invalid syntax" };
            let error = format!("strconv.ParseUint: parsing {}: {why}", quoted(text));
            self.fault(span, format!("invalid repetition in series values: {error}"));
            0
        }))
    }

    fn int(&mut self) -> Parsed<i32> {
        let minus = self.take_if(Kind::Operator(BinaryOp::Sub)).is_some();
        let value = i64::try_from(self.whole()?).unwrap_or(i64::MAX);
        Ok(i32::try_from(if minus { -value } else { value }).unwrap_or(if minus { i32::MIN } else { i32::MAX }))
    }

    /// `{{…}}`, `{{…}}xN`, `{{…}}+{{…}}xN`
    fn histogram_points(&mut self, points: &mut Vec<Point>) -> Parsed<()> {
        let (base, names_hint) = self.histogram()?;
        let point = |histogram: &Arc<Histogram>| Point::Histogram { histogram: Arc::clone(histogram), names_hint };
        let mut current = Arc::new(base);
        let Some((op, _)) = self.sign() else {
            let times = self.times()?.map_or(1, |n| n.saturating_add(1));
            self.repeat(points, times, &point(&current));
            return Ok(());
        };
        self.enter(VALUES);
        if self.peek() != Kind::OpenHistogram {
            return Err(self.unexpected());
        }
        let (step, _) = self.histogram()?;
        self.enter(VALUES);
        let times = match self.times()? {
            Some(times) => times.saturating_add(1),
            None => return Err(self.unexpected()),
        };
        let begin = points.len();
        self.repeat(points, times, &Point::Absent);
        for (i, slot) in points.iter_mut().skip(begin).enumerate() {
            // The first point is the base itself; each other is the sum of the one before it and the step.
            if i > 0 {
                current = Arc::new(combined(&current, &step, op).map_err(|message| {
                    self.fault(self.last_span(), message);
                    Stop
                })?);
            }
            *slot = point(&current);
        }
        Ok(())
    }

    /// `{{…}}`, and whether a reset hint is given.
    fn histogram(&mut self) -> Parsed<(Histogram, bool)> {
        self.take();
        let mut histogram = Literal::default();
        let mut seen = Vec::new();
        let outer = self.enter(VALUES);
        if self.take_if(Kind::Space).is_some() {
            self.expect(Kind::CloseHistogram)?;
        } else if self.take_if(Kind::CloseHistogram).is_none() {
            self.entry(&mut histogram, &mut seen)?;
            self.enter(KEY);
            while self.take_if(Kind::CloseHistogram).is_none() {
                self.expect(Kind::Space)?;
                if matches!(self.peek(), Kind::Key(_)) {
                    self.entry(&mut histogram, &mut seen)?;
                } else {
                    self.expect(Kind::CloseHistogram)?;
                    break;
                }
            }
        }
        self.enter(outer);
        Ok((histogram.finish(), seen.contains(&Key::CounterResetHint)))
    }

    /// `key:value`
    fn entry(&mut self, histogram: &mut Literal, seen: &mut Vec<Key>) -> Parsed<()> {
        let Kind::Key(key) = self.peek() else { return Err(self.unexpected()) };
        self.take();
        self.expect(Kind::Colon)?;
        let mut other = Literal::default();
        // The value of a repeated key is parsed, but not used: the error is about the key, not about its value.
        let repeated = seen.contains(&key);
        let into = if repeated { &mut other } else { histogram };
        match key {
            Key::Sum => into.rest.sum = self.signed_float()?,
            Key::Count => into.rest.count = self.signed_float()?,
            Key::Schema => into.rest.schema = self.int()?,
            Key::Offset => into.positive.0 = self.int()?,
            Key::NegativeOffset => into.negative.0 = self.int()?,
            Key::Buckets => into.positive.1 = self.numbers()?,
            Key::NegativeBuckets => into.negative.1 = self.numbers()?,
            Key::ZeroBucket => into.rest.zero_count = self.signed_float()?,
            Key::ZeroBucketWidth => into.rest.zero_threshold = self.signed_float()?,
            Key::CustomValues => into.rest.custom_values = self.numbers()?.into(),
            Key::CounterResetHint => match self.peek() {
                Kind::Hint(hint) => {
                    self.take();
                    into.rest.reset_hint = hint;
                }
                _ => return Err(self.unexpected()),
            },
        }
        if repeated {
            // Upstream reports it without a position.
            self.fault(Span::default(), format!("duplicate key \"{}\" in histogram", key.name()));
        }
        seen.push(key);
        Ok(())
    }

    /// `[1 2 3]`
    fn numbers(&mut self) -> Parsed<Vec<f64>> {
        self.expect(Kind::LeftBracket)?;
        let mut numbers = vec![self.signed_float()?];
        while self.take_if(Kind::RightBracket).is_none() {
            self.expect(Kind::Space)?;
            if self.take_if(Kind::RightBracket).is_some() {
                break;
            }
            numbers.push(self.signed_float()?);
        }
        Ok(numbers)
    }
}
