//! The rule files of both servers: kube-prometheus' and our own, with intervals of seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kit::{Http, conformance};
use serde_json::{Value, json};

use crate::series::{Selector, selectors};

const OWN: &str = include_str!("own.yml");
pub const INTERVAL_MS: i64 = 2_000;
/// How long after its time a sample is there for sure, milliseconds: the least query offset, and by how much one is longer than
/// that of a group that is read.
pub const SETTLED_MS: i64 = 2_000;
const STORED_MS: i64 = INTERVAL_MS + 1_000;
/// What reads all alerts reads those that read all alerts: a circle, which is cut here.
const LEVEL_MAX: i64 = 2;
/// The longest query offset.
pub const OFFSET_MAX_MS: i64 = SETTLED_MS + LEVEL_MAX * STORED_MS;

/// A group as it is in a file, and what it reads.
pub struct Group {
    pub file: String,
    pub spec: Value,
    pub reads: BTreeSet<Selector>,
    /// So many groups of others must have been evaluated before it.
    level: i64,
}

impl Group {
    pub fn name(&self) -> &str {
        self.spec["name"].as_str().unwrap()
    }

    pub fn rules(&self) -> impl Iterator<Item = &Value> {
        self.spec["rules"].as_array().into_iter().flatten()
    }

    /// Does a selector find what this group writes?
    pub fn is_read_by(&self, selector: &Selector) -> bool {
        if !selector.name.starts_with("ALERTS") {
            return self.rules().any(|rule| rule["record"] == *selector.name);
        }
        let names =
            selector.matchers.iter().find(|(label, operator, _)| label == "alertname" && operator.starts_with('='));
        let reads = |alert: &str| names.is_none_or(|(_, _, names)| names.split('|').any(|name| name == alert));
        self.rules().filter_map(|rule| rule["alert"].as_str()).any(reads)
    }
}

/// The groups of all files, rewritten so that within some seconds something happens; `parser` parses expressions. `None`
/// without kube-prometheus' manifests.
pub fn groups(parser: &Http) -> Option<Vec<Group>> {
    let mut groups = Vec::new();
    let mut add = |file: &str, specs: &Value| {
        for spec in specs.as_array().unwrap() {
            let (mut spec, mut reads) = (spec.clone(), BTreeSet::new());
            spec["interval"] = "2s".into();
            for rule in spec["rules"].as_array_mut().unwrap() {
                if rule["for"].is_string() {
                    rule["for"] = "4s".into();
                }
                selectors(&parsed(parser, &rule["expr"]), &mut reads);
            }
            groups.push(Group { file: file.to_owned(), spec, reads, level: 0 });
        }
    };
    let own: Value = serde_saphyr::from_str(OWN).unwrap();
    add("own.yml", &own["groups"]);
    let mut manifests: Vec<_> = fs::read_dir(conformance("kube-prometheus")?).unwrap().flatten().collect();
    manifests.sort_by_key(fs::DirEntry::path);
    for manifest in manifests {
        let name = manifest.file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix("-prometheusRule.yaml") {
            let object: Value = serde_saphyr::from_str(&fs::read_to_string(manifest.path()).unwrap()).unwrap();
            add(&format!("{name}.yml"), &object["spec"]["groups"]);
        }
    }
    set_offsets(&mut groups);
    Some(groups)
}

fn parsed(parser: &Http, expr: &Value) -> Value {
    let text = expr.as_str().map_or_else(|| expr.to_string(), str::to_owned);
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", &text).finish();
    parser.api(&format!("parse_query?{query}")).unwrap()
}

/// A group looks back so far that all it reads has been stored, whoever is slow: what other groups write among it.
fn set_offsets(groups: &mut [Group]) {
    for _ in 0..LEVEL_MAX {
        let levels: Vec<i64> = groups
            .iter()
            .map(|group| {
                let others = groups.iter().filter(|other| other.name() != group.name());
                let read = others.filter(|other| group.reads.iter().any(|selector| other.is_read_by(selector)));
                read.map(|other| other.level + 1).max().unwrap_or(0).min(LEVEL_MAX)
            })
            .collect();
        groups.iter_mut().zip(levels).for_each(|(group, level)| group.level = level);
    }
    // The others have that of the configuration.
    for group in groups.iter_mut().filter(|group| group.level > 0) {
        let offset = SETTLED_MS + group.level * STORED_MS;
        group.spec["query_offset"] = format!("{offset}ms").into();
    }
}

/// Writes the files.
pub fn write(groups: &[Group], folder: &Path) {
    let mut files: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for group in groups {
        files.entry(&group.file).or_default().push(&group.spec);
    }
    for (file, groups) in files {
        fs::write(folder.join(file), json!({ "groups": groups }).to_string()).unwrap();
    }
}
