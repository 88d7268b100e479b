//! Regular expressions with RE2's meaning, as Prometheus uses them: anchored at both ends, the dot matching newlines.
//!
//! The `regex` crate does the matching; a translator closes the gaps between its syntax and Go's: Perl classes are ASCII,
//! `\Q…\E` and octal escapes exist, brackets and set operators inside a class are literal, a brace that is no repetition
//! is literal. Expressions that are only literals, a literal prefix or "anything" are decided without the engine.

mod capture;
mod weight;

use std::fmt::Write as _;

use regex_syntax::ast::ErrorKind;
use regex_syntax::hir::{Class, Hir, HirKind};

pub use self::capture::{CapturingRegex, Expansion};

/// Literal sets larger than this go to the regex engine instead.
const LITERALS_MAX: usize = 256;
/// RE2's bound on `{n}`.
const REPEAT_MAX: u32 = 1000;
/// Bound on a compiled expression, bytes.
const COMPILED_SIZE_MAX: usize = 32 << 20;
/// Bounds on the cache of states with which a thread matches.
const CACHE_MIN: usize = 256 << 10;
const CACHE_MAX: usize = 2 << 20;
/// What Go says of an expression past these bounds.
const TOO_LARGE: &str = "expression too large";

/// Not a regular expression that RE2 takes. The text is Go's: ``error parsing regexp: missing closing ): `…` ``.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}: `{pattern}`")]
pub struct RegexError {
    /// What is wrong, in Go's words where Go has them.
    pub reason: String,
    /// The expression as it was given.
    pub pattern: String,
}

/// An anchored regular expression.
#[derive(Clone, Debug)]
pub struct Regex {
    source: String,
    plan: Plan,
    prefixes: Vec<String>,
}

#[derive(Clone, Debug)]
enum Plan {
    /// Matches exactly these; sorted.
    Literals(Vec<String>),
    /// `literal.*`
    Prefix(String),
    /// `literal.+`
    LongerPrefix(String),
    Engine(regex::Regex),
}

impl Regex {
    /// The expression `a|b|…` of the escaped texts. Nothing is compiled, however many there are.
    #[must_use]
    pub fn any_of(texts: impl IntoIterator<Item = String>) -> Self {
        let mut set: Vec<String> = texts.into_iter().collect();
        set.sort_unstable();
        set.dedup();
        let source = set.iter().map(|text| regex_syntax::escape(text)).collect::<Vec<_>>().join("|");
        Self { source, plan: Plan::Literals(set), prefixes: Vec::new() }
    }

    /// Compiles an expression in RE2's syntax.
    ///
    /// # Errors
    /// When RE2 would refuse it.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        Self::new_within(source, &mut |_| true)
    }

    /// The same; `room` is asked whether there is memory for so many bytes more before these are used, and can refuse.
    ///
    /// # Errors
    /// When RE2 would refuse it, or `room` does.
    pub fn new_within(source: &str, room: &mut Room<'_>) -> Result<Self, RegexError> {
        let Parsed { pattern, hir } = parsed(source, room)?;
        let plan = match plan(&hir) {
            Some(plan) => plan,
            None => Plan::Engine(compile(source, (&pattern, &hir), room)?),
        };
        let prefixes = match &plan {
            Plan::Literals(_) => Vec::new(),
            Plan::Prefix(prefix) | Plan::LongerPrefix(prefix) if prefix.is_empty() => Vec::new(),
            Plan::Prefix(prefix) | Plan::LongerPrefix(prefix) => vec![prefix.clone()],
            Plan::Engine(_) => prefixes(&hir),
        };
        Ok(Self { source: source.to_owned(), plan, prefixes })
    }

    /// The expression as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Does the whole of `text` match?
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.plan {
            Plan::Literals(set) => set.binary_search_by(|l| l.as_str().cmp(text)).is_ok(),
            Plan::Prefix(prefix) => text.starts_with(prefix),
            Plan::LongerPrefix(prefix) => text.len() > prefix.len() && text.starts_with(prefix),
            Plan::Engine(regex) => regex.is_match(text),
        }
    }

    /// The only texts that match, sorted, when they are a small known set.
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        match &self.plan {
            Plan::Literals(set) => Some(set),
            _ => None,
        }
    }

    /// Every match starts with one of these; empty when nothing is known. None starts with another, sorted.
    #[must_use]
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// Does every text but perhaps the empty one match?
    #[must_use]
    pub fn matches_all(&self) -> bool {
        matches!(&self.plan, Plan::Prefix(prefix) | Plan::LongerPrefix(prefix) if prefix.is_empty())
    }
}

