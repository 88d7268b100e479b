//! Match plans for simple expressions: literals, prefixes, suffixes and substrings need no regex engine.
//!
//! Dashboards put hundreds of values, or prefixes of values, into one expression (`a-.+|b-.+|…`). As automata these take
//! long to build and much memory; looked up in sorted lists they take a few comparisons for each text.

use aho_corasick::AhoCorasick;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Texts that a product of choices may come to, and characters of a class.
const PRODUCT_MAX: usize = 256;
/// Bytes of the texts of such a product.
const PRODUCT_BYTES_MAX: usize = 1 << 20;
/// The most prefixes that are given to a reader, which looks each of them up in its index.
const STARTS_MAX: usize = 256;

/// A list of branches, each of literals.
#[derive(Clone, Debug, Default)]
pub(super) struct Branches {
    /// `literal`; sorted.
    exact: Vec<String>,
    /// `literal.*`, `literal.+`
    prefixes: Affixes,
    /// The prefixes of all matches, if every branch has one and they are few.
    starts: Vec<String>,
    /// `.*literal`, `.+literal`; backwards
    suffixes: Affixes,
    /// `.*literal.*` and those with `.+`
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    /// A match has a character before it, and behind it.
    before: bool,
    after: bool,
    literals: AhoCorasick,
}

/// One branch.
#[derive(Debug)]
enum Branch {
    Exact(Vec<String>),
    /// The literals, and whether something must follow.
    Prefix(Vec<String>, bool),
    Suffix(Vec<String>, bool),
    Part(Vec<String>, bool, bool),
}

impl Branches {
    /// Matches exactly these.
    pub(super) fn exact(mut texts: Vec<String>) -> Self {
        texts.sort_unstable();
        texts.dedup();
        Self { exact: texts, ..Self::default() }
    }

    /// The plan of `a|b|…`, without reading it as an expression: long lists of values are common.
    pub(super) fn listed(source: &str) -> Option<Self> {
        // No metacharacter but the bar: every branch is a literal, and parsing 10,000 of them would cost more than
        // the lookups.
        let is_plain = !source.contains(['\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$']);
        is_plain.then(|| Self::exact(source.split('|').map(str::to_owned).collect()))
    }

    /// The plan of an expression without its anchors, if all its branches are simple.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        let branches: &[Hir] = match hir.kind() {
            HirKind::Alternation(branches) => branches,
            _ => std::slice::from_ref(hir),
        };
        let (mut exact, mut prefixes, mut suffixes) = (Vec::new(), Vec::<(String, bool)>::new(), Vec::new());
        let mut parts: [Vec<String>; 4] = Default::default();
        for branch in branches {
            // One branch that is not simple sends the whole expression to the engine.
            match simple(branch)? {
                Branch::Exact(texts) => exact.extend(texts),
                Branch::Prefix(texts, more) => prefixes.extend(texts.into_iter().map(|text| (text, more))),
                // Suffixes are kept backwards, so that looking one up is looking up a prefix of the reversed text.
                Branch::Suffix(texts, more) => suffixes.extend(texts.into_iter().map(|text| (reversed(&text), more))),
                Branch::Part(texts, before, after) => parts[2 * usize::from(before) + usize::from(after)].extend(texts),
            }
        }
        // The index of each list holds its two flags as bits, as it was filled above.
        let parts = parts.into_iter().enumerate().filter(|(_, literals)| !literals.is_empty()).map(|(i, literals)| {
            let literals = AhoCorasick::new(literals).ok()?;
            Some(Part { before: i & 2 != 0, after: i & 1 != 0, literals })
        });
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let mut starts: Vec<String> = Vec::new();
        // A suffix or a substring may have anything before it, so nothing would be known of the start. Only exact
        // texts: those are in `literals` already.
        if suffixes.is_empty() && parts.is_empty() && !prefixes.is_empty() {
            starts.extend(exact.iter().chain(prefixes.iter().map(|(text, _)| text)).cloned());
            starts = shortest(starts);
        }
        Some(Self {
            prefixes: Affixes::new(prefixes),
            starts,
            suffixes: Affixes::new(suffixes),
            parts,
            ..Self::exact(exact)
        })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        // The cheapest first: two binary searches, then the reversed copy, then the scan.
        self.exact.binary_search_by(|literal| literal.as_str().cmp(text)).is_ok()
            || self.prefixes.start(text.as_bytes())
            || (!self.suffixes.0.is_empty() && self.suffixes.start(&reversed(text)))
            || self.parts.iter().any(|part| part.is_in(text))
    }

    /// The only texts that match.
    pub(super) fn literals(&self) -> Option<&[String]> {
        let only = self.prefixes.0.is_empty() && self.suffixes.0.is_empty() && self.parts.is_empty();
        only.then_some(&self.exact)
    }

    /// The prefixes of all matches; empty if they are not known.
    pub(super) fn starts(&self) -> &[String] {
        &self.starts
    }

    /// True if every non-empty text matches.
    pub(super) fn matches_all(&self) -> bool {
        matches!(self.prefixes.0.first(), Some((prefix, _)) if prefix.is_empty())
    }
}

