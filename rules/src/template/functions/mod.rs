//! The functions and methods that templates call, with what they take.

mod builtins;
mod function;
mod humanize;
mod methods;
mod prometheus;
mod text;

pub(super) use self::function::{Call, Function, Param};
pub(super) use self::methods::method;

/// The names of the functions that Prometheus adds to Go's.
pub fn template_functions() -> impl Iterator<Item = &'static str> {
    prometheus::FUNCTIONS.iter().map(|function| function.name)
}

/// The function of a name: Prometheus', else Go's.
pub(super) fn named(name: &str) -> Option<&'static Function> {
    prometheus::FUNCTIONS.iter().chain(builtins::FUNCTIONS).find(|function| function.name == name)
}
