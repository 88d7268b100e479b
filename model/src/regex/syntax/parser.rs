//! The parser: groups, branches, repetitions, and the bounds that Go has for them.

use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, HirKind, Look, Repetition};

use super::bracket::bracket;
use super::escape::{Escaped, escaped};
use super::flags::{self, Flags, Opening};
use super::tables::add_cases;
use super::text::part;
use crate::regex::error::{RegexError, TOO_DEEP, TOO_LARGE};

/// Go's bounds: on `{n}` and on the product of nested ones, on the height of the tree, on the instructions of the
/// compiled expression, and on the ends of the ranges of all classes.
const REPEAT_MAX: u32 = 1000;
const HEIGHT_MAX: u32 = 1000;
const INSTRUCTIONS_MAX: u64 = (128 << 20) / 40;
const CLASS_ENDS_MAX: usize = (128 << 20) / 4;

/// An expression as it was read.
#[derive(Debug)]
pub(in crate::regex) struct Parsed {
    pub(in crate::regex) hir: Hir,
    /// The names of the groups, `None` for those without; the whole match is the first.
    pub(in crate::regex) names: Vec<Option<String>>,
    /// Levels of nesting.
    pub(in crate::regex) height: u32,
}

/// Reads the expression as the matchers of Prometheus do, and anchors it. Its groups are not kept. Matchers are read by
/// `github.com/grafana/regexp/syntax`, which knows fewer names of classes than Go's own package.
pub(in crate::regex) fn of_matcher(source: &str) -> Result<Parsed, RegexError> {
    // Upstream's `NewFastRegexMatcher` parses the expression by itself before it compiles it within anchors, so an
    // unmatched parenthesis is an error here, unlike in `in_anchors`.
    let parsed = Parser::new(source, Flags { dot_matches_newline: true, ..Flags::default() }, false).run()?;
    // The anchors add a concatenation around the expression, unless it is one and they join it.
    let height = parsed.height + u32::from(!matches!(parsed.hir.kind(), HirKind::Concat(_)));
    if height > HEIGHT_MAX {
        return Err(RegexError::new(TOO_DEEP, &anchored(source)));
    }
    let hir = Hir::concat(vec![Hir::look(Look::Start), parsed.hir, Hir::look(Look::End)]);
    Ok(Parsed { hir, height, ..parsed })
}

/// Reads the expression as templates do, by the same package as matchers, but as it stands.
pub(in crate::regex) fn of_search(source: &str) -> Result<Parsed, RegexError> {
    Parser::new(source, Flags::default(), true).run()
}

/// Reads `^(?s:…)$` around the expression, as relabelling and `label_replace` do: a parenthesis that is closed in
/// it and was not opened there leaves the anchors.
pub(in crate::regex) fn in_anchors(source: &str, with_groups: bool) -> Result<Parsed, RegexError> {
    Parser::new(&anchored(source), Flags { loose_names: true, ..Flags::default() }, with_groups).run()
}

fn anchored(source: &str) -> String {
    format!("^(?s:{source})$")
}

/// A node of the tree, with the figures that Go's limits apply to.
#[derive(Debug)]
struct Node {
    hir: Hir,
    height: u32,
    instructions: u64,
    /// The largest product of counts of repetitions, one within the other.
    repeats: u32,
}

impl Node {
    fn leaf(hir: Hir) -> Self {
        Self { hir, height: 1, instructions: 1, repeats: 1 }
    }

    fn over(hir: Hir, parts: &[Self]) -> Self {
        let most = |of: fn(&Self) -> u32| parts.iter().map(of).max().unwrap_or_default();
        let instructions = parts.iter().map(|part| part.instructions).fold(0, u64::saturating_add);
        Self { hir, height: most(|part| part.height) + 1, instructions, repeats: most(|part| part.repeats).max(1) }
    }
}

/// An open group, or the whole expression.
#[derive(Debug, Default)]
struct Frame {
    /// The flags that are restored behind it.
    outer: Flags,
    /// Its number, if it captures.
    group: Option<u32>,
    is_group: bool,
    branches: Vec<Node>,
    items: Vec<Node>,
    /// Characters that are not yet an item.
    text: String,
}

impl Frame {
    fn flush(&mut self) {
        if !self.text.is_empty() {
            let node = literal(&self.text);
            self.text.clear();
            self.items.push(node);
        }
    }

