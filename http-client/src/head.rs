//! The head of an HTTP/1.x response, parsed line by line as it is received. It accepts and refuses what Go's client does
//! (`net/http/response.go`, `net/textproto/reader.go`), because exporters are tested with that one. No I/O.

use http::StatusCode;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    TRANSFER_ENCODING,
};

use crate::framing::{Framing, Malformed, malformed, words};

/// The most bytes of a head, interim responses included. Go accepts 10 MiB, which is more than two hundred hostile targets may
/// cost the others.
pub(crate) const HEAD_BYTES_MAX: usize = 128 << 10;
/// The headers that are used. The others are checked and dropped: a server may send thousands of them.
const KEPT: [HeaderName; 6] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, LOCATION];
/// The most characters of a line in an error.
const SHOWN_BYTES: usize = 80;

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// The reason phrase of the server.
    pub(crate) reason: String,
    pub(crate) headers: HeaderMap,
    /// Where the body ends.
    pub(crate) framing: Framing,
    /// Can the connection be used for another request after the body?
    pub(crate) keeps: bool,
}

/// Parses a head that is received in pieces; each line is parsed once.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    /// The bytes of the last line, which is not complete yet.
    rest: Vec<u8>,
    /// The bytes of all complete lines.
    lines: usize,
    status: Option<Status>,
    /// The last header; the next line may continue it.
    open: Option<Vec<u8>>,
    headers: HeaderMap,
}

#[derive(Debug)]
struct Status {
    version: (u8, u8),
    code: u16,
    reason: String,
}

impl HeadReader {
    /// Takes the next bytes. When the head is complete, returns it and how many of these bytes belong to it. Interim responses
    /// are skipped.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
        let mut at = 0;
        // A line break alone ends a line, too, as in Go's `textproto`.
        while let Some(length) = memchr::memchr(b'\n', bytes.get(at..).unwrap_or_default()) {
            let end = at + length + 1;
            let piece = bytes.get(at..end).unwrap_or_default();
            at = end;
            // Before the line is copied or parsed.
            if self.lines + self.rest.len() + piece.len() > HEAD_BYTES_MAX {
                return Err(Malformed::too_large());
            }
            self.lines += self.rest.len() + piece.len();
            // Nearly always the head comes in one piece, and its lines are parsed where they are.
            let whole = if self.rest.is_empty() {
                self.line(piece)?
            } else {
                let mut line = std::mem::take(&mut self.rest);
                line.extend_from_slice(piece);
                self.line(&line)?
            };
            if let Some(head) = whole {
                return Ok(Some((head, at)));
            }
        }
        let rest = bytes.get(at..).unwrap_or_default();
        if self.lines + self.rest.len() + rest.len() > HEAD_BYTES_MAX {
            return Err(Malformed::too_large());
        }
        // Another protocol, without lines, is recognised by its first bytes.
        self.rest.extend_from_slice(rest);
        let shared = self.rest.len().min(5);
        if self.status.is_none() && self.rest.get(..shared) != b"HTTP/".get(..shared) {
            return Err(Malformed::quoting("malformed HTTP response", &self.rest));
        }
        Ok(None)
    }

    /// Takes a line with its line break; returns the head after its last line.
    fn line(&mut self, line: &[u8]) -> Result<Option<Head>, Malformed> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(status) = &self.status else {
            self.status = Some(Status::parse(line)?);
            return Ok(None);
        };
        let code = status.code;
        // Obsolete line folding (RFC 9112, section 5.2), which Go still accepts.
        if matches!(line.first(), Some(b' ' | b'\t')) {
            let open = self.open.as_mut().ok_or_else(|| Malformed::quoting("malformed header line", line))?;
            // A continuation of the last header.
            open.push(b' ');
            open.extend_from_slice(trimmed(line));
            return Ok(None);
        }
        if let Some(whole) = self.open.take() {
            self.header(&whole)?;
        }
        if !line.is_empty() {
            if !line.contains(&b':') {
                return Err(Malformed::quoting("header line without a colon", line));
            }
            self.open = Some(trimmed(line).to_vec());
            return Ok(None);
        }
        let headers = std::mem::take(&mut self.headers);
        match (self.status.take(), code) {
            // Interim responses are followed by the real one. 101 is not interim: the protocol changes with it.
            (Some(_), 100 | 102..=199) | (None, _) => Ok(None),
            (Some(status), _) => Head::of(status, headers).map(Some),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let bad = || Malformed::quoting("malformed header line", line);
        // Checked also for headers that are dropped, since Go refuses the response for them.
        if name.is_empty() || !name.iter().all(|byte| NAME[usize::from(*byte)]) {
            return Err(bad());
        }
        let value = value.iter().position(|byte| !matches!(byte, b' ' | b'\t')).and_then(|start| value.get(start..));
        let value = value.unwrap_or_default();
        if value.iter().any(|byte| *byte < 0x20 && *byte != b'\t' || *byte == 0x7f) {
            return Err(bad());
        }
        if let Some(kept) = KEPT.iter().find(|kept| name.eq_ignore_ascii_case(kept.as_str().as_bytes())) {
            let value = HeaderValue::from_bytes(value).map_err(|_| bad())?;
            self.headers.try_append(kept, value).map_err(|_| Malformed::too_large())?;
        }
        Ok(())
    }
}

