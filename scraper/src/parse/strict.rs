//! Syntax that both versions of OpenMetrics share: series, numbers behind a blank, comments, `# EOF`.

use super::form::ParseError;
use super::labels::{Quoted, RawLabel, name_len, strict_quoted_len, walk_strict_labels};
use super::lines::Lines;

pub(super) const NO_EOF: &str = "data does not end with # EOF";

/// Position and reason of a syntax error.
pub(super) type Fault = (usize, &'static str);

/// `# HELP`, `# TYPE` or `# UNIT`.
#[derive(Debug)]
pub(super) struct Comment<'a> {
    /// `HELP`, `TYPE` or `UNIT`.
    pub(super) keyword: &'static str,
    /// The name of the family, without quotes.
    pub(super) name: &'a [u8],
    pub(super) text: &'a [u8],
    /// The length of the whole line.
    pub(super) length: usize,
}

impl<'a> Lines<'a> {
    /// Takes the series at the start of a line into its pieces, once `check` has seen each label. The length of the name in front
    /// of the braces, and where the series ends.
    #[inline]
    pub(super) fn walk_series(
        &mut self,
        mut check: impl FnMut(&RawLabel) -> Result<(), &'static str>,
    ) -> Result<(usize, usize), ParseError> {
        let start = self.pos;
        let name = name_len(self.tail(start), true);
        let end = start + name;
        let braces = self.byte(end) == Some(b'{');
        if name == 0 && !braces {
            return Err(self.fail("expected a metric name, an opening brace or a # at the start of a line"));
        }
        // The brace follows the name directly: no blanks here, unlike in the text format.
        self.pieces.begin(name, name + 1);
        if !braces {
            return Ok((name, end));
        }
        let mut named = name > 0;
        let (body, pieces) = (self.tail(end + 1), &mut self.pieces);
        let length = walk_strict_labels(body, Quoted::Label, |label| {
            check(&label)?;
            pieces.add(label, &mut named)
        })
        .map_err(|(at, why)| self.fail_at(end + 1 + at, why))?;
        if !named {
            return Err(self.fail("metric name not set"));
        }
        Ok((name, end + 1 + length))
    }

    /// One blank and a number behind it, and where it ends.
    #[inline]
    pub(super) fn number<T>(
        &self,
        at: usize,
        expected: &'static str,
        parse: impl Fn(&[u8]) -> Result<T, &'static str>,
    ) -> Result<(T, usize), Fault> {
        let token = match self.tail(at) {
            [b' ', rest @ ..] => {
                let end = rest.iter().position(|b| matches!(b, b' ' | b'\n')).unwrap_or(rest.len());
                rest.get(..end).unwrap_or_default()
            }
            [] => return Err((at, NO_EOF)),
            _ => return Err((at, expected)),
        };
        if token.is_empty() {
            return Err((at, expected));
        }
        let number = parse(token).map_err(|why| (at + 1, why))?;
        Ok((number, at + 1 + token.len()))
    }

    /// The comment that the line is; `None` at `# EOF`.
    pub(super) fn comment(&self) -> Result<Option<Comment<'a>>, ParseError> {
        let line = self.tail(self.pos);
        if let Some(rest) = line.strip_prefix(b"# EOF") {
            return match rest {
                // The final line break is optional, as with upstream.
                b"" | b"\n" => Ok(None),
                _ => Err(self.fail("unexpected data after # EOF")),
            };
        }
        let keyword = ["HELP", "TYPE", "UNIT"].into_iter().find(|keyword| {
            let behind = line.strip_prefix(b"# ").and_then(|rest| rest.strip_prefix(keyword.as_bytes()));
            behind.is_some_and(|behind| behind.starts_with(b" "))
        });
        let Some(keyword) = keyword else {
            return Err(self.fail("expected HELP, TYPE, UNIT or EOF after #"));
        };
        // All three keywords have four letters, so the name begins at the same place.
        let (name, after) = named(line);
        if name.is_empty() {
            return Err(self.fail(&format!("expected a metric name after {keyword}")));
        }
        let (Some(b' '), Some(end)) = (after.first(), memchr::memchr(b'\n', after)) else {
            return Err(self.fail(&format!("expected a line of text after {keyword} and the metric name")));
        };
        let text = after.get(1..end).unwrap_or_default();
        Ok(Some(Comment { keyword, name, text, length: line.len() - after.len() + end + 1 }))
    }
}

/// The family name of a comment, without quotes, and the text behind it.
pub(super) fn named(comment: &[u8]) -> (&[u8], &[u8]) {
    let rest = comment.get("# HELP ".len()..).unwrap_or_default();
    let (name, length) = match strict_quoted_len(rest, Quoted::Label) {
        Some(n) => (rest.get(1..n - 1), n),
        None => (rest.get(..name_len(rest, true)), name_len(rest, true)),
    };
    (name.unwrap_or_default(), rest.get(length..).unwrap_or_default())
}