    /// Ends a branch.
    fn branch(&mut self) {
        self.flush();
        let mut items = std::mem::take(&mut self.items);
        let node = match items.len() {
            // An empty branch, as in `a|` or `()`, matches the empty text.
            0 => Node::leaf(Hir::empty()),
            1 => items.remove(0),
            _ => {
                let whole = Node::over(Hir::empty(), &items);
                Node { hir: Hir::concat(items.into_iter().map(|item| item.hir).collect()), ..whole }
            }
        };
        self.branches.push(node);
    }

    fn end(mut self) -> Node {
        self.branch();
        if self.branches.len() == 1 {
            return self.branches.remove(0);
        }
        // Go counts one instruction for each choice between two branches (`calcSize`).
        let between = self.branches.len() as u64 - 1;
        let whole = Node::over(Hir::empty(), &self.branches);
        let hir = Hir::alternation(self.branches.into_iter().map(|branch| branch.hir).collect());
        Node { hir, instructions: whole.instructions.saturating_add(between), ..whole }
    }
}

fn literal(text: &str) -> Node {
    Node { instructions: text.chars().count() as u64, ..Node::leaf(Hir::literal(text.as_bytes())) }
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    min: u32,
    max: Option<u32>,
    /// Written with braces.
    counted: bool,
}

