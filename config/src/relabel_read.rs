//! `relabel_configs` and its like: read and shown.

use std::str::FromStr as _;

use model::{NameValidation, RelabelAction, RelabelRule, RelabelSpec};

use crate::Error;
use crate::decode::{Fields, scalar};
use crate::yaml::Yaml;

/// The rules of a list; `empty` is what is said of an item that holds nothing.
pub(crate) fn rules(
    fields: &mut Fields<'_>,
    name: &'static str,
    names: NameValidation,
    empty: &str,
) -> Result<Vec<RelabelRule>, Error> {
    let source = fields.source;
    let mut rules = Vec::new();
    for (item, path) in fields.items(name)? {
        if item.is_null() {
            return Err(source.error(item.pos, path, empty));
        }
        rules.push(rule(Fields::new(source, Some(item), path)?, names)?);
    }
    Ok(rules)
}

fn rule(mut fields: Fields<'_>, names: NameValidation) -> Result<RelabelRule, Error> {
    let defaults = RelabelSpec::default();
    let regex = match fields.raw("regex") {
        Some(node) => Some(scalar(fields.source, node, &fields.at("regex"))?.to_owned()),
        None => None,
    };
    let action = match fields.raw("action") {
        None => defaults.action,
        Some(node) => match scalar(fields.source, node, &fields.at("action"))? {
            "" => return Err(fields.refuse("action", "relabel action cannot be empty")),
            text => RelabelAction::from_str(text).map_err(|error| {
                let known: Vec<&str> = RelabelAction::ALL.iter().map(|action| action.as_str()).collect();
                fields.refuse("action", format!("{error}; it is one of {}", known.join(", ")))
            })?,
        },
    };
    // What is left empty is no name that could be wrong; what is written as one is.
    let named: Vec<bool> = fields.items("source_labels")?.iter().map(|(item, _)| !item.is_null()).collect();
    let spec = RelabelSpec {
        source_labels: fields.texts("source_labels")?,
        separator: fields.text("separator")?.unwrap_or(defaults.separator),
        regex,
        modulus: fields.count("modulus")?.unwrap_or_default(),
        target_label: fields.text("target_label")?.unwrap_or_default(),
        replacement: fields.text("replacement")?.unwrap_or(defaults.replacement),
        action,
    };
    let is_bad = |(name, named): &(&String, bool)| *named && !names.is_label_name(name);
    if let Some((bad, _)) = spec.source_labels.iter().zip(named).find(is_bad) {
        return Err(fields.refuse("source_labels", format!("{bad:?} is not a valid label name")));
    }
    fields.finish()?;
    if let Some(regex) = &spec.regex {
        model::Regex::in_anchors(regex).map_err(|error| fields.refuse("regex", error.to_string()))?;
    }
    RelabelRule::new(spec, names).map_err(|error| fields.refuse_all(error.to_string()))
}

/// The rules as they are printed.
pub(crate) fn show(rules: &[RelabelRule]) -> Yaml {
    let one = |rule: &RelabelRule| {
        let spec = rule.spec();
        let mut map = Vec::new();
        if !spec.source_labels.is_empty() {
            map.push(("source_labels".to_owned(), Yaml::Flow(spec.source_labels.clone())));
        }
        map.push(("separator".to_owned(), Yaml::text(&spec.separator)));
        if let Some(regex) = &spec.regex {
            map.push(("regex".to_owned(), Yaml::text(regex)));
        }
        if spec.modulus != 0 {
            map.push(("modulus".to_owned(), Yaml::raw(spec.modulus)));
        }
        if !spec.target_label.is_empty() {
            map.push(("target_label".to_owned(), Yaml::text(&spec.target_label)));
        }
        map.push(("replacement".to_owned(), Yaml::text(&spec.replacement)));
        map.push(("action".to_owned(), Yaml::text(spec.action.as_str())));
        Yaml::Map(map)
    };
    Yaml::List(rules.iter().map(one).collect())
}
