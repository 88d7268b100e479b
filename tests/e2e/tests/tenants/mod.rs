//! `--web.kubernetes-auth` and `--web.tenancy=namespace` on a real API server: service accounts see what their roles allow.

use std::fs;

use kit::{Answer, ControlPlane, Exporter, Http, Weft, add_addresses, eventually};
use serde_json::{Value, json};

const RULES: &str = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - {alert: OfA, expr: vector(1), labels: {namespace: \
                     a}}\n  - {alert: OfB, expr: vector(1), labels: {namespace: b}}\n  - {alert: OfNobody, expr: vector(1)}\n";

/// A kind of RBAC.
fn rbac(kind: &str, namespace: Option<&str>, name: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace},
    });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

/// Binds a role to the account of the same name.
fn binding(kind: &str, role: (&str, &str), account: (&str, &str)) -> Value {
    let namespace = (kind == "RoleBinding").then_some(account.0);
    let to = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1},
        "subjects": [{"kind": "ServiceAccount", "namespace": account.0, "name": account.1}],
    });
    rbac(kind, namespace, account.1, to)
}

/// Namespaces `a` and `b` with an account each that may get pods there, and `monitoring` with one that delegates, one that may read
/// everything, one that may scrape, and one without rights.
fn set_up(plane: &ControlPlane) {
    let accounts = [
        ("a", "ann"),
        ("b", "bob"),
        ("monitoring", "weft"),
        ("monitoring", "viewer"),
        ("monitoring", "scraper"),
        ("monitoring", "nobody"),
    ];
    for namespace in ["a", "b", "monitoring"] {
        plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
    }
    for (namespace, name) in accounts {
        let metadata = json!({"name": name, "namespace": namespace});
        plane.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}));
    }
    for account in [("a", "ann"), ("b", "bob")] {
        let pods = json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
        plane.apply(&rbac("Role", Some(account.0), "pods", pods));
        plane.apply(&binding("RoleBinding", ("Role", "pods"), account));
    }
    let api = json!({
        "rules": [{"apiGroups": ["monitoring.coreos.com"], "resources": ["prometheuses/api"], "verbs": ["get"]}],
    });
    plane.apply(&rbac("Role", Some("monitoring"), "metrics", api));
    plane.apply(&binding("RoleBinding", ("Role", "metrics"), ("monitoring", "viewer")));
    plane.apply(&binding("ClusterRoleBinding", ("ClusterRole", "system:monitoring"), ("monitoring", "scraper")));
    plane.apply(&binding("ClusterRoleBinding", ("ClusterRole", "system:auth-delegator"), ("monitoring", "weft")));
}

/// The namespaces among the labels of a list of series, and `""` for a series without one.
fn namespaces(list: &Value, labels: impl Fn(&Value) -> &Value) -> Vec<String> {
    let mut found: Vec<String> =
        list.as_array().unwrap().iter().map(|one| labels(one)["namespace"].as_str().unwrap_or("").to_owned()).collect();
    found.sort();
    found.dedup();
    found
}

/// Weft with a target and an alert of each namespace, and of none.
fn start(plane: &ControlPlane, exporter: &Exporter) -> Weft {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let target = |namespace: &str| {
        let address = &exporter.address;
        format!("  - {{targets: ['{address}'], labels: {{namespace: {namespace:?}, of: \"{namespace}.\"}}}}\n")
    };
    let config = format!(
        "global: {{scrape_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n- job_name: pods\n  \
         static_configs:\n{}{}{}",
        target("a"),
        target("b"),
        target("")
    );
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let environment = plane.as_a_pod("monitoring", Some(&plane.token("monitoring", "weft")));
    Weft::start_with(folder, &["--web.kubernetes-auth", "--web.tenancy=namespace"], &environment)
}