struct Parser<'s> {
    source: &'s str,
    flags: Flags,
    with_groups: bool,
    names: Vec<Option<String>>,
    frames: Vec<Frame>,
    class_ends: usize,
    nodes: u64,
    /// The product of all counts.
    counts: u64,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str, flags: Flags, with_groups: bool) -> Self {
        let frames = vec![Frame::default()];
        Self { source, flags, with_groups, names: vec![None], frames, class_ends: 0, nodes: 0, counts: 1 }
    }

    fn run(mut self) -> Result<Parsed, RegexError> {
        let mut rest = self.source;
        // The repetition that has just been read, from where it starts.
        let mut repeated = None;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            let mut repeats = None;
            rest = match c {
                '(' => self.open(rest)?,
                '|' => {
                    self.frame().branch();
                    after
                }
                ')' => {
                    self.close()?;
                    after
                }
                '[' => {
                    let (class, after) = bracket(rest, self.flags)?;
                    self.class(class)?;
                    after
                }
                '*' | '+' | '?' => {
                    let min = u32::from(c == '+');
                    let counts = Counts { min, max: (c == '?').then_some(1), counted: false };
                    repeats = Some(rest);
                    self.repeat((rest, after), counts, repeated)?
                }
                '{' => match self.counts(rest)? {
                    Some((counts, after)) => {
                        repeats = Some(rest);
                        self.repeat((rest, after), counts, repeated)?
                    }
                    // As in Go, a brace that begins no valid count is a literal character.
                    None => {
                        self.character(c);
                        after
                    }
                },
                '\\' => self.escaped(rest)?,
                '^' | '$' => {
                    self.look(self.flags.anchor(c));
                    after
                }
                '.' => {
                    let any = if self.flags.dot_matches_newline { Dot::AnyChar } else { Dot::AnyCharExceptLF };
                    self.push(Node::leaf(Hir::dot(any)));
                    after
                }
                c => {
                    self.character(c);
                    after
                }
            };
            repeated = repeats;
        }
        self.finish()
    }

    fn finish(mut self) -> Result<Parsed, RegexError> {
        let whole = self.frames.pop().unwrap_or_default();
        // A frame of a group is left only when its parenthesis was not closed.
        if whole.is_group {
            return Err(RegexError::new("missing closing )", self.source));
        }
        let node = whole.end();
        self.check(&node)?;
        Ok(Parsed { hir: node.hir, names: self.names, height: node.height })
    }

    fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            // Cannot happen while reading: `close` pops only frames of groups, so the outermost one stays.
            self.frames.push(Frame::default());
        }
        self.frames.last_mut().expect("BUG: there is a frame")
    }

    fn push(&mut self, node: Node) {
        self.nodes += 1;
        let frame = self.frame();
        frame.flush();
        frame.items.push(node);
    }

    fn look(&mut self, look: Look) {
        self.push(Node::leaf(Hir::look(look)));
    }

    /// A literal character, in all its cases where case is ignored.
    fn character(&mut self, c: char) {
        if !self.flags.ignore_case {
            return self.frame().text.push(c);
        }
        // A character without other cases stays text.
        let class = add_cases(&ClassUnicode::new([ClassUnicodeRange::new(c, c)]));
        match class.ranges() {
            [_] if class.iter().next().is_some_and(|range| range.start() == range.end()) => self.frame().text.push(c),
            _ => self.push(Node::leaf(Hir::class(Class::Unicode(class)))),
        }
    }

    /// Reads an escape sequence; returns the rest.
    fn escaped(&mut self, at: &'s str) -> Result<&'s str, RegexError> {
        let (escaped, after) = escaped(at, self.flags)?;
        match escaped {
            Escaped::Look(look) => self.look(look),
            Escaped::Class(class) => self.class(class)?,
            Escaped::Quoted(text) => text.chars().for_each(|c| self.character(c)),
            Escaped::CodePoint(code) => self.code_point(code),
        }
        Ok(after)
    }

    /// A code point as escapes write them. A surrogate becomes what Go makes of it in a text.
    fn code_point(&mut self, code: u32) {
        self.character(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    }

    fn class(&mut self, class: ClassUnicode) -> Result<(), RegexError> {
        // Go bounds the memory of classes (`maxRunes`): each range is two runes.
        self.class_ends += 2 * class.ranges().len();
        if self.class_ends > CLASS_ENDS_MAX {
            return Err(RegexError::new(TOO_LARGE, self.source));
        }
        self.push(Node::leaf(Hir::class(Class::Unicode(class))));
        Ok(())
    }

    /// Reads an opening parenthesis with its flags or name; returns the rest.
    fn open(&mut self, at: &'s str) -> Result<&'s str, RegexError> {
        let outer = self.flags;
        let (opening, after) = flags::opening(at, self.flags)?;
        let name = match opening {
            Opening::Flags(flags) => {
                self.flags = flags;
                return Ok(after);
            }
            Opening::Plain(flags) => {
                self.flags = flags;
                self.frames.push(Frame { outer, is_group: true, ..Frame::default() });
                return Ok(after);
            }
            Opening::Group(name) => name,
        };
        // Groups are numbered by their opening parentheses, whether or not they are kept.
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.map(str::to_owned));
        self.frames.push(Frame { outer, group: Some(number), is_group: true, ..Frame::default() });
        Ok(after)
    }

    fn close(&mut self) -> Result<(), RegexError> {
        // The outermost frame is no group and stays: the parenthesis closes nothing.
        let Some(frame) = self.frames.pop_if(|frame| frame.is_group) else {
            return Err(RegexError::new("unexpected )", self.source));
        };
        let (outer, group) = (frame.outer, frame.group);
        let mut node = frame.end();
        // Flags set inside a group end with it.
        self.flags = outer;
        if let Some(index) = group {
            let whole = Node::over(Hir::empty(), std::slice::from_ref(&node));
            if self.with_groups {
                node.hir = Hir::capture(Capture { index, name: None, sub: Box::new(node.hir) });
            }
            // A capture takes two instructions in Go's program, one on each side, also where its text is not kept.
            node = Node { hir: node.hir, instructions: whole.instructions.saturating_add(2), ..whole };
        }
        self.check(&node)?;
        self.push(node);
        Ok(())
    }

    /// The counts in braces; `None` where the brace is a character.
    fn counts(&self, at: &'s str) -> Result<Option<(Counts, &'s str)>, RegexError> {
        let Some((text, after)) = at[1..].split_once('}') else { return Ok(None) };
        let (min, max) = text.split_once(',').map_or((text, None), |(min, max)| (min, Some(max)));
        let is_number = |text: &str| {
            // Go's `parseInt` disallows leading zeros; `{01}` is text.
            let zero = text.starts_with('0') && text.len() > 1;
            !text.is_empty() && !zero && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !is_number(min) || !max.is_none_or(|max| max.is_empty() || is_number(max)) {
            return Ok(None);
        }
        // Too large a number is an error and not text, so its range is checked only here.
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= REPEAT_MAX);
        let least = number(min);
        let most = max.map_or(least.map(Some), |max| if max.is_empty() { Some(None) } else { number(max).map(Some) });
        match (least, most) {
            (Some(min), Some(max)) if max.is_none_or(|max| max >= min) => {
                Ok(Some((Counts { min, max, counted: true }, after)))
            }
            _ => Err(RegexError::new("invalid repeat count", part(at, after))),
        }
    }

    /// Repeats the last item; `before` and `after` are what is left from the operator on and behind it.
    fn repeat(
        &mut self,
        (before, after): (&'s str, &'s str),
        counts: Counts,
        repeated: Option<&'s str>,
    ) -> Result<&'s str, RegexError> {
        let lazy = after.strip_prefix('?');
        // A question mark makes the repetition lazy; the flag U swaps the two meanings.
        let greedy = lazy.is_some() == self.flags.swap_greed;
        let after = lazy.unwrap_or(after);
        if let Some(first) = repeated {
            return Err(RegexError::new("invalid nested repetition operator", part(first, after)));
        }
        let frame = self.frame();
        // Only the last character of a run of text is repeated: `ab*` is `a` and `b*`.
        let item = match frame.text.pop() {
            Some(last) => {
                frame.flush();
                Some(literal(last.encode_utf8(&mut [0; 4])))
            }
            None => frame.items.pop(),
        };
        let Some(item) = item else {
            return Err(RegexError::new("missing argument to repetition operator", part(before, after)));
        };
        let node = repetition(item, counts, greedy);
        if counts.counted {
            // Go's `checkSize` multiplies all counts of the expression, nested or not, as a cheap upper bound.
            let factor = u64::from(counts.max.unwrap_or(counts.min).max(1));
            self.counts = self.counts.saturating_mul(factor);
            // Counts up to one cannot make the product larger (`repeatIsValid` in Go's parser).
            let large = counts.min >= 2 || counts.max.is_some_and(|max| max >= 2);
            if large && node.repeats > REPEAT_MAX {
                return Err(RegexError::new("invalid repeat count", part(before, after)));
            }
        }
        self.check(&node)?;
        self.push(node);
        Ok(after)
    }

    fn check(&self, node: &Node) -> Result<(), RegexError> {
        // As Go, which looks at sizes only once repetitions may make them large.
        let may_be_large = self.nodes >= INSTRUCTIONS_MAX / self.counts.clamp(1, INSTRUCTIONS_MAX);
        if may_be_large && node.instructions > INSTRUCTIONS_MAX {
            return Err(RegexError::new(TOO_LARGE, self.source));
        }
        if node.height > HEIGHT_MAX {
            return Err(RegexError::new(TOO_DEEP, self.source));
        }
        Ok(())
    }
}