/// Literals that a text may start with, none of which starts with another; sorted. Where the flag is set something must
/// follow.
#[derive(Clone, Debug, Default)]
struct Affixes(Vec<(Box<[u8]>, bool)>);

impl Affixes {
    fn new(affixes: Vec<(impl Into<Vec<u8>>, bool)>) -> Self {
        let mut affixes: Vec<(Box<[u8]>, bool)> =
            affixes.into_iter().map(|(affix, more)| (affix.into().into_boxed_slice(), more)).collect();
        // Of two equal affixes the one that needs nothing behind it comes first (false before true) and is the one
        // that stays.
        affixes.sort_unstable();
        // Sorted, whatever starts with another follows it, and has something behind that.
        affixes.dedup_by(|later, first| later.0.starts_with(&first.0));
        affixes.shrink_to_fit();
        Self(affixes)
    }

    fn start(&self, text: &[u8]) -> bool {
        // The last that is not behind the text is the only one that the text may start with.
        let behind = self.0.partition_point(|(affix, _)| **affix <= *text);
        let Some((affix, more)) = behind.checked_sub(1).and_then(|last| self.0.get(last)) else { return false };
        text.starts_with(affix) && (!more || text.len() > affix.len())
    }
}

fn reversed(text: &str) -> Vec<u8> {
    text.bytes().rev().collect()
}

impl Part {
    fn is_in(&self, text: &str) -> bool {
        // A character, not a byte, is given up on each side: `.+` matches one character at least.
        let mut chars = text.chars();
        let is_too_short = (self.before && chars.next().is_none()) || (self.after && chars.next_back().is_none());
        !is_too_short && self.literals.is_match(chars.as_str())
    }
}

fn simple(branch: &Hir) -> Option<Branch> {
    // First, since an alternation of literals is exact whatever its form.
    if let Some(texts) = literals(branch) {
        return Some(Branch::Exact(texts));
    }
    let parts: &[Hir] = match branch.kind() {
        HirKind::Concat(parts) => parts,
        _ => std::slice::from_ref(branch),
    };
    let product =
        |parts: &[Hir]| parts.iter().try_fold(vec![String::new()], |heads, part| times(heads, literals(part)?));
    // What is between the two ends has to be a finite set of texts; an inner `.*` makes `product` fail.
    let (first, last) = (anything(parts.first()?), anything(parts.last()?));
    match (first, last) {
        (Some(more), _) if parts.len() == 1 => Some(Branch::Prefix(vec![String::new()], more)),
        (Some(before), Some(after)) => Some(Branch::Part(product(&parts[1..parts.len() - 1])?, before, after)),
        (None, Some(more)) => Some(Branch::Prefix(product(&parts[..parts.len() - 1])?, more)),
        (Some(more), None) => Some(Branch::Suffix(product(&parts[1..])?, more)),
        (None, None) => None,
    }
}