/// Is there memory for so many bytes more?
pub type Room<'r> = dyn FnMut(usize) -> bool + 'r;

struct Parsed {
    pattern: String,
    hir: Hir,
}

fn parsed(source: &str, room: &mut Room<'_>) -> Result<Parsed, RegexError> {
    if !room(weight::syntax_bytes(source)) {
        return Err(refused(source, TOO_LARGE));
    }
    let translated = translate(source)?;
    let hir = regex_syntax::parse(&format!("(?s:{translated})")).map_err(|e| syntax_error(source, &e))?;
    Ok(Parsed { pattern: format!("^(?s:{translated})$"), hir })
}

fn compile(source: &str, (pattern, hir): (&str, &Hir), room: &mut Room<'_>) -> Result<regex::Regex, RegexError> {
    let bytes = weight::compiled_bytes(hir);
    // What can only be refused is not tried, which would take its time.
    if bytes / 8 > COMPILED_SIZE_MAX || !room(bytes.min(2 * COMPILED_SIZE_MAX)) {
        return Err(refused(source, TOO_LARGE));
    }
    // States are made while it matches, for each thread.
    let cache = (bytes / 2).clamp(CACHE_MIN, CACHE_MAX);
    let built = regex::RegexBuilder::new(pattern).size_limit(COMPILED_SIZE_MAX).dfa_size_limit(cache).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => refused(source, TOO_LARGE),
        _ => match regex_syntax::parse(pattern) {
            Err(error) => syntax_error(source, &error),
            Ok(_) => refused(source, "invalid expression"),
        },
    })
}

fn plan(hir: &Hir) -> Option<Plan> {
    if let Some(mut set) = literals(hir) {
        set.sort_unstable();
        set.dedup();
        return Some(Plan::Literals(set));
    }
    let parts: &[Hir] = match hir.kind() {
        HirKind::Concat(parts) => parts,
        _ => std::slice::from_ref(hir),
    };
    let (last, before) = parts.split_last()?;
    let prefix = match before {
        [] => String::new(),
        [one] => match one.kind() {
            HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok()?,
            _ => return None,
        },
        _ => return None,
    };
    let HirKind::Repetition(repetition) = last.kind() else { return None };
    if repetition.max.is_some() || !is_any_char(&repetition.sub) {
        return None;
    }
    match repetition.min {
        0 => Some(Plan::Prefix(prefix)),
        1 => Some(Plan::LongerPrefix(prefix)),
        _ => None,
    }
}

/// What the matches of the branches start with, none starting with another; empty when a branch may start with anything.
fn prefixes(hir: &Hir) -> Vec<String> {
    let branches: &[Hir] = match hir.kind() {
        HirKind::Capture(capture) => return prefixes(&capture.sub),
        HirKind::Alternation(branches) => branches,
        _ => std::slice::from_ref(hir),
    };
    let mut all = Vec::with_capacity(branches.len());
    for branch in branches {
        let mut prefix = String::new();
        lead(branch, &mut prefix);
        if prefix.is_empty() || all.len() == LITERALS_MAX {
            return Vec::new();
        }
        all.push(prefix);
    }
    all.sort_unstable();
    // Sorted, whatever starts with another follows it.
    all.dedup_by(|later, first| later.starts_with(first.as_str()));
    all
}

/// Adds what every match starts with. Is that the whole match?
fn lead(hir: &Hir, prefix: &mut String) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => {
                prefix.push_str(text);
                true
            }
            Err(_) => false,
        },
        HirKind::Capture(capture) => lead(&capture.sub, prefix),
        HirKind::Concat(parts) => parts.iter().all(|part| lead(part, prefix)),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            lead(&repetition.sub, prefix);
            false
        }
        _ => false,
    }
}

