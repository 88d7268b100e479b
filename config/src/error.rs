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
        /// The line of the file, without what may be secret; `None` without text.
        excerpt: Option<String>,
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
        /// The line of the file, without what may be secret; `None` without text.
        excerpt: Option<String>,
    },
    /// A file has several faults.
    #[error("{}", joined(faults))]
    Several {
        /// In the order of the file, those of included files last; at least two.
        faults: Vec<Error>,
    },
}

impl Error {
    /// Joins faults; there is at least one.
    pub(crate) fn of(mut faults: Vec<Self>) -> Self {
        match faults.pop() {
            Some(only) if faults.is_empty() => only,
            Some(last) => {
                faults.push(last);
                Self::Several { faults }
            }
            None => Self::Several { faults },
        }
    }

    /// Every fault by itself.
    #[must_use]
    pub fn faults(&self) -> &[Self] {
        match self {
            Self::Several { faults } => faults,
            one => std::slice::from_ref(one),
        }
    }

    /// The line of the file at which the fault is, without what may be secret.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Invalid { excerpt, .. } | Self::Rule { excerpt, .. } => excerpt.as_deref(),
            Self::Read { .. } | Self::Several { .. } => None,
        }
    }

    /// Every fault with its causes, and below it the line of the file with a mark under its place.
    #[must_use]
    pub fn detailed(&self) -> String {
        let detailed = |fault: &Self| format!("{}{}", model::with_causes(fault), fault.marked().unwrap_or_default());
        self.faults().iter().map(detailed).collect::<Vec<_>>().join("\n")
    }

    /// The line, after a line break, and the mark below it.
    fn marked(&self) -> Option<String> {
        let (excerpt, (line, column)) = (self.excerpt()?, self.position());
        let margin = format!("{line:>5} | ");
        let blank = " ".repeat(margin.len() - 2);
        // A column behind the end is in a part that is not shown.
        let mark = if column <= excerpt.chars().count() + 1 {
            format!("\n{blank}| {}^", " ".repeat(column.saturating_sub(1)))
        } else {
            String::new()
        };
        Some(format!("\n{margin}{excerpt}{mark}"))
    }

    /// Sets the line at which the fault is.
    pub(crate) fn set_excerpt(&mut self, text: Option<String>) {
        if let Self::Invalid { excerpt, .. } | Self::Rule { excerpt, .. } = self {
            *excerpt = text;
        }
    }

    /// The path of the field; empty where there is none.
    pub(crate) fn field(&self) -> &str {
        match self {
            Self::Invalid { field, .. } => field,
            Self::Read { .. } | Self::Rule { .. } | Self::Several { .. } => "",
        }
    }

    /// Line and column, 0 where there is none.
    pub(crate) fn position(&self) -> (usize, usize) {
        match self {
            Self::Read { .. } | Self::Several { .. } => (0, 0),
            Self::Invalid { line, column, .. } => (*line, *column),
            Self::Rule { places, .. } => places.first().copied().unwrap_or_default(),
        }
    }
}

/// One on each line.
fn joined(faults: &[Error]) -> String {
    faults.iter().map(|fault| model::with_causes(fault)).collect::<Vec<_>>().join("\n")
}

/// `7:15: ` for each.
fn positions(places: &[(usize, usize)]) -> String {
    places.iter().map(|(line, column)| format!("{line}:{column}: ")).collect()
}

/// `prometheus.yml:3:5`, or the name alone.
fn place(file: &Path, line: usize, column: usize) -> String {
    if line == 0 { file.display().to_string() } else { format!("{}:{line}:{column}", file.display()) }
}
