//! Regular expressions whose groups fill in templates.

use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::captures::Captures;

use super::engine::{Room, compile, on_stack, room_to_read};
use super::error::RegexError;
use super::plan::{self, Branches};
use super::syntax::{self, Parsed};

/// A regular expression that also gives its groups: what relabelling and `label_replace` need. It is read within `^(?s:…)$`.
#[derive(Clone, Debug)]
pub struct CapturingRegex {
    source: String,
    /// Whether a text matches, where that is known without the engine.
    test: Option<Branches>,
    engine: meta::Regex,
    /// The names of the groups; several may have the same.
    names: Vec<Option<String>>,
}

impl CapturingRegex {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When Go would refuse it.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        Self::new_within(source, &mut |_| true)
    }

    /// The same where there is memory for it, as [`Regex::new_within`](super::Regex::new_within).
    ///
    /// # Errors
    /// When Go would refuse it, or `room` does.
    pub fn new_within(source: &str, room: &mut Room<'_>) -> Result<Self, RegexError> {
        room_to_read(source, room)?;
        let Parsed { hir, names, height } = syntax::in_anchors(source, true)?;
        on_stack(height, || {
            // Most texts do not match; the plan says so without the slower search for groups.
            let test = plan::without_anchors(&hir).and_then(|inner| Branches::of(&inner));
            let engine = compile(source, &hir, WhichCaptures::All, room)?;
            Ok(Self { source: source.to_owned(), test, engine, names })
        })
    }

    /// The expression as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// True if `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.test.as_ref().map_or_else(|| self.engine.is_match(text), |test| test.is_match(text))
    }

    /// The template with `$1`, `${1}` and `${name}` filled in from the match, `$$` being a dollar sign and unknown groups
    /// empty; `None` when `text` does not match.
    #[must_use]
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        let expansion = self.expansion(text, template)?;
        let mut out = String::new();
        expansion.write(&mut out);
        Some(out)
    }

    /// The same without making the text: its length is known before.
    #[must_use]
    pub fn expansion<'a>(&'a self, text: &'a str, template: &'a str) -> Option<Expansion<'a>> {
        if self.test.as_ref().is_some_and(|test| !test.is_match(text)) {
            return None;
        }
        // Only for a text that matches, or when there is no plan.
        let mut captures = self.engine.create_captures();
        self.engine.captures(text, &mut captures);
        captures.is_match().then_some(Expansion { captures, names: &self.names, text, template })
    }
}

/// A template whose groups are known.
#[derive(Debug)]
pub struct Expansion<'a> {
    pub(super) captures: Captures,
    pub(super) names: &'a [Option<String>],
    pub(super) text: &'a str,
    pub(super) template: &'a str,
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

    /// Takes the template apart as `Regexp.Expand` of Go does.
    fn each_piece(&self, each: &mut dyn FnMut(&str)) {
        let mut rest = self.template;
        while let Some((before, after)) = rest.split_once('$') {
            each(before);
            if let Some(tail) = after.strip_prefix('$') {
                each("$");
                rest = tail;
                continue;
            }
            match reference(after) {
                Some((name, tail)) => {
                    // An unknown group expands to nothing.
                    each(self.group(name));
                    rest = tail;
                }
                // Not a reference: a dollar sign.
                None => {
                    each("$");
                    rest = after;
                }
            }
        }
        each(rest);
    }

    /// The text of a group: by its number, else of the first group of that name that took part in the match.
    fn group(&self, name: &str) -> &str {
        let text = |number: usize| self.captures.get_group(number).map(|span| &self.text[span.range()]);
        let found = match number(name) {
            Some(number) => text(number),
            // Go takes the first group of that name that took part in the match.
            None => (0..self.names.len()).filter(|i| self.names[*i].as_deref() == Some(name)).find_map(text),
        };
        found.unwrap_or_default()
    }
}

/// The name behind a dollar sign, with or without braces, and the rest of the template.
fn reference(after: &str) -> Option<(&str, &str)> {
    let text = after.strip_prefix('{').unwrap_or(after);
    // As Go's `extract`: the longest run of letters, digits and underscores, so `$1x` names the group `1x`.
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, tail) = text.split_at(end);
    // An opening brace without its closing one is no reference.
    let tail = if text.len() < after.len() { tail.strip_prefix('}')? } else { tail };
    (!name.is_empty()).then_some((name, tail))
}

/// The number of a group as Go reads it: without a zero before it, and not above its bound.
fn number(name: &str) -> Option<usize> {
    let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    is_number.then(|| name.parse().ok()).flatten().filter(|number| *number < 1_000_000_000)
}
