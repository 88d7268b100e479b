//! PrometheusRule: recording and alerting rules.

use config::Yaml;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Object;

/// A PrometheusRule.
pub type PrometheusRule = Object<PrometheusRuleSpec>;

/// Rule groups, as a rule file has them: what fields there are only `config` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusRuleSpec(pub Yaml);

impl Default for PrometheusRuleSpec {
    fn default() -> Self {
        Self(Yaml::Map(Vec::new()))
    }
}

impl<'de> Deserialize<'de> for PrometheusRuleSpec {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(|value| Self(yaml(value)))
    }
}

fn yaml(value: Value) -> Yaml {
    match value {
        Value::String(text) => Yaml::Text(text),
        Value::Array(items) => Yaml::List(items.into_iter().map(yaml).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, value)| !is_unset(name, value));
            Yaml::Map(fields.map(|(name, value)| (name.into(), yaml(value))).collect())
        }
        // An expression may be a number.
        other => Yaml::raw(other),
    }
}

/// The schema allows empty durations, which upstream's check lets through and Prometheus then refuses.
fn is_unset(name: &str, value: &Value) -> bool {
    matches!(name, "interval" | "for") && value.as_str() == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_spec_is_a_rule_file() {
        // In the order of the alphabet: whether JSON keeps another one is a feature of its crate.
        let rules = json!([{"alert": "A", "expr": 1, "for": ""}, {"expr": "1", "record": "r"}]);
        let group = json!({"interval": "", "limit": 5, "name": "g", "rules": rules});
        let spec: PrometheusRuleSpec = serde_json::from_value(json!({"groups": [group]})).unwrap();
        let expected =
            "groups:\n- limit: 5\n  name: g\n  rules:\n  - alert: A\n    expr: 1\n  - expr: \"1\"\n    record: r\n";
        assert_eq!(spec.0.print(), expected);
    }
}
