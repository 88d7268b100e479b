//! The answer as a stream of frames, each with chunks of one series (upstream: `ChunkedReader` of `storage/remote/chunked.go`).
//!
//! Layout of a frame: the length of the message as a varint, its CRC-32 (Castagnoli, the most significant byte first), and
//! `prometheus.ChunkedReadResponse`.

use model::protobuf::Fields;

use super::client::{Event, Exchange};
use super::gathered::{Failure, Gathered, Piece, each_series, label};

/// The most bytes of a varint.
const VARINT_BYTES_MAX: usize = 10;
const CHECKSUM_BYTES: usize = 4;

/// Reads what comes; no frame may be longer than `frame_max`.
pub(super) fn read(exchange: &mut Exchange, frame_max: u64, gathered: &mut Gathered<'_>) -> Result<(), Failure> {
    let (mut waiting, mut reserved) = (Vec::new(), 0);
    loop {
        match exchange.next(gathered.caller)? {
            Event::Piece(piece) => {
                let needed = waiting.len() + piece.len();
                if needed > reserved {
                    // The buffer doubles when it is full.
                    gathered.caller.grow(2 * (needed - reserved))?;
                    reserved = needed;
                }
                waiting.extend_from_slice(&piece);
                let read = frames(&waiting, frame_max, gathered)?;
                waiting.drain(..read);
            }
            Event::End if waiting.is_empty() => return Ok(()),
            Event::End => return Err(Failure::Why("unexpected EOF: the last frame breaks off".to_owned())),
            Event::Failed(why) => return Err(Failure::Why(why)),
            Event::Head(..) => {}
        }
    }
}

/// Reads the frames that are there as a whole; returns how many bytes these have.
fn frames(bytes: &[u8], frame_max: u64, gathered: &mut Gathered<'_>) -> Result<usize, Failure> {
    let mut rest = bytes;
    loop {
        let Some((len, behind)) = length(rest)? else { break };
        if len > frame_max {
            return Err(Failure::Why(format!(
                "chunkedReader: message size exceeded the limit {frame_max} bytes; got: {len} bytes (chunked_read_limit)"
            )));
        }
        let len = usize::try_from(len).map_err(|_| "length of a frame out of range")?;
        let Some((sum, behind)) = behind.split_first_chunk::<CHECKSUM_BYTES>() else { break };
        let Some((message, behind)) = behind.split_at_checked(len) else { break };
        if crc32c::crc32c(message).to_be_bytes() != *sum {
            return Err(Failure::Why("chunkedReader: corrupted frame; checksum mismatch".to_owned()));
        }
        each_series(message, gathered, series)?;
        rest = behind;
    }
    Ok(bytes.len() - rest.len())
}

/// The length of the next frame, and what is behind that; `None` while it is not there as a whole.
fn length(bytes: &[u8]) -> Result<Option<(u64, &[u8])>, Failure> {
    let mut number = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(VARINT_BYTES_MAX) {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Ok(Some((number, &bytes[i + 1..])));
        }
    }
    if bytes.len() < VARINT_BYTES_MAX { Ok(None) } else { Err("length of a frame of more than ten bytes".into()) }
}

fn series<'a>(
    message: &'a [u8],
    pairs: &mut Vec<(&'a str, &'a str)>,
    gathered: &mut Gathered<'_>,
) -> Result<(), Failure> {
    let mut fields = Fields::new(message);
    // Labels may stand anywhere, and must be known first.
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            label(value.bytes()?, pairs)?;
        }
    }
    let (caller, labels_only) = (gathered.caller, gathered.labels_only);
    let Some(pieces) = gathered.begin(pairs)? else { return Ok(()) };
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        if number == 2 && !labels_only {
            let (encoding, data) = chunk(value.bytes()?)?;
            // The list doubles when it is full.
            caller.grow(data.len() + 2 * size_of::<Piece>())?;
            pieces.push(Piece::Chunk { encoding, data: data.to_vec() });
        }
    }
    Ok(())
}

/// Its encoding and its bytes. Its times are in these, too.
fn chunk(message: &[u8]) -> Result<(u8, &[u8]), Failure> {
    let (mut encoding, mut data): (u64, &[u8]) = (0, b"");
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            3 => encoding = value.varint()?,
            4 => data = value.bytes()?,
            _ => {}
        }
    }
    // No encoding that is known has a greater number; which there are is the chunk's matter.
    Ok((u8::try_from(encoding).unwrap_or(u8::MAX), data))
}