/// The user of one namespace reads what is of it, whatever is asked for.
fn sees_its_own(user: &Http, own: &str, other: &str) {
    let seen = |query: &str| namespaces(&user.query(query).unwrap(), |one| &one["metric"]);
    for query in ["free_bytes", "{__name__=~\".+\"}", "rate(free_bytes[1m]) or free_bytes", "free_bytes{of=~\".+\"}"] {
        assert_eq!(seen(query), [own], "{query}");
    }
    for query in [&format!("free_bytes{{namespace={other:?}}}"), "free_bytes{namespace=\"\"}", "free_bytes{of=\"\"}"] {
        assert!(seen(query).is_empty(), "{query}");
    }
    assert_eq!(user.query("count(free_bytes)").unwrap()[0]["value"][1], "1");
    assert_eq!(namespaces(&user.api("series?match[]=free_bytes").unwrap(), |one| one), [own]);
    assert_eq!(user.api("label/namespace/values").unwrap(), json!([own]));
    assert_eq!(user.api("label/of/values").unwrap(), json!([format!("{own}.")]));
    let plan = user.api("query?query=free_bytes&explain=1").unwrap().to_string();
    assert!(plan.contains("free_bytes"), "{plan}");
    let alerts = user.api("alerts").unwrap();
    assert_eq!(namespaces(&alerts["alerts"], |one| &one["labels"]), [own]);
    let rules = user.api("rules").unwrap();
    assert_eq!(namespaces(&rules["groups"][0]["rules"], |one| &one["labels"]), [own]);
    let targets = user.api("targets").unwrap();
    assert_eq!(namespaces(&targets["activeTargets"], |one| &one["labels"]), [own]);
    assert_eq!(targets["droppedTargetCounts"], json!({"pods": 0}));
    assert_eq!(namespaces(&user.api("targets/metadata?metric=free_bytes").unwrap(), |one| &one["target"]), [own]);
    assert_eq!(user.api("metadata?metric=free_bytes").unwrap()["free_bytes"][0]["type"], "gauge");
    let (status, page) = user.get("/federate?match[]=free_bytes").unwrap();
    assert!(status == 200 && page.contains(&format!("namespace={own:?}")), "{status} {page}");
    assert!(!page.contains(&format!("namespace={other:?}")), "{page}");
    let named = user.post("/api/v1/query", &[("query", "free_bytes"), ("namespace", other)]).unwrap();
    assert!(named.0 == 403 && named.1.contains("forbidden"), "{named:?}");
    for path in ["/api/v1/scrape_pools", "/api/v1/status/config", "/debug/pprof/heap", "/metrics", "/", "/-/reload"] {
        let (status, said) = user.get(path).unwrap();
        assert!(status == 403 && said.contains("system:serviceaccount:"), "{path}: {status} {said}");
    }
}

pub(crate) fn tenants() {
    add_addresses(&["10.244.0.2"]);
    let mut plane = ControlPlane::start(&ControlPlane::programs().unwrap(), "0.0.0.0", "10.244.0.2");
    set_up(&plane);
    let exporter = Exporter::start(|_| Answer::Metrics("# TYPE free_bytes gauge\nfree_bytes 1\n".to_owned()));
    let weft = start(&plane, &exporter);
    let as_one_with = |token: &str| Http::bearer(format!("http://{}", weft.address), token);
    let account = |namespace: &str, name: &str| as_one_with(&plane.token(namespace, name));
    let (ann, bob, viewer) = (account("a", "ann"), account("b", "bob"), account("monitoring", "viewer"));

    println!("who may read the API sees everything");
    eventually("all is stored", || {
        let seen = namespaces(&viewer.query("free_bytes")?, |one| &one["metric"]);
        let alerts = viewer.api("alerts")?["alerts"].as_array().map(Vec::len);
        if seen == ["", "a", "b"] && alerts == Some(3) { Ok(()) } else { Err(format!("{seen:?} {alerts:?}")) }
    });
    assert_eq!(viewer.get("/api/v1/status/config").unwrap().0, 200);
    let scraper = account("monitoring", "scraper");
    let metrics = |user: &Http| user.get("/metrics").unwrap().0;
    assert_eq!((metrics(&viewer), metrics(&scraper)), (403, 200), "a right of its own");
    let (status, said) = viewer.post("/-/reload", &[]).unwrap();
    assert!(status == 403 && said.contains("verb=create"), "{status} {said}");

    println!("who may not sees a namespace alone");
    sees_its_own(&ann, "a", "b");
    sees_its_own(&bob, "b", "a");

    println!("who has no right sees nothing");
    let (status, said) = account("monitoring", "nobody").get("/api/v1/query?query=1").unwrap();
    assert!(status == 403 && said.contains("in no namespace"), "{status} {said}");
    for token in ["", "wrong", &plane.token("a", "ann")[1..]] {
        assert_eq!(as_one_with(token).get("/api/v1/query?query=1").unwrap().0, 401, "{token}");
    }
    assert_eq!(weft.http.get("/api/v1/query?query=1").unwrap().0, 401);
    assert_eq!(weft.http.get("/-/healthy").unwrap().0, 200, "probes show no token");

    println!("verdicts outlast the API server, and new tokens wait for it");
    let new = plane.token("b", "bob");
    plane.restart_api_server(|| {
        let seen = ann.query("free_bytes").unwrap();
        assert_eq!(namespaces(&seen, |one| &one["metric"]), ["a"]);
        let as_new = Http::bearer(format!("http://{}", weft.address), &new);
        let (status, said) = as_new.get("/api/v1/query?query=1").unwrap();
        assert!(status == 503 && said.contains("cannot be checked"), "{status} {said}");
    });
    let as_new = Http::bearer(format!("http://{}", weft.address), &new);
    eventually("the API server is asked again", || match as_new.get("/api/v1/query?query=1")? {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
