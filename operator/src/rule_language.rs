//! What is done with the texts of rules, whose languages this crate does not know.

use config::RuleChecks;

/// Checks and rewrites expressions and templates.
pub trait RuleLanguage: RuleChecks + Send + Sync {
    /// The expression with the matcher `label="value"` in every selector, in the place of all others of that label.
    ///
    /// # Errors
    /// When it is no PromQL.
    fn enforce(&self, expr: &str, label: &str, value: &str) -> Result<String, String>;
}
