//! The outcome of a check.

/// What is wrong: first the place, then why.
pub(crate) type Checked = Result<(), String>;
