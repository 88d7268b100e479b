//! Answers of remote read: all samples in one message, or frames with chunks, series after series (upstream:
//! `storage/remote/read_handler.go`, `codec.go` and `chunked.go`).

use std::collections::BTreeMap;

use blocks::chunk::{self, SAMPLES, encoded};
use model::querier::chunks::chunks;
use model::{Batch, Histogram, Labels, ResetHint, Timestamp};
use prost::Message;
use prost::encoding::encode_varint;

use crate::proto::read::{Chunk, ChunkedReadResponse, ChunkedSeries};
use crate::proto::write::{Label, Sample, TimeSeries};
use crate::wire::push_field;
use crate::{histogram, proto};

/// Labels of all series that this server sends, where they have none of these names.
pub type ExternalLabels = BTreeMap<String, String>;

/// The samples of the series of one query, as the message has them.
#[derive(Debug, Default)]
pub struct SampledResult {
    /// `QueryResult`, encoded.
    bytes: Vec<u8>,
    samples: usize,
    /// The series that is being gathered: parts of one may come one after the other.
    open: Option<(Labels, TimeSeries)>,
}

impl SampledResult {
    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Adds a series, or a part of the one before.
    pub fn push(&mut self, batch: &Batch, external: &ExternalLabels) {
        let [column] = &batch.columns[..] else { return };
        self.samples += batch.timestamps.len();
        if self.open.as_ref().is_none_or(|(labels, _)| *labels != column.metric) {
            self.close();
            let series = TimeSeries { labels: labels(&column.metric, external), ..TimeSeries::default() };
            self.open = Some((column.metric.clone(), series));
        }
        let Some((_, series)) = &mut self.open else { return };
        let mut histograms = column.histograms.iter().peekable();
        for (i, (ts, value)) in (0u32..).zip(batch.timestamps.iter().zip(&column.values)) {
            match histograms.next_if(|(slot, _)| *slot == i) {
                Some((_, histogram)) => series.histograms.push(of_histogram(histogram, *ts)),
                None => series.samples.push(Sample { value: *value, timestamp: ts.0 }),
            }
        }
    }

    /// Adds a series without samples.
    pub fn push_labels(&mut self, series: &Labels, external: &ExternalLabels) {
        self.close();
        let series = TimeSeries { labels: labels(series, external), ..TimeSeries::default() };
        push_field(&mut self.bytes, 1, &series.encode_to_vec());
    }

    fn close(&mut self) {
        if let Some((_, series)) = self.open.take() {
            push_field(&mut self.bytes, 1, &series.encode_to_vec());
        }
    }
}

/// The message with the results of all queries.
#[must_use]
pub fn sampled(results: Vec<SampledResult>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut result in results {
        result.close();
        push_field(&mut bytes, 1, &result.bytes);
    }
    bytes
}

/// The frames of one series, or of a part of one.
pub fn frames(
    batch: &Batch,
    (query, external): (usize, &ExternalLabels),
    bytes_max: usize,
    mut each: impl FnMut(Vec<u8>) -> bool,
) {
    let [column] = &batch.columns[..] else { return };
    let labels = labels(&column.metric, external);
    let of_labels: usize = labels.iter().map(Message::encoded_len).sum();
    let bytes_max = bytes_max.saturating_sub(of_labels);
    let (mut waiting, mut made, mut bytes) = (Vec::new(), Vec::new(), 0);
    for chunk in chunks(batch, SAMPLES) {
        let known = waiting.len();
        encoded(chunk, &mut made);
        waiting.extend(made.drain(..).map(of_chunk));
        bytes += waiting[known..].iter().map(Message::encoded_len).sum::<usize>();
        if bytes >= bytes_max && !each(frame(&labels, std::mem::take(&mut waiting), query)) {
            return;
        }
        bytes = if waiting.is_empty() { 0 } else { bytes };
    }
    if !waiting.is_empty() {
        each(frame(&labels, waiting, query));
    }
}

fn of_chunk(chunk::Chunk { start, end, encoding, data }: chunk::Chunk) -> Chunk {
    Chunk { min_time_ms: start.0, max_time_ms: end.0, kind: i32::from(encoding), data }
}

