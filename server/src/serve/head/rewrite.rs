//! Follows the bytes of a connection through its requests, and says what takes the place of what may not stand there.

use std::sync::Arc;

use super::long::{Aside, INLINE_MAX, LongQuery};

/// So many headers pass, and so many bytes of them; of what comes then those that somebody reads.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 64 << 10;
/// The headers that somebody reads: the HTTP library, and we. Those that begin with `x-prometheus-` are among them.
const READ: [&[u8]; 14] = [
    b"accept",
    b"accept-encoding",
    b"access-control-request-headers",
    b"access-control-request-method",
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"expect",
    b"host",
    b"origin",
    b"transfer-encoding",
    b"upgrade",
];
const OWN: &[u8] = b"x-prometheus-";
/// Names are read so far; none that somebody reads is longer.
const NAME_MAX: usize = 40;

/// Where in a request the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Method,
    /// The path, or the authority and the path.
    Path,
    Query,
    Version,
    LineStart,
    /// The name of a header; it passes, or waits until it is known.
    Name {
        waits: bool,
    },
    Value,
    /// The value of a header that is left out from here on; of whose line something passed already.
    Dropped {
        begun: bool,
    },
    /// So many bytes of a body.
    Body(u64),
    /// Nothing is looked at any more: HTTP/2, a body of unknown length, or no HTTP at all.
    Rest,
}

/// Looks at what arrives byte by byte.
#[derive(Debug)]
pub(super) struct Rewriter {
    at: At,
    aside: Arc<Aside>,
    /// Of the method, as far as it matters.
    method: [u8; 4],
    method_len: usize,
    /// Of the query string, as it is handed on.
    query_len: usize,
    long: Option<Box<LongQuery>>,
    headers: usize,
    header_bytes: usize,
    name: Vec<u8>,
    length: Length,
}

/// How long the body of a request is.
#[derive(Debug, Default)]
struct Length {
    bytes: Option<u64>,
    /// Digits of the header that is read.
    digits: Option<u64>,
    /// It cannot be told from the head.
    unclear: bool,
}

impl Rewriter {
    pub(super) fn new(aside: Arc<Aside>) -> Self {
        Self {
            at: At::Method,
            aside,
            method: [0; 4],
            method_len: 0,
            query_len: 0,
            long: None,
            headers: 0,
            header_bytes: 0,
            name: Vec::new(),
            length: Length::default(),
        }
    }

    /// How many of the bytes pass as they are; what takes the place of the others is appended.
    pub(super) fn run(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut as_it_is = 0;
        let mut rest = bytes;
        let mut copying = false;
        while let Some((byte, after)) = rest.split_first() {
            let n = match self.at {
                // Bodies and everything after HTTP/2's preface pass in one piece, without a look at each byte.
                At::Rest => rest.len(),
                At::Body(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    self.at = if n as u64 == left { At::Method } else { At::Body(left - n as u64) };
                    n
                }
                _ => {
                    let passes = self.step(*byte, out);
                    // Once one byte was replaced, all that follow must be copied behind it, as the caller's buffer
                    // ends there.
                    copying |= !passes;
                    if passes && copying {
                        out.push(*byte);
                    }
                    as_it_is += usize::from(passes && !copying);
                    rest = after;
                    continue;
                }
            };
            let (run, after) = rest.split_at(n);
            if copying {
                out.extend_from_slice(run);
            } else {
                as_it_is += n;
            }
            rest = after;
        }
        as_it_is
    }

