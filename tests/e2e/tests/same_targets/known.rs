//! Where Weft differs on purpose. Each entry must go on to differ.

use crate::observed::Difference;
use crate::targets::Target;

/// A difference that is meant.
pub struct Known {
    pub why: &'static str,
    /// Who shows it.
    pub target: Target,
    pub is: fn(case: &str, difference: &Difference) -> bool,
}

pub const KNOWN: &[Known] = &[];
