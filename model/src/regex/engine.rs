//! Compiling with `regex-automata`, within bounds of memory and stack.

use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::Hir;

use super::error::{RegexError, TOO_LARGE};
use super::weight;

/// Bound on a compiled expression, bytes.
const COMPILED_SIZE_MAX: usize = 256 << 20;
/// Bounds on the cache of states with which a thread matches.
const CACHE_MIN: usize = 256 << 10;
const CACHE_MAX: usize = 2 << 20;
/// Deeper trees are walked on a stack of their own, with this many bytes for each level.
const HEIGHT_ON_STACK: u32 = 64;
const STACK_BYTES_PER_LEVEL: usize = 32 << 10;

/// Asks a memory budget for this many bytes more; false refuses them.
pub type Room<'r> = dyn FnMut(usize) -> bool + 'r;

/// Asks for the memory that reading takes.
pub(super) fn room_to_read(source: &str, room: &mut Room<'_>) -> Result<(), RegexError> {
    if room(weight::syntax_bytes(source)) { Ok(()) } else { Err(RegexError::new(TOO_LARGE, source)) }
}

/// Runs what walks a tree of this height.
pub(super) fn on_stack<T>(height: u32, walk: impl FnOnce() -> T) -> T {
    if height <= HEIGHT_ON_STACK {
        return walk();
    }
    stacker::grow((height as usize + 32) * STACK_BYTES_PER_LEVEL, walk)
}

/// Compiles an expression, if there is room.
pub(super) fn compile(
    source: &str,
    hir: &Hir,
    captures: WhichCaptures,
    room: &mut Room<'_>,
) -> Result<meta::Regex, RegexError> {
    let bytes = weight::compiled_bytes(hir);
    // What can only be refused is not tried, which would take its time.
    // The estimate may be too high; by a factor of eight it is not.
    if bytes / 8 > COMPILED_SIZE_MAX || !room(bytes.min(2 * COMPILED_SIZE_MAX)) {
        return Err(RegexError::new(TOO_LARGE, source));
    }
    // States are made while it matches, for each thread.
    let cache = (bytes / 2).clamp(CACHE_MIN, CACHE_MAX);
    let config = meta::Config::new()
        .nfa_size_limit(Some(COMPILED_SIZE_MAX))
        .hybrid_cache_capacity(cache)
        .which_captures(captures);
    let built = meta::Builder::new().configure(config).build_from_hir(hir);
    built.map_err(|_| RegexError::new(TOO_LARGE, source))
}
