//! Parses files of target groups for file discovery. They accept exactly what Go's decoders do.

use std::borrow::Cow;

use model::NameValidation;
use serde_json::Value;

use crate::yaml::{self, Key, Kind, Tree};

/// A target group of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileGroup {
    /// Addresses.
    pub targets: Vec<String>,
    /// Names and values.
    pub labels: Vec<(String, String)>,
}

/// Parses a file in JSON, or in YAML.
///
/// # Errors
/// When it is not valid; the text says where and why.
pub fn target_groups(text: &[u8], is_json: bool) -> Result<Vec<FileGroup>, String> {
    if is_json { of_json(text) } else { of_yaml(text) }
}

/// As `encoding/json`: keys are case-insensitive, the last of a repeated key counts, null is an empty value, and bytes that are not
/// UTF-8 are replaced.
fn of_json(text: &[u8]) -> Result<Vec<FileGroup>, String> {
    // Go's decoder replaces invalid UTF-8 in strings as well; serde_json alone would refuse it.
    let value = serde_json::from_str(&String::from_utf8_lossy(text)).map_err(|error| error.to_string())?;
    let groups = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(groups) => groups,
        other => return Err(format!("{}, where a list of groups belongs", kind(&other))),
    };
    groups
        .into_iter()
        .enumerate()
        .map(|(i, group)| json_group(group).map_err(|why| format!("group {i}: {why}")))
        .collect()
}

fn json_group(group: Value) -> Result<FileGroup, String> {
    let fields = match group {
        // A null group is an error in `readFile` upstream, unlike a null list of groups.
        Value::Null => return Err(NIL.to_owned()),
        Value::Object(fields) => fields,
        other => return Err(format!("{}, where a group belongs", kind(&other))),
    };
    let mut found = FileGroup::default();
    for (name, value) in fields {
        match (name.to_lowercase().as_str(), value) {
            // Another spelling of the key may have set it before: `Targets` and `targets` are one field.
            ("targets", Value::Null) => found.targets.clear(),
            ("targets", Value::Array(targets)) => {
                let texts = targets.into_iter().map(|target| json_text(target, "a target"));
                found.targets = texts.collect::<Result<_, _>>()?;
            }
            ("labels", Value::Null) => found.labels.clear(),
            ("labels", Value::Object(labels)) => {
                let label = |(name, value): (String, Value)| {
                    let value = json_text(value, &format!("the label {name:?}"))?;
                    checked(name).map(|name| (name, value))
                };
                found.labels = labels.into_iter().map(label).collect::<Result<_, _>>()?;
            }
            ("targets", other) => return Err(format!("targets: {}, where a list belongs", kind(&other))),
            ("labels", other) => return Err(format!("labels: {}, where names and values belong", kind(&other))),
            // A misspelt `labels` would silently give targets without them.
            _ => return Err(format!("unknown field {name:?}; a group has targets and labels")),
        }
    }
    Ok(found)
}

fn json_text(value: Value, of: &str) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text),
        other => Err(format!("{of} is {}, where a text belongs", kind(&other))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

const NIL: &str = "nil target group item found";

/// Checks the name of a label.
fn checked(name: String) -> Result<String, String> {
    // Whatever scheme the job has: upstream's `LabelName` decodes by the UTF-8 rules, which refuse the empty name.
    if NameValidation::Utf8.is_label_name(&name) {
        Ok(name)
    } else {
        Err(format!("{name:?} is not a valid label name"))
    }
}

/// As `yaml.UnmarshalStrict`: the first document counts, and all scalars are strings.
fn of_yaml(text: &[u8]) -> Result<Vec<FileGroup>, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let document = yaml::parse(text).map_err(|(pos, why)| format!("line {}: {why}", pos.line))?;
    // A file may be empty while nothing is deployed.
    let Some(document) = document.filter(|tree| !tree.is_null()) else { return Ok(Vec::new()) };
    list(&document, "groups")?.iter().map(yaml_group).collect()
}

fn yaml_group(group: &Tree) -> Result<FileGroup, String> {
    if group.is_null() {
        return Err(at(group, NIL));
    }
    let mut found = FileGroup::default();
    for (key, value) in map(group, "a group")? {
        match key.text.as_str() {
            "targets" => found.targets = list(value, "targets")?.iter().map(yaml_text).collect::<Result<_, _>>()?,
            "labels" => {
                for (name, value) in map(value, "labels")? {
                    let name = checked(name.text.clone()).map_err(|why| at(value, &why))?;
                    found.labels.push((name, yaml_text(value)?));
                }
            }
            other => {
                let line = key.pos.line;
                return Err(format!("line {line}: unknown field {other:?}; a group has targets and labels"));
            }
        }
    }
    Ok(found)
}

fn at(tree: &Tree, why: &str) -> String {
    format!("line {}: {why}", tree.pos.line)
}

fn yaml_text(tree: &Tree) -> Result<String, String> {
    match &*tree.kind {
        // Go's zero value: a null target is the empty address, and relabelling may still set it.
        Kind::Scalar { .. } if tree.is_null() => Ok(String::new()),
        Kind::Scalar { text, .. } => Ok(text.clone()),
        _ => Err(at(tree, &format!("{}, where a text belongs", tree.what()))),
    }
}

