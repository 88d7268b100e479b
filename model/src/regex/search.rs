//! Regular expressions that are searched for anywhere in a text, as templates do.

use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;

use super::capture::Expansion;
use super::engine::{Room, compile, on_stack, room_to_read};
use super::error::RegexError;
use super::syntax::{self, Parsed};

/// A regular expression that is not anchored, and whose dot does not match newlines: Go's `regexp.Compile`.
#[derive(Clone, Debug)]
pub struct SearchRegex {
    engine: meta::Regex,
    /// The names of the groups; several may have the same.
    names: Vec<Option<String>>,
}

impl SearchRegex {
    /// Compiles an expression where there is memory for it, as [`Regex::new_within`](super::Regex::new_within).
    ///
    /// # Errors
    /// When Go would refuse it, or `room` does.
    pub fn new_within(source: &str, room: &mut Room<'_>) -> Result<Self, RegexError> {
        room_to_read(source, room)?;
        let Parsed { hir, names, height } = syntax::of_search(source)?;
        let engine = on_stack(height, || compile(source, &hir, WhichCaptures::All, room))?;
        Ok(Self { engine, names })
    }

    /// True if it matches somewhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.engine.is_match(text)
    }

    /// The text with every match replaced by the template, in which groups are filled in as by
    /// [`CapturingRegex::expand`](super::CapturingRegex::expand). `None` when it would be longer than `len_max`.
    #[must_use]
    pub fn replace_all(&self, text: &str, template: &str, len_max: usize) -> Option<String> {
        let mut out = String::new();
        let mut end = 0;
        // An empty match right behind another one is none, here as in Go.
        for captures in self.engine.captures_iter(text) {
            let Some(found) = captures.get_match() else { continue };
            out.push_str(&text[end..found.start()]);
            end = found.end();
            let expansion = Expansion { captures, names: &self.names, text, template };
            if out.len().saturating_add(expansion.len()) > len_max {
                return None;
            }
            expansion.write(&mut out);
        }
        out.push_str(&text[end..]);
        (out.len() <= len_max).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(source: &str) -> Result<SearchRegex, RegexError> {
        SearchRegex::new_within(source, &mut |_| true)
    }

    #[test]
    fn matches_anywhere() {
        let is_match = |source: &str, text: &str| new(source).unwrap().is_match(text);
        assert!(is_match("a+", "xaay") && is_match("^a", "ab") && is_match("b$", "ab") && is_match("", ""));
        assert!(!is_match("a+", "b") && !is_match("a.b", "a\nb") && !is_match("^b", "a\nb"));
        assert_eq!(new("a)").unwrap_err().to_string(), "error parsing regexp: unexpected ): `a)`");
    }

    #[test]
    fn every_match_is_replaced() {
        let replaced = |source: &str, template: &str, text: &str| new(source).unwrap().replace_all(text, template, 40);
        for (source, template, text, result) in [
            ("(a)b", "x$1", "ab ab", "xa xa"),
            ("a*", "-", "baac", "-b-c-"),
            ("", "-", "éa", "-é-a-"),
            ("(?P<n>.)", "${n}$n$$", "ab", "aa$bb$"),
            ("$", "!", "a\n", "a\n!"),
            ("z", "y", "abc", "abc"),
        ] {
            assert_eq!(replaced(source, template, text).as_deref(), Some(result), "{source:?}");
        }
        assert_eq!(replaced("a", "$0$0$0$0$0", "aaaaaaaaa"), None);
        assert_eq!(replaced("z", "", &"a".repeat(41)), None);
        assert!(SearchRegex::new_within("a{1000}", &mut |bytes| bytes < 1000).is_err());
    }
}
