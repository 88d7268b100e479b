//! Rule files and the rule groups of PrometheusRule objects (upstream: `model/rulefmt`), and files of unit tests for them.

mod checks;
mod file;
mod group;
mod rule;
mod unit_test;

pub use checks::{RuleChecks, RuleOptions};
pub use file::{RuleFile, matching_rule_files};
pub use group::RuleGroup;
pub use rule::Rule;
pub use unit_test::{AlertTest, ExpectedAlert, ExpectedSample, ExprTest, InputSeries, UnitTest, UnitTestFile};

#[cfg(test)]
mod tests;
