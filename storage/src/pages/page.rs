//! A page as bytes: columns of one metric name of one source, each findable without decoding the others.
//! Drawn in `docs/formats/pages.md`.

use std::ops::Range;

use model::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::{column, timeline};
use crate::kv::checksum::Corrupt;
use crate::kv::schema::PageGroup;
use crate::kv::varint;

const CHECKSUM_BYTES: usize = 4;

/// The column has a sample at every time of the timeline.
const ALL: u8 = 0;
/// From one time of the timeline to another without a gap.
const SPAN: u8 = 1;
/// At the times whose bits are set.
const BITS: u8 = 2;
/// At times of its own.
const OWN: u8 = 3;

/// Collects the columns of a page; metrics ascending.
#[derive(Debug, Default)]
pub(crate) struct PageBuilder {
    first_metric: u32,
    last_metric: u32,
    columns: u64,
    heads: Vec<u8>,
    bodies: Vec<u8>,
    scratch: Vec<f64>,
}

impl PageBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// The metric of the first column.
    pub(crate) fn first_metric(&self) -> u32 {
        self.first_metric
    }

    /// Columns and bytes so far.
    pub(crate) fn size(&self) -> (u64, usize) {
        (self.columns, self.heads.len() + self.bodies.len())
    }

    /// Adds a column that lies on the timeline; one bit in `present` per value. A column without samples is left out.
    pub(crate) fn push(&mut self, metric: u32, values: &[f64], present: &[u64]) {
        let n: usize = present.iter().map(|word| word.count_ones() as usize).sum();
        let start = self.bodies.len();
        if n == 0 {
            return;
        }
        // Nearly every column: no times are stored at all.
        if n == values.len() {
            column::encode(values, &mut self.bodies);
            return self.head(metric, ALL, start);
        }
        let set = |i: &usize| present[i / 64] >> (i % 64) & 1 == 1;
        let first = (0..values.len()).find(set).unwrap_or(0);
        let last = (0..values.len()).rev().find(set).unwrap_or(first);
        varint::put(first as u64, &mut self.bodies);
        varint::put((last - first + 1) as u64, &mut self.bodies);
        // A series that began or ended within the partition.
        if last - first + 1 == n {
            column::encode(&values[first..=last], &mut self.bodies);
            return self.head(metric, SPAN, start);
        }
        self.scratch.clear();
        for eight in (first..=last).step_by(8) {
            let mut byte = 0;
            for i in (eight..=last.min(eight + 7)).filter(set) {
                byte |= 1 << (i - eight);
                self.scratch.push(values[i]);
            }
            self.bodies.push(byte);
        }
        column::encode(&self.scratch, &mut self.bodies);
        self.head(metric, BITS, start);
    }

    /// Adds a column with times of its own, ascending; `partition` is the start of theirs.
    pub(crate) fn push_own(&mut self, metric: u32, times: &[Timestamp], values: &[f64], partition: Timestamp) {
        if times.is_empty() {
            return;
        }
        let start = self.bodies.len();
        let mut line = Vec::new();
        timeline::put_times(times, partition, &mut line);
        varint::put(line.len() as u64, &mut self.bodies);
        self.bodies.extend_from_slice(&line);
        column::encode(values, &mut self.bodies);
        self.head(metric, OWN, start);
    }

    fn head(&mut self, metric: u32, kind: u8, body_start: usize) {
        debug_assert!(self.columns == 0 || metric > self.last_metric, "columns ascend");
        if self.columns == 0 {
            // It stands in the page's key, and differences of metrics begin from it.
            self.first_metric = metric;
            self.last_metric = metric;
        }
        varint::put(u64::from(metric - self.last_metric), &mut self.heads);
        // Two low bits for the kind: there are four.
        varint::put((self.bodies.len() - body_start) as u64 * 4 + u64::from(kind), &mut self.heads);
        self.last_metric = metric;
        self.columns += 1;
    }

    /// The bytes under the page's key; the builder is empty again.
    pub(crate) fn finish(&mut self, group: &PageGroup) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.heads.len() + self.bodies.len() + 12);
        varint::put(self.columns, &mut out);
        out.extend_from_slice(&self.heads);
        out.extend_from_slice(&self.bodies);
        let checksum = checksum(&out, group, self.first_metric);
        out.extend_from_slice(&checksum.to_le_bytes());
        self.heads.clear();
        self.bodies.clear();
        self.columns = 0;
        out
    }
}

fn checksum(bytes: &[u8], group: &PageGroup, first_metric: u32) -> u32 {
    crate::kv::checksum::checksum(bytes, xxh3_64(&group.key(first_metric)))
}

/// A column within a page, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnView<'a> {
    pub(crate) metric: u32,
    kind: u8,
    body: &'a [u8],
}

/// Where the values of a column lie.
#[derive(Debug, PartialEq)]
pub(crate) enum Times {
    /// At these places of the timeline, every one.
    Span(Range<usize>),
    /// At these places of the timeline.
    Places(Vec<usize>),
    /// At these times.
    Own(Vec<Timestamp>),
}

/// The columns of a page, after its checksum was found right.
pub(crate) fn parse<'a>(
    bytes: &'a [u8],
    group: &PageGroup,
    first_metric: u32,
    columns: &mut Vec<ColumnView<'a>>,
) -> Result<(), Corrupt> {
    columns.clear();
    let (bytes, stored) =
        bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Corrupt::Shape("shorter than a checksum"))?;
    let (got, expected) = (checksum(bytes, group, first_metric), u32::from_le_bytes(*stored));
    if got != expected {
        return Err(Corrupt::Checksum { got, expected });
    }
    parse_checked(bytes, first_metric, columns).ok_or(Corrupt::Shape("heads and bodies of a page do not agree"))
}

