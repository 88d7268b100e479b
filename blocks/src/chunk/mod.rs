//! Chunks: up to some hundred samples of one series, as Prometheus' TSDB encodes them (upstream: `tsdb/chunkenc`).

mod encode;
mod histogram;
mod parts;
mod start_times;
mod xor;
mod xor2;

use crate::error::Broken;
use parts::{FLOAT_HISTOGRAM, FLOAT_HISTOGRAM_ST, HISTOGRAM, HISTOGRAM_ST, XOR, XOR2};

pub use encode::encoded;
pub(crate) use parts::Samples;
pub use parts::{Chunk, SAMPLES};

/// Adds the samples of a chunk; of one that is broken none. Start timestamps are read over: what the series counts since is known from
/// its samples.
pub(crate) fn decode(encoding: u8, data: &[u8], samples: &mut Samples) -> Result<(), Broken> {
    let before = samples.timestamps.len();
    let decoded = match encoding {
        XOR => xor::decode(data, samples),
        XOR2 => xor2::decode(data, samples),
        HISTOGRAM | FLOAT_HISTOGRAM | HISTOGRAM_ST | FLOAT_HISTOGRAM_ST => histogram::decode(encoding, data, samples),
        _ => Err("the encoding of a chunk is not known"),
    };
    decoded.inspect_err(|_| samples.truncate(before))
}
