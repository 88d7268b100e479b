//! JSON schemas of the files for editors, made from the declarations of the sections as the reference page is.

use serde_json::{Map, Value, json};

use crate::file::{Config, IncludedFile};
use crate::rules::{RuleFile, UnitTestFile};
use crate::schema::{FieldDoc, Section as _, SectionDoc, Shape};
use crate::web::WebConfig;
use crate::yaml::Yaml;

/// A kind of file that there is a schema of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// `prometheus.yml`
    Config,
    /// A file that `scrape_config_files` names.
    ScrapeConfigs,
    /// A file that `rule_files` names.
    Rules,
    /// A file of unit tests for rules.
    RuleTests,
    /// The file of `--web.config.file`.
    Web,
}

impl SchemaOf {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Config, Self::ScrapeConfigs, Self::Rules, Self::RuleTests, Self::Web];

    /// The word that `promtool schema` knows it by, and its schema in `docs/schemas`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::ScrapeConfigs => "scrape-configs",
            Self::Rules => "rules",
            Self::RuleTests => "rule-tests",
            Self::Web => "web",
        }
    }

    /// What the file is, and its sections.
    fn described(self) -> (&'static str, SectionDoc) {
        match self {
            Self::Config => ("prometheus.yml", Config::describe()),
            Self::ScrapeConfigs => ("A file of scrape_config_files", IncludedFile::describe()),
            Self::Rules => ("A rule file", RuleFile::describe()),
            Self::RuleTests => ("Unit tests of rules", UnitTestFile::describe()),
            Self::Web => ("The file of --web.config.file", WebConfig::describe()),
        }
    }
}

/// `1h30m`, and 0 as the only one without a unit.
const DURATION: &str = "(([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?|0)";
/// `10MB`, `1GiB512MiB`; the least of sizes is 0, which needs no unit.
const SIZE: &str = "(([0-9.]+([KMGTPE]i?)?B)+|0)";

/// The schema of a kind of file, in JSON Schema's draft 2020-12, as text that ends with a line break.
#[must_use]
pub fn json_schema(of: SchemaOf) -> String {
    let (title, root) = of.described();
    let mut sections = Sections::default();
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(title));
    // The root in place, since some editors do not follow a reference there.
    schema.extend(sections.section(&root));
    schema.insert("$defs".to_owned(), Value::Object(sections.all()));
    // A value without text has none that could fail.
    let text = serde_json::to_string_pretty(&Value::Object(schema)).unwrap_or_default();
    text + "\n"
}

/// The sections that were mentioned, each once.
#[derive(Default)]
struct Sections {
    done: Map<String, Value>,
    waiting: Vec<SectionDoc>,
}

impl Sections {
    /// Describes those that were mentioned, and those that they mention; by name.
    fn all(mut self) -> Map<String, Value> {
        while let Some(doc) = self.waiting.pop() {
            if !self.done.contains_key(doc.title) {
                let section = self.section(&doc);
                self.done.insert(doc.title.to_owned(), Value::Object(section));
            }
        }
        self.done.sort_keys();
        self.done
    }

    fn section(&mut self, doc: &SectionDoc) -> Map<String, Value> {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        self.add_fields(&doc.fields, &mut properties, &mut required);
        let mut section = Map::new();
        section.insert("description".to_owned(), json!(joined(&doc.doc)));
        // Go decodes null as a section that sets nothing.
        section.insert("type".to_owned(), json!(["object", "null"]));
        section.insert("properties".to_owned(), Value::Object(properties));
        if !required.is_empty() {
            section.insert("required".to_owned(), json!(required));
        }
        section.insert("additionalProperties".to_owned(), json!(false));
        section
    }

    fn add_fields(
        &mut self,
        fields: &[FieldDoc],
        properties: &mut Map<String, Value>,
        required: &mut Vec<&'static str>,
    ) {
        for field in fields {
            match &field.shape {
                Shape::Hidden => {}
                Shape::Inline(inner) => self.add_fields(&inner.fields, properties, required),
                Shape::Kinds(kinds) => self.add_fields(kinds, properties, required),
                Shape::TextOrFile => {
                    properties.insert(field.name.to_owned(), self.field(field, &Shape::Scalar("secret")));
                    let of_file = self.field(field, &Shape::Scalar("path"));
                    properties.insert(format!("{}_file", field.name), of_file);
                }
                shape => {
                    properties.insert(field.name.to_owned(), self.field(field, shape));
                    required.extend(field.flags.required.map(|_| field.name));
                }
            }
        }
    }

    /// A field: what is said of it, and its type.
    fn field(&mut self, field: &FieldDoc, shape: &Shape) -> Value {
        let mut schema = Map::new();
        schema.insert("description".to_owned(), json!(description(field)));
        if let Value::Object(of_type) = self.shape(shape) {
            schema.extend(of_type);
        }
        // What is inherited is not the value that the tables have.
        if let (Some(default), None) = (&field.default, field.inherited) {
            schema.insert("default".to_owned(), value(default));
        }
        Value::Object(schema)
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Scalar(name) => scalar(name),
            Shape::TextOrFile => scalar("secret"),
            // Null sets nothing.
            Shape::Words(words) => {
                let words = words.iter().map(|word| json!(word)).chain([Value::Null]);
                json!({ "enum": words.collect::<Vec<_>>() })
            }
            Shape::List(of) => json!({ "type": ["array", "null"], "items": self.shape(of) }),
            Shape::Map(of) => json!({ "type": ["object", "null"], "additionalProperties": self.shape(of) }),
            Shape::Section(doc) | Shape::Inline(doc) => {
                self.waiting.push(doc.clone());
                json!({ "$ref": format!("#/$defs/{}", doc.title) })
            }
            Shape::Kinds(_) | Shape::Hidden => json!({}),
        }
    }
}

/// The type of a single value. Null is the zero value of each, and every scalar is a string where a string is wanted, as in Go.
fn scalar(name: &str) -> Value {
    match name {
        "boolean" => json!({ "type": ["boolean", "null"] }),
        "integer" => json!({ "type": ["integer", "null"] }),
        "number" => json!({ "type": ["number", "null"] }),
        "duration" => with_zero(DURATION),
        "size" => with_zero(SIZE),
        "any" => json!({}),
        // Paths, URLs, secrets, names and expressions: RE2 is not what editors know as a regular expression.
        _ => json!({ "type": ["string", "number", "boolean", "null"] }),
    }
}

/// A string with a unit, or 0.
fn with_zero(pattern: &str) -> Value {
    // A pattern says nothing of a number, which an unquoted 0 is.
    json!({ "type": ["string", "integer", "null"], "pattern": format!("^{pattern}$"), "minLength": 1, "minimum": 0, "maximum": 0 })
}

/// The lines of documentation comments as one text, with what the reference page has in columns of its own.
fn description(field: &FieldDoc) -> String {
    let mut text = joined(field.doc);
    if let Some(from) = field.inherited.filter(|from| !from.is_empty()) {
        text.push_str(&format!(" Default: {from}."));
    }
    if field.flags.ours {
        text.push_str(" Weft's own; Prometheus does not know it.");
    }
    if let Some(warning) = field.flags.unserved {
        text.push_str(&format!(" Not served: {warning}."));
    }
    text
}

fn joined(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A default as JSON.
fn value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Text(text) => json!(text),
        // A number or a boolean; `.inf` is no JSON and stays text.
        Yaml::Raw(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Yaml::List(items) => items.iter().map(value).collect(),
        Yaml::Flow(items) => json!(items),
        Yaml::Map(pairs) => pairs.iter().map(|(key, item)| (key.to_string(), value(item))).collect(),
    }
}
