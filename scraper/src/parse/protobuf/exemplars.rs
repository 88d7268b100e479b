//! Exemplars, and times as protobuf has them.

use model::Timestamp;

use crate::parse::Exemplar;
use model::protobuf::{Broken, Fields};

/// The exemplars of a native histogram: its own, and where it has none those of its classic buckets; in either case those
/// that have a time, as upstream has it.
pub(super) fn of_histogram(message: &[u8]) -> Result<Vec<Exemplar<'_>>, Broken> {
    let (mut own, mut of_buckets, mut has_own) = (Vec::new(), Vec::new(), false);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            16 => {
                has_own = true;
                // Field 16, `exemplars`, is the list for native histograms; those in the classic buckets serve
                // clients without it.
                own.push(read_exemplar(value.bytes()?)?);
            }
            3 => {
                let mut bucket = Fields::new(value.bytes()?);
                while let Some((number, value)) = bucket.next()? {
                    if number == 3 {
                        of_buckets.push(read_exemplar(value.bytes()?)?);
                    }
                }
            }
            _ => {}
        }
    }
    // Upstream falls back to the buckets by the length of the list, not by whether one of it has a time.
    let mut exemplars = if has_own { own } else { of_buckets };
    exemplars.retain(|exemplar| exemplar.ts.is_some());
    Ok(exemplars)
}

pub(super) fn read_exemplar(message: &[u8]) -> Result<Exemplar<'_>, Broken> {
    let (mut number, mut ts) = (0.0, None);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            // The labels: only their wire type is checked, `message` is kept and read when the exemplar is stored.
            1 => drop(value.bytes()?),
            2 => number = value.double()?,
            3 => ts = Some(timestamp(value.bytes()?)?),
            _ => {}
        }
    }
    Ok(Exemplar::protobuf(message, number, ts))
}

/// A `google.protobuf.Timestamp`.
pub(super) fn timestamp(message: &[u8]) -> Result<Timestamp, Broken> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => seconds = value.varint()?.cast_signed(),
            2 => nanos = value.varint()?.cast_signed(),
            _ => {}
        }
    }
    // Cut off and not rounded, as upstream's `protobufparse.go` does; what a target sends may be any number.
    Ok(Timestamp(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)))
}