fn parse_checked<'a>(mut bytes: &'a [u8], first_metric: u32, columns: &mut Vec<ColumnView<'a>>) -> Option<()> {
    let count = varint::take_usize(&mut bytes)?;
    let mut heads = bytes;
    let mut skipped = 0;
    // Heads first: only they say where the bodies start.
    let mut probe = bytes;
    for _ in 0..count {
        varint::take(&mut probe)?;
        varint::take(&mut probe)?;
        skipped = bytes.len() - probe.len();
    }
    let mut bodies = &bytes[skipped..];
    let mut metric = first_metric;
    for _ in 0..count {
        metric = metric.checked_add(u32::try_from(varint::take(&mut heads)?).ok()?)?;
        let word = varint::take(&mut heads)?;
        let (body, rest) = bodies.split_at_checked(usize::try_from(word / 4).ok()?)?;
        bodies = rest;
        columns.push(ColumnView { metric, kind: (word % 4) as u8, body });
    }
    bodies.is_empty().then_some(())
}

impl ColumnView<'_> {
    /// Appends the column's values to `values` and says where they lie; `line` is the length of the timeline.
    pub(crate) fn decode(&self, line: usize, start: Timestamp, values: &mut Vec<f64>) -> Result<Times, Corrupt> {
        let mut body = self.body;
        let (times, count) = match self.kind {
            ALL => (Times::Span(0..line), line),
            OWN => {
                let cut = Corrupt::Shape("own times cut short");
                let len = varint::take_usize(&mut body).ok_or(cut)?;
                let (times, rest) = body.split_at_checked(len).ok_or(cut)?;
                body = rest;
                let times = timeline::take_times(times, start)?;
                let count = times.len();
                (Times::Own(times), count)
            }
            _ => self.places(&mut body, line).ok_or(Corrupt::Shape("presence beyond the timeline"))?,
        };
        column::decode(body, count, values)?;
        Ok(times)
    }

    fn places(&self, body: &mut &[u8], line: usize) -> Option<(Times, usize)> {
        let first = varint::take_usize(body)?;
        let span = varint::take_usize(body)?;
        let end = first.checked_add(span).filter(|&end| end <= line)?;
        if self.kind == SPAN {
            return Some((Times::Span(first..end), span));
        }
        let (bits, rest) = body.split_at_checked(span.div_ceil(8))?;
        *body = rest;
        let places: Vec<usize> = (0..span).filter(|i| bits[i / 8] >> (i % 8) & 1 == 1).map(|i| first + i).collect();
        let count = places.len();
        Some((Times::Places(places), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::schema::{Bucket, Partition};
    use model::SourceId;

    const START: Timestamp = Timestamp(1000);

    fn group() -> PageGroup {
        PageGroup {
            partition: Partition { start: Bucket(START), buckets: 1 },
            name: 9,
            source: SourceId(3),
            generation: 2,
        }
    }

    fn page() -> Vec<u8> {
        let mut builder = PageBuilder::default();
        builder.push(5, &[1.0, 2.0, 3.0], &[0b111]);
        builder.push(6, &[0.0, 2.5, f64::NAN], &[0b110]);
        builder.push(7, &[0.0; 3], &[0]);
        builder.push(900, &[4.0, 0.0, -0.0], &[0b101]);
        builder.push_own(901, &[1003, 1500].map(Timestamp), &[7.0, 8.0], START);
        assert_eq!((builder.first_metric(), builder.size().0), (5, 4));
        builder.finish(&group())
    }

    #[test]
    fn columns_come_back_one_by_one() {
        let bytes = page();
        let mut columns = vec![];
        parse(&bytes, &group(), 5, &mut columns).unwrap();
        assert_eq!(columns.iter().map(|c| c.metric).collect::<Vec<_>>(), [5, 6, 900, 901]);
        let mut all = vec![];
        let times: Vec<Times> = columns.iter().map(|c| c.decode(3, START, &mut all).unwrap()).collect();
        assert_eq!(times[..2], [Times::Span(0..3), Times::Span(1..3)]);
        assert_eq!(times[2..], [Times::Places(vec![0, 2]), Times::Own([1003, 1500].map(Timestamp).to_vec())]);
        let expected = [1.0, 2.0, 3.0, 2.5, f64::NAN, 4.0, -0.0, 7.0, 8.0];
        assert_eq!(all.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), expected.map(f64::to_bits));
        // A timeline of another length is not the one it was written with.
        assert!(columns[1].decode(2, START, &mut all).is_err());
    }

    #[test]
    fn damage_and_another_key_are_noticed() {
        let bytes = page();
        let mut columns = vec![];
        assert!(parse(&bytes, &group(), 6, &mut columns).is_err());
        assert!(parse(&bytes, &PageGroup { generation: 3, ..group() }, 5, &mut columns).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&damaged, &group(), 5, &mut vec![]).is_err(), "bit {bit}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
            let mut columns = vec![];
            if parse_checked(&bytes, 7, &mut columns).is_some() {
                for column in &columns {
                    let _ = column.decode(10, Timestamp::EPOCH, &mut vec![]);
                }
            }
        }
    }
}
