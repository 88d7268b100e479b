//! What is written to the status of objects, which Secrets are read, with no more rights than each needs, and what is said of a Service
//! without endpoints: on a real API server, which checks what is written against the definitions of the kinds.

use kit::{Weft, eventually};
use serde_json::{Value, json};

use crate::objects::parse;
use crate::world::World;
use crate::{explain, start_weft_as};

const MANIFEST: &str = concat!(
    include_str!("../../../../deploy/kustomize/base/account.yaml"),
    "---\n",
    include_str!("../../../../deploy/kustomize/operator/rbac.yaml")
);
/// Namespaces, Secrets, the right to read one of them, monitors that name them, and a Prometheus object that selects by `team`.
const OBJECTS: &str = include_str!("statuses.yaml");
const FLAG: &str = "--operator.prometheus=monitoring/main";

pub fn of_objects() {
    let world = World::start();
    let mut manifest = parse(MANIFEST);
    // The right to read all Secrets of a namespace.
    manifest.retain(|object| object["kind"] != "RoleBinding");
    world.apply(&manifest);
    world.apply(&parse(OBJECTS));
    let token = world.plane.token("monitoring", "weft");

    println!("a Secret is read with the right to that one alone");
    let weft = start_weft_as(&world, "monitoring", Some(&token), &[FLAG]);
    accepted(&world, "servicemonitors", "named", &json!([true, ""]));
    is_said(&weft, "monitoring/named", "ServiceMonitor monitoring/named is selected; ");
    is_said(&weft, "monitoring/other", "secrets \"other\" is forbidden");

    println!("a Service without endpoints is the reason why its monitor has no targets");
    let why = "no targets: Service monitoring/lonely is selected, but its selector app=lonely matches no pod in the namespace \
               monitoring.";
    is_said(&weft, "monitoring/lonely", why);

    println!("accepted, invalid and not selected");
    let invalid = status(&world, "servicemonitors", "other", |status| {
        status["bindings"][0]["conditions"][0]["status"] == "False"
    });
    let condition = &invalid["bindings"][0]["conditions"][0];
    assert_eq!((&condition["type"], &condition["reason"]), (&json!("Accepted"), &json!("InvalidConfiguration")));
    assert!(condition["message"].as_str().unwrap().contains("\"other\" is forbidden"), "{invalid}");
    accepted(&world, "podmonitors", "pods", &json!([true, ""]));
    accepted(&world, "prometheusrules", "rules", &json!([false, "InvalidConfiguration"]));
    let of_main = status(&world, "prometheuses", "main", |status| status["conditions"][0]["status"] == "True");
    assert_eq!(of_main["conditions"][0]["type"], "Reconciled");
    assert_eq!(get(&world, "servicemonitors", "unselected").unwrap()["status"], Value::Null);

    changes(&world, &token, weft);
    beside_an_operator(&world, &token);
}

fn changes(world: &World, token: &str, weft: Weft) {
    println!("a monitor that becomes valid, and one that is no longer selected; what others wrote stays");
    let by_another = json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": "pods", "namespace": "monitoring"},
        "status": {"bindings": [{"group": "monitoring.coreos.com", "resource": "prometheuses", "namespace": "far", "name": "away"}]},
    });
    apply_status(world, "another", "podmonitors", &by_another);
    let mut monitors: Vec<Value> = parse(OBJECTS)
        .into_iter()
        .filter(|object| ["other", "pods"].iter().any(|name| object["metadata"]["name"] == *name))
        .collect();
    monitors.retain(|object| object["kind"] != "Secret");
    monitors[0]["spec"]["endpoints"][0].as_object_mut().unwrap().remove("authorization");
    monitors[1]["metadata"]["labels"]["team"] = "b".into();
    world.apply(&monitors);
    let valid = accepted(world, "servicemonitors", "other", &json!([true, ""]));
    assert_eq!(valid["observedGeneration"], 2);
    let left =
        status(world, "podmonitors", "pods", |status| status["bindings"].as_array().is_none_or(|all| all.len() == 1));
    assert_eq!(left["bindings"][0]["name"], "away");

    println!("what did not change is not written again, not after a restart either");
    let version = |name: &str| get(world, "servicemonitors", name).unwrap()["metadata"]["resourceVersion"].clone();
    let before = (version("named"), version("other"));
    drop(weft);
    let mut broken: Vec<Value> = parse(OBJECTS).into_iter().filter(|object| object["kind"] == "Prometheus").collect();
    broken[0]["spec"]["scrapeTimeout"] = "2m".into();
    let weft = start_weft_as(world, "monitoring", Some(token), &[FLAG]);
    is_said(&weft, "monitoring/named", "is selected");
    // Written after the others.
    world.apply(&broken);
    let failed = status(world, "prometheuses", "main", |status| status["conditions"][0]["status"] == "False");
    assert_eq!(failed["conditions"][0]["reason"], "ReconciliationFailed");
    assert!(failed["conditions"][0]["message"].as_str().unwrap().contains("scrapeTimeout"), "{failed}");
    assert_eq!((version("named"), version("other")), before);
    broken[0]["spec"].as_object_mut().unwrap().remove("scrapeTimeout");
    world.apply(&broken);
}

