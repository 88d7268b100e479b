//! The answer as samples: one compressed message with all of them (upstream: `handleSampledResponse` of `storage/remote/client.go`,
//! `FromQueryResult` of `codec.go`).

use blocks::chunk::Samples;
use model::protobuf::{Broken, Fields};
use model::{Caller, Histogram};

use super::client::{Event, Exchange};
use super::gathered::{Failure, Gathered, Piece, each_series, label};
use crate::receive::write::histogram;

/// More than upstream's own limit of samples lets a Prometheus send.
const BYTES_MAX: usize = 1 << 30;
/// Nothing that snappy makes is longer, decoded, than so many times its bytes: the shortest copy takes three for 64.
const RATIO_MAX: usize = 22;
/// A sample, decoded.
const SAMPLE_BYTES: usize = 16;
/// A histogram's buckets, decoded, for each byte of its message.
const BYTES_OF_HISTOGRAM: usize = 24;

/// Reads what comes.
pub(super) fn read(exchange: &mut Exchange, gathered: &mut Gathered<'_>) -> Result<(), Failure> {
    let mut body = Vec::new();
    loop {
        match exchange.next(gathered.caller)? {
            Event::Piece(piece) => {
                if body.len() + piece.len() > BYTES_MAX {
                    return Err(Failure::Why(format!("the response has more than {BYTES_MAX} bytes")));
                }
                // A buffer that grows is there twice for a moment.
                gathered.caller.grow(2 * piece.len())?;
                body.extend_from_slice(&piece);
            }
            Event::End => break,
            Event::Failed(why) => return Err(Failure::Why(why)),
            Event::Head(..) => {}
        }
    }
    let message = decoded(&body, gathered.caller)?;
    drop(body);
    results(&message, gathered)
}

/// The message; what it declares is looked at before anything is allocated for it.
fn decoded(body: &[u8], caller: Caller<'_>) -> Result<Vec<u8>, Failure> {
    let corrupt = |_| Failure::Why("error reading response: snappy: corrupt input".to_owned());
    let len = snap::raw::decompress_len(body).map_err(corrupt)?;
    if len > BYTES_MAX || len > body.len().saturating_mul(RATIO_MAX) {
        return Err(Failure::Why(format!(
            "error reading response: its {} bytes declare to be {len}, which is too long",
            body.len()
        )));
    }
    caller.grow(len)?;
    snap::raw::Decoder::new().decompress_vec(body).map_err(corrupt)
}

fn results(message: &[u8], gathered: &mut Gathered<'_>) -> Result<(), Failure> {
    let mut n = 0;
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            n += 1;
            each_series(value.bytes()?, gathered, series)?;
        }
    }
    // One query was asked.
    if n == 1 { Ok(()) } else { Err(Failure::Why(format!("responses: want 1, got {n}"))) }
}

fn series<'a>(
    message: &'a [u8],
    pairs: &mut Vec<(&'a str, &'a str)>,
    gathered: &mut Gathered<'_>,
) -> Result<(), Failure> {
    let (mut n_samples, mut of_histograms) = (0, 0);
    let mut fields = Fields::new(message);
    // Labels may stand anywhere, and must be known first.
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => label(value.bytes()?, pairs)?,
            2 => n_samples += 1,
            4 => of_histograms += histogram_bytes(value.bytes()?),
            _ => {}
        }
    }
    let (caller, labels_only) = (gathered.caller, gathered.labels_only);
    let Some(pieces) = gathered.begin(pairs)? else { return Ok(()) };
    if labels_only {
        return Ok(());
    }
    caller.grow(n_samples * SAMPLE_BYTES + of_histograms + size_of::<Piece>())?;
    let mut samples = Samples::default();
    samples.timestamps.reserve_exact(n_samples);
    samples.values.reserve_exact(n_samples);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            2 => {
                let (ts, value) = sample(value.bytes()?)?;
                samples.float(ts, value);
            }
            4 => match histogram::read(value.bytes()?)? {
                Ok(received) => match received.histogram {
                    Some(histogram) => samples.histogram(received.ts.0, histogram),
                    None => samples.float(received.ts.0, model::sample::stale_nan()),
                },
                Err(_) => samples.invalid += 1,
            },
            _ => {}
        }
    }
    // Floats and histograms stand apart in a message. Floats are first, and so are those that stay at one time, as upstream
    // has it.
    samples.sort();
    pieces.push(Piece::Samples(samples));
    Ok(())
}

fn histogram_bytes(message: &[u8]) -> usize {
    message.len() * BYTES_OF_HISTOGRAM + size_of::<Histogram>() + SAMPLE_BYTES + size_of::<u64>()
}

fn sample(message: &[u8]) -> Result<(i64, f64), Broken> {
    let (mut ts, mut number) = (0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => number = value.double()?,
            2 => ts = value.int()?,
            _ => {}
        }
    }
    Ok((ts, number))
}
