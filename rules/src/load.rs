//! Checks of rule files that need to know PromQL and templates; `config` reads the files.

use config::RuleChecks;
use query::Engine;

use crate::template::Template;

/// The checks of expressions and templates; part of [`config::RuleOptions`].
#[derive(Clone, Copy, Debug)]
pub struct LoadChecks<'a>(&'a Engine);

impl<'a> LoadChecks<'a> {
    /// Checks expressions as this engine will parse them: with the features that it has on.
    #[must_use]
    pub fn new(engine: &'a Engine) -> Self {
        Self(engine)
    }
}

impl RuleChecks for LoadChecks<'_> {
    fn check_expr(&self, expr: &str) -> Result<(), String> {
        self.0.check(expr).map_err(|error| error.to_string())
    }

    fn check_template(&self, name: &str, text: &str) -> Result<(), String> {
        Template::parse(name, text).map(drop).map_err(|error| error.to_string())
    }
}
