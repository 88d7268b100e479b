use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::Request;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::api::router;
use crate::api::tests::app_with;

/// Paths of upstream that are not served.
const NOT_SERVED: [&str; 3] = ["/otlp/v1/metrics", "/read", "/write"];

fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// The parameters of an operation: those of the URL, and those of a form.
fn parameters(operation: &Value) -> BTreeMap<String, bool> {
    let of_url = operation["parameters"].as_array().into_iter().flatten();
    let of_url = of_url.map(|one| (one["name"].as_str().unwrap().to_owned(), one["required"] == true));
    let form = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
    let is_required = |name: &str| form["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let of_form = form["properties"].as_object().into_iter().flatten();
    of_url.chain(of_form.map(|(name, _)| (name.clone(), is_required(name)))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_upstream_is_described_with_its_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &[]);
    for (version, name) in [(Version::V31, "3.1"), (Version::V32, "3.2")] {
        let Some(golden) = kit::conformance_text(&format!("httpapi/openapi_{name}_golden.yaml")) else { return };
        let (golden, ours) = (parsed(&golden), parsed(&written(&app, version).print()));
        assert_eq!(golden["openapi"], ours["openapi"]);
        for (path, item) in golden["paths"].as_object().unwrap() {
            let is_served = !NOT_SERVED.contains(&path.as_str());
            assert_eq!(ours["paths"].get(path).is_some(), is_served, "{name}: {path}");
            let methods = item.as_object().unwrap().iter().filter(|(_, operation)| operation.is_object());
            for (method, theirs) in methods.filter(|_| is_served) {
                let operation = &ours["paths"][path][method];
                assert!(operation.is_object(), "{name}: {method} {path}");
                let described = parameters(operation);
                for (parameter, is_required) in parameters(theirs) {
                    assert_eq!(described.get(&parameter), Some(&is_required), "{name}: {method} {path}: {parameter}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_what_is_routed() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--enable-feature=query-cost"]);
    for endpoint in served(&app) {
        let path = format!("/api/v1{}", endpoint.path.replace("{name}", "job"));
        let request = Request::builder().method("PATCH").uri(&path).body(Body::empty()).unwrap();
        let response = router(Arc::clone(&app)).oneshot(request).await.unwrap();
        let allowed = response.headers().get("allow").map_or("", |allow| allow.to_str().unwrap());
        let expected = match endpoint.methods {
            Methods::Get => "GET, OPTIONS",
            Methods::GetPost => "GET, OPTIONS, POST",
            Methods::Changes => "OPTIONS, POST, PUT",
        };
        assert_eq!((response.status().as_u16(), allowed), (405, expected), "{path}");
    }
    // And the other way round: what is routed below `/api/v1` stands in the table.
    let source = include_str!("../router.rs");
    let below = &source[source.find("fn of_cost").unwrap()..source.find("pub(crate) fn router").unwrap()];
    let routed: BTreeSet<&str> = below.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let table: BTreeSet<&str> = served(&app).map(|endpoint| endpoint.path).chain(["/{*path}"]).collect();
    assert_eq!(routed, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_are_unique_and_the_version_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--web.external-url=http://a.example/p/"]);
    let document = parsed(&written(&app, Version::V31).print());
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let ids: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    assert_eq!(document["servers"][0]["url"], "http://a.example/p/api/v1");
    for (query, version) in [("", "3.1.0"), ("?openapi_version=3.2", "3.2.0"), ("?openapi_version=9", "3.1.0")] {
        let request = Request::builder().uri(format!("/p/api/v1/openapi.yaml{query}")).body(Body::empty()).unwrap();
        let response = router(Arc::clone(&app)).oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/yaml; charset=utf-8");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(parsed(std::str::from_utf8(&body).unwrap())["openapi"], version, "{query}");
    }
}
