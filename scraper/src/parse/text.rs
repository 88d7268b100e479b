//! The text format 0.0.4 (and 1.0.0's quoted names): where entries begin and end.
//!
//! What upstream's lexer accepts is accepted, its quirks included: a missing comma between labels, blanks before a name
//! (they become part of it), a NUL where a line begins ends the input. A missing final newline is no fault.

use std::borrow::Cow;

use memchr::memchr;

use super::entry::What;
use super::labels::{blanks, name_len, quoted_len, unescape, walk_labels};
use super::lines::Lines;
use super::number::{parse_timestamp, parse_value};
use super::{Entry, Fingerprint, MetricKind, ParseError, Point, Recognised, Sample, Wanted};

/// Reads an exposition entry by entry.
#[derive(Debug)]
pub(super) struct TextParser<'a> {
    pub(super) lines: Lines<'a>,
}

impl<'a> TextParser<'a> {
    pub(super) fn new(body: &'a [u8], wanted: Wanted) -> Self {
        Self { lines: Lines::new(body, wanted) }
    }

    #[inline]
    pub(super) fn recognise(&mut self, fingerprint: &Fingerprint) -> Option<Recognised<'a>> {
        self.skip_empty_lines();
        // The hash covers name and labels only; the value behind them is parsed below as for any other line.
        let end = self.lines.find(fingerprint)?;
        if !fingerprint.is_series() {
            return self.lines.pass_comment(fingerprint, end).then_some(Recognised::Comment);
        }
        // An invalid value makes this `None` without moving, so `next_entry` meets it again and reports it.
        let (point, next) = self.point(end).ok()?;
        self.lines.pos = next;
        Some(Recognised::Series(point))
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        self.skip_empty_lines();
        match self.lines.byte(self.lines.pos) {
            // `promlex.l` returns the end of the input for a NUL at the start of a line.
            None | Some(0) => Ok(None),
            Some(b'#') => self.comment().map(Some),
            Some(_) => self.series().map(Some),
        }
    }

    /// Moves to the next line that holds something; blanks before a name are part of it and stay.
    fn skip_empty_lines(&mut self) {
        loop {
            let after = self.lines.pos + blanks(self.lines.tail(self.lines.pos));
            match self.lines.byte(after) {
                Some(b'\n') => self.lines.pos = after + 1,
                None => {
                    self.lines.pos = after;
                    return;
                }
                Some(_) => return,
            }
        }
    }

    fn series(&mut self) -> Result<Entry<'a>, ParseError> {
        let start = self.lines.pos;
        let lead = blanks(self.lines.tail(start));
        let name = name_len(self.lines.tail(start + lead), true);
        if name == 0 && self.lines.byte(start + lead) != Some(b'{') {
            return Err(self.lines.fail("expected a metric name, an opening brace or a comment"));
        }
        let mut end = start + lead + name;
        // Blanks are allowed between the name and the brace, in which case they are part of the series' text.
        let inside = end + blanks(self.lines.tail(end)) + 1;
        self.lines.pieces.begin(if name > 0 { lead + name } else { 0 }, inside - start);
        if self.lines.byte(inside - 1) == Some(b'{') {
            let mut named = name > 0;
            let body = self.lines.tail(inside);
            let length = walk_labels(body, |label| self.lines.pieces.add(label, &mut named))
                .map_err(|(at, why)| self.lines.fail_at(inside + at, why))?;
            end = inside + length;
            if !named {
                // `{a="b"} 1` is valid to the lexer; the name has to come from the quoted string that is missing.
                return Err(self.lines.fail("metric name not set"));
            }
        }
        let (point, next) = self.point(end).map_err(|(at, why)| self.lines.fail_at(at, why))?;
        let text = self.lines.pass_series(end, next)?;
        Ok(Entry::Series(Sample { series: self.lines.series(text), point }))
    }

    /// What follows a series that ends at `end`, and where the next line begins; or where it goes wrong and why.
    #[inline]
    fn point(&self, end: usize) -> Result<(Point<'a>, usize), (usize, &'static str)> {
        let lines = &self.lines;
        let mut at = end + blanks(lines.tail(end));
        let token = word(lines.tail(at));
        if token.is_empty() {
            return Err((at, "expected a value after the series"));
        }
        let value = parse_value(token).map_err(|why| (at, why))?;
        at += token.len();
        // The common line: no timestamp, and nothing between the value and the line break.
        if lines.byte(at) == Some(b'\n') {
            return Ok((Point::new(value, None), at + 1));
        }
        at += blanks(lines.tail(at));
        let token = word(lines.tail(at));
        let mut ts = None;
        if !token.is_empty() {
            ts = Some(parse_timestamp(token).map_err(|why| (at, why))?);
            at += token.len();
            at += blanks(lines.tail(at));
        }
        match lines.byte(at) {
            // The last line of a body may lack its line break.
            None => Ok((Point::new(value, ts), at)),
            Some(b'\n') => Ok((Point::new(value, ts), at + 1)),
            Some(_) => Err((at, "expected the end of the line after the timestamp")),
        }
    }

    fn comment(&mut self) -> Result<Entry<'a>, ParseError> {
        let rest = self.lines.tail(self.lines.pos);
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        let entry = self.meta(line)?.unwrap_or(Entry::Comment(line));
        let what = if let Entry::Type { kind, .. } = &entry { What::Type(*kind) } else { What::Comment };
        // With its line break, so that a comment that got longer is not recognised by its beginning.
        self.lines.pass_new_comment(rest.get(..=end).unwrap_or(rest), what)?;
        Ok(entry)
    }

    /// `# HELP name text` or `# TYPE name type`; the first blank is not optional, the keyword is in capitals.
    fn meta(&self, line: &'a [u8]) -> Result<Option<Entry<'a>>, ParseError> {
        let after_hash = line.get(1..).unwrap_or_default();
        let gap = blanks(after_hash);
        let keyword = after_hash.get(gap..).unwrap_or_default();
        let help = keyword.starts_with(b"HELP");
        let after = keyword.get(4..).unwrap_or_default();
        let gap_after = blanks(after);
        if gap == 0 || gap_after == 0 || !(help || keyword.starts_with(b"TYPE")) {
            // Any other comment, `# EOF` and `# UNIT` included: the text format gives them no meaning.
            return Ok(None);
        }
        let what = if help { "expected a metric name after HELP" } else { "expected a metric name after TYPE" };
        let rest = after.get(gap_after..).unwrap_or_default();
        let (raw, length) = match rest.first() {
            Some(b'"') => {
                let n = quoted_len(rest).ok_or_else(|| self.lines.fail(what))?;
                (rest.get(1..n - 1).unwrap_or_default(), n)
            }
            _ => {
                let n = name_len(rest, true);
                (rest.get(..n).unwrap_or_default(), n)
            }
        };
        if length == 0 {
            return Err(self.lines.fail(what));
        }
        let metric = utf8(raw).map(unescape).ok_or_else(|| self.lines.fail("metric name is not valid UTF-8"))?;
        let text = rest.get(length..).unwrap_or_default();
        // One blank separates; the others belong to the text.
        let text = text.get(blanks(text).min(1)..).unwrap_or_default();
        if help {
            let text = utf8(text).ok_or_else(|| self.lines.fail("help text is not valid UTF-8"))?;
            return Ok(Some(Entry::Help { metric, text: unescape_help(text) }));
        }
        let kind = match text {
            b"counter" => MetricKind::Counter,
            b"gauge" => MetricKind::Gauge,
            b"histogram" => MetricKind::Histogram,
            b"summary" => MetricKind::Summary,
            b"untyped" => MetricKind::Unknown,
            other => return Err(self.lines.fail(&invalid_type(other))),
        };
        Ok(Some(Entry::Type { metric, kind }))
    }
}

/// The start of a type that there is not.
pub(super) fn invalid_type(text: &[u8]) -> String {
    format!("invalid metric type {:?}", String::from_utf8_lossy(text.get(..40).unwrap_or(text)))
}

fn word(text: &[u8]) -> &[u8] {
    // The value pattern of `promlex.l`, which excludes the brace.
    let end = text.iter().position(|b| matches!(b, b' ' | b'\t' | b'\n' | b'{')).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

pub(super) fn utf8(bytes: &[u8]) -> Option<&str> {
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
            // The first of the two is pushed below; any other backslash stays, as with upstream's `helpReplacer`.
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
