//! Why an expression is refused, in Go's words.

/// What Go says of an expression past its bounds of size, and of nesting.
pub(super) const TOO_LARGE: &str = "expression too large";
pub(super) const TOO_DEEP: &str = "expression nests too deeply";

/// Not a regular expression that Go takes. The text is Go's: ``error parsing regexp: missing closing ): `…` ``.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}: `{pattern}`")]
pub struct RegexError {
    /// What is wrong, in Go's words.
    pub reason: String,
    /// The part of the expression that is.
    pub pattern: String,
}

impl RegexError {
    pub(super) fn new(reason: &str, pattern: &str) -> Self {
        Self { reason: reason.to_owned(), pattern: pattern.to_owned() }
    }
}
