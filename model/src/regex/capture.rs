//! Regular expressions whose groups fill in templates.

use super::{Parsed, RegexError, Room, compile, parsed};

/// A regular expression that also gives its groups: what relabelling and `label_replace` need.
#[derive(Clone, Debug)]
pub struct CapturingRegex {
    source: String,
    regex: regex::Regex,
}

impl CapturingRegex {
    /// Compiles an expression in RE2's syntax, anchored at both ends.
    ///
    /// # Errors
    /// When RE2 would refuse it.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        Self::new_within(source, &mut |_| true)
    }

    /// The same where there is memory for it, as [`Regex::new_within`](super::Regex::new_within).
    ///
    /// # Errors
    /// When RE2 would refuse it, or `room` does.
    pub fn new_within(source: &str, room: &mut Room<'_>) -> Result<Self, RegexError> {
        let Parsed { pattern, hir } = parsed(source, room)?;
        Ok(Self { source: source.to_owned(), regex: compile(source, (&pattern, &hir), room)? })
    }

    /// The expression as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Does the whole of `text` match?
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The template with `$1`, `${1}` and `${name}` filled in from the match of the whole of `text`, `$$` being a dollar
    /// sign and unknown groups empty; `None` when `text` does not match.
    #[must_use]
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        let captures = self.regex.captures(text)?;
        let mut out = String::new();
        captures.expand(template, &mut out);
        Some(out)
    }

    /// The same without making the text: its length is known before.
    #[must_use]
    pub fn expansion<'a>(&self, text: &'a str, template: &'a str) -> Option<Expansion<'a>> {
        Some(Expansion { captures: self.regex.captures(text)?, template })
    }
}

/// A template whose groups are known.
#[derive(Debug)]
pub struct Expansion<'a> {
    captures: regex::Captures<'a>,
    template: &'a str,
}

impl Expansion<'_> {
    /// Bytes of the text.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut len = 0usize;
        self.each_piece(&mut |piece| len = len.saturating_add(piece.len()));
        len
    }

    /// Is the text empty?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the text.
    pub fn write(&self, out: &mut String) {
        self.each_piece(&mut |piece| out.push_str(piece));
    }

    /// Takes the template apart as `regex::Captures::expand` does.
    fn each_piece(&self, each: &mut dyn FnMut(&str)) {
        let mut rest = self.template;
        while let Some((before, after)) = rest.split_once('$') {
            each(before);
            if let Some(tail) = after.strip_prefix('$') {
                each("$");
                rest = tail;
                continue;
            }
            let (name, tail) = match after.strip_prefix('{') {
                Some(braced) => braced.split_once('}').unwrap_or(("", after)),
                None => {
                    let word = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                    after.split_at(word)
                }
            };
            if tail.len() == after.len() {
                // Not a capture group reference: a literal dollar sign, as in Go's `Regexp.Expand`.
                each("$");
                rest = after;
                continue;
            }
            let group = match name.parse::<usize>() {
                Ok(number) => self.captures.get(number),
                Err(_) => self.captures.name(name),
            };
            each(group.map_or("", |group| group.as_str()));
            rest = tail;
        }
        each(rest);
    }
}
