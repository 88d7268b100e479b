//! Families and metrics, read in place: what is in them, and which series they are.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::series::Part;
use super::wire::{Broken, Fields};
use crate::parse::{Exemplar, MetricKind, Point};

#[derive(Debug, Default)]
pub(super) struct Family<'a> {
    pub(super) name: &'a [u8],
    pub(super) help: &'a [u8],
    pub(super) unit: &'a [u8],
    pub(super) kind: MetricKind,
    /// Of the name and the type.
    pub(super) seed: u64,
    pub(super) fields: Fields<'a>,
}

#[derive(Debug, Default)]
pub(super) struct Metric<'a> {
    /// From the first to the last label field.
    pub(super) labels: &'a [u8],
    /// Of the labels, seeded with the family.
    pub(super) base: u64,
    pub(super) ts_ms: Option<i64>,
    pub(super) start_ms: Option<i64>,
    parts: Parts<'a>,
}

/// The series of a metric that are still to come.
#[derive(Debug, Default)]
enum Parts<'a> {
    #[default]
    None,
    Whole(f64, Option<Exemplar<'a>>),
    Count(Several<'a>),
    Sum(Several<'a>),
    /// Buckets or quantiles.
    Rest(Several<'a>),
}

/// What a summary or a histogram holds.
#[derive(Clone, Copy, Debug, Default)]
struct Several<'a> {
    histogram: bool,
    count: f64,
    sum: f64,
    start_ms: Option<i64>,
    native: bool,
    /// The message, for its buckets or quantiles.
    fields: Fields<'a>,
}

impl<'a> Family<'a> {
    /// `None` when it has no metrics.
    pub(super) fn read(message: &'a [u8]) -> Result<Option<Self>, Broken> {
        let mut family = Self { fields: Fields::new(message), ..Self::default() };
        let mut has_metrics = false;
        let mut kind = 0;
        let mut fields = family.fields;
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => family.name = value.bytes()?,
                2 => family.help = value.bytes()?,
                3 => kind = value.varint()?,
                4 => has_metrics = true,
                5 => family.unit = value.bytes()?,
                _ => {}
            }
        }
        if !has_metrics {
            return Ok(None);
        }
        family.kind = match kind {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            2 => MetricKind::Summary,
            3 => MetricKind::Unknown,
            4 => MetricKind::Histogram,
            5 => MetricKind::GaugeHistogram,
            _ => return Err("unknown metric type"),
        };
        family.seed = xxh3_64_with_seed(family.name, kind);
        Ok(Some(family))
    }
}

impl<'a> Metric<'a> {
    /// The metric, and whether it has native buckets.
    pub(super) fn read(message: &'a [u8], family: &Family<'a>) -> Result<(Self, bool), Broken> {
        let mut metric = Self::default();
        let mut body: &[u8] = &[];
        let (mut first, mut last) = (usize::MAX, 0);
        let wanted = match family.kind {
            MetricKind::Gauge => 2,
            MetricKind::Counter => 3,
            MetricKind::Summary => 4,
            MetricKind::Histogram | MetricKind::GaugeHistogram => 7,
            _ => 5,
        };
        let mut fields = Fields::new(message);
        loop {
            let start = fields.at();
            let Some((number, value)) = fields.next()? else { break };
            match number {
                1 => {
                    value.bytes()?;
                    first = first.min(start);
                    last = fields.at();
                }
                // Zero cannot be told from no time at all.
                6 => metric.ts_ms = Some(value.varint()?.cast_signed()).filter(|ms| *ms != 0),
                _ if number == wanted => body = value.bytes()?,
                _ => {}
            }
        }
        metric.labels = message.get(first..last).unwrap_or_default();
        metric.base = xxh3_64_with_seed(metric.labels, family.seed);
        let mut native = false;
        metric.parts = match wanted {
            4 | 7 => {
                let several = Several::read(body, wanted == 7)?;
                (metric.start_ms, native) = (several.start_ms, several.native);
                Parts::Count(several)
            }
            _ => {
                let (value, exemplar, start_ms) = number(body)?;
                metric.start_ms = start_ms;
                Parts::Whole(value, exemplar)
            }
        };
        Ok((metric, native))
    }

