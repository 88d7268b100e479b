//! The text format 0.0.4 (and 1.0.0's quoted names): where entries begin and end.
//!
//! What upstream's lexer accepts is accepted, its quirks included: a missing comma between labels, blanks before a name
//! (they become part of it), a NUL where a line begins ends the input. A missing final newline is no fault.

use std::borrow::Cow;

use memchr::{memchr, memrchr};

use super::labels::{blanks, name_len, quoted_len, unescape, walk_labels};
use super::number::{parse_timestamp, parse_value};
use super::{Entry, MetricKind, ParseError, Sample};

/// The longest text of one series, or of one comment, in bytes. Nothing real comes near; a target that sends more is
/// broken, and its error should not cost as much memory again.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads an exposition entry by entry.
#[derive(Debug)]
pub struct TextParser<'a> {
    body: &'a [u8],
    pos: usize,
    line: usize,
    kind: MetricKind,
}

/// A line taken apart by its last blanks alone, which is right whenever the text turns out to be a known series.
#[derive(Clone, Copy, Debug)]
pub struct CheapLine<'a> {
    /// What stands before the value; for a line that starts with `#`, the whole line.
    pub text: &'a [u8],
    value: &'a [u8],
    ts: Option<&'a [u8]>,
    next: usize,
}

impl CheapLine<'_> {
    /// The value and the own time, or `None` when they are not plainly readable (the full parser says why).
    #[must_use]
    pub fn sample(&self) -> Option<(f64, Option<i64>)> {
        let ts = self.ts.map(parse_timestamp).transpose().ok()?;
        Some((parse_value(self.value).ok()?, ts))
    }
}

