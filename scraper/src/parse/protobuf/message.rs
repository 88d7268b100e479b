//! Reads `MetricFamily` and `Metric` messages in place and lists the series that each metric stands for.

use model::histogram::ResetHint;
use model::sample::{NORMAL_NAN_BITS, histogram_mark, is_histogram_mark, is_stale};
use model::{Histogram, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::exemplars::{self, read_exemplar, timestamp};
use super::native;
use crate::parse::part::Part;
use crate::parse::{Exemplar, MetricKind, Native, Point};
use model::protobuf::{Broken, Fields};

#[derive(Debug, Default)]
pub(super) struct Family<'a> {
    pub(super) name: &'a [u8],
    pub(super) help: &'a [u8],
    pub(super) unit: &'a [u8],
    pub(super) kind: MetricKind,
    /// Hash of the name and the type; seeds the keys of all its series.
    pub(super) seed: u64,
    pub(super) fields: Fields<'a>,
}

#[derive(Debug, Default)]
pub(super) struct Metric<'a> {
    /// From the first to the last label field.
    pub(super) labels: &'a [u8],
    /// Hash of the label fields, seeded with that of the family.
    pub(super) base: u64,
    pub(super) ts: Option<Timestamp>,
    pub(super) start_time: Option<Timestamp>,
    step: Step,
    /// Summary or histogram: the others have one number.
    histogram: bool,
    /// The number or the sum, and how many were observed.
    sum: f64,
    count: f64,
    exemplar: Option<Exemplar<'a>>,
    /// Cursor over the buckets or quantiles of a histogram or summary.
    several: Fields<'a>,
    body: &'a [u8],
    /// Has native buckets.
    pub(super) native: bool,
    /// A native histogram with custom buckets is wanted in place of the classic one; `converted` once it is made.
    convert: bool,
    converted: Option<Histogram>,
    /// Has classic buckets.
    classic: bool,
}

/// The series of a metric that comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    None,
    Whole,
    /// The native histogram; then its classic series, if they are wanted.
    Native {
        classic: bool,
    },
    Count,
    Sum,
    /// Buckets or quantiles.
    Rest,
    /// The native histogram with custom buckets, converted from the classic ones.
    Converted,
}

impl<'a> Family<'a> {
    /// `None` when it has no metrics.
    pub(super) fn read(message: &'a [u8]) -> Result<Option<Self>, Broken> {
        let mut family = Self { fields: Fields::new(message), ..Self::default() };
        let mut has_metrics = false;
        let mut kind = 0;
        // Walks a copy: `family.fields` stays at the start and is what `next_metric` walks. The whole message has to
        // be read first, because protobuf allows a writer to put the name, the type or the unit behind the metrics.
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
        // Upstream's `ProtobufParser.Next` skips a family without metrics before it looks at its name or type, so
        // neither can fail the scrape.
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
        // A family that changes its type gets new keys for its series, since the series it stands for change with it.
        family.seed = xxh3_64_with_seed(family.name, kind);
        Ok(Some(family))
    }
}

impl<'a> Metric<'a> {
    /// Reads a metric in place of the one before it.
    pub(super) fn read(&mut self, message: &'a [u8], family: &Family<'a>) -> Result<(), Broken> {
        let mut body: &[u8] = &[];
        let (mut first, mut last) = (usize::MAX, 0);
        // The field number of the value in `Metric`. A value of another type than the family's is ignored.
        let wanted = match family.kind {
            MetricKind::Gauge => 2,
            MetricKind::Counter => 3,
            MetricKind::Summary => 4,
            MetricKind::Histogram | MetricKind::GaugeHistogram => 7,
            _ => 5,
        };
        (self.ts, self.start_time) = (None, None);
        let mut fields = Fields::new(message);
        loop {
            let start = fields.at();
            let Some((number, value)) = fields.next()? else { break };
            match number {
                1 => {
                    value.bytes()?;
                    // Label fields are hashed as one slice, without decoding. Foreign fields between two labels
                    // become part of the hash; that only costs recognition when they change.
                    first = first.min(start);
                    last = fields.at();
                }
                // Zero cannot be told from no time at all.
                6 => self.ts = Some(Timestamp(value.varint()?.cast_signed())).filter(|ts| *ts != Timestamp::EPOCH),
                _ if number == wanted => body = value.bytes()?,
                _ => {}
            }
        }
        self.labels = message.get(first..last).unwrap_or_default();
        self.base = xxh3_64_with_seed(self.labels, family.seed);
        // One `Metric` is reused for all metrics of a body, so every field of the last one is reset.
        (self.sum, self.count, self.exemplar, self.native, self.classic) = (0.0, 0.0, None, false, false);
        (self.convert, self.converted) = (false, None);
        self.histogram = wanted == 7;
        match wanted {
            4 | 7 => self.read_several(body),
            _ => self.read_number(body),
        }
    }

