//! What Prometheus 3.16 takes, refuses and prints, where that is easily got wrong. Recorded from its `config.Load`.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;

use config::Config;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("prometheus.yml"), &|_| None).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = parse(text).unwrap_err();
    assert!(error.contains(expected), "{text}: {error}");
}

/// The configuration is taken, and printed with these lines.
#[track_caller]
fn shown(text: &str, lines: &str) {
    let printed = parse(text).unwrap().to_yaml();
    assert!(printed.contains(lines), "{text}: expected\n{lines}got\n{printed}");
}

fn job(fields: &str) -> String {
    format!("scrape_configs: [{{job_name: a, {fields}}}]")
}

#[test]
fn reserved_headers_may_not_be_set() {
    for name in ["x-amz-date", "X-AMZ-Security-Token", "X-Amz-Content-Sha256", "proxy-authorization", "Accept-Encoding"]
    {
        for section in ["remote_write: [{url: 'http://a'", "remote_read: [{url: 'http://a'", "tracing: {endpoint: e"] {
            let close = if section.starts_with("tracing") { "}" } else { "}]" };
            let text = format!("{section}, headers: {{{name}: x}}{close}");
            refused(&text, &format!("{name} is a reserved header. It must not be changed"));
        }
    }
    refused("remote_read: [{url: 'http://a', headers: {www-authenticate: x}}]", "is a reserved header");
    refused(&job("http_headers: {x-amz-date: {values: [a]}}"), "setting header \"X-Amz-Date\" is not allowed");
    shown(&job("http_headers: {accept: {values: [a]}}"), "  http_headers:\n    accept:\n      values:\n      - a\n");
    refused(
        "tracing: {endpoint: e, headers: {Authorization: x}}",
        "custom authorization header configuration is not yet supported",
    );
}

#[test]
fn requests_are_authenticated_in_one_way() {
    let many = "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be configured. Currently configured: ";
    for (fields, set) in [
        ("sigv4: {}, basic_auth: {}", "[basic_auth sigv4]"),
        ("sigv4: {}, google_iam: {}", "[sigv4 google_iam]"),
        ("azuread: {sdk: {}}, google_iam: {}, bearer_token: x", "[authorization azuread google_iam]"),
    ] {
        refused(&format!("remote_write: [{{url: 'http://a', {fields}}}]"), &format!("{many}{set}"));
    }
    shown("remote_write: [{url: 'http://a', sigv4: , google_iam: {}}]", "  google_iam: {}\n");
    refused(
        "alerting: {alertmanagers: [{sigv4: {}, bearer_token: x}]}",
        "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured",
    );
    shown(&job("authorization: {type: ' Token ', credentials: x}"), "  authorization:\n    type: Token\n");
    shown(&job("authorization: {type: ' '}"), "  authorization:\n    type: Bearer\n");
}

#[test]
fn an_alertmanager_is_an_address() {
    let targets = "static_configs: [{targets: ['http://a']}]";
    refused(&format!("alerting: {{alertmanagers: [{{{targets}}}]}}"), "\"http://a\" is not a valid hostname");
    let rules = "relabel_configs: [{source_labels: [a], target_label: b}]";
    shown(&format!("alerting: {{alertmanagers: [{{{rules}, {targets}}}]}}"), "    - targets:\n      - http://a\n");
}

/// A null word is not looked at, an empty one is.
#[test]
fn words_are_among_those_there_are() {
    for word in ["GRPC", "''"] {
        refused(
            &format!("tracing: {{endpoint: e, client_type: {word}}}"),
            "expected tracing client type to be to be http or grpc, but got ",
        );
    }
    shown("tracing: {endpoint: e, client_type: }", "tracing:\n  endpoint: e\n");
    refused("alerting: {alertmanagers: [{api_version: ''}]}", "expected Alertmanager api version to be one of [v2]");
    shown("alerting: {alertmanagers: [{api_version: }]}", "    api_version: \"\"\n");
    shown("otlp: {translation_strategy: ''}", "otlp:\n  label_name_underscore_sanitization: true\n");
    let methods =
        "name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', got \"x\"";
    let own = job("metric_name_escaping_scheme: dots");
    refused(&format!("global: {{metric_name_escaping_scheme: x}}\n{own}"), &format!("unknown global {methods}"));
    shown("global: {metric_name_escaping_scheme: x}", "  metric_name_escaping_scheme: x\n");
    refused(&job("metric_name_escaping_scheme: x"), &format!("unknown scrape config {methods}"));
}

