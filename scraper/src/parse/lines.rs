//! What the text formats have in common: the position in a body, recognition of comments and series, errors.

use memchr::{memchr, memchr_iter, memrchr};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::What;
use super::series::Pieces;
use super::{Fingerprint, MetricKind, ParseError, Series, Wanted};

/// The longest text of one series, or of one comment, in bytes. Nothing real comes near; a target that sends more is
/// broken, and its error should not cost as much memory again.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Longer entries are always read anew: every line that is not where it was would otherwise cost a hash of that length.
const RECOGNISED_BYTES_MAX: usize = 4096;
/// Bytes of a line that an error shows, and how many of them stand behind the fault in a longer one.
const SHOWN_BYTES: usize = 100;
const SHOWN_AFTER: usize = 20;
/// The seed under which units are hashed.
const UNIT_SEED: u64 = 0x75;
/// The seed under which comments are hashed; those of series are their types and units.
const COMMENT_SEED: u64 = 0x23;

/// A body and the position of the parser in it.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    body: &'a [u8],
    /// Where the next entry begins.
    pub(super) pos: usize,
    /// The type that the last `# TYPE` line gave; `le` and `quantile` are normalised by it.
    pub(super) kind: MetricKind,
    /// The unit of the following series; `None` if `__unit__` is not wanted.
    pub(super) unit: Option<&'a str>,
    /// The family that `unit` belongs to.
    unit_of: &'a [u8],
    /// Hash of type and unit: fingerprints of series differ where one of them does.
    seed: u64,
    /// The parts of the last series that was read.
    pub(super) pieces: Pieces,
    /// The text that was hashed last without a match: its position, length, seed and hash.
    missed: (usize, usize, u64, u64),
    /// Text and kind of the last entry, from which its fingerprint is made.
    last: (&'a [u8], What),
    last_at: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(body: &'a [u8], wanted: Wanted) -> Self {
        let unit = wanted.types.then_some("");
        let kind = MetricKind::Unknown;
        Self {
            body,
            pos: 0,
            kind,
            unit,
            unit_of: &[],
            seed: kind as u64,
            pieces: Pieces::default(),
            missed: (0, 0, 0, 0),
            last: (&[], What::Comment),
            last_at: 0,
        }
    }

    /// The next series are of this type.
    pub(super) fn set_kind(&mut self, kind: MetricKind) {
        self.kind = kind;
        // Type and unit are part of the labels (`__type__`, `__unit__`, spelling of `le`), so a series must not be
        // recognised after either changed though its text did not.
        self.seed = kind as u64 ^ self.unit.map_or(0, |unit| xxh3_64_with_seed(unit.as_bytes(), UNIT_SEED));
    }

    /// The same, where the type does not change labels unless `__type__` is wanted.
    pub(super) fn set_kind_apart(&mut self, kind: MetricKind) {
        self.set_kind(kind);
        if self.unit.is_none() {
            // Here `le` is not normalised by the type, so recognition does not depend on it either.
            self.seed = MetricKind::Unknown as u64;
        }
    }

    /// The next series of that family are of this unit.
    pub(super) fn set_unit(&mut self, family: &'a [u8], unit: &'a str) {
        if self.unit.is_some() {
            (self.unit_of, self.unit) = (family, Some(unit));
            self.set_kind(self.kind);
        }
    }

    /// A family begins: the unit of another is not its own. (With upstream it is.)
    pub(super) fn begin_family(&mut self, family: &[u8]) {
        if self.unit_of != family {
            self.set_unit(&[], "");
        }
    }

    /// If the next entry has this fingerprint, the end of its series or comment.
    #[inline]
    pub(super) fn find(&mut self, fingerprint: &Fingerprint) -> Option<usize> {
        let len = fingerprint.len as usize;
        if len > RECOGNISED_BYTES_MAX {
            return None;
        }
        let end = self.pos + len;
        // Without a blank the name may be longer, or the value may be the last blank's.
        if fingerprint.is_series() && !matches!(self.body.get(end), Some(b' ' | b'\t')) {
            return None;
        }
        // Only the old length is hashed: one pass over the bytes, no search for the end of the series.
        let text = self.body.get(self.pos..end)?;
        let seed = if fingerprint.what == What::Series { self.seed } else { COMMENT_SEED };
        let key = xxh3_64_with_seed(text, seed);
        if key == fingerprint.key {
            return Some(end);
        }
        // Kept for `fingerprint`, which often needs the hash of just these bytes.
        self.missed = (self.pos, len, seed, key);
        None
    }

    /// Moves past a comment that `find` has found, unless it is longer than the text of the fingerprint.
    pub(super) fn pass_comment(&mut self, fingerprint: &Fingerprint, end: usize) -> bool {
        // A comment that once ended the body had no line break in its fingerprint; text may follow it now.
        let whole = self.body.get(..end).is_some_and(|read| read.ends_with(b"\n")) || end == self.body.len();
        if whole {
            self.pos = end;
            if let What::Type(kind) = fingerprint.what {
                self.set_kind(kind);
            }
        }
        whole
    }

    /// Moves past a series that was read, up to `next`; the series ends at `end`.
    pub(super) fn pass_series(&mut self, end: usize, next: usize) -> Result<&'a str, ParseError> {
        let series = self.slice(self.pos, end);
        // Before the UTF-8 check, which would walk a text that is refused anyway.
        self.within_limit("series", series)?;
        let text = std::str::from_utf8(series).map_err(|_| self.fail("series is not valid UTF-8"))?;
        (self.last, self.last_at) = ((series, What::Series), self.pos);
        self.pos = next;
        Ok(text)
    }

    /// The series of this text, with the current type and unit.
    pub(super) fn series(&self, text: &'a str) -> Series<'a> {
        Series::Text { text, kind: self.kind, unit: self.unit, whole: false }
    }

    /// Moves past a comment that was read, its end of line included.
    pub(super) fn pass_new_comment(&mut self, comment: &'a [u8], what: What) -> Result<(), ParseError> {
        self.within_limit("comment", comment)?;
        (self.last, self.last_at) = ((comment, what), self.pos);
        if let What::Type(kind) = what {
            self.set_kind(kind);
        }
        self.pos += comment.len();
        Ok(())
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let (text, what) = self.last;
        // Comments are the same whatever type was in force before them.
        let seed = if what == What::Series { self.seed } else { COMMENT_SEED };
        // Often it is as long as what stood there before, and hashed already.
        let (at, length, its_seed, key) = self.missed;
        let is_missed = (at, length, its_seed) == (self.last_at, text.len(), seed);
        let key = if is_missed { key } else { xxh3_64_with_seed(text, seed) };
        Fingerprint { key, len: u32::try_from(text.len()).expect("BUG: a longer text is refused"), what }
    }

    #[inline]
    pub(super) fn tail(&self, from: usize) -> &'a [u8] {
        self.body.get(from..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.body.get(from..to).unwrap_or_default()
    }

    #[inline]
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.body.get(at).copied()
    }

    /// Where the last entry stands, and how it begins.
    #[cold]
    pub(super) fn place(&self) -> (String, String) {
        // `pos` is behind the entry's line break, which would count as one line more.
        let before = self.slice(0, self.pos.saturating_sub(1));
        (format!("line {}", 1 + memchr_iter(b'\n', before).count()), excerpt(self.last.0))
    }

    /// Number and start of the line that ends before this byte, for errors.
    #[cold]
    pub(super) fn place_before(&self, end: usize) -> String {
        let before = self.slice(0, end.saturating_sub(1));
        let start = memrchr(b'\n', before).map_or(0, |at| at + 1);
        format!("line {} ({:?})", 1 + memchr_iter(b'\n', before).count(), excerpt(self.tail(start)))
    }

    fn within_limit(&self, what: &str, text: &[u8]) -> Result<(), ParseError> {
        let length = text.len();
        if length <= LINE_BYTES_MAX {
            return Ok(());
        }
        Err(self.fail(&format!("{what} of {length} bytes, longest allowed is {LINE_BYTES_MAX}")))
    }

    /// An error in the entry that begins at `pos`. Counts the lines before it, so it is only for errors that end the parsing.
    #[cold]
    pub(super) fn fail(&self, reason: &str) -> ParseError {
        let excerpt = excerpt(self.tail(self.pos));
        let line = 1 + memchr_iter(b'\n', self.slice(0, self.pos)).count();
        ParseError { place: format!("line {line}"), reason: reason.to_owned(), excerpt }
    }

    /// The same with the column in the entry.
    #[cold]
    pub(super) fn fail_at(&self, at: usize, reason: &str) -> ParseError {
        let column = at - self.pos;
        let mut error = self.fail(&format!("column {}: {reason}", column + 1));
        if column > SHOWN_BYTES - SHOWN_AFTER {
            error.excerpt = format!("…{}", excerpt(self.tail(at + SHOWN_AFTER - SHOWN_BYTES)));
        }
        error
    }
}

/// The start of a line.
fn excerpt(text: &[u8]) -> String {
    let end = memchr(b'\n', text).unwrap_or(text.len()).min(SHOWN_BYTES);
    String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned()
}
