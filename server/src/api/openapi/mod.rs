//! `/api/v1/openapi.yaml`: a description of this API for tools, made of the table in `endpoints`.

mod answers;
mod discovery_answers;
mod endpoint;
mod endpoints;
mod params;
mod shape;
mod status_answers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use config::Yaml;
use http::header;

use self::endpoint::{Answer, Endpoint, Kind, Methods, Param, Tag};
use self::endpoints::{ENDPOINTS, OF_COST};
use self::shape::{map, reference};
use super::Params;
use crate::app::App;
use crate::version;

/// A version of OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V31,
    V32,
}

/// `/api/v1/openapi.yaml`
pub(crate) async fn document(State(app): State<Arc<App>>, params: Params) -> Response {
    let version = match params.get("openapi_version") {
        "3.2" | "3.2.0" => Version::V32,
        // Any other one is the default, as upstream has it.
        _ => Version::V31,
    };
    let headers = [
        (header::CONTENT_TYPE, "application/yaml; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
    ];
    (headers, written(&app, version).print()).into_response()
}

/// The endpoints that this server has.
fn served(app: &App) -> impl Iterator<Item = &'static Endpoint> {
    let of_cost = if app.engine().options().cost.are_enabled() { OF_COST } else { &[] };
    ENDPOINTS.iter().chain(of_cost)
}

fn written(app: &App, version: Version) -> Yaml {
    let external = app.settings.external_url.as_str().trim_end_matches('/');
    let endpoints = served(app).filter(|endpoint| {
        // 3.1 has no words for a stream of events.
        version == Version::V32 || !matches!(endpoint.answer, Answer::Events(_))
    });
    let tags = Tag::ALL.iter().map(|(_, name, about)| {
        // What tools show instead of the name; 3.1 has no such field.
        let title = (version == Version::V32).then(|| ("summary", text(&titled(name))));
        map([("name", text(name))].into_iter().chain(title).chain([("description", text(about))]))
    });
    map([
        ("openapi", text(if version == Version::V32 { "3.2.0" } else { "3.1.0" })),
        (
            "info",
            map([
                ("title", text("Weft")),
                ("description", text(&format!("The HTTP API of Weft {}, in place of Prometheus'.", version::WEFT))),
                ("version", text(version::COMPATIBLE)),
            ]),
        ),
        ("servers", Yaml::List(vec![map([("url", text(&format!("{external}/api/v1")))])])),
        ("tags", Yaml::List(tags.collect())),
        ("paths", map(endpoints.map(|endpoint| (endpoint.path, path(endpoint))))),
        ("components", map([("schemas", schemas())])),
    ])
}

/// The frames of answers, and the objects that stand in them.
fn schemas() -> Yaml {
    let mut found = BTreeMap::new();
    for endpoint in ENDPOINTS.iter().chain(OF_COST) {
        if let Answer::Shaped(_, shape) | Answer::ShapedOrText(_, shape) = endpoint.answer {
            shape.collect(&mut found);
        }
    }
    let objects = found.into_iter().map(|(name, schema)| (name, schema.definition()));
    map([("Success", success()), ("Error", error())].into_iter().chain(objects))
}

