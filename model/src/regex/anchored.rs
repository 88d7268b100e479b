//! A regular expression that is asked whether it matches.

use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::Hir;

use super::engine::{Room, compile, on_stack, room_to_read};
use super::error::RegexError;
use super::plan::{self, Branches};
use super::syntax;

/// An anchored regular expression.
#[derive(Clone, Debug)]
pub struct Regex {
    source: String,
    plan: Plan,
    prefixes: Vec<String>,
}

#[derive(Clone, Debug)]
enum Plan {
    Branches(Branches),
    Engine(meta::Regex),
}

impl Regex {
    /// The expression `a|b|…` of the escaped texts. Nothing is compiled, however many there are.
    #[must_use]
    pub fn any_of(texts: impl IntoIterator<Item = String>) -> Self {
        let mut texts: Vec<String> = texts.into_iter().collect();
        texts.sort_unstable();
        texts.dedup();
        let source = texts.iter().map(|text| Self::escape(text)).collect::<Vec<_>>().join("|");
        Self { source, plan: Plan::Branches(Branches::exact(texts)), prefixes: Vec::new() }
    }

    /// A text as an expression that matches it alone.
    #[must_use]
    pub fn escape(text: &str) -> String {
        regex_syntax::escape(text)
    }

    /// Compiles an expression as a matcher has it.
    ///
    /// # Errors
    /// When Go would refuse it.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        Self::new_within(source, &mut |_| true)
    }

    /// The same within a memory budget: `room` is called with a number of bytes before they are allocated, and can refuse.
    ///
    /// # Errors
    /// When Go would refuse it, or `room` does.
    pub fn new_within(source: &str, room: &mut Room<'_>) -> Result<Self, RegexError> {
        room_to_read(source, room)?;
        // Before the parser: a list of plain values needs neither a tree nor an engine.
        if let Some(branches) = Branches::listed(source) {
            return Ok(Self { source: source.to_owned(), plan: Plan::Branches(branches), prefixes: Vec::new() });
        }
        let parsed = syntax::of_matcher(source)?;
        // The tree may be up to a thousand levels deep, and the walks over it are recursive.
        on_stack(parsed.height, || Self::planned(source, &parsed.hir, room))
    }

    /// Compiles an expression as relabelling and settings have it: within `^(?s:…)$`.
    ///
    /// # Errors
    /// When Go would refuse it there.
    pub fn in_anchors(source: &str) -> Result<Self, RegexError> {
        let parsed = syntax::in_anchors(source, false)?;
        on_stack(parsed.height, || Self::planned(source, &parsed.hir, &mut |_| true))
    }

    fn planned(source: &str, hir: &Hir, room: &mut Room<'_>) -> Result<Self, RegexError> {
        let inner = plan::without_anchors(hir);
        let source = source.to_owned();
        if let Some(branches) = inner.as_ref().and_then(Branches::of) {
            return Ok(Self { source, plan: Plan::Branches(branches), prefixes: Vec::new() });
        }
        // Without captures, so the engine may use its DFAs only.
        let engine = compile(&source, hir, WhichCaptures::None, room)?;
        // Even for the engine the start of matches may be known, which lets a store read a range of values.
        let prefixes = inner.as_ref().map(plan::starts).unwrap_or_default();
        Ok(Self { source, plan: Plan::Engine(engine), prefixes })
    }

    /// The expression as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// True if the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.plan {
            Plan::Branches(branches) => branches.is_match(text),
            Plan::Engine(engine) => engine.is_match(text),
        }
    }

    /// The only texts that match, sorted, when they are known.
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        match &self.plan {
            Plan::Branches(branches) => branches.literals(),
            Plan::Engine(_) => None,
        }
    }

    /// Every match starts with one of these; empty when nothing is known. None starts with another, sorted.
    #[must_use]
    pub fn prefixes(&self) -> &[String] {
        match &self.plan {
            Plan::Branches(branches) => branches.starts(),
            Plan::Engine(_) => &self.prefixes,
        }
    }

    /// True if every non-empty text matches.
    #[must_use]
    pub fn matches_all(&self) -> bool {
        matches!(&self.plan, Plan::Branches(branches) if branches.matches_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::CapturingRegex;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let regex = Regex::new(pattern).unwrap_or_else(|e| panic!("{e}"));
        let capturing = CapturingRegex::new(pattern).unwrap();
        for (texts, expected) in [(yes, true), (no, false)] {
            for text in texts {
                assert_eq!(regex.is_match(text), expected, "{pattern} on {text:?}");
                assert_eq!(capturing.is_match(text), expected, "{pattern} on {text:?}, by the engine");
            }
        }
    }

    #[test]
    fn whole_text_and_dot_matches_newline() {
        check("foo", &["foo"], &["", "foobar", "xfoo"]);
        check("", &[""], &["a"]);
        check("foo.*", &["foo", "foo\nbar"], &["fo", "afoo"]);
        check("foo.+", &["foox"], &["foo"]);
        check(".*", &["", "x\ny"], &[]);
        check(".+", &["x"], &[""]);
        check("a|b|cd?", &["a", "b", "c", "cd"], &["", "d", "ab"]);
        check("(?i:ab)c", &["abc", "ABc", "aBc"], &["abC"]);
        check(".*foo.*|bar", &["xfoox", "bar"], &["fo"]);
    }

    #[test]
    fn perl_classes_are_ascii() {
        check(r"\d+", &["12"], &["٣", ""]);
        check(r"\w\W", &["a-", "aé"], &["é-"]);
        check(r"[\d.]+[\S]", &["1.x"], &["x "]);
        check(r"\bab\b.*", &["ab c"], &["abc"]);
    }

    #[test]
    fn what_only_re2_has() {
        check(r"\Qa.b\E.", &["a.bx"], &["axbx"]);
        check(r"\101", &["A"], &["101"]);
        check("[a[b]+", &["a[b"], &["c"]);
        check("[a&&b]+", &["a&b"], &["c"]);
        check("[[:alpha:]_]+", &["ab_"], &["a1"]);
        check("[]a]+", &["]a"], &["["]);
        check("[^]a]+", &["bc"], &["]"]);
        check("a{,2}", &["a{,2}"], &["aa"]);
        check("{x}", &["{x}"], &["x"]);
        check("a{2,3}", &["aa", "aaa"], &["a"]);
        check(r"\<a\>", &["<a>"], &["a"]);
        check(r"a\-b\.c\/d", &["a-b.c/d"], &[]);
    }

    #[test]
    fn what_re2_refuses() {
        for (pattern, reason) in [
            ("a(", "missing closing )"),
            ("a)", "unexpected )"),
            ("[a", "missing closing ]"),
            ("*a", "missing argument to repetition operator"),
            ("a\\", "trailing backslash at end of expression"),
            (r"\y", "invalid escape sequence"),
            (r"\1", "invalid escape sequence"),
            ("a{1001}", "invalid repeat count"),
            ("(?x:a)", "invalid or unsupported Perl syntax"),
            ("[b-a]", "invalid character class range"),
        ] {
            assert_eq!(Regex::new(pattern).unwrap_err().reason, reason, "{pattern}");
        }
    }

    #[test]
    fn small_sets_are_known() {
        let set = |pattern: &str| Regex::new(pattern).unwrap().literals().map(<[String]>::to_vec);
        assert_eq!(set("a|b"), Some(vec!["a".into(), "b".into()]));
        assert_eq!(set("node-(1|2)"), Some(vec!["node-1".into(), "node-2".into()]));
        assert_eq!(set("[ab]c?"), Some(vec!["a".into(), "ac".into(), "b".into(), "bc".into()]));
        assert_eq!(set("a.*"), None);
    }

    #[test]
    fn what_matches_start_with() {
        let check = |pattern: &str, prefixes: &[&str]| {
            assert_eq!(Regex::new(pattern).unwrap().prefixes(), prefixes, "{pattern}")
        };
        check("pre.*", &["pre"]);
        check("pre.+", &["pre"]);
        check("http_[a-z]+_total", &["http_"]);
        check("^http_.*s$", &["http_"]);
        check("(foo)(bar)?[0-9]+", &["foo"]);
        check("foo+.*x", &["foo"]);
        check("(ab)+.*x", &["ab"]);
        check("node-[0-9]+|pod-.*", &["node-", "pod-"]);
        check("(b[0-9]+|a[0-9]+c)", &["a", "b"]);
        check("é[0-9]+", &["é"]);
        check("a?b.*", &["ab", "b"]);
        check("[ab].*", &["a", "b"]);
        check("(pre|post)-.+|other", &["other", "post-", "pre-"]);
        // Nothing is known where a branch, the case or the first character is open.
        for pattern in
            ["(?i)foo[0-9]+", "(?i:f)oo[0-9]+", ".*", ".+", "", "(foo)*x+", ".*foo", "foo[0-9]+|", "foo[0-9]+|.*a"]
        {
            check(pattern, &[]);
        }
        // One that starts with another is found with it.
        check("foo[0-9]+x*|(?:foob)[0-9]+y*|fo[0-9]+", &["fo"]);
    }

    #[test]
    fn what_matches_everything() {
        for (pattern, all) in [
            (".*", true),
            (".+", true),
            (".*|a", true),
            ("a|.+|b.*", true),
            ("", false),
            ("a.*", false),
            ("..+", false),
            (".*a", false),
        ] {
            assert_eq!(Regex::new(pattern).unwrap().matches_all(), all, "{pattern}");
        }
    }

    #[test]
    fn groups_expand_as_in_go() {
        let expand =
            |pattern: &str, text: &str, template: &str| CapturingRegex::new(pattern).unwrap().expand(text, template);
        assert_eq!(expand("f(.*)", "foo", "ch${1}-$1").as_deref(), Some("choo-oo"));
        assert_eq!(expand("f(.*)", "foo", "$1x").as_deref(), Some(""));
        assert_eq!(expand("f(.*)", "foo", "$$1").as_deref(), Some("$1"));
        assert_eq!(expand("(?P<a>f).*", "foo", "${a}").as_deref(), Some("f"));
        assert_eq!(expand("f", "foo", "x"), None);
    }

    #[test]
    fn an_expansion_knows_its_length() {
        let regex = CapturingRegex::new("(?P<word>[a-z]+)-(.*)-(x)?").unwrap();
        let pieces = [
            "$1", "${1}", "$word", "${word}", "$$", "$", "${", "${}", "}", "$9", "${no}", "$3", "é", "a b", "$2x", "$ ",
        ];
        for template in pieces.iter().flat_map(|a| pieces.iter().map(move |b| format!("{a}{b}"))) {
            let expanded = regex.expand("ab-é1-", &template).unwrap();
            let expansion = regex.expansion("ab-é1-", &template).unwrap();
            let mut text = String::new();
            expansion.write(&mut text);
            assert_eq!((text.as_str(), expansion.len()), (expanded.as_str(), expanded.len()), "{template}");
        }
        assert!(regex.expansion("no", "$1").is_none());
    }
}
