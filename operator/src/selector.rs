//! Label selectors: what they select, and as text.

use std::collections::BTreeMap;

use crate::objects::{LabelSelector, Requirement};

/// The selector as the API server takes it, requirements sorted by key: `app=web,env notin (dev),has,!not`.
///
/// Kubernetes: `LabelSelectorAsSelector` and `Requirement.String` of apimachinery.
#[must_use]
pub fn label_selector_text(selector: &LabelSelector) -> String {
    let equal = selector.match_labels.iter().map(|(key, value)| (key, format!("{key}={value}")));
    let further = selector.match_expressions.iter().map(|one| (&one.key, requirement_text(one)));
    let mut requirements: Vec<(&String, String)> = equal.chain(further).collect();
    // Sorted as Kubernetes does it: equal selectors are then equal texts, and share one watch.
    requirements.sort_by_key(|(key, _)| *key);
    requirements.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

fn requirement_text(Requirement { key, operator, values }: &Requirement) -> String {
    let mut values = values.clone();
    values.sort();
    let values = values.join(",");
    match operator.as_str() {
        "In" => format!("{key} in ({values})"),
        "NotIn" => format!("{key} notin ({values})"),
        "DoesNotExist" => format!("!{key}"),
        _ => key.clone(),
    }
}

/// Reads a selector as the API server takes it: `team=a,env in (prod,test),!old`.
///
/// # Errors
/// When it is none.
pub fn parse_label_selector(text: &str) -> Result<LabelSelector, String> {
    let mut selector = LabelSelector::default();
    for part in parts(text) {
        let part = part.trim();
        let set = |operator: &str, key: &str, values: &str| Requirement {
            key: key.trim().to_owned(),
            operator: operator.to_owned(),
            values: values.split(',').map(|value| value.trim().to_owned()).collect(),
        };
        let has = |operator: &str, key: &str| Requirement {
            key: key.trim().to_owned(),
            operator: operator.to_owned(),
            values: Vec::new(),
        };
        let in_brackets = part.strip_suffix(')').and_then(|part| part.split_once('('));
        let requirement = match in_brackets {
            Some((left, values)) => match left.trim().rsplit_once(char::is_whitespace) {
                Some((key, "in")) => set("In", key, values),
                Some((key, "notin")) => set("NotIn", key, values),
                _ => return Err(format!("{part:?} is no requirement; write key in (a,b) or key notin (a,b)")),
            },
            None => match part.split_once("!=") {
                Some((key, value)) => set("NotIn", key, value),
                None => match part.split_once('=') {
                    Some((key, value)) => set("In", key, value.trim_start_matches('=')),
                    None => match part.strip_prefix('!') {
                        Some(key) => has("DoesNotExist", key),
                        None => has("Exists", part),
                    },
                },
            },
        };
        selector.match_expressions.push(requirement);
    }
    crate::validate::check_label_selector(&selector)?;
    Ok(selector)
}

/// The requirements of a selector: separated by commas that are in no brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut out, mut start, mut is_open) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            '(' => is_open = true,
            ')' => is_open = false,
            ',' if !is_open => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    if text.trim().is_empty() { Vec::new() } else { out }
}

/// A requirement that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The label.
    pub key: String,
    /// The requirement as text.
    pub text: String,
    /// The values of which the label must have one; empty if none would do.
    pub values: Vec<String>,
}

/// Does the selector select what has these labels?
///
/// # Errors
/// The first requirement that does not hold.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Result<(), Unmet> {
    for (key, value) in &selector.match_labels {
        if labels.get(key) != Some(value) {
            return Err(Unmet { key: key.clone(), text: format!("{key}={value}"), values: vec![value.clone()] });
        }
    }
    for requirement in &selector.match_expressions {
        let value = labels.get(&requirement.key);
        let is_among = value.is_some_and(|value| requirement.values.contains(value));
        let holds = match requirement.operator.as_str() {
            "In" => is_among,
            // A label that is missing is not among the values either.
            "NotIn" => !is_among,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            // An operator that is none was refused before; here it selects nothing.
            _ => false,
        };
        if !holds {
            let values = if requirement.operator == "In" { requirement.values.clone() } else { Vec::new() };
            return Err(Unmet { key: requirement.key.clone(), text: requirement_text(requirement), values });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(json: serde_json::Value) -> LabelSelector {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_selector_is_written_as_the_api_server_takes_it() {
        let written = label_selector_text(&selector(serde_json::json!({
            "matchLabels": {"tier": "x", "app": "web"},
            "matchExpressions": [
                {"key": "env", "operator": "NotIn", "values": ["prod", "dev"]},
                {"key": "zone", "operator": "In", "values": ["b", "a"]},
                {"key": "has", "operator": "Exists"},
                {"key": "not", "operator": "DoesNotExist"},
            ],
        })));
        assert_eq!(written, "app=web,env notin (dev,prod),has,!not,tier=x,zone in (a,b)");
    }

    #[test]
    fn a_selector_is_read_as_the_api_server_writes_it() {
        for (text, written) in [
            ("", ""),
            ("team=a", "team in (a)"),
            ("team==a, env in (prod, test),!old", "env in (prod,test),!old,team in (a)"),
            ("team!=a,app,zone notin (x)", "app,team notin (a),zone notin (x)"),
        ] {
            assert_eq!(label_selector_text(&parse_label_selector(text).unwrap()), written, "{text}");
        }
        for text in ["team=a b", "env on (x)", "=a", "a,,b", "env in ()x"] {
            assert!(parse_label_selector(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_requirement_that_fails_is_named() {
        let labels: BTreeMap<String, String> = [("app".to_owned(), "web".to_owned())].into();
        let check = |json| matches(&selector(json), &labels).map_err(|unmet| unmet.text);
        assert_eq!(check(serde_json::json!({})), Ok(()));
        assert_eq!(check(serde_json::json!({"matchLabels": {"app": "web"}})), Ok(()));
        assert_eq!(check(serde_json::json!({"matchLabels": {"team": "a"}})), Err("team=a".to_owned()));
        let one = |operator: &str, key: &str, values: &[&str]| {
            check(serde_json::json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}))
        };
        assert_eq!(one("In", "app", &["db", "web"]), Ok(()));
        assert_eq!(one("In", "app", &["db"]), Err("app in (db)".to_owned()));
        assert_eq!(one("NotIn", "app", &["web"]), Err("app notin (web)".to_owned()));
        assert_eq!(one("NotIn", "team", &["a"]), Ok(()));
        assert_eq!(one("Exists", "team", &[]), Err("team".to_owned()));
        assert_eq!(one("DoesNotExist", "app", &[]), Err("!app".to_owned()));
    }
}
