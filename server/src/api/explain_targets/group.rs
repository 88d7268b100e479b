//! What runs of the groups of a PrometheusRule.

use rules::Group;
use serde::Serialize;

use super::job::count;

/// A group that runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupReport {
    pub(super) group: String,
    /// What stands in the place of a file in `/api/v1/rules`.
    pub(super) file: String,
    /// How its rules fare.
    pub(super) sentence: String,
    #[serde(skip)]
    n_rules: usize,
    #[serde(skip)]
    fails: bool,
}

impl GroupReport {
    pub(super) fn new(group: &Group) -> Self {
        let (mut errors, mut n_rules, mut n_evaluated) = (Vec::new(), 0, 0);
        for (i, rule) in group.rules().enumerate() {
            n_rules += 1;
            let Some(last) = rule.last else { continue };
            n_evaluated += 1;
            errors.extend(last.error.map(|error| format!("rule {} {:?} fails: {error}", i + 1, rule.spec.name)));
        }
        let rules = count(n_rules, "rule");
        let fails = !errors.is_empty();
        let sentence = match fails {
            true => format!("{rules}; {}", errors.join("; ")),
            false if n_evaluated < n_rules => format!("{rules}, not evaluated yet"),
            false => format!("{rules}, evaluated without an error"),
        };
        Self { group: group.spec().name.clone(), file: group.spec().file.clone(), sentence, n_rules, fails }
    }
}

/// How all groups of an object fare.
pub(super) fn in_short(groups: &[GroupReport]) -> String {
    let n_rules = groups.iter().map(|group| group.n_rules).sum();
    let mut said = format!("{}, {}", count(groups.len(), "group"), count(n_rules, "rule"));
    for group in groups.iter().filter(|group| group.fails) {
        said.push_str(&format!("; group {}: {}", group.group, group.sentence));
    }
    said
}
