use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::Request;
use serde_json::Value;
use tower::ServiceExt as _;

use super::shape::Shape;
use super::*;
use crate::api::router;
use crate::api::tests::explain_targets::with_jobs;
use crate::api::tests::rule_history::with_rules;
use crate::api::tests::{app_with, load};

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
            assert!(ours["paths"].get(path).is_some(), "{name}: {path}");
            let methods = item.as_object().unwrap().iter().filter(|(_, operation)| operation.is_object());
            for (method, theirs) in methods {
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
            Methods::Post(_) => "OPTIONS, POST",
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

/// The document that the build of the web page makes its types of.
const OF_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ui/openapi.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_built_from_this_document() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--web.external-url=http://localhost:9090/"]);
    let ours = written(&app, Version::V31).print();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(OF_PAGE, &ours).unwrap();
    }
    let difference = std::fs::read_to_string(OF_PAGE).unwrap_or_default();
    let difference = difference.lines().zip(ours.lines()).find(|(theirs, ours)| theirs != ours);
    assert!(
        std::fs::read_to_string(OF_PAGE).unwrap_or_default() == ours,
        "ui/openapi.yaml is not what the server describes ({difference:?}); run UPDATE_EXPECT=1 cargo test -p server --bin weft openapi"
    );
}

/// What is wrong with a value of a shape, if something is.
fn fault(shape: Shape, value: &Value, place: &str) -> Option<String> {
    let wrong = |is_right: bool| (!is_right).then(|| format!("{place} is not {shape:.40?}: {value:.200}"));
    let items = || value.as_array().into_iter().flatten().enumerate();
    let entries = || value.as_object().into_iter().flatten();
    let inside = |name: &dyn std::fmt::Display| format!("{place}.{name}");
    match shape {
        Shape::Text => wrong(value.is_string()),
        Shape::Number => wrong(value.is_number()),
        Shape::Whole => wrong(value.is_u64() || value.is_i64()),
        Shape::Truth => wrong(value.is_boolean()),
        Shape::Word(words) => wrong(words.iter().any(|word| value == word)),
        Shape::List(inner) => {
            wrong(value.is_array()).or_else(|| items().find_map(|(i, item)| fault(*inner, item, &inside(&i))))
        }
        Shape::Tuple(shapes) => wrong(value.as_array().is_some_and(|items| items.len() == shapes.len()))
            .or_else(|| items().zip(shapes).find_map(|((i, item), shape)| fault(*shape, item, &inside(&i)))),
        Shape::Map(inner) => {
            wrong(value.is_object()).or_else(|| entries().find_map(|(key, item)| fault(*inner, item, &inside(key))))
        }
        Shape::Nullable(inner) => {
            if value.is_null() {
                None
            } else {
                fault(*inner, value, place)
            }
        }
        Shape::Either(shapes) => {
            let faults: Vec<String> = shapes.iter().filter_map(|shape| fault(*shape, value, place)).collect();
            (faults.len() == shapes.len()).then(|| faults.join("\nor "))
        }
        Shape::Object(schema) => wrong(value.is_object()).or_else(|| {
            let missing = schema.fields.iter().find(|field| field.is_required && value.get(field.name).is_none());
            let missing = missing.map(|field| format!("{place} of {} lacks {}", schema.name, field.name));
            missing.or_else(|| {
                entries().find_map(|(key, item)| match schema.fields.iter().find(|field| field.name == key) {
                    Some(field) => fault(field.shape, item, &inside(key)),
                    None => Some(format!("{place} of {} has {key}, which is not described", schema.name)),
                })
            })
        }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_form_that_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let app = app_with(&folder.path().join("data"), &["--query.lookback-delta=100y"]);
    load(&app, "a{job=\"x\"} 1 2 3\nb {{schema:0 count:3 sum:2 buckets:[1 2]}}x3");
    with_jobs(&app).await;
    with_rules(&app).await;
    let (at, range) = ("time=1700000120", "start=1700000000&end=1700000120&step=60");
    let asked = [
        ("/query", format!("query=a&{at}&stats=true&analyze=1")),
        ("/query", format!("query=a&{at}&explain=1")),
        ("/query", format!("query=b&{at}")),
        ("/query", format!("query=%7B__name__=~%22a%7Cb%22%7D[5m]&{at}&stats=all")),
        ("/query", "query=1".to_owned()),
        ("/query", "query=%22text%22&stats=true".to_owned()),
        ("/query_range", format!("query=%7B__name__=~%22a%7Cb%22%7D&{range}&stats=true")),
        ("/query_range", format!("query=sum(a)&{range}&explain=1")),
        ("/query_exemplars", format!("query=a&{range}")),
        ("/format_query", "query=a".to_owned()),
        ("/labels", String::new()),
        ("/label/{name}/values", String::new()),
        ("/series", "match[]=a".to_owned()),
        ("/metadata", String::new()),
        ("/scrape_pools", String::new()),
        ("/targets", String::new()),
        ("/targets", "state=active".to_owned()),
        ("/targets/scrape", "scrapePool=files&scrapeUrl=http://127.0.0.1:1/metrics".to_owned()),
        ("/status/buildinfo", String::new()),
        ("/status/flags", String::new()),
        ("/status/cardinality", "day=2023-11-14".to_owned()),
        ("/scrape_pools/config", "scrapePool=files".to_owned()),
        ("/targets/relabel_steps", "scrapePool=files&labels=%7B%22__address__%22:%22127.0.0.1:2%22%7D".to_owned()),
        ("/explain", "job=none".to_owned()),
        ("/explain", "target=127.0.0.1:2".to_owned()),
        ("/explain", "rule=Held".to_owned()),
        ("/monitors", String::new()),
        ("/rules", String::new()),
        ("/rules", "exclude_alerts=true".to_owned()),
        ("/rules/replay", "start=1700000000&end=1700000600".to_owned()),
        ("/alerts", String::new()),
        ("/alertmanagers", String::new()),
        ("/status/config", String::new()),
        ("/status/runtimeinfo", String::new()),
        ("/status/tsdb", String::new()),
        ("/status/tsdb/blocks", String::new()),
        ("/status/forecast", String::new()),
        ("/status/active_queries", String::new()),
        ("/status/top_queries", String::new()),
        ("/status/metric_usage", String::new()),
        ("/status/discovery", String::new()),
        ("/features", String::new()),
        ("/notifications", String::new()),
    ];
    let mut described = BTreeSet::new();
    for (path, params) in asked {
        let uri = format!("/api/v1{}?{params}", path.replace("{name}", "job"));
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        let response = router(Arc::clone(&app)).oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["status"], "success", "{path}?{params}: {answer}");
        let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.path == path).unwrap();
        let (Answer::Shaped(_, shape) | Answer::ShapedOrText(_, shape)) = endpoint.answer else {
            panic!("{path} has no shape")
        };
        assert_eq!(fault(shape, &answer["data"], path), None, "{path}?{params}");
        described.insert(path);
    }
    let shaped =
        ENDPOINTS.iter().filter(|endpoint| matches!(endpoint.answer, Answer::Shaped(..) | Answer::ShapedOrText(..)));
    assert_eq!(described, shaped.map(|endpoint| endpoint.path).collect(), "each form is held against an answer");
}
