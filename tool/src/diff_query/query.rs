//! A query of a file.

/// Of a query no more characters are shown.
const SHOWN_MAX: usize = 160;

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
        let mut line = written.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((at, _)) = line.char_indices().nth(SHOWN_MAX) {
            line.truncate(at);
            line.push('…');
        }
        Self { name: format!("{place}: {line}"), text }
    }
}
