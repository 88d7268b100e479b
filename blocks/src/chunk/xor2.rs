//! Floats whose times and values share their first bits, decoded (upstream: `xor2Iterator` of `tsdb/chunkenc/xor2.go`).
//!
//! Layout: the number of samples (two bytes), a byte on start timestamps, then bits. The first sample and the second time are as in
//! `xor`. From then on ones tell what follows: none, nothing has changed; one, the value alone; two to four, a difference of
//! differences of times in 13, 20 or 64 bits, then the value; five, a stale marker at an even time. Stale markers are no values that
//! later ones differ from.

use model::sample::stale_nan;

use super::parts::{Samples, byte, head};
use super::start_times::StartTimes;
use crate::bits::{BitReader, XorReader};
use crate::error::Broken;

pub(super) fn decode(data: &[u8], samples: &mut Samples) -> Result<(), Broken> {
    let (count, data) = head(data)?;
    let (starts, data) = byte(data)?;
    let starts = StartTimes::new(starts);
    let mut bits = BitReader::new(data);
    let (mut ts, mut delta, mut last) = (0i64, 0i64, XorReader::default());
    for i in 0..count {
        let value = match i {
            0 => {
                ts = bits.varint()?;
                let value = bits.float()?;
                if !model::sample::is_stale(value) {
                    last = XorReader::new(value);
                }
                value
            }
            1 => {
                delta = bits.uvarint()?.cast_signed();
                ts = ts.wrapping_add(delta);
                value(&mut bits, &mut last)?
            }
            _ => {
                let ones = bits.ones(5)?;
                if let Some(width) = [13, 20, 64].get((ones as usize).wrapping_sub(2)) {
                    delta = delta.wrapping_add(difference(&mut bits, *width)?);
                }
                ts = ts.wrapping_add(delta);
                match ones {
                    0 => f64::from_bits(last.bits),
                    1 => changed(&mut bits, &mut last)?,
                    5 => stale_nan(),
                    _ => value(&mut bits, &mut last)?,
                }
            }
        };
        samples.float(ts, value);
        starts.skip(&mut bits, i)?;
    }
    Ok(())
}

/// A number in two's complement.
fn difference(bits: &mut BitReader<'_>, width: u32) -> Result<i64, Broken> {
    let number = bits.bits(width)?;
    Ok((number << (64 - width)).cast_signed() >> (64 - width))
}

/// A value that may be the same as before, or a stale marker.
fn value(bits: &mut BitReader<'_>, last: &mut XorReader) -> Result<f64, Broken> {
    match bits.ones(3)? {
        0 => {}
        1 => bits.in_window(last)?,
        2 => bits.in_new_window(last)?,
        _ => return Ok(stale_nan()),
    }
    Ok(f64::from_bits(last.bits))
}

/// A value that is another one than before.
fn changed(bits: &mut BitReader<'_>, last: &mut XorReader) -> Result<f64, Broken> {
    if bits.is_one()? {
        bits.in_new_window(last)?
    } else {
        bits.in_window(last)?
    };
    Ok(f64::from_bits(last.bits))
}
