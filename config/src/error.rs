//! Errors of reading a configuration.

use std::path::PathBuf;

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
    #[error("{}:{line}:{column}: {}{message}", file.display(), if field.is_empty() { String::new() } else { format!("{field}: ") })]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Counted from one.
        line: usize,
        /// Counted from one.
        column: usize,
        /// The path of the field; empty if the file is not YAML.
        field: String,
        /// What is wrong, and the remedy where it is known.
        message: String,
    },
}
