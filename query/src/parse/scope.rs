//! The templates of `WITH` that are known at a place.

use std::rc::Rc;

use super::ast::{Expr, Span};
use super::limits::Size;

/// The templates that are known at a place: one, and those before it.
pub(super) type Scope = Option<Rc<Template>>;

#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: String,
    pub(super) params: Vec<String>,
    pub(super) body: Body,
    /// Those it sees itself.
    pub(super) outer: Scope,
}

#[derive(Debug)]
pub(super) enum Body {
    /// Read anew at every use.
    Text(Span),
    /// What an argument is.
    Given(Expr, Size),
}

/// The template of this name.
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