    /// A counter, a gauge or an untyped value.
    fn read_number(&mut self, message: &'a [u8]) -> Result<(), Broken> {
        self.step = Step::Whole;
        let mut fields = Fields::new(message);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => self.sum = value.double()?,
                2 => self.exemplar = Some(read_exemplar(value.bytes()?)?),
                3 => self.start_time = Some(timestamp(value.bytes()?)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_several(&mut self, message: &'a [u8]) -> Result<(), Broken> {
        self.step = Step::Count;
        self.body = message;
        self.several = Fields::new(message);
        let histogram = self.histogram;
        let mut count_float = 0.0;
        // A copy again: `self.several` stays at the start for `next_bound`, which hands out the buckets one by one.
        let mut fields = self.several;
        while let Some((number, value)) = fields.next()? {
            match number {
                // The field numbers of `Histogram` and `Summary` agree for 1 to 3 and differ from 4 on.
                1 => self.count = count(value.varint()?),
                2 => self.sum = value.double()?,
                3 => self.classic = true,
                4 if !histogram => self.start_time = Some(timestamp(value.bytes()?)?),
                4 => count_float = value.double()?,
                15 if histogram => self.start_time = Some(timestamp(value.bytes()?)?),
                // Spans, a zero bucket's width or its count.
                6 if histogram => self.native |= value.double()? > 0.0,
                7 if histogram => self.native |= value.varint()? > 0,
                9 | 12 => self.native |= histogram,
                _ => {}
            }
        }
        // A float histogram sets `sample_count_float` instead of `sample_count`.
        if count_float != 0.0 {
            self.count = count_float;
        }
        Ok(())
    }

    /// The native histogram comes first, or alone.
    pub(super) fn ask_native(&mut self, and_classic: bool) {
        self.step = Step::Native { classic: and_classic && self.classic };
    }

    /// A native one made of the classic buckets comes last, or alone.
    pub(super) fn ask_converted(&mut self, and_classic: bool) {
        // Summaries stay as they are: only histograms have a native form.
        self.convert = self.histogram;
        if self.histogram && !and_classic {
            self.step = Step::Converted;
        }
    }

    /// The native histogram.
    pub(super) fn histogram(&mut self, gauge: bool) -> Result<Native, String> {
        let mut native = match self.converted.take() {
            Some(histogram) => Native { histogram, counts: None },
            None => native::read(self.body)?,
        };
        if gauge {
            // Counts of gauge histograms may fall, which is no counter reset.
            native.histogram.reset_hint = ResetHint::Gauge;
        }
        Ok(native)
    }

    /// The exemplars of the native histogram.
    pub(super) fn exemplars(&self) -> Result<Vec<Exemplar<'a>>, Broken> {
        exemplars::of_histogram(self.body)
    }

    /// The next series of the metric: the native histogram if it is wanted, the count, the sum, then buckets or quantiles.
    #[inline]
    pub(super) fn next_part(&mut self) -> Result<Option<(Part, Point<'a>)>, Broken> {
        let mut exemplar = None;
        let (part, value) = match self.step {
            Step::None => return Ok(None),
            Step::Whole => {
                self.step = Step::None;
                exemplar = self.exemplar;
                (Part::Whole, self.sum)
            }
            Step::Native { classic } => {
                self.step = if classic { Step::Count } else { Step::None };
                return Ok(Some((Part::Native, self.native_point())));
            }
            Step::Converted => {
                self.step = Step::None;
                // Converted only when the series is handed out: the classic series before it do not need the
                // histogram.
                self.converted = native::from_classic(self.body)?;
                return Ok(self.converted.is_some().then(|| (Part::Native, self.native_point())));
            }
            Step::Count => {
                self.step = Step::Sum;
                (Part::Count, self.count)
            }
            Step::Sum => {
                self.step = Step::Rest;
                (Part::Sum, self.sum)
            }
            Step::Rest => match self.next_bound()? {
                Some((bound, value, its_exemplar)) => {
                    // What follows the last bucket is not read.
                    if self.histogram && bound == f64::INFINITY {
                        self.step = self.after_classic();
                    }
                    exemplar = its_exemplar;
                    (if self.histogram { Part::Bucket(bound) } else { Part::Quantile(bound) }, value)
                }
                None => {
                    self.step = self.after_classic();
                    if !self.histogram {
                        return Ok(None);
                    }
                    // The client left out the +Inf bucket, which is optional in protobuf; it is added with the total
                    // count, as upstream does.
                    (Part::Bucket(f64::INFINITY), self.count)
                }
            },
        };
        // A number that a target exposes never passes for a histogram.
        let value = if is_histogram_mark(value) { f64::from_bits(NORMAL_NAN_BITS) } else { value };
        Ok(Some((part, Point { value, ts: self.ts, start_time: self.start_time, exemplar })))
    }

    fn after_classic(&self) -> Step {
        if self.convert { Step::Converted } else { Step::None }
    }

    fn native_point(&self) -> Point<'a> {
        // As upstream has it, a histogram whose sum is the stale NaN is a stale marker.
        let value = if is_stale(self.sum) { self.sum } else { histogram_mark() };
        Point { value, ts: self.ts, start_time: self.start_time, exemplar: None }
    }

    /// Upper bound and count of the next bucket, or the next quantile and its value.
    #[inline]
    fn next_bound(&mut self) -> Result<Option<(f64, f64, Option<Exemplar<'a>>)>, Broken> {
        while let Some((number, value)) = self.several.next()? {
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
            // `cumulative_count_float` is only set in float histograms.
            let value = if self.histogram && float == 0.0 { whole } else { float };
            return Ok(Some((bound, value, exemplar)));
        }
        Ok(None)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are stored as floats, as upstream does")]
pub(super) fn count(number: u64) -> f64 {
    number as f64
}
