//! Label selectors and names of labels. Kubernetes: `labels.NewRequirement`, `validation.IsValidLabelValue` of apimachinery.

use model::NameValidation;

use super::checked::Checked;
use crate::objects::{LabelSelector, Requirement};

/// Kubernetes: `LabelSelectorAsSelector`.
pub(crate) fn check_label_selector(selector: &LabelSelector) -> Checked {
    for (key, value) in &selector.match_labels {
        check_key(key)?;
        check_value(key, 0, value)?;
    }
    for Requirement { key, operator, values } in &selector.match_expressions {
        match operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                return Err(
                    "values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty".to_owned()
                );
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                return Err("values: Invalid value: values set must be empty for exists and does not exist".to_owned());
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => return Err(format!("{operator:?} is not a valid label selector operator")),
        }
        check_key(key)?;
        for (i, value) in values.iter().enumerate() {
            check_value(key, i, value)?;
        }
    }
    Ok(())
}

/// `name` or `prefix/name`.
fn check_key(key: &str) -> Checked {
    // The part before the slash is the name of a domain, with rules of its own.
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |prefix: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        (1..=253).contains(&prefix.len()) && prefix.chars().all(inner)
    };
    if (1..=63).contains(&name.len()) && is_qualified(name) && prefix.is_none_or(is_prefix) {
        return Ok(());
    }
    Err(format!(
        "key: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
         with an alphanumeric character"
    ))
}

fn check_value(key: &str, i: usize, value: &str) -> Checked {
    if value.len() > 63 {
        return Err(format!("values[{i}][{key}]: Invalid value: {value:?}: must be no more than 63 bytes"));
    }
    // An empty value is one, and different from no label.
    if value.is_empty() || is_qualified(value) {
        return Ok(());
    }
    Err(format!(
        "values[{i}][{key}]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric \
         characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  \
         or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    ))
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_qualified(text: &str) -> bool {
    let at_ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    at_ends(text.chars().next()) && at_ends(text.chars().next_back()) && text.chars().all(inner)
}

/// Names of labels that a user sets.
pub(super) fn check_names<'n>(names: impl IntoIterator<Item = &'n String>) -> Checked {
    match names.into_iter().find(|name| !NameValidation::Utf8.is_label_name(name)) {
        Some(name) => Err(format!("invalid label {name:?}")),
        None => Ok(()),
    }
}
