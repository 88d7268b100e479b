//! Requests as bytes: put together from label bytes that are made once per series.

use model::Timestamp;
use prost::Message as _;
use prost::encoding::encode_varint;

use super::series::{Series, SeriesCache};
use super::window::{Piece, Window};
use crate::histogram;
use crate::proto::{write, write_v2};
use crate::wire::push_field;

/// Which message a remote is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

impl Protocol {
    /// The message that a configuration names, which is one of the two.
    pub(super) fn of(message: &str) -> Self {
        if message == "prometheus.WriteRequest" { Self::V1 } else { Self::V2 }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::V1 => "application/x-protobuf",
            Self::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    pub(super) fn version(self) -> &'static str {
        match self {
            Self::V1 => "0.1.0",
            Self::V2 => "2.0.0",
        }
    }
}

/// Room for what is encoded again and again.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    series: Vec<u8>,
    inner: Vec<u8>,
    /// For each text of the cache its number in the request, and which request that is of.
    local: Vec<(u32, u32)>,
    request: u32,
    symbols: Vec<u8>,
    n_symbols: u32,
}

impl Encoder {
    /// The message of some pieces of a window.
    pub(super) fn request(
        &mut self,
        protocol: Protocol,
        (window, pieces): (&Window, &[Piece]),
        cache: &mut SeriesCache,
    ) -> Vec<u8> {
        match protocol {
            Protocol::V1 => self.v1(window, pieces, cache),
            Protocol::V2 => self.v2(window, pieces, cache),
        }
    }

    fn v1(&mut self, window: &Window, pieces: &[Piece], cache: &SeriesCache) -> Vec<u8> {
        let mut out = Vec::with_capacity(pieces.len() * 256);
        for piece in pieces {
            self.series.clear();
            for pair in &window.series(piece).pairs {
                self.series.extend_from_slice(&cache.pair_at(*pair).encoded);
            }
            for sample in window.samples(piece) {
                push_sample(&mut self.series, 2, (sample.value, sample.ts, Timestamp::EPOCH));
            }
            for one in window.exemplars(piece) {
                let labels = one.labels.iter().map(|(name, value)| write::Label::new(name, value)).collect();
                let exemplar = write::Exemplar { labels, value: one.value, timestamp: one.ts.0 };
                push_field(&mut self.series, 3, &exemplar.encode_to_vec());
            }
            for one in window.histograms(piece) {
                let message = histogram::message(&one.histogram, one.ts, Timestamp::EPOCH);
                push_field(&mut self.series, 4, &message.encode_to_vec());
            }
            push_field(&mut out, 1, &self.series);
        }
        out
    }

    fn v2(&mut self, window: &Window, pieces: &[Piece], cache: &mut SeriesCache) -> Vec<u8> {
        self.begin();
        let mut out = Vec::with_capacity(pieces.len() * 64);
        for piece in pieces {
            let (samples, histograms) = (window.samples(piece), window.histograms(piece));
            // Floats and histograms of one series are two series of the message.
            if !samples.is_empty() || histograms.is_empty() {
                self.labels(window.series(piece), cache);
                for sample in samples {
                    push_sample(&mut self.series, 2, (sample.value, sample.ts, sample.start));
                }
                if histograms.is_empty() {
                    self.exemplars(window, piece, cache);
                }
                push_field(&mut out, 5, &self.series);
            }
            if !histograms.is_empty() {
                self.labels(window.series(piece), cache);
                for one in histograms {
                    let message = histogram::message(&one.histogram, one.ts, one.start);
                    push_field(&mut self.series, 3, &message.encode_to_vec());
                }
                self.exemplars(window, piece, cache);
                push_field(&mut out, 5, &self.series);
            }
        }
        // First, as some receivers resolve references while they read.
        let mut whole = std::mem::take(&mut self.symbols);
        whole.extend_from_slice(&out);
        whole
    }

    /// A new table of symbols, whose first is empty.
    fn begin(&mut self) {
        self.request += 1;
        self.symbols.clear();
        push_field(&mut self.symbols, 4, b"");
        self.n_symbols = 1;
    }

    /// The labels of a series, in an empty buffer.
    fn labels(&mut self, series: &Series, cache: &SeriesCache) {
        self.inner.clear();
        for pair in &series.pairs {
            let pair = cache.pair_at(*pair);
            for symbol in [pair.name, pair.value] {
                let local = self.local(symbol, cache);
                encode_varint(u64::from(local), &mut self.inner);
            }
        }
        self.series.clear();
        push_field(&mut self.series, 1, &self.inner);
    }

    fn exemplars(&mut self, window: &Window, piece: &Piece, cache: &mut SeriesCache) {
        for one in window.exemplars(piece) {
            let mut labels_refs = Vec::with_capacity(2 * one.labels.len());
            for (name, value) in &one.labels {
                for text in [name, value] {
                    let symbol = cache.symbol(text);
                    labels_refs.push(self.local(symbol, cache));
                }
            }
            let exemplar = write_v2::Exemplar { labels_refs, value: one.value, timestamp: one.ts.0 };
            push_field(&mut self.series, 4, &exemplar.encode_to_vec());
        }
    }

    /// The number of a text in this request.
    fn local(&mut self, symbol: u32, cache: &SeriesCache) -> u32 {
        let at = symbol as usize;
        if self.local.len() <= at {
            self.local.resize(cache.n_symbols().max(at + 1), (0, 0));
        }
        if self.local[at].0 != self.request {
            let text = cache.text(symbol);
            // The empty text has a place of its own.
            let local = if text.is_empty() { 0 } else { self.n_symbols };
            if local > 0 {
                push_field(&mut self.symbols, 4, text.as_bytes());
                self.n_symbols += 1;
            }
            self.local[at] = (self.request, local);
        }
        self.local[at].1
    }
}

fn push_sample(out: &mut Vec<u8>, field: u8, (value, ts, start): (f64, Timestamp, Timestamp)) {
    // A tag and eight bytes, and one or two tags with at most ten bytes: the length is one byte.
    let mut sample = [0; 31];
    sample[0] = 1 << 3 | 1;
    sample[1..9].copy_from_slice(&value.to_bits().to_le_bytes());
    let mut len = 9;
    for (tag, time) in [(2 << 3, ts), (3 << 3, start)] {
        if time == Timestamp::EPOCH {
            continue;
        }
        sample[len] = tag;
        len += 1;
        let mut rest = time.0.cast_unsigned();
        while rest >= 0x80 {
            sample[len] = rest as u8 | 0x80;
            rest >>= 7;
            len += 1;
        }
        sample[len] = rest as u8;
        len += 1;
    }
    out.extend_from_slice(&[field << 3 | 2, len as u8]);
    out.extend_from_slice(&sample[..len]);
}
