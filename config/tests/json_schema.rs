//! The schemas in `docs/schemas` are what the declarations of the sections say, and files that load pass them.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::{Path, PathBuf};

use config::{Config, RuleChecks, RuleFile, RuleOptions, SchemaOf, Yaml, json_schema};
use model::{NameValidation, Regex};
use serde_json::{Map, Value};

fn path(of: SchemaOf) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/schemas/{}.json", of.name()))
}

#[test]
fn the_schemas_are_current() {
    for of in SchemaOf::ALL {
        let (schema, path) = (json_schema(of), path(of));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &schema).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let difference = schema.lines().zip(found.lines()).find(|(expected, found)| expected != found);
        assert!(
            schema == found,
            "{} is not what the source says ({difference:?}); run UPDATE_EXPECT=1 cargo test -p config --test json_schema",
            path.display()
        );
    }
}

/// The keywords that the schemas use.
struct Schema(Value);

impl Schema {
    fn new(of: SchemaOf) -> Self {
        Self(serde_json::from_str(&json_schema(of)).unwrap())
    }

    /// What is wrong with a text.
    fn faults(&self, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.0, &json(&Yaml::parse(text, "test").unwrap()), "", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let schema = schema.as_object().unwrap();
        for (keyword, argument) in schema {
            let holds = match keyword.as_str() {
                "$schema" | "title" | "description" | "default" | "$defs" | "properties" => true,
                "$ref" => {
                    let pointer = argument.as_str().unwrap().trim_start_matches('#');
                    self.check(self.0.pointer(pointer).unwrap(), value, at, faults);
                    true
                }
                "type" => argument.as_array().unwrap().iter().any(|name| is_of(value, name.as_str().unwrap())),
                "enum" => argument.as_array().unwrap().contains(value),
                "pattern" => {
                    let regex = Regex::in_anchors(argument.as_str().unwrap()).unwrap();
                    value.as_str().is_none_or(|text| regex.is_match(text))
                }
                "minLength" => {
                    value.as_str().is_none_or(|text| text.chars().count() as u64 >= argument.as_u64().unwrap())
                }
                "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= argument.as_f64().unwrap()),
                "required" => value.as_object().is_none_or(|fields| {
                    argument.as_array().unwrap().iter().all(|name| fields.contains_key(name.as_str().unwrap()))
                }),
                "items" => {
                    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(argument, item, &format!("{at}[{i}]"), faults);
                    }
                    true
                }
                "additionalProperties" => {
                    self.check_properties(schema, value, at, faults);
                    true
                }
                other => panic!("{at}: no such keyword here: {other}"),
            };
            if !holds {
                faults.push(format!("{at}: {value} is not of {keyword} {argument}"));
            }
        }
    }

    fn check_properties(&self, schema: &Map<String, Value>, value: &Value, at: &str, faults: &mut Vec<String>) {
        for (name, field) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            let known = schema.get("properties").and_then(|properties| properties.get(name));
            match known.unwrap_or(&schema["additionalProperties"]) {
                Value::Bool(false) => faults.push(format!("{at}: unknown")),
                schema => self.check(schema, field, &at, faults),
            }
        }
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => kind == "number" || (kind == "integer" && !number.is_f64()),
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    }
}

/// A document as an editor reads it.
fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Text(text) => Value::from(text.as_str()),
        Yaml::Raw(text) => match text.as_str() {
            "" | "~" | "null" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            // JSON has neither, and editors take them for numbers.
            ".inf" | "-.inf" | ".nan" => Value::from(0.5),
            other => serde_json::from_str(other).unwrap_or_else(|_| Value::from(other)),
        },
        Yaml::List(items) => items.iter().map(json).collect(),
        Yaml::Flow(items) => items.iter().map(|text| Value::from(text.as_str())).collect(),
        Yaml::Map(pairs) => pairs.iter().map(|(key, item)| (key.to_string(), json(item))).collect(),
    }
}

