//! The tools: endpoints of the API that read, with their parameters.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

/// An endpoint as a tool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    what: &'static str,
    /// Relative to the route prefix; `{}` is a placeholder for the first argument.
    pub(super) path: &'static str,
    pub(super) arguments: &'static [Argument],
}

/// A parameter of the endpoint, under a name of its own where that is easier to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) parameter: &'static str,
    pub(super) required: bool,
    kind: &'static str,
    what: &'static str,
}

const fn needs(name: &'static str, parameter: &'static str, what: &'static str) -> Argument {
    Argument { name, parameter, required: true, kind: "string", what }
}

const fn takes(name: &'static str, parameter: &'static str, what: &'static str) -> Argument {
    Argument { name, parameter, required: false, kind: "string", what }
}

const fn number(name: &'static str, what: &'static str) -> Argument {
    Argument { name, parameter: name, required: false, kind: "integer", what }
}

const QUERY: Argument = needs("query", "query", "A PromQL expression.");
const START: Argument = takes("start", "start", "The first time, as seconds since 1970 or RFC 3339.");
const END: Argument = takes("end", "end", "The last time, as seconds since 1970 or RFC 3339.");
const MATCH: Argument = takes("match", "match[]", "A series selector, such as up{job=\"node\"}.");
const LIMIT: Argument = number("limit", "The most results.");

/// All of them.
pub(super) const ENDPOINTS: [Endpoint; 12] = [
    Endpoint {
        name: "query",
        what: "Evaluates a PromQL expression at one time.",
        path: "/api/v1/query",
        arguments: &[QUERY, takes("time", "time", "As seconds since 1970 or RFC 3339; now by default."), LIMIT],
    },
    Endpoint {
        name: "query_range",
        what: "Evaluates a PromQL expression at times from start to end.",
        path: "/api/v1/query_range",
        arguments: &[
            QUERY,
            Argument { required: true, ..START },
            Argument { required: true, ..END },
            needs("step", "step", "The time between two points, such as 1m; at most 11,000 points."),
            LIMIT,
        ],
    },
    Endpoint {
        name: "series",
        what: "Lists the label sets of the series that a selector finds.",
        path: "/api/v1/series",
        arguments: &[Argument { required: true, ..MATCH }, START, END, LIMIT],
    },
    Endpoint {
        name: "label_names",
        what: "Lists the names of labels.",
        path: "/api/v1/labels",
        arguments: &[MATCH, START, END, LIMIT],
    },
    Endpoint {
        name: "label_values",
        what: "Lists the values of a label; those of __name__ are the names of metrics.",
        path: "/api/v1/label/{}/values",
        arguments: &[needs("label", "", "The name of the label."), MATCH, START, END, LIMIT],
    },
    Endpoint {
        name: "metadata",
        what: "Tells type, unit and help of metrics, as targets describe them.",
        path: "/api/v1/metadata",
        arguments: &[takes("metric", "metric", "Of this metric only."), LIMIT],
    },
    Endpoint {
        name: "targets",
        what: "Lists what is scraped, with health and last error.",
        path: "/api/v1/targets",
        arguments: &[
            takes("job", "scrapePool", "Of this job of the configuration only."),
            takes("state", "state", "active, dropped or any."),
        ],
    },
    Endpoint {
        name: "rules",
        what: "Lists recording and alerting rules with their state.",
        path: "/api/v1/rules",
        arguments: &[takes("type", "type", "alert or record."), takes("name", "rule_name[]", "Of this name only.")],
    },
    Endpoint { name: "alerts", what: "Lists pending and firing alerts.", path: "/api/v1/alerts", arguments: &[] },
    Endpoint {
        name: "explain",
        what: "Says why a monitor, pod, Service, target, job or rule works, or does not. One of these is given.",
        path: "/api/v1/explain",
        arguments: &[
            takes("monitor", "monitor", "A ServiceMonitor, PodMonitor, Probe or ScrapeConfig, namespace/name."),
            takes("pod", "pod", "namespace/name."),
            takes("service", "service", "namespace/name."),
            takes("target", "target", "Its address or URL."),
            takes("job", "job", "A job of the configuration."),
            takes("rule", "rule", "The name of a rule."),
        ],
    },
    Endpoint {
        name: "cardinality",
        what: "Counts the series of a day by the values of a label, and those that the day before had not.",
        path: "/api/v1/status/cardinality",
        arguments: &[
            takes("label", "label", "__name__ by default."),
            takes("day", "day", "Of UTC, such as 2026-01-31; today by default."),
            takes("sort", "sort", "series or new."),
            LIMIT,
        ],
    },
    Endpoint {
        name: "metric_usage",
        what: "Tells which metrics queries and rules ask for, and which are never asked for.",
        path: "/api/v1/status/metric_usage",
        arguments: &[LIMIT],
    },
];

impl Endpoint {
    /// As a client is told of it.
    pub(super) fn tool(&self) -> Tool {
        let properties: JsonObject = self
            .arguments
            .iter()
            .map(|one| (one.name.to_owned(), json!({"type": one.kind, "description": one.what})))
            .collect();
        let required: Vec<&str> = self.arguments.iter().filter(|one| one.required).map(|one| one.name).collect();
        let schema = [
            ("type", json!("object")),
            ("properties", Value::Object(properties)),
            ("required", json!(required)),
            ("additionalProperties", json!(false)),
        ];
        let schema: JsonObject = schema.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Tool::new(self.name, self.what, Arc::new(schema)).with_annotations(ToolAnnotations::new().read_only(true))
    }

    /// The path and parameters of a call; a fault is told to who called.
    pub(super) fn uri(&self, given: &JsonObject) -> Result<String, String> {
        if let Some(other) = given.keys().find(|name| self.arguments.iter().all(|one| one.name != **name)) {
            let known: Vec<&str> = self.arguments.iter().map(|one| one.name).collect();
            return Err(format!("{} takes no argument {other:?}; it takes {}", self.name, known.join(", ")));
        }
        let mut path = self.path.to_owned();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for one in self.arguments {
            let text = match given.get(one.name) {
                None | Some(Value::Null) if one.required => {
                    return Err(format!("{} needs the argument {:?}", self.name, one.name));
                }
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => text.clone(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                Some(_) => {
                    return Err(format!("the argument {:?} of {} is no text and no number", one.name, self.name));
                }
            };
            if one.parameter.is_empty() {
                let text = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
                path = path.replace("{}", &text.to_string());
            } else {
                query.append_pair(one.parameter, &text);
            }
        }
        Ok(format!("{path}?{}", query.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_parameters() {
        let of = |name: &str, given: Value| {
            let endpoint = ENDPOINTS.iter().find(|one| one.name == name).unwrap();
            endpoint.uri(given.as_object().unwrap())
        };
        assert_eq!(of("query", json!({"query": "a + b", "limit": 3})).unwrap(), "/api/v1/query?query=a+%2B+b&limit=3");
        assert_eq!(
            of("label_values", json!({"label": "a/b", "match": "up", "start": null})).unwrap(),
            "/api/v1/label/a%2Fb/values?match%5B%5D=up"
        );
        for (given, part) in [
            (json!({}), "needs the argument \"query\""),
            (json!({"query": "a", "stop": 1}), "takes no argument \"stop\"; it takes query, time, limit"),
            (json!({"query": ["a"]}), "no text and no number"),
        ] {
            let error = of("query", given).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
