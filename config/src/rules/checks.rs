//! What reading a rule file depends on.

use std::fmt::Debug;

use model::NameValidation;

use crate::Error;
use crate::schema::Fields;
use crate::yaml::Pos;

/// How rule files are read.
#[derive(Clone, Copy, Debug)]
pub struct RuleOptions<'a> {
    /// Which names of metrics and labels are valid.
    pub names: NameValidation,
    /// Are unknown fields ignored, instead of being an error?
    pub ignore_unknown_fields: bool,
    /// The checks of expressions and templates.
    pub checks: &'a dyn RuleChecks,
}

/// Checks of texts whose languages this crate does not know. An error is reported with the position of the text.
pub trait RuleChecks: Debug {
    /// Checks the expression of a rule.
    ///
    /// # Errors
    /// When it is no PromQL.
    fn check_expr(&self, expr: &str) -> Result<(), String>;

    /// Checks the template of a label or an annotation. Errors call it `name`.
    ///
    /// # Errors
    /// When it does not parse.
    fn check_template(&self, name: &str, text: &str) -> Result<(), String>;
}

/// An error in upstream's words at these positions; `rule` is empty if it is one of a group.
pub(super) fn invalid(f: &Fields<'_>, places: &[Pos], rule: &str, message: impl Into<String>) -> Error {
    // An object of the API server has no lines.
    let places = places.iter().filter(|pos| pos.line > 0).map(|pos| (pos.line, pos.column)).collect();
    Error::Rule {
        file: f.source.file.to_owned(),
        places,
        rule: rule.to_owned(),
        message: message.into(),
        excerpt: None,
    }
}

/// Reports labels or annotations whose names are not valid.
pub(super) fn check_names(
    f: &mut Fields<'_>,
    (field, what): (&'static str, &str),
    rule: &str,
    is_valid: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    // What is not a mapping was reported when it was read.
    let Ok(Some(inner)) = f.fields(field) else { return Ok(()) };
    for (key, _) in inner.pairs().iter().filter(|(key, _)| !is_valid(&key.text)) {
        f.source.report(invalid(f, &[key.pos], rule, format!("invalid {what} name: {}", key.text)))?;
    }
    Ok(())
}

/// Is the name a valid one of a label that rules may set?
pub(super) fn is_label_name(names: NameValidation, name: &str) -> bool {
    names.is_label_name(name) && name != "__name__"
}

/// Is a text missing or empty, and is that not the consequence of another error?
pub(super) fn is_missing(f: &mut Fields<'_>, name: &'static str) -> bool {
    // A field that is unknown may be this one, misspelt.
    f.unknown().next().is_none() && f.text(name).is_ok_and(|text| text.unwrap_or_default().is_empty())
}