fn is_any_char(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            matches!(class.ranges(), [range] if range.start() == '\0' && range.end() == char::MAX)
        }
        _ => false,
    }
}

/// Every text that matches, if there are few.
fn literals(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![String::from_utf8(literal.0.to_vec()).ok()?]),
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Class(Class::Unicode(class)) => {
            let count: u32 = class.iter().map(|r| u32::from(r.end()) - u32::from(r.start()) + 1).sum();
            let few = usize::try_from(count).is_ok_and(|n| n <= LITERALS_MAX);
            few.then(|| class.iter().flat_map(|r| (r.start()..=r.end()).map(String::from)).collect())
        }
        HirKind::Repetition(r) if r.min == 0 && r.max == Some(1) => {
            let mut set = literals(&r.sub)?;
            set.push(String::new());
            Some(set)
        }
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(literals(branch)?);
                if all.len() > LITERALS_MAX {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let mut all = vec![String::new()];
            for part in parts {
                let tails = literals(part)?;
                if all.len() * tails.len() > LITERALS_MAX {
                    return None;
                }
                all = all.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect();
            }
            Some(all)
        }
        _ => None,
    }
}

fn refused(source: &str, reason: &str) -> RegexError {
    RegexError { reason: reason.to_owned(), pattern: source.to_owned() }
}

fn syntax_error(source: &str, error: &regex_syntax::Error) -> RegexError {
    let reason = match error {
        regex_syntax::Error::Parse(e) => match e.kind() {
            ErrorKind::GroupUnclosed => "missing closing )",
            ErrorKind::GroupUnopened => "unexpected )",
            ErrorKind::ClassUnclosed => "missing closing ]",
            ErrorKind::ClassRangeInvalid | ErrorKind::ClassRangeLiteral => "invalid character class range",
            ErrorKind::RepetitionMissing => "missing argument to repetition operator",
            ErrorKind::RepetitionCountInvalid => "invalid repeat count",
            ErrorKind::EscapeUnexpectedEof => "trailing backslash at end of expression",
            ErrorKind::EscapeUnrecognized => "invalid escape sequence",
            ErrorKind::FlagUnrecognized | ErrorKind::FlagDanglingNegation | ErrorKind::UnsupportedLookAround => {
                "invalid or unsupported Perl syntax"
            }
            ErrorKind::GroupNameDuplicate { .. } => "duplicate capture group name",
            other => return refused(source, &other.to_string()),
        },
        regex_syntax::Error::Translate(e) => return refused(source, &e.kind().to_string()),
        _ => "invalid expression",
    };
    refused(source, reason)
}

/// RE2's syntax to that of the `regex` crate.
fn translate(source: &str) -> Result<String, RegexError> {
    let mut out = String::with_capacity(source.len() + 16);
    let mut rest = source;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\\' => escape(source, after, in_class, &mut out)?,
            '[' if in_class => {
                let posix = after.starts_with(':') && after.contains(":]");
                out.push_str(if posix { "[" } else { "\\[" });
                after
            }
            '[' => {
                in_class = true;
                out.push('[');
                // A bracket right after the opening one is a member.
                let negated = after.strip_prefix('^');
                if negated.is_some() {
                    out.push('^');
                }
                let members = negated.unwrap_or(after);
                match members.strip_prefix(']') {
                    Some(tail) => {
                        out.push_str("\\]");
                        tail
                    }
                    None => members,
                }
            }
            // The end of `[:alpha:]` inside a class is not the end of the class.
            ':' if in_class && after.starts_with(']') && out.rfind("[:").is_some_and(|i| !out[i..].contains(']')) => {
                out.push_str(":]");
                &after[1..]
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
                after
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
                after
            }
            '-' if in_class && after.starts_with('-') => {
                out.push_str("-\\-");
                &after[1..]
            }
            '{' if !in_class => brace(source, after, &mut out)?,
            '(' if !in_class && after.starts_with('?') => {
                let flags = after[1..].chars().take_while(|c| c.is_ascii_alphabetic() || *c == '-');
                if !after.starts_with("?P") && flags.into_iter().any(|f| !"imsU-".contains(f)) {
                    return Err(refused(source, "invalid or unsupported Perl syntax"));
                }
                out.push('(');
                after
            }
            _ => {
                out.push(c);
                after
            }
        };
    }
    Ok(out)
}

