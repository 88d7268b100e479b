//! Templates of `WITH` in scope.

use std::rc::Rc;

use super::ast::{Expr, Span};
use super::limits::Size;

/// The templates in scope: one, and those before it.
pub(super) type Scope = Option<Rc<Template>>;

#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: String,
    pub(super) params: Vec<String>,
    pub(super) body: Body,
    /// The scope of the template itself.
    pub(super) outer: Scope,
}

#[derive(Debug)]
pub(super) enum Body {
    /// Parsed at every use.
    Text(Span),
    /// The value of an argument.
    Given(Expr, Size),
}

/// Finds a template by name.
pub(super) fn find(scope: &Scope, name: &str) -> Scope {
    let mut at = scope.as_ref();
    while let Some(template) = at {
        if template.name == name {
            return Some(Rc::clone(template));
        }
        at = template.outer.as_ref();
    }
    None
}
