//! PrometheusRules: which groups run, what is said of the others, and what does not change.

use std::sync::Arc;

use config::RuleFile;
use kit::eventually;
use operator::Outcome;
use serde_json::{Value, json};

use crate::world::{EVENTS, NAMESPACES, PROMETHEUS_RULES, PROMETHEUSES, World, labelled, main_object, namespace};
use crate::world::{object, web};

fn rules(namespace: &str, name: &str, expr: &str) -> Value {
    let rule = json!({"record": "a:b", "expr": expr, "labels": {"name": "x", "key": "y"}});
    object(namespace, name, json!({"groups": [{"name": "g", "partial_response_strategy": "warn", "rules": [rule]}]}))
}

/// The files and expressions of all groups that run.
fn running(outcome: &Outcome) -> String {
    let of_file = |file: &RuleFile| {
        let exprs = file.groups.iter().flat_map(|group| &group.rules).map(|rule| {
            let labels: Vec<_> = rule.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}", rule.expr, labels.join(","))
        });
        format!("{}: {}", file.file.display(), exprs.collect::<Vec<_>>().join("; "))
    };
    outcome.rules.iter().map(|one| of_file(&one.groups)).collect::<Vec<_>>().join("\n")
}

impl World {
    #[track_caller]
    fn evaluates(&self, expected: &[&str]) -> Arc<Outcome> {
        self.until("the groups", running, &expected.join("\n"))
    }
}

const ONE: &str = "a-one-one.yaml: up key=y,name=x";
const TWO: &str = "b-two-two.yaml: down key=y,name=x";

#[test]
fn a_broken_object_is_set_aside_and_its_last_valid_version_goes_on() {
    let world =
        World::new(&[(PROMETHEUS_RULES, rules("a", "one", "up")), (PROMETHEUS_RULES, rules("b", "two", "down"))]);
    world.api.serve(EVENTS);
    let before = world.evaluates(&[ONE, TWO]);
    assert!(before.objects.iter().all(|one| one.jobs.is_empty()) && before.jobs.is_empty() && before.sees_all());
    // Labels that look like references to a Secret are none.
    assert!(world.api.queries("/api/v1/namespaces/a/secrets").is_empty());
    world.fence();
    let n_calls = world.n_calls();
    let broken = json!({"groups": [{"name": "g", "limits": 1, "rules": [{"record": "a:b", "expr": "bad"}]}]});
    world.put(PROMETHEUS_RULES, &object("a", "one", broken.clone()));
    let why = "group \"g\", rule 1, \"a:b\": could not parse expression: no language; groups[0].limits: field limits not found in \
               groups[0]; did you mean limit?";
    world.says("PrometheusRule a/one", &format!("not valid, its last valid version goes on: {why}"));
    world.put(PROMETHEUS_RULES, &object("c", "three", broken));
    world.says("PrometheusRule c/three", &format!("not valid: {why}"));
    world.fence();
    let outcome = world.evaluates(&[ONE, TWO]);
    assert!(before.rules.iter().zip(&outcome.rules).all(|(a, b)| Arc::ptr_eq(&a.groups, &b.groups)));
    assert_eq!(world.n_calls(), n_calls, "the configuration is the same");
    eventually("Events", || {
        let events = world.api.objects(EVENTS);
        let is_of_rules = |event: &&Value| event["action"] == "SelectingPrometheusRuleResources";
        let kinds: Vec<_> = events.iter().filter(is_of_rules).map(|event| &event["regarding"]["kind"]).collect();
        if kinds == ["PrometheusRule"; 2] { Ok(()) } else { Err(format!("{events:?}")) }
    });
    // One that is valid again runs; the others stay the same by address.
    world.put(PROMETHEUS_RULES, &rules("a", "one", "sum(up)"));
    let outcome = world.evaluates(&[&ONE.replace("up", "sum(up)"), TWO]);
    assert!(Arc::ptr_eq(&before.rules[1].groups, &outcome.rules[1].groups));
    world.fence();
    assert_eq!(world.n_calls(), n_calls + 1);
    world.api.remove(PROMETHEUS_RULES, "a", "one");
    world.evaluates(&[TWO]);
}

