//! Rule files and the rule groups of PrometheusRule objects (upstream: `model/rulefmt`).

mod checks;
mod file;
mod group;
mod rule;

pub use checks::{RuleChecks, RuleOptions};
pub use file::{RuleFile, matching_rule_files};
pub use group::RuleGroup;
pub use rule::Rule;

#[cfg(test)]
mod tests;