/// Source labels are valid by the UTF-8 rules under every scheme.
#[test]
fn rules_follow_the_scheme_of_names() {
    let legacy = "global: {metric_name_validation_scheme: legacy}\n";
    let sections = |rule: &str| {
        let rules = |name: &str| format!("{name}: [{{source_labels: [a.b], target_label: {rule}}}]");
        [
            format!("remote_write: [{{url: 'http://a', {}}}]", rules("write_relabel_configs")),
            format!("alerting: {{{}}}", rules("alert_relabel_configs")),
            format!("alerting: {{alertmanagers: [{{{}}}]}}", rules("relabel_configs")),
            format!("alerting: {{alertmanagers: [{{{}}}]}}", rules("alert_relabel_configs")),
            job(&rules("relabel_configs")),
            job(&rules("metric_relabel_configs")),
        ]
    };
    for section in sections("c.d") {
        refused(&format!("{legacy}{section}"), "\"c.d\" is invalid 'target_label' for replace action");
        assert!(parse(&section).is_ok(), "{section}");
    }
    for section in sections("c") {
        shown(&format!("{legacy}{section}"), "source_labels: [a.b]\n");
    }
}

#[test]
fn maps_are_printed_in_go_yamls_order() {
    shown(
        "global: {external_labels: {a10: '', a9: b, B: c}}",
        "  external_labels:\n    B: c\n    a9: b\n    a10: \"\"\n",
    );
    let fields =
        "params: {a10: [x], a9: [y], B: [z]}, proxy_connect_header: {x10: [a], x9: [b]}, proxy_url: 'http://p'";
    shown(&job(fields), "  params:\n    B:\n    - z\n    a9:\n    - \"y\"\n    a10:\n    - x\n");
    shown(&job(fields), "  proxy_connect_header:\n    x9:\n    - <secret>\n    x10:\n    - <secret>\n");
    let headers = "http_headers: {x10: {values: [a]}, x9: {values: [b]}}";
    shown(&job(headers), "    x9:\n      values:\n      - b\n    x10:\n      values:\n      - a\n");
    shown("tracing: {endpoint: e, headers: {x10: a, x9: b}}", "  headers:\n    x9: b\n    x10: a\n");
    let labels = "static_configs: [{targets: [t], labels: {a10: x, a9: z}}]";
    shown(&job(labels), "    labels:\n      a9: z\n      a10: x\n");
    let oauth2 = "oauth2: {client_id: a, token_url: b, endpoint_params: {a10: x, a9: z}}";
    shown(&job(oauth2), "    endpoint_params:\n      a9: z\n      a10: x\n");
}

#[test]
fn long_lines_are_broken() {
    let labels = [
        "__meta_kubernetes_pod_label_app",
        "__meta_kubernetes_pod_label_version",
        "__meta_kubernetes_pod_name",
        "__meta_kubernetes_namespace",
    ];
    shown(
        &job(&format!("relabel_configs: [{{source_labels: [{}], target_label: x}}]", labels.join(", "))),
        &format!("  - source_labels: [{}, {},\n      {}, {}]\n", labels[0], labels[1], labels[2], labels[3]),
    );
}

#[test]
fn numbers_and_paths_as_upstream_takes_them() {
    let threshold = |number: &str| format!("storage: {{tsdb: {{stale_series_compaction_threshold: {number}}}}}");
    shown(&threshold(".inf"), "    stale_series_compaction_threshold: .inf\n");
    shown(&threshold("1e21"), "    stale_series_compaction_threshold: 1e+21\n");
    refused("remote_read: [{url: 'http://a', chunked_read_limit: -1}]", "cannot unmarshal `-1` into uint");
    refused("remote_read: [{url: 'http://a', required_matchers: {'': c}}]", "\"\" is not a valid label name");
    shown("rule_files: ['a*b*c']", "rule_files:\n- a*b*c\n");
    refused("rule_files: ['a/*/b']", "invalid rule file path \"a/*/b\"");
    shown(&job("file_sd_configs: [{files: ['*-a-*.yml']}]"), "    - '*-a-*.yml'\n");
}

/// The one difference here: upstream takes it, and then sets no limit without saying so.
#[test]
fn a_retention_in_percent_is_a_number() {
    refused("storage: {tsdb: {retention: {percentage: .nan}}}", "must be in the range [0, 100]");
}

#[test]
fn stars_stand_for_any_part_of_a_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a-1-x.yml", "b.yml"] {
        let text = format!("scrape_configs: [{{job_name: {name}}}]");
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    for (pattern, expected) in [("*-1-*.yml", &["a-1-x.yml"][..]), ("**.yml", &["a-1-x.yml", "b.yml"])] {
        let text = format!("scrape_config_files: ['{pattern}']");
        let config = Config::parse(&text, &folder.path().join("prometheus.yml"), &|_| None).unwrap();
        let jobs: Vec<&str> = config.scrape_configs.iter().map(|job| job.job_name.as_str()).collect();
        assert_eq!(jobs, expected, "{pattern}");
    }
}
