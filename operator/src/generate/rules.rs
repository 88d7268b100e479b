//! Relabelling rules of a job, each with the field that asks for it.

use std::fmt;

use config::Yaml;

use crate::document::Mapping;
use crate::objects::{LabelSelector, RelabelConfig};

/// What asks for a relabelling rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A field of the object: `spec.endpoints[0].port`.
    Field(String),
    /// A field of the Prometheus object.
    Prometheus(String),
    /// Every job of the kind has it; what it is for.
    Always(&'static str),
}

impl Origin {
    /// Is it a rule that stands in the object as such? Other fields ask for rules that often match nothing.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        matches!(self, Self::Field(path) if path.contains(".relabelings[") || path.contains(".relabelingConfigs["))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(path) => f.write_str(path),
            Self::Prometheus(path) => write!(f, "{path} of the Prometheus object"),
            Self::Always(what) => f.write_str(what),
        }
    }
}

/// Rules under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Yaml>,
    origins: Vec<Origin>,
}

impl Rules {
    /// Those that every job begins with: the name of the job is kept where later rules may use it.
    pub(super) fn of_job() -> Self {
        let mut rules = Self::default();
        rules.copy("job", "__tmp_prometheus_job_name", Origin::Always("job name"));
        rules
    }

    pub(super) fn push(&mut self, rule: Mapping, origin: Origin) {
        self.rules.push(rule.into_yaml());
        self.origins.push(origin);
    }

    /// `action` is `keep` or `drop`.
    pub(super) fn filter(&mut self, action: &str, sources: &[&str], regex: &str, origin: Origin) {
        let mut rule = Mapping::default();
        rule.put("action", action);
        rule.put("source_labels", sources);
        rule.put("regex", regex);
        self.push(rule, origin);
    }

    /// The label gets the value of another one; an empty value removes it.
    pub(super) fn copy(&mut self, source: &str, target: &str, origin: Origin) {
        let mut rule = Mapping::default();
        rule.put("source_labels", [source].as_slice());
        rule.put("target_label", target);
        self.push(rule, origin);
    }

    /// The label gets the value of another one, if that is not empty.
    pub(super) fn copy_filled(&mut self, source: &str, target: &str, origin: Origin) {
        let mut rule = Mapping::default();
        rule.put("source_labels", [source].as_slice());
        rule.put("target_label", target);
        rule.put("regex", "(.+)");
        rule.put("replacement", "${1}");
        self.push(rule, origin);
    }

    /// The label gets this value.
    pub(super) fn set(&mut self, target: &str, value: &str, origin: Origin) {
        let mut rule = Mapping::default();
        rule.put("target_label", target);
        rule.put("replacement", value);
        self.push(rule, origin);
    }

    /// A label gets what a regular expression finds in others.
    pub(super) fn replace(
        &mut self,
        (sources, regex): (&[&str], &str),
        (target, replacement): (&str, &str),
        origin: Origin,
    ) {
        let mut rule = Mapping::default();
        rule.put("source_labels", sources);
        rule.put("separator", ";");
        rule.put("regex", regex);
        rule.put("target_label", target);
        rule.put("replacement", replacement);
        rule.put("action", "replace");
        self.push(rule, origin);
    }

    /// Rules that a user wrote.
    pub(super) fn extend(&mut self, rules: &[RelabelConfig], origin: impl Fn(usize) -> Origin) {
        for (i, rule) in rules.iter().enumerate() {
            self.push(user_rule(rule), origin(i));
        }
    }

    /// Keeps what a selector selects. `meta` is the prefix of the labels that objects of the role have:
    /// `__meta_kubernetes_pod`.
    pub(super) fn select(&mut self, selector: &LabelSelector, meta: &str, field: &str) {
        let label = |key: &str| format!("{meta}_label_{}", sanitize_label_name(key));
        let present = |key: &str| format!("{meta}_labelpresent_{}", sanitize_label_name(key));
        for (key, value) in &selector.match_labels {
            // The label is asked for its presence too, because a label that is missing and an empty one have the same value.
            let origin = Origin::Field(format!("{field}.matchLabels[{key:?}]"));
            self.filter("keep", &[&label(key), &present(key)], &format!("({value});true"), origin);
        }
        for (i, requirement) in selector.match_expressions.iter().enumerate() {
            let origin = Origin::Field(format!("{field}.matchExpressions[{i}]"));
            let key = &requirement.key;
            // Not escaped, as upstream does not: values of labels have no character but `.` that means something.
            let values = format!("({});true", requirement.values.join("|"));
            match requirement.operator.as_str() {
                "In" => self.filter("keep", &[&label(key), &present(key)], &values, origin),
                "NotIn" => self.filter("drop", &[&label(key), &present(key)], &values, origin),
                "Exists" => self.filter("keep", &[&present(key)], "true", origin),
                "DoesNotExist" => self.filter("drop", &[&present(key)], "true", origin),
                // Refused before.
                _ => {}
            }
        }
    }

    /// Is there a rule with this action?
    pub(super) fn has_action(&self, action: &str) -> bool {
        let is = |rule: &Yaml| match rule {
            Yaml::Map(pairs) => pairs.iter().any(|(key, value)| {
                // Text of a user has it without quotes.
                key == "action" && matches!(value, Yaml::Text(text) | Yaml::Raw(text) if text == action)
            }),
            _ => false,
        };
        self.rules.iter().any(is)
    }

    /// Rules that stand in a configuration already.
    pub(super) fn of_user(rules: Yaml, origin: impl Fn(usize) -> Origin) -> Self {
        let Yaml::List(rules) = rules else { return Self::default() };
        let origins = (0..rules.len()).map(origin).collect();
        Self { rules, origins }
    }

    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    /// The rules, and where each comes from.
    pub(super) fn finish(self) -> (Yaml, Vec<Origin>) {
        (Yaml::List(self.rules), self.origins)
    }
}

/// Upstream: `generateRelabelConfig`.
pub(super) fn user_rule(rule: &RelabelConfig) -> Mapping {
    let mut out = Mapping::default();
    // What is not set stays out: the defaults are those of Prometheus.
    out.put_filled("source_labels", &rule.source_labels);
    out.put_some("separator", rule.separator.as_ref());
    out.put_filled("target_label", &rule.target_label);
    out.put_filled("regex", &rule.regex);
    out.put_some("modulus", (rule.modulus != 0).then_some(rule.modulus));
    out.put_some("replacement", rule.replacement.as_ref());
    // The API takes `Replace` and `replace`, the configuration only the latter.
    out.put_filled("action", &rule.action.to_lowercase());
    out
}

/// The name of a Kubernetes label as part of a label's name.
pub(super) fn sanitize_label_name(name: &str) -> String {
    // Two names may become one (`a.b` and `a_b`), here as in discovery.
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}
