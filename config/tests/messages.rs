//! What a refusal says, what a loaded configuration warns of, and what it never shows.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;

use config::{Config, Defaults, GlobalConfig, ScrapeProtocol, SdConfig};

fn parse(text: &str) -> Result<Config, config::Error> {
    Config::parse(text, Path::new("/etc/prometheus/prometheus.yml"), &|_| None)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(parse(text).unwrap_err().to_string(), expected);
}

#[test]
fn a_refusal_names_the_place_the_field_and_a_way_out() {
    refused(
        "scrape_configs:\n- job_name: a\n  scrape_intervall: 5s\n",
        "/etc/prometheus/prometheus.yml:3:3: scrape_configs[0].scrape_intervall: field scrape_intervall not found in scrape_configs[0]; did you mean scrape_interval?",
    );
    refused(
        "global:\n  scrape_interval: 5\n",
        "/etc/prometheus/prometheus.yml:2:20: global.scrape_interval: not a valid duration string: \"5\"; write it as 30s, 5m or 1h30m",
    );
    refused(
        "global:\n  scrape_interval: 1s\n  scrape_interval: 2s\n",
        "/etc/prometheus/prometheus.yml:3:3: field scrape_interval already set; remove one of the two",
    );
}

/// Each of these faults is told, in the order of the file, and nothing else.
#[track_caller]
fn all_faults(text: &str, expected: &[&str]) {
    let error = parse(text).unwrap_err();
    let told: Vec<String> =
        error.faults().iter().map(|fault| fault.to_string().replace("/etc/prometheus/prometheus.yml:", "")).collect();
    let is_told = |(told, expected): (&String, &&str)| told.starts_with(*expected);
    assert!(told.len() == expected.len() && told.iter().zip(expected).all(is_told), "{told:#?}");
}

