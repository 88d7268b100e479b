//! Scalars as go-yaml v2 prints them: plain, in quotes, or as a literal block. Long lines are broken at blanks.

use std::fmt::Write as _;

use super::layout::{INDENT, Printer, WIDTH};
use super::resolve::reads_as_other;

/// Where a scalar stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Block,
    /// In brackets.
    Flow,
    /// Before a colon, where lines are not broken.
    Key,
}

/// The style that go-yaml asks for; it takes quotes where that is not possible.
enum Style {
    Plain,
    DoubleQuoted,
    Literal,
}

/// A scalar, and in which styles it can be printed (`yaml_emitter_analyze_scalar` in go-yaml's `emitterc.go`).
pub(super) struct Scalar<'t> {
    text: &'t str,
    style: Style,
    has_breaks: bool,
    plain_in_block: bool,
    plain_in_flow: bool,
    single_quoted: bool,
    literal: bool,
}

impl<'t> Scalar<'t> {
    /// A string.
    pub(super) fn of(text: &'t str) -> Self {
        let style = match text {
            _ if text.contains('\n') => Style::Literal,
            _ if reads_as_other(text) => Style::DoubleQuoted,
            _ => Style::Plain,
        };
        Self { style, ..Self::untyped(text) }
    }

    /// A text that needs no quotes for being read as a number or boolean.
    pub(super) fn untyped(text: &'t str) -> Self {
        let has_breaks = text.contains(is_break);
        let is_adjacent = |first: fn(char) -> bool, second: fn(char) -> bool| {
            text.chars().zip(text.chars().skip(1)).any(|(a, b)| first(a) && second(b))
        };
        let needs_escapes = !text.chars().all(is_printable) || is_adjacent(is_space, is_break);
        let has_outer_space = text.starts_with(' ') || text.ends_with(' ');
        let plain = !needs_escapes && !has_breaks && !has_outer_space;
        let (in_block, in_flow) = indicators(text);
        Self {
            text,
            style: Style::Plain,
            has_breaks,
            plain_in_block: plain && !in_block,
            plain_in_flow: plain && !in_flow && !text.is_empty(),
            // Reading folds a line break, and what follows it would lose its blanks.
            single_quoted: !needs_escapes && !is_adjacent(is_break, is_space),
            literal: !needs_escapes && !text.ends_with(' '),
        }
    }

    /// Does it hold line breaks?
    pub(super) fn has_breaks(&self) -> bool {
        self.has_breaks
    }

    /// Prints it. Its further lines are indented relative to `indent`.
    pub(super) fn print(&self, place: Place, indent: Option<usize>, to: &mut Printer) {
        let indent = indent.unwrap_or_default() + INDENT;
        let folds = (place != Place::Key).then_some(indent);
        let plain = if place == Place::Flow { self.plain_in_flow } else { self.plain_in_block };
        match self.style {
            Style::Plain if plain => {
                to.space();
                self.folded("'", folds, to);
                to.is_blank = false;
            }
            Style::Plain if self.single_quoted => {
                to.mark("'", false);
                self.folded("''", folds, to);
                to.end("'");
            }
            Style::Literal if self.literal && place == Place::Block => self.literal(indent, to),
            _ => self.double_quoted(folds, to),
        }
    }

    /// The text without escapes. A line is broken at a single blank past the width, if it may be.
    fn folded(&self, quote: &str, indent: Option<usize>, to: &mut Printer) {
        let mut before = None;
        let mut chars = self.text.chars().peekable();
        while let Some(c) = chars.next() {
            let is_single = !matches!(before, None | Some(' ')) && chars.peek().is_some_and(|next| *next != ' ');
            match (c, indent) {
                (' ', Some(indent)) if is_single && to.column > WIDTH => to.line(indent),
                (' ', _) => to.put(' '),
                // One of U+2028 and U+2029: a text with a line feed is a literal or needs escapes.
                _ if is_break(c) => to.line_break(c),
                _ => {
                    if before.is_some_and(is_break) {
                        to.line(indent.unwrap_or_default());
                    }
                    if c == '\'' {
                        quote.chars().for_each(|c| to.put(c))
                    } else {
                        to.put(c)
                    }
                    to.is_indentation = false;
                }
            }
            before = Some(c);
        }
    }

    fn literal(&self, indent: usize, to: &mut Printer) {
        to.mark("|", false);
        if self.text.starts_with([' ', '\n', '\u{2028}', '\u{2029}']) {
            // Leading blanks or an empty first line would hide the indentation of the block, so it is written out.
            to.end("2");
        }
        // What is done about the line breaks at the end: there is none, one, or several to be kept.
        let mut last = self.text.chars().rev();
        match (last.next().is_some_and(is_break), last.next().is_none_or(is_break)) {
            (false, _) => to.end("-"),
            (true, true) => to.end("+"),
            (true, false) => {}
        }
        to.line_break('\n');
        to.is_blank = true;
        let mut is_at_start = true;
        for c in self.text.chars() {
            if is_break(c) {
                to.line_break(c);
            } else {
                if is_at_start {
                    to.line(indent);
                }
                to.put(c);
                to.is_indentation = false;
            }
            is_at_start = is_break(c);
        }
    }

    fn double_quoted(&self, indent: Option<usize>, to: &mut Printer) {
        // go-yaml asks at each character whether the text begins with a byte order mark, and not whether it is one.
        let escapes_all = self.text.starts_with('\u{feff}');
        to.mark("\"", false);
        let mut before = None;
        let mut chars = self.text.chars().peekable();
        while let Some(c) = chars.next() {
            let is_inner = !matches!(before, None | Some(' ')) && chars.peek().is_some();
            match indent {
                _ if escapes_all || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') => {
                    escaped(c).chars().for_each(|c| to.put(c));
                }
                Some(indent) if c == ' ' && is_inner && to.column > WIDTH => {
                    to.line(indent);
                    if chars.peek() == Some(&' ') {
                        // Blanks at the start of a line do not count, unless they are marked.
                        to.put('\\');
                    }
                }
                _ => to.put(c),
            }
            before = Some(c);
        }
        to.end("\"");
    }
}

/// Does the text hold what has a meaning in a block, and in brackets?
fn indicators(text: &str) -> (bool, bool) {
    // These end a document.
    let is_mark = text.starts_with("---") || text.starts_with("...");
    let (mut in_block, mut in_flow) = (is_mark, is_mark);
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // The end of the text counts as a blank, since a line break follows it.
        let ends_word = chars.peek().is_none_or(|next| *next == ' ');
        let (block, flow) = match (c, before) {
            ('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`', None) => {
                (true, true)
            }
            ('#', Some(' ')) => (true, true),
            ('-', None) => (ends_word, ends_word),
            ('?', None) | (':', _) => (ends_word, true),
            (',' | '?' | '[' | ']' | '{' | '}', Some(_)) => (false, true),
            _ => (false, false),
        };
        in_block |= block;
        in_flow |= flow;
        before = Some(c);
    }
    (in_block, in_flow)
}

fn is_space(c: char) -> bool {
    c == ' '
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The characters that go-yaml prints as they are: none above U+FFFF.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn escaped(c: char) -> String {
    let letter = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' | '\\' => c,
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let mut out = String::new();
            let _ = match u32::from(c) {
                code @ ..=0xff => write!(out, "\\x{code:02X}"),
                code @ ..=0xffff => write!(out, "\\u{code:04X}"),
                code => write!(out, "\\U{code:08X}"),
            };
            return out;
        }
    };
    format!("\\{letter}")
}