fn repetition(item: Node, counts: Counts, greedy: bool) -> Node {
    let Counts { min, max, counted } = counts;
    // `(?:x*)*` is `x*`; and so are those of other operators but counts.
    if let (false, HirKind::Repetition(inner)) = (counted, item.hir.kind())
        && inner.greedy == greedy
        && matches!((inner.min, inner.max), (0 | 1, None) | (0, Some(1)))
    {
        let (min, max) = if (min, max) == (inner.min, inner.max) { (min, max) } else { (0, None) };
        let sub = inner.sub.clone();
        return Node { hir: Hir::repetition(Repetition { min, max, greedy, sub }), ..item };
    }
    let sub = item.instructions;
    let instructions = match (counted, max) {
        (false, None) if min == 0 => sub.saturating_add(2),
        (false, _) => sub.saturating_add(1),
        (true, None) if min == 0 => sub.saturating_add(2),
        (true, None) => sub.saturating_mul(u64::from(min)).saturating_add(1),
        // Counted repetitions are unrolled: `max` copies, of which those beyond `min` need a choice each.
        (true, Some(max)) => sub.saturating_mul(u64::from(max)).saturating_add(u64::from(max - min)).max(1),
    };
    let repeats = match (counted, max) {
        (false, _) => item.repeats,
        // `x{0}` is nothing; what is in it counts no more.
        (true, Some(0)) => 1,
        (true, _) => item.repeats.saturating_mul(max.unwrap_or(min).max(1)),
    };
    let height = item.height + 1;
    let sub = Box::new(item.hir);
    Node { hir: Hir::repetition(Repetition { min, max, greedy, sub }), height, instructions, repeats }
}