#[test]
fn all_faults_are_told_in_the_order_of_the_file() {
    all_faults(
        "global:
  scrape_interval: 5
  external_labels: {a: [b], '': c}
  evaluation_interval: x
  evaluation_interval: 1m
rule_files: [a/*/b, c.yml, 'd*/e']
unknown: 1
scrape_configs:
- job_name: a
  scrape_timeout: 2m
  honor_labels: x
  relabel_configs:
  - {regex: '(', target_label: x, source_labels: [a, [b]]}
  - {action: drp, regex: '['}
  - {action: hashmod}
  - null
  static_configs: {}
  kubernetes_sd_configs: [{rol: pod}, {role: pods, selectors: [{role: node}]}, {role: node, selectors: [{role: pod}]}]
-
- x
- job_name: a
  tls_config: {min_version: TLS9, key: [a]}
  basic_auth: {username: u}
  bearer_token: x
- scrape_interval: 1s
  scrape_timeout: 2s
alerting:
  alertmanagers: [{api_version: v1, static_configs: [{targets: ['http://a']}]}]
remote_write:
- {ulr: 'http://a'}
- {url: a, protobuf_message: x, headers: {host: b}, name: n}
- {url: 'http://b', name: n}
",
        &[
            "2:20: global.scrape_interval: not a valid duration",
            "3:20: global.external_labels: \"\" is not a valid label name",
            "3:24: global.external_labels.a: cannot unmarshal a list",
            "4:24: global.evaluation_interval: not a valid duration",
            "5:3: field evaluation_interval already set",
            "6:13: rule_files: invalid rule file path \"a/*/b\"",
            "6:13: rule_files: invalid rule file path \"d*/e\"",
            "7:1: unknown: field unknown not found",
            "11:17: scrape_configs[0].honor_labels: ",
            "13:13: scrape_configs[0].relabel_configs[0].regex: ",
            "13:54: scrape_configs[0].relabel_configs[0].source_labels[1]: ",
            "14:14: scrape_configs[0].relabel_configs[1].action: ",
            "14:26: scrape_configs[0].relabel_configs[1].regex: ",
            "15:5: scrape_configs[0].relabel_configs[2]: relabel configuration for hashmod",
            "16:5: scrape_configs[0].relabel_configs[3]: empty or null",
            "17:19: scrape_configs[0].static_configs: cannot unmarshal a mapping into a list",
            "18:28: scrape_configs[0].kubernetes_sd_configs[0].rol: field rol not found",
            "18:46: scrape_configs[0].kubernetes_sd_configs[1].role: unknown Kubernetes SD role",
            "18:112: scrape_configs[0].kubernetes_sd_configs[2].selectors[0].role: node role supports only",
            "19:2: scrape_configs[1]: empty or null scrape config section",
            "20:3: scrape_configs[2]: cannot unmarshal a single value into a mapping",
            "21:3: scrape_configs[3]: at most one of basic_auth, oauth2, bearer_token",
            "21:3: scrape_configs[3]: found multiple scrape configs with job name",
            "22:29: scrape_configs[3].tls_config.min_version: unknown TLS version",
            "22:40: scrape_configs[3].tls_config.key: cannot unmarshal a list",
            "25:3: scrape_configs[4].job_name: job_name is empty",
            "28:33: alerting.alertmanagers[0].api_version: expected",
            "28:53: alerting.alertmanagers[0].static_configs: \"http://a\" is not a valid hostname",
            "30:4: remote_write[0].ulr: field ulr not found in remote_write[0]; did you mean url?",
            "31:9: remote_write[1].url: not a URL",
            "31:30: remote_write[1].protobuf_message: invalid",
            "31:42: remote_write[1].headers: host is a reserved header",
            "32:27: remote_write[2].name: found multiple remote write configs",
        ],
    );
}

/// What follows from a fault is not told.
#[test]
fn consequences_are_not_told() {
    for (text, fault) in [
        ("global: {scrape_interval: x, scrape_timeout: 5m}", "1:27"),
        ("global: {scrape_intervall: 10m, scrape_timeout: 5m}", "1:10"),
        ("global: {scrape_interval: x}\nscrape_configs: [{job_name: a, scrape_timeout: 5m}]", "1:27"),
        ("global: []\nscrape_configs: [{job_name: a, scrape_timeout: 5m}]", "1:9"),
        (
            "scrape_configs: [{job_name: a, relabel_configs: [{action: x}], static_configs: [{targets: ['http://a']}]}]",
            "1:59",
        ),
        ("scrape_configs: [{job_name: [a]}]", "1:29"),
        ("scrape_configs: [{jobname: a, metric_relabel_configs: []}]", "1:19"),
        ("global: {metric_name_escaping_scheme: x}\nscrape_configs: [{job_name: a}, {job_name: b}]", "2:18"),
        ("scrape_configs: [{job_name: a, dns_sd_configs: [{name: [a]}]}]", "1:50"),
        ("scrape_configs: [{job_name: a, dockerswarm_sd_configs: [{host: 'unix:///a', role: [b]}]}]", "1:83"),
        ("alerting: {webhooks: [{}]}", "1:23"),
        ("tracing: {endpoint: [a]}", "1:21"),
        ("tracing: {endpoin: a}", "1:11"),
    ] {
        all_faults(text, &[fault]);
    }
}

/// A fault is shown with its line, and secrets are not.
#[test]
fn the_line_is_shown() {
    let error = parse("scrape_configs:\n- job_name: a\n  bearer_tokn: hunter2\n  scrape_timeot: 5s\n").unwrap_err();
    let expected = "/etc/prometheus/prometheus.yml:3:3: scrape_configs[0].bearer_tokn: field bearer_tokn not found in scrape_configs[0]; did you mean bearer_token?
    3 |   bearer_tokn: <hidden>
      |   ^
/etc/prometheus/prometheus.yml:4:3: scrape_configs[0].scrape_timeot: field scrape_timeot not found in scrape_configs[0]; did you mean scrape_timeout?
    4 |   scrape_timeot: 5s
      |   ^";
    assert_eq!(error.detailed(), expected);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn faults_of_included_files_are_told_after_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yml");
    for (name, text) in [
        ("1.yml", "scrape_configs: [{job_name: a}, {job_name: b, scrape_timeout: 2m}]"),
        ("2.yml", "scrape_configs: [{job_name: b}]\nx: 1\n"),
        ("3.yml", "scrape_configs: ["),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let text = "scrape_config_files: ['*.yml']\nscrape_configs: [{job_name: a, x: 1}]\n";
    let error = Config::parse(text, &path, &|_| None).unwrap_err();
    let told: Vec<String> = error.faults().iter().map(|fault| fault.to_string()).collect();
    let expected = ["p.yml:2:32", "1.yml:1:18", "1.yml:1:63", "2.yml:1:18", "2.yml:2:1", "3.yml:"];
    let is_told = |(told, expected): (&String, &&str)| told.contains(*expected);
    assert!(told.len() == expected.len() && told.iter().zip(&expected).all(is_told), "{told:#?}");
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Config::load(&folder.path().join("none.yml"), &Defaults::default()).unwrap_err();
    assert!(error.to_string().contains("none.yml"), "{error}");
}

#[test]
fn defaults_hold_where_the_file_says_nothing() {
    let defaults =
        Defaults { extra_scrape_metrics: true, scrape_protocols: Some(ScrapeProtocol::PROTO_FIRST.to_vec()) };
    let jobs = "scrape_configs: [{job_name: a}, {job_name: b, extra_scrape_metrics: false}]";
    for (global, expected) in [
        ("", [(true, 5), (false, 5)]),
        ("global: {scrape_interval: 15s}\n", [(true, 5), (false, 5)]),
        ("global: {extra_scrape_metrics: false, scrape_protocols: [PrometheusText0.0.4]}\n", [(false, 1), (false, 1)]),
    ] {
        let text = format!("{global}{jobs}");
        let config = Config::parse_over(&defaults, &text, Path::new("p.yml"), &|_| None).unwrap();
        let got: Vec<_> =
            config.scrape_configs.iter().map(|job| (job.extra_scrape_metrics, job.scrape_protocols.len())).collect();
        assert_eq!(got, expected, "{global}");
        assert_eq!(config.to_yaml().contains("extra_scrape_metrics: true"), expected[0].0, "{}", config.to_yaml());
    }
}

const SECRETS: &str = "scrape_configs:
- job_name: a
  basic_auth: {username: u, password: hunter2}
  proxy_url: http://u:hunter2@proxy:1
  http_headers: {X-Key: {secrets: [hunter2]}}
  consul_sd_configs: [{server: s, token: hunter2}]
  oci_sd_configs: [{pass_key: hunter2}]
- job_name: b
  bearer_token: hunter2
  tls_config: {cert: c, key: hunter2}
- job_name: c
  oauth2: {client_id: i, client_secret: hunter2, token_url: 'http://t'}
";

#[test]
fn secrets_are_never_shown() {
    let config = parse(SECRETS).unwrap();
    assert!(!config.to_yaml().contains("hunter2"), "{}", config.to_yaml());
    // The proxy's URL is the client's to use; every other secret is hidden even here.
    let debug = format!("{config:?}").replace("http://u:hunter2@proxy:1", "");
    assert!(!debug.contains("hunter2"), "{debug}");
}

#[test]
fn what_is_not_served_is_said_once() {
    let config = parse(&format!("{SECRETS}tracing: {{endpoint: t}}\n")).unwrap();
    let warnings = config.not_served();
    for part in ["tracing", "oci_sd_configs"] {
        assert_eq!(warnings.iter().filter(|warning| warning.starts_with(part)).count(), 1, "{part}: {warnings:?}");
    }
    assert!(parse("").unwrap().not_served().is_empty());
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let config = parse(
        "rule_files: [r/*.yml]\nscrape_configs: [{job_name: a, file_sd_configs: [{files: [t.json, /x/t.yml]}]}]\n",
    );
    let config = config.unwrap();
    assert_eq!(config.rule_files, [Path::new("/etc/prometheus/r/*.yml")]);
    let [SdConfig::File(files)] = config.scrape_configs[0].sd.as_slice() else { panic!("{config:?}") };
    assert_eq!(files.files, [Path::new("/etc/prometheus/t.json"), Path::new("/x/t.yml")]);
}

#[test]
fn external_labels_take_the_environment() {
    let text = "global: {external_labels: {a: '${POD}-$$x', b: $GONE}}\n";
    let env = |name: &str| (name == "POD").then(|| "p0".to_owned());
    let config = Config::parse(text, Path::new("p.yml"), &env).unwrap();
    assert_eq!(config.global.external_labels.get("a"), Some("p0-$x"));
    assert_eq!(config.global.external_labels.get("b"), None);
    assert!(config.warnings.len() == 1 && config.warnings[0].contains("GONE"), "{:?}", config.warnings);
}

#[test]
fn retention_rules_are_read_and_shown() {
    let text = "storage:\n  tsdb:\n    retention_rules:\n    - match: '{__name__=~\"debug_.*\"}'\n      time: 2d\n";
    let config = parse(text).unwrap();
    let rule = &config.storage.tsdb.retention_rules[0];
    assert_eq!((rule.selector.as_str(), rule.time_ms), ("{__name__=~\"debug_.*\"}", 2 * 86_400_000));
    assert_eq!(rule.place, "/etc/prometheus/prometheus.yml:4:14: storage.tsdb.retention_rules[0].match");
    assert!(config.to_yaml().contains("retention_rules:\n    - match: "), "{}", config.to_yaml());
    refused(
        "storage:\n  tsdb:\n    retention_rules:\n    - match: up\n      time: 0s\n",
        "/etc/prometheus/prometheus.yml:5:13: storage.tsdb.retention_rules[0].time: a retention rule needs 'time', a duration longer than 0 such as 2d",
    );
}

#[test]
fn alert_webhooks_are_read_and_shown() {
    let text = "alerting: {webhooks: [{url: 'https://hooks/hunter2', group_wait: 0s, bearer_token: x},
  {url: 'http://h', group_by: [], send_resolved: false, max_alerts: 3}]}\n";
    let config = parse(text).unwrap();
    let [first, second] = config.alerting.webhooks.as_slice() else { panic!("two webhooks") };
    assert_eq!((first.group_by.as_slice(), first.send_resolved), (&["alertname".to_owned()][..], true));
    assert_eq!((first.group_wait_ms, first.group_interval_ms, first.repeat_interval_ms), (0, 300_000, 14_400_000));
    assert_eq!((second.group_by.len(), second.send_resolved, second.max_alerts), (0, false, 3));
    assert_eq!(second.url.as_ref().unwrap().expose(), "http://h");
    let shown = config.to_yaml();
    assert!(shown.contains("url: <secret>") && shown.contains("group_by: []") && !shown.contains("hunter2"), "{shown}");
    let file = "/etc/prometheus/prometheus.yml:1:23: alerting.webhooks[0]";
    refused(
        "alerting: {webhooks: [{}]}",
        &format!("{file}.url: a webhook needs 'url', where its messages are sent to"),
    );
    refused(
        "alerting: {webhooks: [{url: 'ftp://h'}]}",
        &format!("{}.url: a webhook is reached by http or https", file.replace(":23", ":29")),
    );
}