impl<'a> TextParser<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, pos: 0, line: 1, kind: MetricKind::Unknown }
    }

    /// The type that the last `# TYPE` line gave; `le` and `quantile` are normalised by it.
    #[must_use]
    pub fn kind(&self) -> MetricKind {
        self.kind
    }

    /// The line at the cursor, cut at its last blank, or at the last but one if it should have a timestamp. Does not move.
    #[must_use]
    pub fn cheap_line(&self, with_ts: bool) -> Option<CheapLine<'a>> {
        let rest = self.body.get(self.pos..)?;
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end)?;
        let next = self.pos + end + 1;
        if line.first() == Some(&b'#') {
            return Some(CheapLine { text: line, value: &[], ts: None, next });
        }
        let (before, last) = cut(line)?;
        if !with_ts {
            return Some(CheapLine { text: before, value: last, ts: None, next });
        }
        let (text, value) = cut(before)?;
        Some(CheapLine { text, value, ts: Some(last), next })
    }

    /// Moves past a line that was recognised.
    pub fn accept(&mut self, line: &CheapLine<'a>) {
        self.pos = line.next;
        self.line += 1;
    }

    /// Moves past a recognised `# TYPE` line.
    pub fn accept_kind(&mut self, line: &CheapLine<'a>, kind: MetricKind) {
        self.kind = kind;
        self.accept(line);
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// When the text is not an exposition; there is nothing to read after that.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        self.skip_empty_lines();
        let start = self.pos;
        match self.peek(0) {
            None | Some(0) => Ok(None),
            Some(b'#') => self.comment(start).map(Some),
            Some(_) => self.series(start).map(Some),
        }
    }

    /// Moves to the next line that holds something; blanks before a name are part of it and stay.
    pub fn skip_empty_lines(&mut self) {
        loop {
            let lead = blanks(self.tail(self.pos));
            match self.peek(lead) {
                Some(b'\n') => {
                    self.pos += lead + 1;
                    self.line += 1;
                }
                None => {
                    self.pos += lead;
                    return;
                }
                Some(_) => return,
            }
        }
    }

    fn series(&mut self, start: usize) -> Result<Entry<'a>, ParseError> {
        let lead = blanks(self.tail(start));
        let after_lead = self.tail(start + lead);
        let name = name_len(after_lead, true);
        if name == 0 && after_lead.first() != Some(&b'{') {
            return Err(self.fail(start, "expected a metric name, an opening brace or a comment"));
        }
        let mut end = start + lead + name;
        let gap = blanks(self.tail(end));
        if self.tail(end + gap).first() == Some(&b'{') {
            let mut named = name > 0;
            let mut on_label = |pair: super::labels::RawLabel<'_>| {
                let repeated = pair.is_name && named;
                named |= pair.is_name;
                if repeated { Err("metric name already set") } else { Ok(()) }
            };
            let inside = self.tail(end + gap + 1);
            let length =
                walk_labels(inside, &mut on_label).map_err(|(at, why)| self.fail_at(start, end + gap + 1 + at, why))?;
            end += gap + 1 + length;
            if !named {
                return Err(self.fail(start, "metric name not set"));
            }
        }
        let series = self.body.get(start..end).unwrap_or_default();
        if series.len() > LINE_BYTES_MAX {
            return Err(
                self.fail(start, &format!("series of {} bytes, longest allowed is {LINE_BYTES_MAX}", series.len()))
            );
        }
        let (value, ts_ms) = self.value_and_time(start, end)?;
        self.line += series.iter().filter(|b| **b == b'\n').count();
        Ok(Entry::Series(Sample { series, value, ts_ms }))
    }

    /// What follows the series, and the end of the line.
    fn value_and_time(&mut self, start: usize, end: usize) -> Result<(f64, Option<i64>), ParseError> {
        let mut at = end + blanks(self.tail(end));
        let token = word(self.tail(at));
        if token.is_empty() {
            return Err(self.fail(start, "expected a value after the series"));
        }
        let value = parse_value(token).map_err(|why| self.fail_at(start, at, why))?;
        at += token.len();
        at += blanks(self.tail(at));
        let token = word(self.tail(at));
        let mut ts_ms = None;
        if !token.is_empty() {
            ts_ms = Some(parse_timestamp(token).map_err(|why| self.fail_at(start, at, why))?);
            at += token.len();
            at += blanks(self.tail(at));
        }
        match self.tail(at).first() {
            None => self.pos = at,
            Some(b'\n') => self.pos = at + 1,
            Some(_) => return Err(self.fail_at(start, at, "expected the end of the line after the timestamp")),
        }
        self.line += 1;
        Ok((value, ts_ms))
    }

    fn comment(&mut self, start: usize) -> Result<Entry<'a>, ParseError> {
        let rest = self.tail(start);
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        if line.len() > LINE_BYTES_MAX {
            return Err(
                self.fail(start, &format!("comment of {} bytes, longest allowed is {LINE_BYTES_MAX}", line.len()))
            );
        }
        let entry = self.meta(start, line)?.unwrap_or(Entry::Comment(line));
        self.pos = start + end + 1;
        self.line += 1;
        Ok(entry)
    }

    /// `# HELP name text` or `# TYPE name type`; the first blank is not optional, the keyword is in capitals.
    fn meta(&mut self, start: usize, line: &'a [u8]) -> Result<Option<Entry<'a>>, ParseError> {
        let after_hash = line.get(1..).unwrap_or_default();
        let gap = blanks(after_hash);
        let keyword = after_hash.get(gap..).unwrap_or_default();
        let help = keyword.starts_with(b"HELP");
        let after = keyword.get(4..).unwrap_or_default();
        let gap_after = blanks(after);
        if gap == 0 || gap_after == 0 || !(help || keyword.starts_with(b"TYPE")) {
            return Ok(None);
        }
        let what = if help { "expected a metric name after HELP" } else { "expected a metric name after TYPE" };
        let rest = after.get(gap_after..).unwrap_or_default();
        let (raw, length) = match rest.first() {
            Some(b'"') => {
                let n = quoted_len(rest).ok_or_else(|| self.fail(start, what))?;
                (rest.get(1..n - 1).unwrap_or_default(), n)
            }
            _ => {
                let n = name_len(rest, true);
                (rest.get(..n).unwrap_or_default(), n)
            }
        };
        if length == 0 {
            return Err(self.fail(start, what));
        }
        let metric = utf8(raw).map(unescape).ok_or_else(|| self.fail(start, "metric name is not valid UTF-8"))?;
        let text = rest.get(length..).unwrap_or_default();
        // One blank separates; the others belong to the text.
        let text = text.get(blanks(text).min(1)..).unwrap_or_default();
        if help {
            let text = utf8(text).ok_or_else(|| self.fail(start, "help text is not valid UTF-8"))?;
            return Ok(Some(Entry::Help { metric, text: unescape_help(text) }));
        }
        let kind = match text {
            b"counter" => MetricKind::Counter,
            b"gauge" => MetricKind::Gauge,
            b"histogram" => MetricKind::Histogram,
            b"summary" => MetricKind::Summary,
            b"untyped" => MetricKind::Unknown,
            other => {
                let shown = String::from_utf8_lossy(other.get(..40.min(other.len())).unwrap_or_default()).into_owned();
                return Err(self.fail(start, &format!("invalid metric type {shown:?}")));
            }
        };
        self.kind = kind;
        Ok(Some(Entry::Type { metric, kind }))
    }

    fn tail(&self, from: usize) -> &'a [u8] {
        self.body.get(from..).unwrap_or_default()
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.body.get(self.pos + ahead).copied()
    }

    fn fail(&self, start: usize, reason: &str) -> ParseError {
        let rest = self.tail(start);
        let end = memchr(b'\n', rest).unwrap_or(rest.len()).min(100);
        let excerpt = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        ParseError { line: self.line, reason: reason.to_owned(), excerpt }
    }

    fn fail_at(&self, start: usize, at: usize, reason: &str) -> ParseError {
        self.fail(start, &format!("column {}: {reason}", at - start + 1))
    }
}

/// A line without its last word, and that word.
fn cut(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memrchr(b' ', line)?;
    let mut before = line.get(..at)?;
    while let [shorter @ .., b' ' | b'\t'] = before {
        before = shorter;
    }
    Some((before, line.get(at + 1..)?))
}

fn word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| matches!(b, b' ' | b'\t' | b'\n' | b'{')).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Help texts know `\\` and `\n` only.
fn unescape_help(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\\')) => drop(chars.next()),
            ('\\', Some('n')) => {
                chars.next();
                out.push('\n');
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    Cow::Owned(out)
}