impl Status {
    fn parse(line: &[u8]) -> Result<Self, Malformed> {
        let not_http = || Malformed::quoting("malformed HTTP response", line);
        let blank = line.iter().position(|byte| *byte == b' ').ok_or_else(not_http)?;
        let (version, rest) = line.split_at(blank);
        let rest = rest.iter().position(|byte| *byte != b' ').and_then(|start| rest.get(start..)).unwrap_or_default();
        // The reason phrase may be missing, with or without the blank before it.
        let (code, reason) = rest.split_at(rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len()));
        let number = match code {
            [a, b, c] if code.iter().all(u8::is_ascii_digit) => {
                [a, b, c].iter().fold(0, |number, digit| number * 10 + u16::from(**digit - b'0'))
            }
            _ => return Err(Malformed::quoting("malformed HTTP status code", code)),
        };
        let version = match version {
            [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => {
                (major - b'0', minor - b'0')
            }
            _ => return Err(Malformed::quoting("malformed HTTP version", version)),
        };
        let reason = String::from_utf8_lossy(reason.trim_ascii()).into_owned();
        Ok(Self { version, code: number, reason })
    }
}

impl Head {
    fn of(status: Status, headers: HeaderMap) -> Result<Self, Malformed> {
        let Status { version, code, reason } = status;
        let status = StatusCode::from_u16(code).map_err(malformed)?;
        let (framing, certain) = Framing::of(status, version, &headers)?;
        let says = |word: &str| words(&headers, &CONNECTION).any(|said| said.eq_ignore_ascii_case(word));
        // HTTP/1.0 closes unless asked to keep alive, HTTP/1.1 the other way round.
        let stays = match version {
            (0, _) => false,
            (1, 0) => says("keep-alive") && !says("close"),
            _ => !says("close"),
        };
        let keeps = stays && certain && framing != Framing::UntilClose && code != 101;
        Ok(Self { status, reason, headers, framing, keeps })
    }
}

/// Trims spaces and tabs.
fn trimmed(line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    line.get(start..end).unwrap_or_default()
}

/// The bytes that a header name may have: those of RFC 9110, section 5.6.2, and spaces, as in Go.
const NAME: [bool; 256] = {
    let mut of = [false; 256];
    let mut byte = 0;
    while byte < 128u8 {
        let special = matches!(
            byte,
            b' ' | b'!'
                | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        of[byte as usize] = special || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    of
};

impl Malformed {
    fn too_large() -> Self {
        Self(format!("its head has more than {HEAD_BYTES_MAX} bytes, or too many headers"))
    }

    fn quoting(what: &str, bytes: &[u8]) -> Self {
        let shown = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
        Self(format!("{what} \"{}\"", shown.escape_ascii()))
    }
}