fn path(endpoint: &Endpoint) -> Yaml {
    let methods: &[(&'static str, bool)] = match endpoint.methods {
        Methods::Get => &[("get", false)],
        Methods::GetPost => &[("get", false), ("post", true)],
        Methods::Changes => &[("put", false), ("post", false)],
        Methods::Post(_) => &[("post", false)],
    };
    map(methods.iter().map(|(method, is_form)| (*method, operation(endpoint, method, *is_form))))
}

fn operation(endpoint: &Endpoint, method: &str, is_form: bool) -> Yaml {
    let id = format!("{method}{}", endpoint.path.replace(['/', '_', '.'], "-").replace(['{', '}'], ""));
    let mut fields = vec![
        ("operationId", text(&id)),
        ("summary", text(endpoint.about)),
        ("tags", Yaml::List(vec![text(endpoint.tag.name())])),
    ];
    let params: Vec<&Param> = endpoint.params.iter().flat_map(|group| group.iter()).collect();
    if is_form {
        let properties = params.iter().map(|param| (param.name, described(schema(param.kind), param.about)));
        let mut form = vec![("type", text("object")), ("properties", map(properties))];
        let required: Vec<Yaml> =
            params.iter().filter(|param| param.is_required).map(|param| text(param.name)).collect();
        if !required.is_empty() {
            form.push(("required", Yaml::List(required)));
        }
        let content = map([("application/x-www-form-urlencoded", map([("schema", map(form))]))]);
        fields.push(("requestBody", map([("content", content)])));
    } else if let Methods::Post(kinds) = endpoint.methods {
        let content = map(kinds.iter().map(|kind| binary(kind)));
        fields.push(("requestBody", map([("required", Yaml::raw(true)), ("content", content)])));
    } else if !params.is_empty() {
        fields.push(("parameters", Yaml::List(params.iter().map(|param| parameter(param)).collect())));
    }
    fields.push(("responses", responses(endpoint.answer)));
    map(fields)
}

/// A body of this media type.
fn binary(kind: &'static str) -> (&'static str, Yaml) {
    (kind, map([("schema", map([("type", text("string")), ("format", text("binary"))]))]))
}

fn parameter(param: &Param) -> Yaml {
    map([
        ("name", text(param.name)),
        ("in", text(if param.kind == Kind::Segment { "path" } else { "query" })),
        ("description", text(param.about)),
        ("required", Yaml::raw(param.is_required)),
        ("schema", map(schema(param.kind))),
    ])
}

/// The fields of the schema of a value.
fn schema(kind: Kind) -> Vec<(&'static str, Yaml)> {
    let kind_of = |name: &str| ("type", text(name));
    match kind {
        Kind::Text | Kind::Segment => vec![kind_of("string")],
        Kind::Texts => vec![kind_of("array"), ("items", map([kind_of("string")]))],
        Kind::Word(words) => {
            vec![kind_of("string"), ("enum", Yaml::List(words.iter().map(|word| text(word)).collect()))]
        }
        Kind::Whole => vec![kind_of("integer")],
        Kind::Switch => vec![kind_of("boolean")],
        Kind::Time => vec![either(map([kind_of("number")]), map([kind_of("string"), ("format", text("date-time"))]))],
        Kind::Duration => vec![either(map([kind_of("number")]), map([kind_of("string")]))],
    }
}

fn either(one: Yaml, other: Yaml) -> (&'static str, Yaml) {
    ("oneOf", Yaml::List(vec![one, other]))
}

fn described(mut schema: Vec<(&'static str, Yaml)>, about: &str) -> Yaml {
    schema.push(("description", text(about)));
    map(schema)
}

fn responses(answer: Answer) -> Yaml {
    let json = ("application/json", map([("schema", reference("Success"))]));
    let plain = |kind: &'static str| (kind, map([("schema", map(schema(Kind::Text)))]));
    let (status, about, content) = match answer {
        Answer::Json(about) => ("200", about, vec![json]),
        Answer::Shaped(about, shape) | Answer::ShapedOrText(about, shape) => {
            let data = map([("data", shape.schema())]);
            let framed =
                map([("type", text("object")), ("required", Yaml::List(vec![text("data")])), ("properties", data)]);
            let whole = map([("allOf", Yaml::List(vec![reference("Success"), framed]))]);
            let is_text = matches!(answer, Answer::ShapedOrText(..));
            let whole = ("application/json", map([("schema", whole)]));
            ("200", about, std::iter::once(whole).chain(is_text.then(|| plain("text/plain"))).collect())
        }
        Answer::Bytes(about, kinds) => ("200", about, kinds.iter().map(|kind| binary(kind)).collect()),
        Answer::Nothing => ("204", "It is done.", vec![]),
        Answer::Lines(about) => ("200", about, vec![plain("application/x-ndjson")]),
        Answer::Events(about) => {
            let item = map([("itemSchema", map([("type", text("object"))]))]);
            ("200", about, vec![("text/event-stream", item)])
        }
        Answer::Document => ("200", "The document.", vec![plain("application/yaml")]),
    };
    let mut done = vec![("description", text(about))];
    if !content.is_empty() {
        done.push(("content", map(content)));
    }
    let failed = map([("application/json", map([("schema", reference("Error"))]))]);
    let failed = map([("description", text("What was wrong with the request, or went wrong.")), ("content", failed)]);
    map([(status, map(done)), ("default", failed)])
}

/// The frame of answers.
fn success() -> Yaml {
    let texts = |about| described(schema(Kind::Texts), about);
    let properties = map([
        ("status", map(schema(Kind::Word(&["success"])))),
        ("data", map([("description", text("What was asked for; its form is that of the endpoint."))])),
        ("warnings", texts("Why the data may not be what is expected.")),
        ("infos", texts("What may be of interest in the query.")),
    ]);
    let required = Yaml::List(vec![text("status"), text("data")]);
    map([("type", text("object")), ("properties", properties), ("required", required)])
}

/// The frame of errors.
fn error() -> Yaml {
    let kinds = ["bad_data", "execution", "cost_limit", "canceled", "not_found", "timeout", "internal", "unavailable"];
    let kinds = Yaml::List(kinds.map(text).into());
    let properties = map([
        ("status", map(schema(Kind::Word(&["error"])))),
        ("errorType", map([("type", text("string")), ("enum", kinds)])),
        ("error", described(schema(Kind::Text), "What was wrong, in words.")),
    ]);
    let required = Yaml::List(["status", "errorType", "error"].map(text).into());
    map([("type", text("object")), ("properties", properties), ("required", required)])
}

fn titled(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn text(text: &str) -> Yaml {
    Yaml::text(text)
}
