//! The framing of HTTP/1.1 responses (RFC 9112): where a body ends, and its chunks. No I/O.

use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING};

/// The most bytes of chunk extensions and trailers, which nobody reads.
const BETWEEN_CHUNKS_MAX: usize = 16 << 10;

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Everything until the connection is closed.
    UntilClose,
}

/// The state of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// In the size of the next chunk: the size so far, its digits, and the bytes since the last chunk.
    Size {
        size: u64,
        digits: u8,
        line: usize,
    },
    /// In the extension after a size.
    Extension {
        size: u64,
        line: usize,
    },
    /// In a chunk; this many bytes are left.
    Data(u64),
    /// In the line break after a chunk.
    Break,
    /// In the trailers: the bytes of all of them, and whether the current line is empty so far.
    Trailer {
        line: usize,
        empty: bool,
    },
    Done,
}

/// Why a response is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

pub(crate) fn malformed(why: impl ToString) -> Malformed {
    Malformed(why.to_string())
}

/// The values of a header, which commas separate.
pub(crate) fn words<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let texts = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

impl Framing {
    /// The framing of a response, and whether it is unambiguous (RFC 9112, section 6.3): otherwise the connection must not be
    /// used again.
    pub(crate) fn of(status: StatusCode, version: (u8, u8), headers: &HeaderMap) -> Result<(Self, bool), Malformed> {
        let lengthy = headers.contains_key(CONTENT_LENGTH);
        // HTTP/1.0 does not know the header.
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter().filter(|_| version >= (1, 1));
        let chunked = match (codings.next(), codings.next()) {
            (None, _) => false,
            (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => true,
            _ => return Err(malformed("a Transfer-Encoding other than chunked")),
        };
        // Also where it is not used: a contradictory length makes the response malformed in Go.
        let length = Self::length(headers)?;
        // These have no body whatever their headers say.
        if matches!(status.as_u16(), 101 | 204 | 304) {
            return Ok((Self::Length(0), true));
        }
        if chunked {
            // With a Content-Length beside it somebody may see another end of the body (request smuggling): read it,
            // but do not reuse the connection.
            return Ok((Self::Chunked(Chunked::START), !lengthy));
        }
        Ok((length.map_or(Self::UntilClose, Self::Length), true))
    }

    /// The length from the headers.
    fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(|value| value.to_str().unwrap_or("?").trim());
        let Some(first) = lengths.next() else { return Ok(None) };
        if lengths.any(|other| other != first) {
            return Err(malformed("two values of Content-Length"));
        }
        let digits = first.bytes().all(|byte| byte.is_ascii_digit());
        // Rust's parser accepts a plus sign, which HTTP does not.
        let length = first.parse::<u64>().ok().filter(|length| digits && i64::try_from(*length).is_ok());
        length.map(Some).ok_or_else(|| malformed("a Content-Length that is no number"))
    }

    /// Is the body complete?
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// Appends the part of the body that is in `bytes`; returns how many of them belong to the response.
    pub(crate) fn take(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Malformed> {
        match self {
            Self::UntilClose => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Length(left) => {
                let here = up_to(bytes, *left);
                body.extend_from_slice(here);
                *left -= here.len() as u64;
                Ok(here.len())
            }
            Self::Chunked(chunked) => chunked.take(bytes, body),
        }
    }
}

/// The first bytes, at most `most`.
fn up_to(bytes: &[u8], most: u64) -> &[u8] {
    usize::try_from(most).ok().and_then(|most| bytes.get(..most)).unwrap_or(bytes)
}

impl Chunked {
    const START: Self = Self::Size { size: 0, digits: 0, line: 0 };