/// Prometheus-Operator would write the same bindings, and take turns with whoever writes others.
fn beside_an_operator(world: &World, token: &str) {
    println!("a Prometheus object that Prometheus-Operator looks after");
    let mut other = parse(OBJECTS).into_iter().find(|object| object["kind"] == "Prometheus").unwrap();
    other["metadata"]["name"] = "operated".into();
    world.apply(std::slice::from_ref(&other));
    let status_of = json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": other["metadata"],
        "status": {"paused": false, "replicas": 1},
    });
    apply_status(world, "PrometheusOperator", "prometheuses", &status_of);
    let flag = "--operator.prometheus=monitoring/operated";
    let weft = start_weft_as(world, "monitoring", Some(token), &[flag]);
    is_said(&weft, "monitoring/named", "is selected");
    eventually("the log says who writes", || {
        let log = weft.process.output();
        if log.contains("Prometheus-Operator writes the status") { Ok(()) } else { Err(log) }
    });
    println!("and one that is given to Weft");
    other["metadata"]["annotations"] = json!({"operator.prometheus.io/controller-id": "weft"});
    world.apply(&[other]);
    status(world, "servicemonitors", "named", |status| {
        status["bindings"].as_array().is_some_and(|all| all.iter().any(|binding| binding["name"] == "operated"))
    });
}

fn get(world: &World, resource: &str, name: &str) -> Result<Value, String> {
    world.get(&format!("/apis/monitoring.coreos.com/v1/namespaces/monitoring/{resource}/{name}"))
}

/// The status of an object once it is so.
fn status(world: &World, resource: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("the status of {name}"), || {
        let status = get(world, resource, name)?["status"].clone();
        if is_so(&status) { Ok(status) } else { Err(status.to_string()) }
    })
}

/// The condition of the binding to `main` once it is `[true, reason]`.
fn accepted(world: &World, resource: &str, name: &str, expected: &Value) -> Value {
    let of_main = |status: &Value| {
        let bindings = status["bindings"].as_array().cloned().unwrap_or_default();
        let binding = bindings.into_iter().find(|one| one["name"] == "main" && one["namespace"] == "monitoring");
        binding.map(|mut binding| binding["conditions"][0].take()).unwrap_or_default()
    };
    let is_so = |status: &Value| {
        let condition = of_main(status);
        let reason = condition["reason"].as_str().unwrap_or_default();
        json!([condition["status"] == "True", reason]) == *expected && condition["type"] == "Accepted"
    };
    of_main(&status(world, resource, name, is_so))
}

fn apply_status(world: &World, manager: &str, resource: &str, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    let path =
        format!("/apis/monitoring.coreos.com/v1/namespaces/monitoring/{resource}/{name}/status?fieldManager={manager}");
    let (code, body) = world.plane.admin.json("PATCH", &path, "application/apply-patch+yaml", object).unwrap();
    assert_eq!(code, 200, "{body}");
}

fn is_said(weft: &Weft, monitor: &str, text: &str) {
    eventually(&format!("{monitor}: {text}"), || {
        let told = explain(weft, monitor);
        if told.contains(text) { Ok(()) } else { Err(told) }
    });
}
