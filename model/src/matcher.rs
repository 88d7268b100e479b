//! The four label matchers.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::regex::{Regex, RegexError, Room};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// As written in a selector.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// One condition on one label. A missing label counts as the empty string.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How its value is compared.
    pub op: MatchOp,
    /// With what: a literal, or the text of a regular expression.
    pub value: String,
    /// Present exactly for the two regular expression operators.
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher; regular expressions are compiled.
    ///
    /// # Errors
    /// When the regular expression is not one.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, RegexError> {
        Self::new_within(op, name, value, &mut |_| true)
    }

    /// The same where there is memory for the regular expression, as [`Regex::new_within`].
    ///
    /// # Errors
    /// When the regular expression is not one, or `room` refuses it.
    pub fn new_within(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
        room: &mut Room<'_>,
    ) -> Result<Self, RegexError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Regex::new_within(&value, room)?),
        };
        Ok(Self { name: name.into(), op, value, regex })
    }

    /// `name="value"`.
    #[must_use]
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// `name=~"a|b|…"`: the label has one of these values, of which there may be any number.
    #[must_use]
    pub fn any_of(name: impl Into<String>, values: impl IntoIterator<Item = String>) -> Self {
        let regex = Regex::any_of(values);
        Self { name: name.into(), op: MatchOp::Regex, value: regex.as_str().to_owned(), regex: Some(regex) }
    }

    /// Does this value of the label satisfy the condition?
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => self.value == value,
            (MatchOp::NotEqual, _) => self.value != value,
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (_, None) => unreachable!("a regular expression matcher holds its expression"),
        }
    }

    /// Is a series without the label among those that match?
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The only values that can match (`=`), or that can fail to (`!=`), when they are a small known set.
    #[must_use]
    pub fn literals(&self) -> Option<Vec<&str>> {
        match &self.regex {
            None => Some(vec![&self.value]),
            Some(regex) => regex.literals().map(|set| set.iter().map(String::as_str).collect()),
        }
    }

    /// The value of a regular expression that matches (`=~`), or fails to (`!~`), starts with one of these; empty when
    /// nothing is known.
    #[must_use]
    pub fn prefixes(&self) -> &[String] {
        self.regex.as_ref().map_or(&[], Regex::prefixes)
    }

    /// Does the regular expression match every value but perhaps the empty one?
    #[must_use]
    pub fn is_of_everything(&self) -> bool {
        self.regex.as_ref().is_some_and(Regex::matches_all)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl Hash for Matcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, self.op, &self.value).hash(state);
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_operators() {
        let check = |op, value: &str, yes: &[&str], no: &[&str]| {
            let matcher = Matcher::new(op, "l", value).unwrap();
            assert!(yes.iter().all(|v| matcher.matches(v)), "{matcher}");
            assert!(!no.iter().any(|v| matcher.matches(v)), "{matcher}");
        };
        check(MatchOp::Equal, "a", &["a"], &["", "b", "aa"]);
        check(MatchOp::NotEqual, "a", &["", "b"], &["a"]);
        check(MatchOp::Regex, "a|b.*", &["a", "b", "bcd\n"], &["", "ab", "ca"]);
        check(MatchOp::NotRegex, "a|b.*", &["", "ab"], &["a", "bc"]);
    }

    #[test]
    fn a_broken_expression_is_named() {
        let error = Matcher::new(MatchOp::Regex, "l", "a(").unwrap_err();
        assert!(error.to_string().contains("a("), "{error}");
    }
}