/// What follows a backslash; returns what is left.
fn escape<'a>(source: &str, after: &'a str, in_class: bool, out: &mut String) -> Result<&'a str, RegexError> {
    let Some(c) = after.chars().next() else {
        return Err(refused(source, "trailing backslash at end of expression"));
    };
    let rest = &after[c.len_utf8()..];
    let class = |members: &str, negated: bool| match (in_class, negated) {
        (true, false) => members.to_owned(),
        (_, true) => format!("[^{members}]"),
        (false, false) => format!("[{members}]"),
    };
    match c {
        'd' | 'D' => out.push_str(&class("0-9", c == 'D')),
        'w' | 'W' => out.push_str(&class("0-9A-Za-z_", c == 'W')),
        's' | 'S' => out.push_str(&class("\\t\\n\\f\\r ", c == 'S')),
        'b' | 'B' if !in_class => {
            out.push_str(if c == 'b' { "(?-u:\\b)" } else { "(?-u:\\B)" });
        }
        'Q' if !in_class => {
            let (literal, tail) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex_syntax::escape(literal));
            return Ok(tail);
        }
        'E' if !in_class => {}
        '0'..='7' => {
            let digits = after.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            // A single digit other than zero would be a back-reference, which RE2 does not have.
            if c != '0' && digits < 2 {
                return Err(refused(source, "invalid escape sequence"));
            }
            let code = after.bytes().take(digits).fold(0u32, |n, b| n * 8 + u32::from(b - b'0'));
            let _ = write!(out, "\\x{{{code:X}}}");
            return Ok(&after[digits..]);
        }
        'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' | 'A' | 'z' => {
            out.push('\\');
            out.push(c);
        }
        c if c.is_ascii_alphanumeric() => return Err(refused(source, "invalid escape sequence")),
        '<' | '>' => out.push(c),
        c => {
            if c.is_ascii() {
                out.push('\\');
            }
            out.push(c);
        }
    }
    Ok(rest)
}

/// What follows an opening brace: a repetition, or a literal brace.
fn brace<'a>(source: &str, after: &'a str, out: &mut String) -> Result<&'a str, RegexError> {
    let counts = after.split_once('}').map(|(counts, _)| counts).unwrap_or_default();
    let (min, max) = counts.split_once(',').map_or((counts, None), |(min, max)| (min, Some(max)));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(min) || !max.is_none_or(|max| max.is_empty() || digits(max)) {
        out.push_str("\\{");
        return Ok(after);
    }
    let too_many = |s: &str| s.parse::<u32>().map_or(true, |n| n > REPEAT_MAX);
    if too_many(min) || max.is_some_and(|max| !max.is_empty() && too_many(max)) {
        return Err(refused(source, "invalid repeat count"));
    }
    let _ = write!(out, "{{{counts}}}");
    Ok(&after[counts.len() + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Nothing is known where a branch, the case or the first character is open.
        for pattern in [
            "(?i)foo[0-9]+",
            "(?i:f)oo[0-9]+",
            ".*",
            ".+",
            "",
            "a?b.*",
            "(foo)*x+",
            ".*foo",
            "foo[0-9]+|",
            "foo[0-9]+|.*a",
            "[ab].*",
        ] {
            check(pattern, &[]);
        }
        // One that starts with another is found with it.
        check("foo[0-9]+x*|(?:foob)[0-9]+y*|fo[0-9]+", &["fo"]);
    }

    #[test]
    fn what_matches_everything() {
        for (pattern, all) in [(".*", true), (".+", true), ("", false), ("a.*", false), ("..+", false), (".*|a", false)]
        {
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