#[test]
fn a_prometheus_object_selects_them_and_sets_what_is_a_flag_elsewhere() {
    let objects = |fields: Value| {
        let labels = |value: Value, team: &str| labelled(value, json!({"team": team}));
        vec![
            (PROMETHEUSES, main_object(fields)),
            (NAMESPACES, namespace("a", json!({"kind": "apps"}))),
            (NAMESPACES, namespace("monitoring", json!({}))),
            (PROMETHEUS_RULES, labels(rules("a", "one", "up"), "x")),
            (PROMETHEUS_RULES, labels(rules("monitoring", "own", "up"), "x")),
            (PROMETHEUS_RULES, labels(rules("monitoring", "two", "up"), "y")),
        ]
    };
    let none = World::of_prometheus(&objects(json!({"ruleNamespaceSelector": {}})));
    let why = "not selected: spec.ruleSelector is not set, which selects nothing; {} selects all objects of the kind";
    none.says("PrometheusRule a/one", why);
    none.evaluates(&[]);
    let selector = json!({"matchLabels": {"team": "x"}});
    let own = World::of_prometheus(&objects(json!({"ruleSelector": selector})));
    own.evaluates(&["monitoring-own-own.yaml: up key=y,name=x"]);
    let fields = json!({
        "ruleSelector": selector, "ruleNamespaceSelector": {"matchLabels": {"kind": "apps"}},
        "evaluationInterval": "7s", "ruleQueryOffset": "3s",
        "rules": {"alert": {"forOutageTolerance": "2h", "resendDelay": "10s"}},
    });
    let world = World::of_prometheus(&objects(fields.clone()));
    let outcome = world.evaluates(&[ONE]);
    let base = outcome.base.as_ref().unwrap();
    assert_eq!((base.global.evaluation_interval_ms, base.global.rule_query_offset_ms), (7_000, 3_000));
    let options = base.alert_options;
    let options = (options.outage_tolerance_ms, options.grace_period_ms, options.resend_delay_ms);
    assert_eq!(options, (Some(7_200_000), None, Some(10_000)));
    let mut broken = fields;
    broken["rules"]["alert"]["forGracePeriod"] = json!("5x");
    world.put(PROMETHEUSES, &main_object(broken));
    world.prometheus_says("spec.rules.alert.forGracePeriod: unknown unit \"x\" in duration \"5x\"");
    world.evaluates(&[ONE]);
}

#[test]
fn the_enforced_namespace_is_written_into_rules() {
    let objects = |excluded: Value| {
        let mut fields = json!({"ruleSelector": {}, "ruleNamespaceSelector": {}, "enforcedNamespaceLabel": "name"});
        fields.as_object_mut().unwrap().extend(excluded.as_object().unwrap().clone());
        [
            (PROMETHEUSES, main_object(fields)),
            (PROMETHEUS_RULES, rules("a", "one", "up")),
            (PROMETHEUS_RULES, rules("b", "two", "down")),
        ]
    };
    let enforced = |line: &str, namespace: &str, expr: &str| {
        line.replace(expr, &format!("{expr} of name={namespace}")).replace("name=x", &format!("name={namespace}"))
    };
    let (one, two) = (enforced(ONE, "a", "up"), enforced(TWO, "b", "down"));
    World::of_prometheus(&objects(json!({}))).evaluates(&[&one, &two]);
    let reference = json!({"resource": "prometheusrules", "namespace": "a"});
    World::of_prometheus(&objects(json!({"excludedFromEnforcement": [reference]}))).evaluates(&[ONE, &two]);
    let reference = json!({"ruleNamespace": "b", "ruleName": "two"});
    let older = json!({"prometheusRulesExcludedFromEnforce": [reference]});
    World::of_prometheus(&objects(older)).evaluates(&[&one, TWO]);
}

#[test]
fn a_kind_that_is_not_installed_is_picked_up_when_it_is() {
    let objects = [(PROMETHEUS_RULES, rules("a", "one", "up")), (crate::world::SERVICE_MONITORS, web("a", "web"))];
    let world = World::with(&objects, |api, _| api.refuse(PROMETHEUS_RULES, 404));
    let outcome = world.runs(&["serviceMonitor/a/web/0"]);
    let errors = &outcome.kinds.last().unwrap().errors;
    assert!(errors[0].starts_with("the API server does not know prometheusrules "), "{errors:?}");
    assert!(!outcome.sees_all());
    world.api.allow(PROMETHEUS_RULES);
    world.evaluates(&[ONE]);
}