    fn take(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut at = 0;
        while *self != Self::Done && at < bytes.len() {
            // Data is copied in runs; only what is around it is looked at byte by byte.
            if let Self::Data(left) = self {
                let here = up_to(&bytes[at..], *left);
                body.extend_from_slice(here);
                at += here.len();
                *left -= here.len() as u64;
                if *left == 0 {
                    *self = Self::Break;
                }
            } else {
                *self = self.after(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// The state after a byte outside of a chunk.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        match self {
            Self::Size { line, .. } | Self::Extension { line, .. } | Self::Trailer { line, .. }
                if line > BETWEEN_CHUNKS_MAX =>
            {
                Err(malformed("too much between two chunks"))
            }
            Self::Size { digits: 0, .. } if !byte.is_ascii_hexdigit() => {
                Err(malformed("a chunk that does not say its size"))
            }
            Self::Size { size, digits, line } => match (char::from(byte).to_digit(16), byte) {
                // Sixteen digits fill a u64.
                (Some(_), _) if digits == 16 => Err(malformed("a chunk that is too large")),
                (Some(digit), _) => {
                    Ok(Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1, line: line + 1 })
                }
                (None, b'\n') => Ok(Self::sized(size)),
                (None, b'\r' | b';' | b' ' | b'\t') => Ok(Self::Extension { size, line: line + 1 }),
                (None, _) => Err(malformed("a chunk whose size is no number")),
            },
            Self::Extension { size, .. } if byte == b'\n' => Ok(Self::sized(size)),
            Self::Extension { size, line } => Ok(Self::Extension { size, line: line + 1 }),
            Self::Break => match byte {
                b'\r' => Ok(Self::Break),
                b'\n' => Ok(Self::START),
                _ => Err(malformed("a chunk longer than it said")),
            },
            Self::Trailer { empty: true, .. } if byte == b'\n' => Ok(Self::Done),
            Self::Trailer { line, empty } => {
                // A line break begins a new line, which is empty so far.
                let empty = byte == b'\n' || empty && byte == b'\r';
                Ok(Self::Trailer { line: line + 1, empty })
            }
            Self::Data(_) | Self::Done => Ok(self),
        }
    }

    /// The state after the line of a size.
    fn sized(size: u64) -> Self {
        if size == 0 { Self::Trailer { line: 0, empty: true } } else { Self::Data(size) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::read;
    use crate::head::{Head, HeadReader};

    fn head(text: &str) -> Result<Head, String> {
        match HeadReader::default().feed(text.as_bytes()) {
            Ok(Some((head, length))) if length == text.len() => Ok(head),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_head_says_how_far_the_body_goes_and_whether_the_connection_stays() {
        let chunked = Framing::Chunked(Chunked::START);
        for (lines, framing, keeps) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length: 5", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close", Framing::Length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5", Framing::Length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive", Framing::Length(5), true),
            ("HTTP/1.1 200 OK", Framing::UntilClose, false),
            ("HTTP/1.1 204 No Content", Framing::Length(0), true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5", Framing::Length(0), true),
            ("HTTP/1.1 200\r\nTransfer-Encoding: Chunked", chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", chunked, false),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5",
                Framing::Length(5),
                true,
            ),
        ] {
            let head = head(&format!("{lines}\r\n\r\n")).unwrap();
            assert_eq!((head.framing, head.keeps), (framing, keeps), "{lines}");
        }
        let begun = HeadReader::default().feed(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap();
        assert!(begun.is_none());
        for (lines, why) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", "two values of Content-Length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5", "a Content-Length that is no number"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5", "a Content-Length that is no number"),
            ("HTTP/1.1 200 OK\r\nContent-Length: ", "a Content-Length that is no number"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", "a Transfer-Encoding other than chunked"),
            ("SSH-2.0-OpenSSH", "malformed HTTP response \"SSH-2.0-OpenSSH\""),
        ] {
            let error = head(&format!("{lines}\r\n\r\n")).unwrap_err();
            assert_eq!(error, why);
        }
    }

    #[test]
    fn chunks_are_joined_and_what_is_none_is_an_error() {
        let whole =
            |body: &str| read(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").as_bytes(), &[]);
        for (body, expected) in [
            ("3\r\nabc\r\n0A ;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", "abc0123456789"),
            ("0\r\n\r\n", ""),
            ("3\nabc\n0\n\n", "abc"),
        ] {
            let (_, got, over, used) = whole(body).unwrap();
            assert_eq!((std::str::from_utf8(&got).unwrap(), over), (expected, true));
            assert!(used > body.len());
        }
        let (_, got, over, _) = whole("3\r\nabc\r\n5\r\nde").unwrap();
        assert_eq!((&got[..], over), (&b"abcde"[..], false));
        for (body, why) in [
            ("\r\n", "a chunk that does not say its size"),
            ("x\r\n", "a chunk that does not say its size"),
            ("3z\r\n", "a chunk whose size is no number"),
            ("11111111111111111\r\n", "a chunk that is too large"),
            ("3\r\nabcd\r\n", "a chunk longer than it said"),
            (&format!("3;{}", "x".repeat(20_000)), "too much between two chunks"),
            (&format!("0\r\n{}", "x: y\r\n".repeat(4_000)), "too much between two chunks"),
        ] {
            assert_eq!(whole(body).unwrap_err(), malformed(why), "{body:.30}");
        }
    }

    proptest! {
        #[test]
        fn how_an_answer_is_cut_does_not_matter(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
            kind in 0..3,
            extra in 0usize..3,
        ) {
            let body = chunks.concat();
            let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
            match kind {
                0 => answer.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes().chain(body.clone())),
                1 => answer.extend(b"\r\n".iter().chain(&body)),
                _ => {
                    answer.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in &chunks {
                        answer.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
                    }
                    answer.extend(b"0\r\n\r\n");
                }
            }
            let length = answer.len();
            // Bytes after the response are not part of it, unless it ends with the connection.
            let extra = if kind == 1 { 0 } else { extra };
            answer.extend(std::iter::repeat_n(b'H', extra));
            let (status, got, over, used) = read(&answer, &cuts).unwrap();
            prop_assert_eq!((status, got, over, used), (200, body, kind != 1, length));
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
            let answer = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), bytes.clone()].concat();
            let _ = read(&answer, &cuts);
            let _ = read(&bytes, &cuts);
        }
    }
}
