//! How often what is asked for.

use std::collections::HashMap;

use model::labels::METRIC_NAME;
use model::{MatchOp, Matcher, Timestamp};
use serde::{Deserialize, Serialize};

/// More names than these are not kept, nor more expressions; those that were asked for last are.
const NAMES_MAX: usize = 100_000;
const PATTERNS_MAX: usize = 1_000;
/// Longer ones are not counted: no metric has such a name, and few expressions.
const TEXT_MAX: usize = 1 << 10;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A query of the API: a person, or a dashboard.
    Api,
    /// A rule.
    Rule,
}

/// How often something was asked for, and when last; 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) api: u64,
    pub(crate) rule: u64,
    pub(crate) last_api_ms: i64,
    pub(crate) last_rule_ms: i64,
}

impl Asked {
    pub(super) fn add(&mut self, origin: Origin, now: Timestamp) {
        let (count, last) = match origin {
            Origin::Api => (&mut self.api, &mut self.last_api_ms),
            Origin::Rule => (&mut self.rule, &mut self.last_rule_ms),
        };
        *count = count.saturating_add(1);
        // A clock that steps back does not make it older.
        *last = (*last).max(now.0);
    }

    fn last_ms(&self) -> i64 {
        self.last_api_ms.max(self.last_rule_ms)
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.api = self.api.saturating_add(other.api);
        self.rule = self.rule.saturating_add(other.rule);
        self.last_api_ms = self.last_api_ms.max(other.last_api_ms);
        self.last_rule_ms = self.last_rule_ms.max(other.last_rule_ms);
    }
}

/// The counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    /// Since when it is counted.
    pub(super) since_ms: i64,
    pub(super) names: HashMap<String, Asked>,
    /// Regular expressions of names.
    pub(super) patterns: HashMap<String, Asked>,
}

impl Counts {
    /// A selection is read. Says whether that is counted.
    pub(super) fn add(&mut self, matchers: &[Matcher], origin: Origin) -> bool {
        let by_name = |m: &&Matcher| m.name == METRIC_NAME && matches!(m.op, MatchOp::Equal | MatchOp::Regex);
        // A selector without a name, or with any name, asks for no metric of its own.
        let Some(name) = matchers.iter().find(by_name).filter(|m| !m.is_of_everything()) else { return false };
        let now = Timestamp::now();
        match name.literals() {
            Some(names) => names.into_iter().for_each(|name| add(&mut self.names, NAMES_MAX, name, (origin, now))),
            None => add(&mut self.patterns, PATTERNS_MAX, &name.value, (origin, now)),
        }
        true
    }
}

/// Counts one of some texts; where there are too many, those that were asked for last are kept.
fn add(all: &mut HashMap<String, Asked>, most: usize, text: &str, (origin, now): (Origin, Timestamp)) {
    if let Some(asked) = all.get_mut(text) {
        return asked.add(origin, now);
    }
    if text.is_empty() || text.len() > TEXT_MAX {
        return;
    }
    if all.len() >= most {
        // A tenth at once: looking for the oldest costs more than adding one.
        let n = (most / 10).max(1);
        let mut by_age: Vec<(i64, String)> = all.iter().map(|(text, asked)| (asked.last_ms(), text.clone())).collect();
        by_age.select_nth_unstable(n - 1);
        by_age.truncate(n);
        for (_, text) in by_age {
            all.remove(&text);
        }
    }
    let mut asked = Asked::default();
    asked.add(origin, now);
    all.insert(text.to_owned(), asked);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_last_is_kept() {
        let mut all = HashMap::new();
        for i in 0..25 {
            add(&mut all, 20, &format!("m{i}"), (Origin::Api, Timestamp(i)));
        }
        let mut left: Vec<i64> = all.values().map(|asked| asked.last_api_ms).collect();
        left.sort_unstable();
        assert!(all.len() == 19 && left.ends_with(&(10..25).collect::<Vec<_>>()), "{left:?}");
        add(&mut all, 20, &"x".repeat(TEXT_MAX + 1), (Origin::Api, Timestamp(99)));
        assert!(all.values().all(|asked| asked.last_api_ms < 99));
    }
}
