//! Go's syntax of regular expressions, read into the HIR that the regex engine compiles.
//!
//! Accepted and refused is what `regexp/syntax` of Go accepts and refuses with the flags of `regexp.Compile`, with its
//! messages, and with the bounds that Go has for nesting, repetition and size. The grammar is that of RE2: classes of Perl
//! and POSIX are ASCII, those of Unicode have the names of Go's tables, anchors and word boundaries are ASCII too.

mod bracket;
mod escape;
mod flags;
mod parser;
mod set;
mod tables;
mod text;
mod unicode;

pub(super) use self::parser::{Parsed, in_anchors, of_matcher, of_search};