/// `Some(false)` for `.*`, `Some(true)` for `.+`, where something must follow.
fn anything(hir: &Hir) -> Option<bool> {
    let HirKind::Repetition(repetition) = hir.kind() else { return None };
    let is_any = repetition.max.is_none() && repetition.min <= 1 && is_any_char(&repetition.sub);
    is_any.then_some(repetition.min == 1)
}

fn is_any_char(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            // With the line break: matchers read the dot so (`(?s)`), and `[^\n]` is not "anything".
            matches!(class.ranges(), [range] if range.start() == '\0' && range.end() == char::MAX)
        }
        _ => false,
    }
}

/// Every text that matches, if the set is finite. Alternations may be long, products of choices only small.
fn literals(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![String::from_utf8(literal.0.to_vec()).ok()?]),
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Class(Class::Unicode(class)) => {
            // Counted before it is listed: a class such as `[^a]` has a million characters.
            let count: u32 = class.iter().map(|r| u32::from(r.end()) - u32::from(r.start()) + 1).sum();
            let few = usize::try_from(count).is_ok_and(|n| n <= PRODUCT_MAX);
            few.then(|| class.iter().flat_map(|r| (r.start()..=r.end()).map(String::from)).collect())
        }
        HirKind::Repetition(r) if r.min == 0 && r.max == Some(1) => {
            let mut set = literals(&r.sub)?;
            set.push(String::new());
            Some(set)
        }
        HirKind::Alternation(branches) => {
            let mut all = Vec::with_capacity(branches.len());
            for branch in branches {
                all.extend(literals(branch)?);
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            parts.iter().try_fold(vec![String::new()], |heads, part| times(heads, literals(part)?))
        }
        _ => None,
    }
}

/// Each of these followed by each of those, if they are few or not more than before.
fn times(heads: Vec<String>, tails: Vec<String>) -> Option<Vec<String>> {
    let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let product_bytes = bytes(&heads) * tails.len() + bytes(&tails) * heads.len();
    // One text in front of many does not multiply, only makes them longer: bounded by bytes instead.
    let few = heads.len() * tails.len() <= PRODUCT_MAX || heads.len().min(tails.len()) == 1;
    if !few || product_bytes > PRODUCT_BYTES_MAX {
        return None;
    }
    Some(heads.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect())
}

/// The prefixes of the matches of all branches, none a prefix of another; empty if a branch may start with anything.
pub(super) fn starts(hir: &Hir) -> Vec<String> {
    let branches: &[Hir] = match hir.kind() {
        HirKind::Capture(capture) => return starts(&capture.sub),
        HirKind::Alternation(branches) => branches,
        _ => std::slice::from_ref(hir),
    };
    let all = branches.iter().map(|branch| {
        let mut start = String::new();
        // Whether the start is the whole match does not matter here.
        lead(branch, &mut start);
        start
    });
    shortest(all.collect())
}

/// Removes texts that have another as a prefix; empty if one text is empty or there are too many.
fn shortest(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    // Sorted, whatever starts with another follows it.
    texts.dedup_by(|later, first| later.starts_with(first.as_str()));
    let is_known = texts.len() <= STARTS_MAX && texts.first().is_some_and(|first| !first.is_empty());
    if is_known { texts } else { Vec::new() }
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
        // Stops behind the first part that is not a fixed text.
        HirKind::Concat(parts) => parts.iter().all(|part| lead(part, prefix)),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            // At least one repetition is there; what follows it is unknown.
            lead(&repetition.sub, prefix);
            false
        }
        _ => false,
    }
}

/// The expression between its anchors, if it is between two of the text.
pub(super) fn without_anchors(hir: &Hir) -> Option<Hir> {
    let HirKind::Concat(parts) = hir.kind() else { return None };
    let is = |part: Option<&Hir>, look| part.is_some_and(|part| matches!(part.kind(), HirKind::Look(l) if *l == look));
    (parts.len() >= 2 && is(parts.first(), Look::Start) && is(parts.last(), Look::End))
        .then(|| Hir::concat(parts[1..parts.len() - 1].to_vec()))
}
