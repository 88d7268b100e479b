//! What templates are expanded with, and why they are not.

use std::fmt;

use model::{Labels, Timestamp};
use query::Sample;

/// Why something cannot be evaluated, in Go's words.
pub(super) type Failure = String;

/// What a template is expanded with.
pub struct TemplateData<'a> {
    /// The labels and the value of the alert.
    pub sample: &'a Sample,
    /// The external labels of the server.
    pub external_labels: &'a Labels,
    /// The URL of the server.
    pub external_url: &'a str,
    /// The time of the evaluation.
    pub now: Timestamp,
    /// Answers `query` at the time of the evaluation. An error ends the expansion.
    pub query: &'a dyn Fn(&str) -> Result<Vec<Sample>, String>,
    /// False ends the expansion: asked before each query and now and then in loops.
    pub still_wanted: &'a dyn Fn() -> bool,
}

impl fmt::Debug for TemplateData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateData").field("sample", &self.sample).field("now", &self.now).finish_non_exhaustive()
    }
}

/// Why a template is refused, or has no expansion. The texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is no template. Found when rules are loaded.
    #[error("template: {name}:{line}: {reason}")]
    Parse {
        /// The name of the template.
        name: String,
        /// From 1.
        line: usize,
        /// In Go's words.
        reason: String,
    },
    /// It could not be expanded.
    #[error(
        "error executing template {name}: template: {name}:{line}:{column}: executing {within} at <{at}>: {reason}"
    )]
    Execute {
        /// The name of the template.
        name: String,
        /// From 1.
        line: usize,
        /// Bytes before the node on its line, the variables that every template has among them.
        column: usize,
        /// The template that was executed, quoted: this one, or one that it defines.
        within: String,
        /// The node.
        at: String,
        /// In Go's words.
        reason: String,
    },
}
