//! Errors of reading a configuration.

use std::path::{Path, PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read configuration file {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content is not valid: `prometheus.yml:3:5: scrape_configs[0].scrape_interval: …`.
    #[error("{}: {}{message}", place(file, *line, *column), if field.is_empty() { String::new() } else { format!("{field}: ") })]
    Invalid {
        /// The file, or the object that a configuration without text was made from.
        file: PathBuf,
        /// Counted from one; 0 without text.
        line: usize,
        /// Counted from one; 0 without text.
        column: usize,
        /// The path of the field; empty if the file is not YAML.
        field: String,
        /// What is wrong, and the remedy where it is known.
        message: String,
    },
    /// A rule or a rule group is not valid, in upstream's words: `rules.yml: 7:15: group "a", rule 1, "b": …`.
    #[error("{}: {}{}{message}", file.display(), positions(places), if rule.is_empty() { String::new() } else { format!("{rule}: ") })]
    Rule {
        /// The file, or the object.
        file: PathBuf,
        /// Lines and columns, counted from one; none without text.
        places: Vec<(usize, usize)>,
        /// `group "a", rule 1, "b"`; empty if the group itself is not valid.
        rule: String,
        /// What is wrong.
        message: String,
    },
}

impl Error {
    /// Line and column, 0 where there is none.
    pub(crate) fn position(&self) -> (usize, usize) {
        match self {
            Self::Read { .. } => (0, 0),
            Self::Invalid { line, column, .. } => (*line, *column),
            Self::Rule { places, .. } => places.first().copied().unwrap_or_default(),
        }
    }
}

/// `7:15: ` for each.
fn positions(places: &[(usize, usize)]) -> String {
    places.iter().map(|(line, column)| format!("{line}:{column}: ")).collect()
}

/// `prometheus.yml:3:5`, or the name alone.
fn place(file: &Path, line: usize, column: usize) -> String {
    if line == 0 { file.display().to_string() } else { format!("{}:{line}:{column}", file.display()) }
}
