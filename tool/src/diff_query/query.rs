//! A query of a file.

/// A query of a file.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// Where it is, and what it says.
    pub(super) name: String,
    /// What is asked, or why it cannot be.
    pub(super) text: Result<String, String>,
}

impl Query {
    /// A query as it stands at a place, and with its variables filled.
    pub(super) fn new(place: String, written: &str, text: Result<String, String>) -> Self {
        // On one line, however it is written.
        let written: Vec<&str> = written.split_whitespace().collect();
        Self { name: format!("{place}: {}", written.join(" ")), text }
    }
}