fn list<'a>(tree: &'a Tree, of: &str) -> Result<Cow<'a, [Tree]>, String> {
    match &*tree.kind {
        Kind::List(items) => Ok(Cow::Borrowed(items)),
        _ if tree.is_null() => Ok(Cow::Borrowed(&[])),
        _ => Err(at(tree, &format!("{}, where a list of {of} belongs", tree.what()))),
    }
}

fn map<'a>(tree: &'a Tree, of: &str) -> Result<&'a [(Key, Tree)], String> {
    match &*tree.kind {
        Kind::Map(pairs) => Ok(pairs),
        _ if tree.is_null() => Ok(&[]),
        _ => Err(at(tree, &format!("{}, where {of} belongs", tree.what()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets and labels of a group.
    type Expected<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

    #[track_caller]
    fn check(text: &[u8], is_json: bool, expected: Result<&[Expected<'_>], &str>) {
        let shown = String::from_utf8_lossy(text);
        match (target_groups(text, is_json), expected) {
            (Ok(groups), Ok(expected)) => {
                let owned = |(targets, labels): &Expected<'_>| FileGroup {
                    targets: targets.iter().map(ToString::to_string).collect(),
                    labels: labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
                };
                assert_eq!(groups, expected.iter().map(owned).collect::<Vec<_>>(), "{shown}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{shown}: {error}"),
            (got, expected) => panic!("{shown}: {got:?}, expected {expected:?}"),
        }
    }

    /// What `encoding/json` takes; the texts of errors are ours.
    #[test]
    fn json_as_go_reads_it() {
        for (text, expected) in [
            (r#"[{"targets":["a"],"labels":{"x":null}}]"#, Ok(&[(&["a"][..], &[("x", "")][..])][..])),
            (r#"[{"targets":["a",null]}]"#, Ok(&[(&["a", ""], &[])])),
            (r#"[{"Targets":["a"],"LABELS":{"x":"y"}}]"#, Ok(&[(&["a"], &[("x", "y")])])),
            (r#"[{"targets":["a"],"targets":["b"],"labels":{"x":"1","x":"2"}}]"#, Ok(&[(&["b"], &[("x", "2")])])),
            (r#"[{"targets":null,"labels":null}]"#, Ok(&[(&[], &[])])),
            ("[{}]", Ok(&[(&[], &[])])),
            ("null", Ok(&[])),
            ("[]", Ok(&[])),
            ("[null]", Err("group 0: nil target group item found")),
            (r#"[{"targets":["a"],"labels":{"":"y"}}]"#, Err("\"\" is not a valid label name")),
            (r#"[{"targets":["a"],"labels":{"x":1}}]"#, Err("the label \"x\" is a number, where a text belongs")),
            (r#"[{"targets":[1]}]"#, Err("a target is a number")),
            (r#"[{"targets":"a"}]"#, Err("targets: a text, where a list belongs")),
            (r#"[{"target":["a"]}]"#, Err("unknown field \"target\"")),
            (r#"{"targets":["a"]}"#, Err("an object, where a list of groups belongs")),
            (r#"[{"targets":["a"]}] x"#, Err("trailing characters")),
            ("", Err("EOF")),
        ] {
            check(text.as_bytes(), true, expected);
        }
        check(b"[{\"targets\":[\"a\xff\"]}]", true, Ok(&[(&["a\u{fffd}"], &[])]));
    }

    /// What `yaml.UnmarshalStrict` takes.
    #[test]
    fn yaml_as_go_reads_it() {
        for (text, expected) in [
            ("- targets: [a, ~, 1, true]\n", Ok(&[(&["a", "", "1", "true"][..], &[][..])][..])),
            (
                "- targets: [a]\n  labels: {x: , y: 1.10, z: no}\n",
                Ok(&[(&["a"], &[("x", ""), ("y", "1.10"), ("z", "no")])]),
            ),
            ("- targets: [a]\n---\n- targets: [b]\n", Ok(&[(&["a"], &[])])),
            ("- targets:\n  labels:\n", Ok(&[(&[], &[])])),
            ("", Ok(&[])),
            ("~", Ok(&[])),
            ("# nothing\n", Ok(&[])),
            ("-\n", Err("nil target group item found")),
            ("- targets: [a]\n  labels: {\"\": y}\n", Err("line 2: \"\" is not a valid label name")),
            ("- targets: [a]\n  labels: {x: 1, x: 2}\n", Err("line 2: field x already set")),
            ("- Targets: [a]\n", Err("line 1: unknown field \"Targets\"")),
            ("- targets: a\n", Err("line 1: a single value, where a list of targets belongs")),
            ("targets: [a]\n", Err("a mapping, where a list of groups belongs")),
            ("- targets: [[a]]\n", Err("line 1: a list, where a text belongs")),
        ] {
            check(text.as_bytes(), false, expected);
        }
        check(b"- targets: [a] # \xff\n", false, Err("invalid utf-8"));
    }

    #[test]
    fn no_depth_ends_the_process() {
        for (open, is_json) in [("[", true), ("{\"a\":", true), ("[", false), ("{a: ", false), ("- ", false)] {
            assert!(target_groups(open.repeat(100_000).as_bytes(), is_json).is_err(), "{open}");
        }
    }
}
