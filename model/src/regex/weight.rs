//! Estimates the memory of an expression from its syntax, before it is compiled.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Memory of the parsed expression for each byte of its source.
const SYNTAX_BYTES: usize = 64;
/// Memory of any compiled expression: its engines, and the caches of one thread.
const ENGINE_BYTES: usize = 24 << 10;
/// Memory of an NFA state, in the automata of both directions, while these are built.
const STATE_BYTES: usize = 128;

/// Memory of the parsed expression, until it is compiled.
pub(super) fn syntax_bytes(source: &str) -> usize {
    source.len().saturating_mul(SYNTAX_BYTES)
}

/// Estimated memory of the compiled expression; not less than the real one.
pub(super) fn compiled_bytes(hir: &Hir) -> usize {
    states(hir).saturating_mul(STATE_BYTES).saturating_add(ENGINE_BYTES)
}

fn states(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        // A range beyond ASCII is several sequences of bytes, of which many have their ends in common.
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().map(|range| if range.end().is_ascii() { 1 } else { 2 }).sum()
        }
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            states(&repetition.sub).saturating_add(1).saturating_mul(times as usize)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(states).fold(parts.len(), usize::saturating_add)
        }
    }
}
