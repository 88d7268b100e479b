//! Relabelling against what upstream's tests and recordings say. Cases written as YAML are run by the `config` crate.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::str::FromStr;

use kit::conformance_json;
use model::{
    Labels, LabelsBuilder, NameValidation, RelabelAction, RelabelError, RelabelRule, RelabelSpec, Relabeled, relabel,
};
use serde_json::Value;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn names(case: &Value) -> NameValidation {
    match case["name_validation_scheme"].as_str().unwrap() {
        "utf8" => NameValidation::Utf8,
        "legacy" => NameValidation::Legacy,
        other => panic!("unknown scheme {other}"),
    }
}

/// A rule as the data spell it: absent fields are what `base` says.
fn spec(fields: &Value, base: RelabelSpec) -> Result<RelabelSpec, RelabelError> {
    let mut spec = base;
    for (field, value) in fields.as_object().unwrap() {
        match field.as_str() {
            "source_labels" => spec.source_labels = value.as_array().unwrap().iter().map(text).collect(),
            "separator" => spec.separator = text(value),
            "regex" => spec.regex = Some(text(value)),
            "modulus" => spec.modulus = value.as_u64().unwrap(),
            "target_label" => spec.target_label = text(value),
            "replacement" => spec.replacement = text(value),
            "action" => spec.action = RelabelAction::from_str(value.as_str().unwrap())?,
            other => panic!("unknown field {other}"),
        }
    }
    Ok(spec)
}

fn labels(map: &Value) -> Labels {
    Labels::from_pairs(map.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), text(value))))
}

#[test]
fn upstream_cases() {
    let Some(cases) = conformance_json("relabel/cases.json") else { return };
    let mut n_run = 0;
    for case in cases.as_array().unwrap() {
        let Some(rules) = case["configs"].as_array() else { continue };
        let id = &case["id"];
        let rule = |fields| RelabelRule::new(spec(fields, RelabelSpec::default()).unwrap(), names(case)).unwrap();
        let rules: Vec<RelabelRule> = rules.iter().map(rule).collect();
        let mut builder = LabelsBuilder::new(&labels(&case["input"]));
        let kept = relabel(&mut builder, &rules).is_kept();
        assert_eq!(kept, case.get("drop").is_none(), "{id}");
        if kept {
            assert_eq!(builder.labels(), labels(&case["output"]), "{id}");
        }
        n_run += 1;
    }
    assert_eq!(n_run, 34);
}

#[test]
fn upstream_validation() {
    let Some(data) = conformance_json("relabel/validation.json") else { return };
    for case in data["validate"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        // A rule without any action: a type cannot say it, the parser of the name refuses it.
        if id == "validate-001" {
            assert!(RelabelAction::from_str("").is_err());
            continue;
        }
        let fields = spec(&case["config_fields_exact"], RelabelSpec::default()).unwrap();
        let error = RelabelRule::new(fields, names(case)).err().map(|e| e.to_string());
        match (&error, case["error_contains"].as_str()) {
            (None, None) => {}
            (Some(error), Some(part)) if error.contains(part) => {}
            other => panic!("{id}: {other:?}"),
        }
    }
}

#[test]
fn legacy_target_labels() {
    let Some(data) = conformance_json("relabel/validation.json") else { return };
    for case in data["legacy_target_label_pattern"]["cases"].as_array().unwrap() {
        let target_label = text(&case["target_label"]);
        // Without a dollar sign the plain rule for names holds, which agrees.
        let spec = RelabelSpec { target_label: target_label.clone(), ..RelabelSpec::default() };
        let valid = RelabelRule::new(spec, NameValidation::Legacy).is_ok();
        assert_eq!(Some(valid), case["valid"].as_bool(), "{target_label}");
    }
}

#[test]
fn a_dropped_set_stays_as_the_rule_found_it() {
    let set = RelabelSpec { target_label: "b".into(), replacement: "1".into(), ..RelabelSpec::default() };
    let drop = RelabelSpec { action: RelabelAction::Drop, ..RelabelSpec::default() };
    let rules = [set, drop].map(|spec| RelabelRule::new(spec, NameValidation::Utf8).unwrap());
    let mut builder = LabelsBuilder::default();
    assert_eq!(relabel(&mut builder, &rules), Relabeled::DroppedBy(1));
    assert_eq!(builder.labels(), Labels::from_pairs([("b", "1")]));
}
