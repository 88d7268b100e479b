//! Grafana: the Prometheus data source, its variables, Metrics Drilldown, and the lists of alerts.

use crate::row::Need::{Absent, Header, Is, List, Map, Number, Sample, Samples, Some, Text, Time, Version};
use crate::row::{Row, Same};

const CLIENT: &str = "Grafana";
const QUERIES: &str = "grafana/grafana pkg/promlib/client/client.go";
const HEALTH: &str = "grafana/grafana pkg/promlib/healthcheck.go";
const HEURISTICS: &str = "grafana/grafana pkg/promlib/heuristics.go";
const RESOURCES: &str = "grafana/grafana packages/grafana-prometheus/src/resource_clients.ts";
const VARIABLES: &str = "grafana/grafana packages/grafana-prometheus/src/metric_find_query.ts";
const METADATA: &str = "grafana/grafana packages/grafana-prometheus/src/language_provider.ts";
const ALERTS: &str = "grafana/grafana pkg/services/ngalert/api/lotex_prom.go";
const DRILLDOWN: &str = "grafana/metrics-drilldown src/AppDataTrail/MetricDatasourceHelper/MetricDatasourceHelper.ts";

const fn get(source: &'static str, path: &'static str) -> Row {
    Row::get(CLIENT, source, path)
}

const fn post(source: &'static str, path: &'static str) -> Row {
    Row::post(CLIENT, source, path)
}

const EXPLORE: &str = "sum by (pod) (rate(container_cpu_usage_seconds_total{namespace=\"app\"}[1m0s]))";