#[test]
fn files_that_load_pass_and_unknown_fields_do_not() {
    let Some(folder) = kit::conformance("config/testdata") else { return };
    let schema = Schema::new(SchemaOf::Config);
    let (mut passed, mut failed, mut found) = (0, 0, Vec::new());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // What is not UTF-8 or not YAML is no matter of a schema.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if !name.ends_with(".yml") {
            continue;
        }
        match Config::parse(&text, &path, &|_| Some("x".to_owned())) {
            Ok(_) => {
                passed += 1;
                let faults = schema.faults(&text);
                if !faults.is_empty() {
                    found.push(format!("{name}: {faults:?}"));
                }
            }
            Err(error) if error.to_string().contains(" not found in ") => {
                failed += 1;
                if !schema.faults(&text).iter().any(|fault| fault.ends_with(": unknown")) {
                    found.push(format!("{name}: passes, and is refused: {error}"));
                }
            }
            Err(_) => {}
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(passed > 50 && failed > 2, "only {passed} and {failed} files were looked at");
}

#[test]
fn rule_files_that_load_pass() {
    let schema = Schema::new(SchemaOf::Rules);
    let text = "groups: [{name: a, interval: 1m, rules: [{alert: b, expr: up, for: 5m, labels: {severity: 1}}]}]";
    assert_eq!(schema.faults(text), [""; 0]);
    let Some(folder) = kit::conformance("rules") else { return };
    let options = RuleOptions { names: NameValidation::Utf8, ignore_unknown_fields: false, checks: &AllPass };
    let mut passed = 0;
    for path in
        ["fixtures", "promtool", "rulefmt"].iter().flat_map(|name| std::fs::read_dir(folder.join(name)).unwrap())
    {
        let path = path.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if RuleFile::parse(&text, &path, &options).is_ok() {
            passed += 1;
            assert_eq!(schema.faults(&text), [""; 0], "{}", path.display());
        }
    }
    assert!(passed > 10, "only {passed} files were looked at");
}

/// Expressions and templates are no matter of a schema.
#[derive(Debug)]
struct AllPass;

impl RuleChecks for AllPass {
    fn check_expr(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn check_template(&self, _: &str, _: &str) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn what_is_not_valid_is_found() {
    for (of, text, expected) in [
        (SchemaOf::Config, "glob: {}", ".glob: unknown"),
        (SchemaOf::Config, "global: {scrape_intervall: 5s}", ".global.scrape_intervall: unknown"),
        (SchemaOf::Config, "scrape_configs: [{}]", ".scrape_configs[0]: {} is not of required [\"job_name\"]"),
        (SchemaOf::Config, "global: {scrape_interval: 5}", ".global.scrape_interval: 5 is not of maximum 0"),
        (SchemaOf::Config, "global: {scrape_interval: 5x}", "pattern"),
        (SchemaOf::Config, "scrape_configs: [{job_name: a, basic_auth: {usr: b}}]", ".basic_auth.usr: unknown"),
        (SchemaOf::Config, "scrape_configs: [{job_name: a, honor_labels: x}]", "type"),
        (SchemaOf::Config, "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pods}]}]", "enum"),
        (SchemaOf::Config, "scrape_configs: [{job_name: a, body_size_limit: 5XB}]", "pattern"),
        (SchemaOf::ScrapeConfigs, "global: {}", ".global: unknown"),
        (SchemaOf::Rules, "groups: [{name: a, rules: [{recrd: b, expr: up}]}]", ".groups[0].rules[0].recrd: unknown"),
        (SchemaOf::RuleTests, "tests: [{interval: 1}]", "maximum"),
        (SchemaOf::Web, "tls_server_config: {cert_file: a, key_fil: b}", ".tls_server_config.key_fil: unknown"),
    ] {
        let faults = Schema::new(of).faults(text);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{text}: {faults:?}");
    }
}

/// An editor shows what the reference page says.
#[test]
fn fields_are_described() {
    let schema = Schema::new(SchemaOf::Config).0;
    let interval = &schema["$defs"]["global"]["properties"]["scrape_interval"];
    assert_eq!(interval["default"], "1m");
    assert!(interval["description"].as_str().unwrap().starts_with("The time from one scrape"), "{interval}");
    let limit = &schema["$defs"]["scrape_config"]["properties"]["series_limit"];
    assert!(limit["description"].as_str().unwrap().contains("Weft's own"), "{limit}");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
