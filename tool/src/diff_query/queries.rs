//! The queries of a file: a line each, the panels of a dashboard, or rules.

use std::path::Path;

use ::rules::LoadChecks;
use config::{RuleFile, RuleOptions};
use model::NameValidation;
use query::{Engine, EngineOptions};

use super::manifest::Part;
use super::query::Query;
use super::variables::Variables;
use super::{dashboard, manifest};
use crate::features;
use crate::flags::Flags;
use crate::outcome::Stop;

/// Reads a file: JSON is a dashboard, YAML are rules or objects of Kubernetes that hold such, and all else a query a line, with comments behind `#`.
pub(super) fn queries(file: &str, flags: &Flags<'_>, variables: &Variables) -> Result<Vec<Query>, Stop> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let has_ending = |ending: &str| Path::new(file).extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
    let found = if has_ending("json") {
        dashboard(file, &text, variables)?
    } else if has_ending("yml") || has_ending("yaml") {
        match manifest::parts(&text, file) {
            parts if parts.is_empty() => rules(file, &text, flags, variables)?,
            parts => of_objects(file, &parts, flags, variables)?,
        }
    } else {
        lines(file, &text, variables)
    };
    if found.is_empty() {
        return Err(format!(
            "{file} has no queries: .json is read as a Grafana dashboard, .yml as rules, all else by lines"
        )
        .into());
    }
    Ok(found)
}

fn of_objects(file: &str, parts: &[Part], flags: &Flags<'_>, variables: &Variables) -> Result<Vec<Query>, Stop> {
    let mut found = Vec::new();
    for part in parts {
        found.extend(match part {
            Part::Rules(text) => rules(file, text, flags, variables)?,
            Part::Dashboard { name, json } => dashboard(&format!("{file}: {name}"), json, variables)?,
        });
    }
    Ok(found)
}

fn dashboard(file: &str, text: &str, variables: &Variables) -> Result<Vec<Query>, Stop> {
    let json = serde_json::from_str(text).map_err(|error| format!("cannot read {file}: it is no JSON: {error}"))?;
    Ok(dashboard::queries(file, &json, variables))
}

fn lines(file: &str, text: &str, variables: &Variables) -> Vec<Query> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| Query::new(format!("{file}:{number}"), line, Ok(variables.fill(line)))).collect()
}

fn rules(file: &str, text: &str, flags: &Flags<'_>, variables: &Variables) -> Result<Vec<Query>, Stop> {
    let engine = Engine::new(EngineOptions::default().with_features(features::known(flags)?));
    let checks = LoadChecks::new(&engine);
    let options = RuleOptions { names: NameValidation::Utf8, ignore_unknown_fields: true, checks: &checks };
    let rules = RuleFile::parse(text, Path::new(file), &options).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(|error| model::with_causes(error)).collect();
        Stop::Failed(errors.join("\n"))
    })?;
    let of_group = |group: &config::RuleGroup| {
        let query = |rule: &config::Rule| {
            let place = format!("{file}: {} {}", group.name, rule.name());
            Query::new(place, &rule.expr, Ok(variables.fill(&rule.expr)))
        };
        group.rules.iter().map(query).collect::<Vec<_>>()
    };
    Ok(rules.groups.iter().flat_map(of_group).collect())
}