    /// Does the byte pass as it is? Else what takes its place is appended.
    fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        match self.at {
            At::Method => self.method(byte),
            At::Path | At::Query => return self.target(byte, out),
            At::Version if byte == b'\n' => self.begin_headers(),
            At::Version => {}
            At::LineStart => return self.line_start(byte, out),
            At::Name { waits } => return self.name(byte, waits, out),
            At::Value => return self.value(byte),
            At::Dropped { begun } => return self.dropped(byte, begun, out),
            At::Body(_) | At::Rest => {}
        }
        true
    }

    fn method(&mut self, byte: u8) {
        match byte {
            // Blank lines before a request.
            b'\r' | b'\n' if self.method_len == 0 => {}
            b' ' => {
                // HTTP/2 begins with `PRI * HTTP/2.0`; a tunnel has no target to speak of.
                let is_other = self.method.starts_with(b"PRI") || &self.method == b"CONN";
                self.at = if is_other { At::Rest } else { At::Path };
                (self.method, self.method_len, self.query_len) = ([0; 4], 0, 0);
            }
            b'\r' | b'\n' => self.at = At::Rest,
            _ => {
                if let Some(slot) = self.method.get_mut(self.method_len) {
                    *slot = byte;
                }
                self.method_len += 1;
            }
        }
    }

    fn target(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        match byte {
            b' ' => {
                self.at = At::Version;
                let Some(long) = self.long.take() else { return true };
                out.extend_from_slice(self.aside.keep(*long).as_bytes());
                out.push(b' ');
                return false;
            }
            // Nothing that Go takes either: it is for the library to refuse.
            0..b' ' | 0x7f => {
                self.at = At::Rest;
                return true;
            }
            b'?' if self.at == At::Path => {
                self.at = At::Query;
                return true;
            }
            _ => {}
        }
        let in_query = self.at == At::Query;
        // The library refuses URLs above 64 KiB, and percent-encoding may triple what is inline: the rest goes aside.
        if in_query && self.query_len >= INLINE_MAX {
            self.long.get_or_insert_with(|| Box::new(self.aside.begin())).push(byte);
            return false;
        }
        let passes = may_stand(byte);
        if in_query {
            // Counted as it will arrive at the library: one byte, or `%XX`.
            self.query_len += if passes { 1 } else { 3 };
        }
        if !passes {
            const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        passes
    }

    fn begin_headers(&mut self) {
        self.at = At::LineStart;
        (self.headers, self.header_bytes, self.length) = (0, 0, Length::default());
    }

    fn line_start(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        match byte {
            b'\r' => true,
            b'\n' => {
                // Where the next request begins depends on the length of this one's body. If that cannot be told,
                // nothing after it is touched: rewriting a body would be worse than refusing a request.
                self.at = match (self.length.unclear, self.length.bytes) {
                    (true, _) => At::Rest,
                    (false, None | Some(0)) => At::Method,
                    (false, Some(bytes)) => At::Body(bytes),
                };
                self.name = Vec::new();
                true
            }
            _ => {
                self.headers += 1;
                self.name.clear();
                // The first headers pass without a look at their names; beyond the bound a name waits until it is
                // known whether it is read.
                let waits = self.headers > HEADERS_MAX || self.header_bytes > HEADER_BYTES_MAX;
                self.at = At::Name { waits };
                self.name(byte, waits, out)
            }
        }
    }

    fn name(&mut self, byte: u8, waits: bool, out: &mut Vec<u8>) -> bool {
        self.header_bytes += 1;
        match byte {
            b'\n' => {
                self.at = At::Rest;
                self.now_passes(byte, waits, out)
            }
            b':' => {
                // Framing headers are followed also where they are beyond the bound: they are among those that pass.
                self.length.begin(&self.name);
                if waits && !self.is_read() {
                    self.at = At::Dropped { begun: false };
                    return false;
                }
                self.at = At::Value;
                self.now_passes(byte, waits, out)
            }
            _ => {
                if self.name.len() < NAME_MAX {
                    self.name.push(byte);
                }
                !waits
            }
        }
    }

    /// The name that waited passes, and with it the byte behind it.
    fn now_passes(&self, byte: u8, waits: bool, out: &mut Vec<u8>) -> bool {
        if waits {
            out.extend_from_slice(&self.name);
            out.push(byte);
        }
        !waits
    }

    /// Is it a header that somebody reads?
    fn is_read(&self) -> bool {
        let own = self.name.get(..OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN));
        own || READ.iter().any(|known| self.name.eq_ignore_ascii_case(known))
    }

    fn value(&mut self, byte: u8) -> bool {
        self.header_bytes += 1;
        self.length.read(&self.name, byte);
        if byte == b'\n' {
            self.at = At::LineStart;
        } else if self.header_bytes > HEADER_BYTES_MAX && !self.is_read() {
            self.at = At::Dropped { begun: true };
            return false;
        }
        true
    }

    fn dropped(&mut self, byte: u8, begun: bool, out: &mut Vec<u8>) -> bool {
        if byte == b'\n' {
            self.at = At::LineStart;
            // A value that was cut keeps its line end, or the next header would become part of it.
            out.extend_from_slice(if begun { b"\r\n" } else { b"" });
        }
        false
    }
}

/// May the byte stand in a request target? (RFC 3986)
fn may_stand(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte)
}

impl Length {
    /// The name of a header was read.
    fn begin(&mut self, name: &[u8]) {
        self.unclear |= name.eq_ignore_ascii_case(b"transfer-encoding");
        if name.eq_ignore_ascii_case(b"content-length") {
            // Two lengths: the library refuses the request, and guessing which one holds is how requests are smuggled.
            self.unclear |= self.bytes.is_some();
            self.digits = Some(0);
        }
    }

    /// A byte of its value.
    fn read(&mut self, name: &[u8], byte: u8) {
        let Some(digits) = self.digits else { return };
        debug_assert!(name.eq_ignore_ascii_case(b"content-length"));
        match byte {
            b'0'..=b'9' => {
                let more = digits.checked_mul(10).and_then(|digits| digits.checked_add(u64::from(byte - b'0')));
                self.unclear |= more.is_none();
                self.digits = Some(more.unwrap_or_default());
            }
            b'\n' => (self.bytes, self.digits) = (Some(digits), None),
            b' ' | b'\t' | b'\r' => {}
            _ => self.unclear = true,
        }
    }
}