/// Its length, a checksum, and the message.
fn frame(labels: &[Label], chunks: Vec<Chunk>, query: usize) -> Vec<u8> {
    let series = ChunkedSeries { labels: labels.to_vec(), chunks };
    let query_index = i64::try_from(query).unwrap_or(i64::MAX);
    let message = ChunkedReadResponse { chunked_series: vec![series], query_index }.encode_to_vec();
    let mut frame = Vec::with_capacity(message.len() + 14);
    encode_varint(message.len() as u64, &mut frame);
    frame.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    frame.extend_from_slice(&message);
    frame
}

fn labels(labels: &Labels, external: &ExternalLabels) -> Vec<Label> {
    let further = external.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let further = further.filter(|(name, _)| labels.get(name).is_none());
    let mut all: Vec<Label> = labels.iter().chain(further).map(|(name, value)| Label::new(name, value)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Who reads a histogram finds out by itself whether it was reset since the one before, which may be in another message.
fn of_histogram(histogram: &Histogram, ts: Timestamp) -> proto::histogram::Histogram {
    let message = histogram::of_floats(histogram, ts);
    let reset_hint = if histogram.reset_hint == ResetHint::NotReset { 0 } else { message.reset_hint };
    proto::histogram::Histogram { reset_hint, ..message }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Column;

    use super::*;
    use crate::proto::read::ReadResponse;

    fn batch(name: &str, n: i64) -> Batch {
        let metric = Labels::from_pairs([("__name__", name), ("zone", "own")]);
        let values = (0..n).map(|i| i as f64).collect();
        let column = Column { metric, values, histograms: vec![(1, Arc::default())], ..Column::default() };
        Batch { timestamps: (0..n).map(Timestamp).collect(), columns: vec![column], ..Batch::default() }
    }

    fn external() -> ExternalLabels {
        BTreeMap::from([("cluster".to_owned(), "eu".to_owned()), ("zone".to_owned(), "ext".to_owned())])
    }

    fn shown(labels: &[Label]) -> Vec<String> {
        labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect()
    }

    #[test]
    fn samples_are_one_message() {
        let mut first = SampledResult::default();
        first.push(&batch("a", 2), &external());
        first.push(&batch("a", 3), &external());
        first.push(&batch("b", 3), &external());
        assert_eq!(first.samples(), 8);
        let message = ReadResponse::decode(&*sampled(vec![first, SampledResult::default()])).unwrap();
        assert_eq!((message.results.len(), message.results[1].timeseries.len()), (2, 0));
        let [a, b] = &message.results[0].timeseries[..] else { panic!("two series") };
        assert_eq!(shown(&a.labels), ["__name__=a", "cluster=eu", "zone=own"]);
        assert_eq!((a.samples.len(), a.histograms.len(), b.samples.len(), b.histograms.len()), (3, 2, 2, 1));
        assert_eq!((b.samples[1].timestamp, b.histograms[0].timestamp), (2, 1));
    }

    #[test]
    fn chunks_are_frames() {
        let mut all = Vec::new();
        frames(&batch("a", 500), (3, &external()), 1, |frame| {
            all.push(frame);
            true
        });
        // A float, a histogram, and 498 floats by 120.
        assert_eq!(all.len(), 7);
        let mut kinds = Vec::new();
        for frame in &all {
            let mut rest = &frame[..];
            let len = prost::encoding::decode_varint(&mut rest).unwrap();
            let (sum, message) = rest.split_at(4);
            assert_eq!((len as usize, sum), (message.len(), &crc32c::crc32c(message).to_be_bytes()[..]));
            let message = ChunkedReadResponse::decode(message).unwrap();
            assert_eq!((message.query_index, message.chunked_series.len()), (3, 1));
            kinds.extend(message.chunked_series[0].chunks.iter().map(|chunk| chunk.kind));
        }
        assert_eq!(kinds, [1, 3, 1, 1, 1, 1, 1]);
        let mut n = 0;
        frames(&batch("a", 500), (0, &external()), 1 << 20, |_| {
            n += 1;
            true
        });
        assert_eq!(n, 1, "what fits is in one frame");
        let mut n = 0;
        frames(&batch("a", 500), (0, &external()), 1, |_| {
            n += 1;
            false
        });
        assert_eq!(n, 1, "nobody listens");
    }
}
