//! Parts of an expression, as errors show them.

/// The text from one place up to a later one.
pub(super) fn part<'s>(from: &'s str, to: &str) -> &'s str {
    &from[..from.len() - to.len()]
}
