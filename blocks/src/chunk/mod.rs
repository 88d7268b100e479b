//! Chunks: up to some hundred samples of one series, as Prometheus' TSDB encodes them (upstream: `tsdb/chunkenc`).

mod encode;
mod histogram;
mod parts;
mod start_times;
mod xor;
mod xor2;

use model::histogram::Span;

use crate::error::Broken;
use parts::{FLOAT_HISTOGRAM, FLOAT_HISTOGRAM_ST, HISTOGRAM, HISTOGRAM_ST, XOR, XOR2};

pub use encode::encoded;
pub use parts::{Chunk, SAMPLES, Samples};

/// Adds the samples of a chunk; of one that is broken none. Start timestamps are read over: what the series counts since is known from
/// its samples.
///
/// # Errors
/// When the chunk is broken, or of no encoding that is known; the text says why.
pub fn decode(encoding: u8, data: &[u8], samples: &mut Samples) -> Result<(), Broken> {
    let before = samples.timestamps.len();
    let decoded = match encoding {
        XOR => xor::decode(data, samples),
        XOR2 => xor2::decode(data, samples),
        HISTOGRAM | FLOAT_HISTOGRAM | HISTOGRAM_ST | FLOAT_HISTOGRAM_ST => histogram::decode(encoding, data, samples),
        _ => Err("the encoding of a chunk is not known"),
    };
    decoded.inspect_err(|_| samples.truncate(before))
}

/// About how much memory the samples of a chunk take, in bytes; at least that much, however the chunk is made.
#[must_use]
pub fn decoded_bytes(encoding: u8, data: &[u8]) -> usize {
    let Some((head, rest)) = data.split_first_chunk::<2>() else { return 0 };
    // Start timestamps leave some of these bits to the kind of the histograms.
    let count = usize::from(u16::from_be_bytes(*head)).min(rest.len() * 8);
    match encoding {
        // A bucket takes a bit at least; decoded, a float and two spans at most.
        HISTOGRAM | FLOAT_HISTOGRAM | HISTOGRAM_ST | FLOAT_HISTOGRAM_ST => {
            let of_bucket = size_of::<f64>() + 2 * size_of::<Span>();
            count * (parts::HISTOGRAM_BYTES + histogram::EMPTY_SPANS_MAX * size_of::<Span>())
                + data.len() * 8 * of_bucket
        }
        _ => count * parts::SAMPLE_BYTES,
    }
}