    /// The next series of the metric: the count, the sum, then what there are of buckets or quantiles.
    #[inline]
    pub(super) fn next_part(&mut self) -> Result<Option<(Part, Point<'a>)>, Broken> {
        let mut exemplar = None;
        let (part, value) = match std::mem::take(&mut self.parts) {
            Parts::None => return Ok(None),
            Parts::Whole(value, its_exemplar) => {
                exemplar = its_exemplar;
                (Part::Whole, value)
            }
            Parts::Count(several) => {
                self.parts = Parts::Sum(several);
                (Part::Count, several.count)
            }
            Parts::Sum(several) => {
                self.parts = Parts::Rest(several);
                (Part::Sum, several.sum)
            }
            Parts::Rest(mut several) => match several.next_bound()? {
                Some((bound, value, its_exemplar)) => {
                    // What follows the last bucket is not read.
                    if !several.histogram || bound != f64::INFINITY {
                        self.parts = Parts::Rest(several);
                    }
                    exemplar = its_exemplar;
                    (if several.histogram { Part::Bucket(bound) } else { Part::Quantile(bound) }, value)
                }
                None if several.histogram => (Part::Bucket(f64::INFINITY), several.count),
                None => return Ok(None),
            },
        };
        Ok(Some((part, Point { value, ts_ms: self.ts_ms, start_ms: self.start_ms, exemplar })))
    }
}

impl<'a> Several<'a> {
    fn read(message: &'a [u8], histogram: bool) -> Result<Self, Broken> {
        let mut several = Self { histogram, fields: Fields::new(message), ..Self::default() };
        let mut fields = several.fields;
        let mut count_float = 0.0;
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => several.count = count(value.varint()?),
                2 => several.sum = value.double()?,
                4 if !histogram => several.start_ms = Some(timestamp_ms(value.bytes()?)?),
                4 => count_float = value.double()?,
                15 if histogram => several.start_ms = Some(timestamp_ms(value.bytes()?)?),
                // Spans, a zero bucket's width or its count.
                6 if histogram => several.native |= value.double()? > 0.0,
                7 if histogram => several.native |= value.varint()? > 0,
                9 | 12 => several.native |= histogram,
                _ => {}
            }
        }
        if count_float != 0.0 {
            several.count = count_float;
        }
        Ok(several)
    }

    /// Upper bound and count of the next bucket, or the next quantile and its value.
    #[inline]
    fn next_bound(&mut self) -> Result<Option<(f64, f64, Option<Exemplar<'a>>)>, Broken> {
        while let Some((number, value)) = self.fields.next()? {
            if number != 3 {
                continue;
            }
            let (mut whole, mut bound, mut float, mut exemplar) = (0.0, 0.0, 0.0, None);
            let mut fields = Fields::new(value.bytes()?);
            while let Some((number, value)) = fields.next()? {
                match (number, self.histogram) {
                    (1, true) => whole = count(value.varint()?),
                    (2, true) | (1, false) => bound = value.double()?,
                    (4, true) | (2, false) => float = value.double()?,
                    (3, true) => exemplar = Some(read_exemplar(value.bytes()?)?),
                    _ => {}
                }
            }
            let value = if self.histogram && float == 0.0 { whole } else { float };
            return Ok(Some((bound, value, exemplar)));
        }
        Ok(None)
    }
}

/// A counter, a gauge or an untyped value.
fn number(message: &[u8]) -> Result<(f64, Option<Exemplar<'_>>, Option<i64>), Broken> {
    let (mut number, mut exemplar, mut start_ms) = (0.0, None, None);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => number = value.double()?,
            2 => exemplar = Some(read_exemplar(value.bytes()?)?),
            3 => start_ms = Some(timestamp_ms(value.bytes()?)?),
            _ => {}
        }
    }
    Ok((number, exemplar, start_ms))
}

fn read_exemplar(message: &[u8]) -> Result<Exemplar<'_>, Broken> {
    let (mut number, mut ts_ms) = (0.0, None);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => drop(value.bytes()?),
            2 => number = value.double()?,
            3 => ts_ms = Some(timestamp_ms(value.bytes()?)?),
            _ => {}
        }
    }
    Ok(Exemplar::protobuf(message, number, ts_ms))
}

/// A `google.protobuf.Timestamp`.
fn timestamp_ms(message: &[u8]) -> Result<i64, Broken> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => seconds = value.varint()?.cast_signed(),
            2 => nanos = value.varint()?.cast_signed(),
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000))
}

#[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream does")]
fn count(number: u64) -> f64 {
    number as f64
}
