//! What PrometheusRule objects are checked and rewritten with.

use std::sync::Arc;

use config::RuleChecks;
use model::Matcher;
use operator::RuleLanguage;
use query::{Bounds, Engine, EngineOptions, QueryOptions};
use rules::LoadChecks;

/// PromQL, with the features that are on.
#[derive(Debug)]
pub(crate) struct Promql(Engine);

impl Promql {
    pub(crate) fn new(engine: &Engine) -> Self {
        // With memory of its own: whether an object is valid must not depend on what queries hold.
        Self(Engine::new(EngineOptions { memory: Arc::default(), ..engine.options().clone() }))
    }
}

impl RuleChecks for Promql {
    fn check_expr(&self, expr: &str) -> Result<(), String> {
        // Planned too: what the rule engine cannot plan would keep all other objects from coming into force.
        self.0.prepare(expr, &QueryOptions::default()).map(drop).map_err(|error| error.to_string())
    }

    fn check_template(&self, name: &str, text: &str) -> Result<(), String> {
        LoadChecks::new(&self.0).check_template(name, text)
    }
}

impl RuleLanguage for Promql {
    fn enforce(&self, expr: &str, label: &str, value: &str) -> Result<String, String> {
        let matcher = Matcher::equal(label, value);
        self.0.enforced(expr, &matcher, &Bounds::default()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use config::{RuleFile, RuleOptions};
    use model::NameValidation;
    use operator::objects::{Kind, Object, Prometheus, PrometheusRule};
    use operator::{Assets, Generator, Namespaces, select};
    use serde_json::{Value, json};

    use super::*;

    fn promql() -> Promql {
        Promql::new(&Engine::default())
    }

    fn groups(prometheus: &Prometheus, rule: &PrometheusRule) -> Result<RuleFile, String> {
        let assets = Assets::default();
        let generator = Generator::new(prometheus, &assets, operator::Options::default());
        generator.prometheus_rule(rule, NameValidation::Utf8, &promql())
    }

    fn file(text: &str, name: &str) -> RuleFile {
        let checks = promql();
        let options = RuleOptions { names: NameValidation::Utf8, ignore_unknown_fields: false, checks: &checks };
        RuleFile::parse(text, Path::new(name), &options).unwrap_or_else(|errors| panic!("{name}: {errors:?}"))
    }

    fn documents(path: &Path) -> Vec<Value> {
        serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn expressions_are_checked_and_rewritten() {
        let promql = promql();
        assert_eq!(promql.check_expr("up =="), Err("1:6: parse error: unexpected end of input".to_owned()));
        assert!(promql.check_template("t", "{{ x").is_err());
        for (expr, enforced) in [
            ("up", r#"up{ns="a"}"#),
            (r#"{__name__="up"}"#, r#"{__name__="up",ns="a"}"#),
            (r#"rate(x{ns=~"b|c",ns!="d",job="e"}[5m] offset 1m)"#, r#"rate(x{job="e",ns="a"}[5m] offset 1m)"#),
            // Upstream lets the parameter of an aggregation see other namespaces.
            (
                "topk(scalar(n), sum(max_over_time(y[1h:1m])))",
                r#"topk(scalar(n{ns="a"}), sum(max_over_time(y{ns="a"}[1h:1m])))"#,
            ),
            ("-x and on (job) y", r#"-x{ns="a"} and on (job) y{ns="a"}"#),
        ] {
            assert_eq!(promql.enforce(expr, "ns", "a").as_deref(), Ok(enforced));
        }
        assert!(promql.enforce("up ==", "ns", "a").is_err());
    }

    #[test]
    fn namespaces_are_enforced_as_upstream_does() {
        let Some(root) = kit::conformance("operator/enforcement") else { return };
        let mut n = 0;
        for entry in std::fs::read_dir(root).unwrap().flatten() {
            let case = documents(&entry.path()).remove(0);
            if case["kind"] != "rule" {
                continue;
            }
            n += 1;
            let rule = |field: &str| {
                let mut object = case[field].clone();
                // Upstream's tests have no names of groups, which are refused.
                object["spec"]["groups"][0]["name"] = json!("g");
                PrometheusRule::from_json(object).unwrap()
            };
            let fields =
                ["enforcedNamespaceLabel", "excludedFromEnforcement"].map(|name| (name.to_owned(), case[name].clone()));
            let spec: serde_json::Map<String, Value> = fields.into_iter().collect();
            let enforcing = Prometheus::from_json(json!({"spec": spec})).unwrap();
            let expected = groups(&Prometheus::default(), &rule("expected")).unwrap();
            assert_eq!(groups(&enforcing, &rule("input")).unwrap(), expected, "{}", entry.path().display());
        }
        assert_eq!(n, 6, "cases went missing");
    }

    /// What upstream says of a rule, without its place in the file that it would write.
    fn without_place(error: &str) -> &str {
        error.find("group").map_or(error, |at| &error[at..])
    }

    #[test]
    fn the_same_rules_are_selected_valid_and_written() {
        let Some(root) = kit::conformance("operator/cases") else { return };
        let (mut n_objects, mut n_files) = (0, 0);
        for entry in std::fs::read_dir(root).unwrap().flatten() {
            let [input, status, written] =
                ["input.yaml", "expected_status.yaml", "expected_rules.yaml"].map(|name| entry.path().join(name));
            if !status.exists() {
                continue;
            }
            let input = documents(&input);
            let of_kind = |kind: &'static str| input.iter().filter(move |one| one["kind"] == kind);
            let prometheus = Prometheus::from_json(of_kind("Prometheus").next().unwrap().clone()).unwrap();
            let namespaces: Namespaces = of_kind("Namespace")
                .map(|one| Object::<Value>::from_json(one.clone()).unwrap().metadata)
                .map(|meta| (meta.name, meta.labels))
                .collect();
            let expected = documents(&status).remove(0);
            let mut files = Vec::new();
            for object in of_kind("PrometheusRule") {
                n_objects += 1;
                let rule = PrometheusRule::from_json(object.clone()).unwrap();
                let name = format!("{}/{}", rule.metadata.namespace, rule.metadata.name);
                let is_it = |one: &&Value| one["resource"] == json!(name) && one["kind"] == "PrometheusRule";
                let expected = expected["resources"].as_array().unwrap().iter().find(is_it).unwrap();
                let own = &prometheus.metadata.namespace;
                let selected = select((&prometheus.spec, own), Kind::PrometheusRule, &rule.metadata, &namespaces);
                let is_dropped = expected.get("silently_dropped").is_some();
                assert_eq!(selected.is_ok(), expected["selected"] == true || is_dropped, "{name}");
                if selected.is_err() {
                    continue;
                }
                let made = groups(&prometheus, &rule);
                assert_eq!(made.is_ok(), expected["accepted"] == true, "{name}: {made:?}");
                match made {
                    Ok(made) => files.push(made),
                    Err(why) => expected["validation_errors"].as_array().into_iter().flatten().for_each(|error| {
                        assert!(
                            why.contains(without_place(error.as_str().unwrap())),
                            "{name}: {why}, upstream {error}"
                        );
                    }),
                }
            }
            let written = if written.exists() { documents(&written).remove(0) } else { json!({}) };
            let texts = written.as_object().unwrap();
            assert_eq!(files.len(), texts.len(), "{}", entry.path().display());
            for made in files {
                let name = made.file.display().to_string();
                // Upstream leaves empty durations in, and Prometheus does not load them.
                let text = texts[&name].as_str().unwrap().replace("interval: \"\"", "").replace("for: \"\"", "");
                assert_eq!(made, file(&text, &name));
                n_files += 1;
            }
        }
        assert_eq!((n_objects, n_files), (14, 7), "cases went missing");
    }
}
