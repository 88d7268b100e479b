//! What a record of a write-ahead log holds (upstream: `tsdb/record/record.go`).

use model::histogram::{Encoded, EncodedCounts, EncodedSide, Span};
use model::{Histogram, Labels, ResetHint, Timestamp};

use crate::bytes::Bytes;
use crate::error::Broken;

const SERIES: u8 = 1;
const SAMPLES: u8 = 2;
const TOMBSTONES: u8 = 3;
const HISTOGRAMS: u8 = 7;
const FLOAT_HISTOGRAMS: u8 = 8;
const CUSTOM_HISTOGRAMS: u8 = 9;
const CUSTOM_FLOAT_HISTOGRAMS: u8 = 10;
const SAMPLES_V2: u8 = 11;
const HISTOGRAMS_V2: u8 = 12;
const FLOAT_HISTOGRAMS_V2: u8 = 13;

/// How a start timestamp is said that is not one of its own.
const NO_START: u8 = 0;
const SAME_START: u8 = 1;
const GAUGE: u8 = 3;

/// One entry of a record. Series are named by a number.
#[derive(Debug)]
pub(crate) enum Found {
    /// The labels of a series.
    Series(u64, Labels),
    Float(u64, Timestamp, f64),
    Histogram(u64, Timestamp, Box<Histogram>),
    /// What is deleted of a series, both ends included.
    Deleted(u64, (Timestamp, Timestamp)),
    /// A record of a kind that has no samples: exemplars, metadata, marks.
    Other,
}

/// A record: its kind, and what is behind that.
#[derive(Debug)]
pub(crate) struct Record<'r> {
    kind: u8,
    content: Bytes<'r>,
}

/// The series and times of entries, which stand as differences.
enum Places {
    /// To the first of both (the older form).
    Base(Option<(i64, i64)>),
    /// To the series before, and to the first time; a start timestamp stands behind them.
    Chain { before: Option<i64>, first: i64 },
}

impl<'r> Record<'r> {
    pub(crate) fn new(record: &'r [u8]) -> Result<Self, Broken> {
        let (kind, content) = record.split_first().ok_or("it is empty")?;
        Ok(Self { kind: *kind, content: Bytes(content) })
    }

    /// Hands out its entries; of a record that is broken those before the fault.
    pub(crate) fn each(mut self, take: &mut dyn FnMut(Found)) -> Result<(), Broken> {
        let mut places = match self.kind {
            SAMPLES_V2 | HISTOGRAMS_V2 | FLOAT_HISTOGRAMS_V2 => Places::Chain { before: None, first: 0 },
            _ => Places::Base(None),
        };
        let content = &mut self.content;
        while !content.is_empty() {
            let found = match self.kind {
                SERIES => Found::Series(content.be64()?, labels(content)?),
                TOMBSTONES => {
                    Found::Deleted(content.be64()?, (Timestamp(content.varint()?), Timestamp(content.varint()?)))
                }
                SAMPLES | SAMPLES_V2 => {
                    let Some((series, ts)) = places.next(content)? else { break };
                    Found::Float(series, ts, content.float()?)
                }
                HISTOGRAMS | CUSTOM_HISTOGRAMS | HISTOGRAMS_V2 => {
                    let Some((series, ts)) = places.next(content)? else { break };
                    Found::Histogram(series, ts, Box::new(histogram(content, false)?))
                }
                FLOAT_HISTOGRAMS | CUSTOM_FLOAT_HISTOGRAMS | FLOAT_HISTOGRAMS_V2 => {
                    let Some((series, ts)) = places.next(content)? else { break };
                    Found::Histogram(series, ts, Box::new(histogram(content, true)?))
                }
                _ => {
                    content.take(content.0.len())?;
                    Found::Other
                }
            };
            take(found);
        }
        Ok(())
    }
}

impl Places {
    /// The series and the time of the next entry; `None` if there is none behind the first place.
    fn next(&mut self, content: &mut Bytes<'_>) -> Result<Option<(u64, Timestamp)>, Broken> {
        match self {
            Self::Base(base) => {
                let (series, ts) = match *base {
                    Some(base) => base,
                    None => *base.insert((content.be64()?.cast_signed(), content.be64()?.cast_signed())),
                };
                if content.is_empty() {
                    return Ok(None);
                }
                let (series, ts) = (series.wrapping_add(content.varint()?), ts.wrapping_add(content.varint()?));
                Ok(Some((series.cast_unsigned(), Timestamp(ts))))
            }
            Self::Chain { before, first } => {
                let (series, ts) = (content.varint()?, content.varint()?);
                let (series, ts) = match *before {
                    None => {
                        content.varint()?;
                        *first = ts;
                        (series, ts)
                    }
                    Some(before) => {
                        if !matches!(content.byte()?, NO_START | SAME_START) {
                            content.varint()?;
                        }
                        (before.wrapping_add(series), first.wrapping_add(ts))
                    }
                };
                *before = Some(series);
                Ok(Some((series.cast_unsigned(), Timestamp(ts))))
            }
        }
    }
}

fn labels(content: &mut Bytes<'_>) -> Result<Labels, Broken> {
    let n = content.count()?;
    let pairs = (0..n).map(|_| Ok((content.text()?, content.text()?))).collect::<Result<Vec<_>, Broken>>()?;
    Ok(Labels::from_pairs(pairs))
}

fn histogram(content: &mut Bytes<'_>, are_floats: bool) -> Result<Histogram, Broken> {
    let reset_hint = if content.byte()? == GAUGE { ResetHint::Gauge } else { ResetHint::Unknown };
    let schema = i32::try_from(content.varint()?).map_err(|_| "the schema of a histogram is out of range")?;
    let zero_threshold = content.float()?;
    let counts = if are_floats {
        let (zero_count, count) = (content.float()?, content.float()?);
        EncodedCounts::Floats { count, zero_count }
    } else {
        let (zero_count, count) = (content.uvarint()?, content.uvarint()?);
        EncodedCounts::Whole { count, zero_count }
    };
    let sum = content.float()?;
    let spans = [spans(content)?, spans(content)?];
    let [positive, negative] = spans.map(|spans| EncodedSide { spans, ..EncodedSide::default() });
    let mut encoded =
        Encoded { reset_hint, schema, zero_threshold, sum, counts, positive, negative, ..Encoded::default() };
    for side in [&mut encoded.positive, &mut encoded.negative] {
        for _ in 0..content.count()? {
            if are_floats { side.counts.push(content.float()?) } else { side.deltas.push(content.varint()?) }
        }
    }
    if schema == Histogram::CUSTOM {
        for _ in 0..content.count()? {
            encoded.custom_values.push(content.float()?);
        }
    }
    Ok(encoded.histogram().0)
}

fn spans(content: &mut Bytes<'_>) -> Result<Vec<Span>, Broken> {
    let n = content.count()?;
    let mut spans = Vec::with_capacity(n);
    for _ in 0..n {
        let offset = i32::try_from(content.varint()?).map_err(|_| "the offset of a span is out of range")?;
        let length = u32::try_from(content.uvarint()?).map_err(|_| "the length of a span is out of range")?;
        spans.push(Span { offset, length });
    }
    Ok(spans)
}
