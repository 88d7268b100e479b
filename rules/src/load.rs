//! Checks of rule files that need to know PromQL and templates; `config` reads the files.

use config::RuleChecks;
use query::Engine;

/// Checks a template, which errors call by the name given first.
pub type TemplateCheck = fn(&str, &str) -> Result<(), String>;

/// The checks of expressions and templates; part of [`config::RuleOptions`].
#[derive(Clone, Copy, Debug)]
pub struct LoadChecks<'a> {
    engine: &'a Engine,
    check_template: TemplateCheck,
}

impl<'a> LoadChecks<'a> {
    /// Checks expressions as this engine will parse them: with the features that it has on.
    #[must_use]
    pub fn new(engine: &'a Engine, check_template: TemplateCheck) -> Self {
        Self { engine, check_template }
    }
}

impl RuleChecks for LoadChecks<'_> {
    fn check_expr(&self, expr: &str) -> Result<(), String> {
        self.engine.check(expr).map_err(|error| error.to_string())
    }

    fn check_template(&self, name: &str, text: &str) -> Result<(), String> {
        (self.check_template)(name, text)
    }
}