pub const ROWS: &[Row] = &[
    post(HEALTH, "/api/v1/query").with(&[("query", "1+1"), ("time", "4")]).needs(&[
        Is("/status", "success"),
        Is("/data/resultType", "scalar"),
        Sample("/data/result"),
    ]),
    // Without `features` it is taken for a Prometheus, with some for a Mimir.
    get(HEURISTICS, "/api/v1/status/buildinfo").same(Same::Status).needs(&[
        Is("/status", "success"),
        Version("/data/version"),
        Text("/data/revision"),
        Text("/data/branch"),
        Text("/data/buildUser"),
        Text("/data/buildDate"),
        Text("/data/goVersion"),
        Absent("/data/features"),
    ]),
    // A data source that is set to POST falls back to GET by this status.
    post(QUERIES, "/api/v1/metadata").fails(405).same(Same::Status),
    post(QUERIES, "/api/v1/query_range")
        .with(&[("query", EXPLORE), ("start", "$start"), ("end", "$end"), ("step", "15")])
        .sends(&[("accept-encoding", "gzip")])
        .needs(&[Is("/data/resultType", "matrix"), Samples("/data/result/0/values"), Header("content-type", "application/json")]),
    get(QUERIES, "/api/v1/query_range")
        .with(&[("query", EXPLORE), ("start", "$start"), ("end", "$end"), ("step", "15"), ("timeout", "60s")])
        .needs(&[Is("/data/resultType", "matrix"), Samples("/data/result/0/values")]),
    post(QUERIES, "/api/v1/query").with(&[("query", EXPLORE), ("time", "$end.123")]).needs(&[
        Is("/data/resultType", "vector"),
        Sample("/data/result/0/value"),
    ]),
    post(QUERIES, "/api/v1/query").with(&[("query", "sum(rate("), ("time", "$end")]).fails(400).needs(&[
        Is("/status", "error"),
        Is("/errorType", "bad_data"),
        Text("/error"),
    ]),
    // Two series of which the functions are not for: an answer with notes.
    post(QUERIES, "/api/v1/query").with(&[("query", "rate(kube_pod_info[5m])"), ("time", "$end")]).needs(&[
        Is("/data/resultType", "vector"),
        List("/infos"),
    ]),
    post(QUERIES, "/api/v1/query_exemplars")
        .with(&[("query", EXPLORE), ("start", "$start"), ("end", "$end")])
        .needs(&[Is("/status", "success"), List("/data")]),
    post(RESOURCES, "/api/v1/labels")
        .with(&[("limit", "40000"), ("start", "$start"), ("end", "$end"), ("match[]", "{__name__=\"kube_pod_info\"}")])
        .needs(&[Some("/data")]),
    post(RESOURCES, "/api/v1/series")
        .with(&[("start", "$start"), ("end", "$end"), ("match[]", "{__name__!=\"\",namespace=\"app\"}"), ("limit", "40000")])
        .needs(&[Some("/data"), Text("/data/0/__name__")]),
    get(RESOURCES, "/api/v1/label/__name__/values")
        .with(&[("limit", "40000"), ("start", "$start"), ("end", "$end")])
        .needs(&[Some("/data"), Text("/data/0")]),
    get(RESOURCES, "/api/v1/label/pod/values")
        .with(&[("limit", "2"), ("start", "$start"), ("end", "$end"), ("match[]", "kube_pod_info")])
        // Which two is left open.
        .same(Same::Shape)
        .needs(&[Some("/data"), List("/warnings")]),
    // Names beyond ASCII are escaped.
    get(RESOURCES, "/api/v1/label/U__k8s_2e_pod/values")
        .with(&[("limit", "40000"), ("start", "$start"), ("end", "$end")])
        .needs(&[List("/data")]),
    get(VARIABLES, "/api/v1/label/namespace/values")
        .with(&[("match[]", "kube_namespace_status_phase{job=\"kube-state-metrics\", cluster=\"c1\"}"), ("start", "$start"), ("end", "$end")])
        .needs(&[Some("/data")]),
    get(VARIABLES, "/api/v1/series")
        .with(&[("match[]", "kube_node_info"), ("start", "$start"), ("end", "$end")])
        .needs(&[Some("/data"), Text("/data/0/node")]),
    get(VARIABLES, "/api/v1/query")
        .with(&[("query", "topk(3, sort_desc(container_memory_rss))"), ("time", "$end")])
        .needs(&[Sample("/data/result/0/value"), Map("/data/result/0/metric")]),
    get(VARIABLES, "/api/v1/query").with(&[("query", "\"text\""), ("time", "$end")]).needs(&[
        Is("/data/resultType", "string"),
        Text("/data/result/1"),
    ]),
    get(METADATA, "/api/v1/metadata").with(&[("limit", "40000")]).same(Same::Status).needs(&[Map("/data"), List("/data/node_load1")]),
    get(DRILLDOWN, "/api/v1/metadata").with(&[("metric", "node_load1")]).same(Same::Shape).needs(&[
        Is("/data/node_load1/0/type", "gauge"),
        Text("/data/node_load1/0/help"),
        Text("/data/node_load1/0/unit"),
    ]),
    get(DRILLDOWN, "/api/v1/metadata").with(&[("metric", "none_such")]).needs(&[Map("/data")]),
    get(DRILLDOWN, "/api/v1/query")
        .with(&[(
            "query",
            "group by (__name__) ({namespace=\"app\"}) unless (group by (__name__) ({namespace=\"app\"} offset 30m))",
        ), ("time", "$end")])
        .needs(&[Text("/data/result/0/metric/__name__")]),
    get(ALERTS, "/api/v1/rules").same(Same::Shape).needs(&[
        Text("/data/groups/0/name"),
        Text("/data/groups/0/file"),
        Number("/data/groups/0/interval"),
        Text("/data/groups/0/rules/0/name"),
        Text("/data/groups/0/rules/0/query"),
        Text("/data/groups/0/rules/0/health"),
        Time("/data/groups/0/rules/0/lastEvaluation"),
        Is("/data/groups/0/rules/0/type", "alerting"),
        Is("/data/groups/0/rules/0/state", "firing"),
        Number("/data/groups/0/rules/0/duration"),
        Map("/data/groups/0/rules/0/annotations"),
        Text("/data/groups/0/rules/0/alerts/0/labels/alertname"),
        Is("/data/groups/0/rules/1/type", "recording"),
    ]),
    get(ALERTS, "/api/v1/alerts").same(Same::Shape).needs(&[
        Text("/data/alerts/0/labels/alertname"),
        Is("/data/alerts/0/state", "firing"),
        Time("/data/alerts/0/activeAt"),
        Text("/data/alerts/0/value"),
    ]),
];