#[test]
fn limits_of_our_own_are_read_inherited_and_shown() {
    use config::LimitMode;

    let text = "global: {limit_mode: soft, series_limit: 7}
scrape_configs:
- {job_name: a}
- {job_name: b, limit_mode: hard, series_limit: 8, entry_limit: 9}
";
    let config = parse(text).unwrap();
    let limits: Vec<_> = config.scrape_configs.iter().map(|job| job.limits).collect();
    assert_eq!((limits[0].mode, limits[0].series, limits[0].entries), (LimitMode::Soft, 7, 0));
    assert_eq!((limits[1].mode, limits[1].series, limits[1].entries), (LimitMode::Hard, 8, 9));
    let shown = config.to_yaml();
    for line in ["  limit_mode: soft\n", "  series_limit: 7\n", "  series_limit: 8\n", "  entry_limit: 9\n"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    refused(
        "scrape_configs: [{job_name: a, limit_mode: off}]",
        "/etc/prometheus/prometheus.yml:1:44: scrape_configs[0].limit_mode: unknown limit_mode \"off\"; it is hard or soft",
    );
}

#[test]
fn grants_of_oauth2_are_told_apart() {
    let job = |more: &str| {
        format!("scrape_configs: [{{job_name: a, oauth2: {{client_id: i, token_url: 'http://t', {more}}}}}]")
    };
    let config = parse(&job("grant_type: client_credentials, client_secret: s")).unwrap();
    assert!(!config.scrape_configs[0].http.oauth2.as_ref().unwrap().is_jwt_bearer());
    let bearer = "grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'";
    let more = "client_certificate_key: hunter2, iss: me, claims: {count: 1, s: x, deep: {list: [yes, 'no', 1.5, ~]}}, signature_algorithm: RS384";
    let config = parse(&job(&format!("{bearer}, {more}"))).unwrap();
    let oauth2 = config.scrape_configs[0].http.oauth2.clone().unwrap();
    assert!(oauth2.is_jwt_bearer());
    assert_eq!(oauth2.signature_algorithm, "RS384");
    let claims = serde_json::to_string(&oauth2.claims.values).unwrap();
    assert_eq!(claims, r#"{"count":1,"s":"x","deep":{"list":[true,"no",1.5,null]}}"#);
    let shown = config.to_yaml();
    for line in ["client_certificate_key: <secret>", "iss: me", "count: 1", "s: x", "grant_type: urn:ietf:params"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    for (more, expected) in [
        (format!("{bearer}, signature_algorithm: HS256"), "valid signature algorithms are RS256, RS384 and RS512"),
        (
            format!("{bearer}, client_certificate_key: a, client_certificate_key_file: b"),
            "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must be configured",
        ),
    ] {
        let error = parse(&job(&more)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_queries_may_cost_is_read_and_shown() {
    let config =
        parse("global: {query_max_series: 10, query_max_samples_read: 2000, query_max_duration: 90s}\n").unwrap();
    let GlobalConfig { query_max_series, query_max_samples_read, query_max_duration_ms, .. } = config.global;
    assert_eq!((query_max_series, query_max_samples_read, query_max_duration_ms), (10, 2000, 90_000));
    let shown = "  query_max_series: 10\n  query_max_samples_read: 2000\n  query_max_duration: 1m30s\n";
    assert!(config.to_yaml().contains(shown), "{}", config.to_yaml());
    let nothing = parse("global: {query_max_series: 0}\n").unwrap();
    assert!(!nothing.to_yaml().contains("query_max"), "{}", nothing.to_yaml());
    for text in ["global: {query_max_series: -1}\n", "global: {query_max_samples_read: x}\n"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

/// As Go's decoder has it: a key without a value is the zero of its type, and not the default. Judged by Prometheus 3.16.
#[test]
fn what_is_left_empty_is_zero() {
    let job = |field: &str| {
        let text = format!("scrape_configs:\n- job_name: a\n  {field}\n  static_configs: [{{targets: [b]}}]\n");
        parse(&text).map(|config| config.to_yaml()).map_err(|error| error.to_string())
    };
    let relabel = |field: &str| job(&format!("relabel_configs: [{{source_labels: [x], target_label: y, {field}}}]"));
    for (got, shown, hidden) in [
        (relabel("replacement:"), "replacement: \"\"", "$1"),
        (relabel("separator:"), "separator: \"\"", "separator: ;"),
        (relabel("regex:"), "regex: \"\"", "(.*)"),
        (relabel("modulus:"), "action: replace", "modulus"),
        (job("relabel_configs: [{source_labels: [~, x], target_label: y}]"), "source_labels: [\"\", x]", "none"),
        (job("params: {x: , k: [~, z]}"), "k:\n    - \"\"\n    - z\n    x: []", "none"),
        (job("follow_redirects: ~"), "follow_redirects: false", "follow_redirects: true"),
        (job("enable_http2:"), "enable_http2: false", "enable_http2: true"),
        (job("honor_timestamps: null"), "honor_timestamps: false", "honor_timestamps: true"),
        (job("enable_compression:"), "enable_compression: false", "enable_compression: true"),
        (job("metrics_path:"), "always_scrape", "metrics_path"),
        (job("scheme:"), "always_scrape", "\n  scheme:"),
        // Nothing is not set where upstream keeps a pointer, or takes zero for what is not set.
        (job("scrape_interval:"), "scrape_interval: 1m", "none"),
        (job("scrape_native_histograms:"), "metrics_path: /metrics", "none"),
        (job("sample_limit:"), "always_scrape", "sample_limit"),
        (job("tls_config: {min_version: , insecure_skip_verify: }"), "always_scrape", "tls_config"),
        (job("http_headers: {x: {values: }}"), "x: {}", "none"),
    ] {
        let got = got.unwrap();
        assert!(got.contains(shown) && !got.contains(hidden), "{shown} {hidden}: {got}");
    }
    assert!(job("honor_labels: tRUE").is_err() && job("honor_labels: YES").unwrap().contains("honor_labels: true"));
    assert!(job("honor_labels: !!bool \"true\"").is_ok() && job("honor_labels: !!str true").is_err());
    assert!(relabel("action:").unwrap_err().contains("relabel action cannot be empty"));
    assert!(
        job("relabel_configs: [{source_labels: [\"\"], target_label: y}]")
            .unwrap_err()
            .contains("not a valid label name")
    );
    let storage =
        parse("storage: {tsdb: {retention: {size: , percentage: }}, exemplars: {max_exemplars: }}\n").unwrap();
    let storage = storage.to_yaml();
    assert!(storage.contains("retention: {}") && storage.contains("exemplars: {}"), "{storage}");
}

#[test]
fn a_level_of_logging_is_one_that_there_is() {
    let mut said = parse("runtime: {log_level: WARN}\n").unwrap();
    said.default_log_level("info");
    assert_eq!(said.log_level(), Some("warn"));
    let mut silent = parse("").unwrap();
    assert_eq!(silent.log_level(), None);
    silent.default_log_level("info");
    assert!(silent.to_yaml().contains("runtime:\n  gogc: 75\n  log_level: info\n"), "{}", silent.to_yaml());
    let error = parse("runtime: {log_level: verbose}\n").unwrap_err().to_string();
    assert!(error.contains("runtime.log_level: unrecognized log level verbose; it is one of debug"), "{error}");
}

/// Sections that nothing serves yet are read, checked and printed as the others are, and each gives one warning.
#[test]
fn what_is_not_served_is_declared_like_the_rest() {
    let text =
        "alerting: {alertmanagers: [{sigv4: {region: r, secret_key: hunter2}, static_configs: [{targets: [a]}]}]}
storage: {tsdb: {retention: {percentage: 50}}}
tracing: {endpoint: e, sampling_fraction: 0.5}
remote_write: [{url: 'http://u:hunter2@w', queue_config: {max_shards: 3}, failed_request_logging: true}]
remote_read: [{url: 'http://r'}]
otlp: {promote_resource_attributes: [' a ']}
";
    let config = parse(text).unwrap();
    let write = &config.remote_write[0];
    assert_eq!((write.queue_config.max_shards, write.queue_config.capacity), (3, 10_000));
    assert!(!write.http.enable_http2 && config.alerting.alertmanagers[0].http.enable_http2);
    assert_eq!(config.otlp.as_ref().unwrap().promote_resource_attributes, ["a"]);
    let shown = config.to_yaml();
    assert!(shown.contains("url: http://u:xxxxx@w") && !shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("secret_key: <secret>") && shown.contains("failed_request_logging: true"), "{shown}");
    let warnings = config.not_served();
    let fields = ["alerting.alertmanagers[0].sigv4", "storage.tsdb.retention.percentage", "tracing"];
    assert_eq!(warnings.iter().map(|warning| warning.split(':').next().unwrap()).collect::<Vec<_>>(), fields);
    refused(
        "remote_write: [{url: 'http://w', queue_config: {max_shrads: 3}}]",
        "/etc/prometheus/prometheus.yml:1:49: remote_write[0].queue_config.max_shrads: field max_shrads not found in remote_write[0].queue_config; did you mean max_shards?",
    );
    refused(
        "remote_read: [{url: 'http://r', name: a}, {url: 'http://r', name: a}]",
        "/etc/prometheus/prometheus.yml:1:67: remote_read[1].name: found multiple remote read configs with job name \"a\"",
    );
}

/// A job that sets its validation does not inherit an escaping that contradicts it. As Prometheus 3.16.
#[test]
fn escaping_follows_a_validation_of_the_jobs_own() {
    let config = parse(
        "global: {metric_name_escaping_scheme: dots}
scrape_configs:
- {job_name: a}
- {job_name: b, metric_name_validation_scheme: legacy}
- {job_name: c, metric_name_validation_scheme: utf8}
",
    );
    let jobs = config.unwrap().scrape_configs;
    assert_eq!(
        jobs.iter().map(|job| job.name_escaping.as_str()).collect::<Vec<_>>(),
        ["dots", "underscores", "allow-utf-8"]
    );
}
