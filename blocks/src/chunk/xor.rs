//! Floats, decoded (upstream: `xorIterator` of `tsdb/chunkenc/xor.go`); `encode` has the layout.

use super::parts::{Samples, head};
use crate::bits::{BitReader, XorReader};
use crate::error::Broken;

/// Bits of a difference of differences of times, by the ones before it.
const WIDTHS: [u32; 5] = [0, 14, 17, 20, 64];

pub(super) fn decode(data: &[u8], samples: &mut Samples) -> Result<(), Broken> {
    let (count, data) = head(data)?;
    let mut bits = BitReader::new(data);
    let (mut ts, mut delta, mut value) = (0i64, 0i64, XorReader::default());
    for i in 0..count {
        if i == 0 {
            ts = bits.varint()?;
            value = XorReader::new(bits.float()?);
        } else {
            if i == 1 {
                delta = bits.uvarint()?.cast_signed();
            } else {
                let width = WIDTHS[bits.ones(4)? as usize];
                delta = delta.wrapping_add(bits.signed(width)?);
            }
            ts = ts.wrapping_add(delta);
            bits.xor(&mut value)?;
        }
        samples.float(ts, f64::from_bits(value.bits));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use model::querier::chunks::{ChunkSamples, SampleChunk};

    use super::super::{decode, encoded};
    use super::*;

    #[test]
    fn floats_come_back_as_they_were_encoded() {
        let times = [-5, 0, 15_000, 30_000, 45_001, 60_000, 80_000, 8_000_000, 8_000_001, i64::MAX / 2].map(Timestamp);
        let values = [1.0, 1.0, 2.5, f64::NAN, model::sample::stale_nan(), f64::INFINITY, -0.0, 1e300, 1e-300, 3.0];
        let mut chunks = Vec::new();
        encoded(SampleChunk { timestamps: &times, samples: ChunkSamples::Floats(&values) }, &mut chunks);
        let [chunk] = &chunks[..] else { panic!("one chunk") };
        assert_eq!((chunk.start, chunk.end), (times[0], times[9]));
        let mut samples = Samples::default();
        decode(chunk.encoding, &chunk.data, &mut samples).unwrap();
        assert_eq!(samples.timestamps, times);
        assert!(samples.values.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits()));
        // Of one that is cut nothing stays, wherever it is.
        for n in 0..chunk.data.len() {
            assert!(decode(chunk.encoding, &chunk.data[..n], &mut samples).is_err(), "{n}");
            assert_eq!((samples.timestamps.len(), samples.values.len()), (10, 10));
        }
        assert!(decode(9, &chunk.data, &mut samples).is_err());
    }
}
