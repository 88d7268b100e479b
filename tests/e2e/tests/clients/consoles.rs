//! What people look at clusters with: Kiali, Lens (Freelens), Headlamp, OpenCost.

use crate::row::Need::{Duration, Is, List, Number, Sample, Samples, Some, Text, Time, Version, Yaml};
use crate::row::{Row, Same};

const KIALI: &str = "Kiali";
const CLIENT: &str = "kiali/kiali prometheus/client.go";
const METRICS: &str = "kiali/kiali prometheus/metrics.go";
const CONFIG: &str = "kiali/kiali handlers/config.go";
const LENS: &str = "Lens";
const GET_METRICS: &str = "freelensapp/freelens packages/core/src/main/get-metrics.injectable.ts";
const OPERATOR: &str =
    "freelensapp/freelens packages/technical-features/prometheus/src/operator-provider.injectable.ts";
const HEADLAMP: &str = "Headlamp";
const REQUEST: &str = "headlamp-k8s/plugins prometheus/src/request.tsx";
const CHARTS: &str = "headlamp-k8s/plugins prometheus/src/index.tsx";
const OPENCOST: &str = "OpenCost";
const QUERY: &str = "opencost/opencost pkg/prom/query.go";
const VALIDATE: &str = "opencost/opencost pkg/prom/validate.go";
const ALLOCATION: &str = "opencost/opencost pkg/costmodel/allocation.go";
const COSTMODEL: &str = "opencost/opencost pkg/costmodel/costmodel.go";

const RATES: &str =
    "rate(istio_requests_total{destination_service_namespace=\"app\",destination_cluster=~\"c1|unknown\"}[60s]) > 0";
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded;charset=UTF-8")];
const MATRIX: Row = Row::get("", "", "").needs(&[
    Is("/status", "success"),
    Is("/data/resultType", "matrix"),
    Samples("/data/result/0/values"),
]);

/// Of a node's or a pod's chart, as Lens asks for it.
const fn lens(source: &'static str, params: &'static [(&'static str, &'static str)]) -> Row {
    Row::post(LENS, source, "/api/v1/query_range").with(params).sends(FORM).needs(MATRIX.needs)
}

pub const ROWS: &[Row] = &[
    Row::get(KIALI, CLIENT, "/api/v1/status/buildinfo").same(Same::Status).needs(&[Version("/data/version")]),
    Row::get(KIALI, CONFIG, "/api/v1/status/config").same(Same::Status).needs(&[
        Yaml("/data/yaml", "/global/scrape_interval", "1s"),
        Yaml("/data/yaml", "/global/external_labels/replica", "a"),
    ]),
    Row::get(KIALI, CONFIG, "/api/v1/status/runtimeinfo").same(Same::Status).needs(&[
        Duration("/data/storageRetention"),
        Time("/data/startTime"),
        Time("/data/lastConfigTime"),
        Number("/data/goroutineCount"),
        Number("/data/corruptionCount"),
    ]),
    Row::get(KIALI, CLIENT, "/api/v1/label/__name__/values")
        .with(&[("start", "0"), ("end", "$end")])
        .needs(&[Some("/data"), Text("/data/0")]),
    Row::post(KIALI, CLIENT, "/api/v1/query")
        .with(&[("query", "count({namespace=\"app\"}) by (__name__)"), ("time", "$end")])
        .needs(&[Is("/data/resultType", "vector"), Text("/data/result/0/metric/__name__")]),
    Row::post(KIALI, METRICS, "/api/v1/query").with(&[("query", RATES), ("time", "$end.5")]).needs(&[
        Is("/data/resultType", "vector"),
        Sample("/data/result/0/value"),
        Text("/data/result/0/metric/destination_service_name"),
    ]),
    // It joins alternatives by an operator in capitals.
    Row::post(KIALI, METRICS, "/api/v1/query_range")
        .with(&[
            ("query", "(sum(rate(istio_requests_total{source_workload=\"web\"}[60s])) by (reporter) OR sum(rate(istio_requests_total{destination_workload=\"web\"}[60s])) by (reporter))"),
            ("start", "$from.25"),
            ("end", "$end.25"),
            ("step", "15"),
        ])
        .needs(MATRIX.needs),
    Row::post(KIALI, METRICS, "/api/v1/query_range")
        .with(&[
            ("query", "histogram_quantile(0.95, sum(rate(istio_request_duration_milliseconds_bucket{destination_workload_namespace=\"app\"}[60s])) by (le,reporter))"),
            ("start", "$from"),
            ("end", "$end"),
            ("step", "15"),
        ])
        .needs(MATRIX.needs),
    lens(OPERATOR, &[
        ("query", "sum(container_memory_working_set_bytes * on (pod,namespace) group_left(node) max without(pod_ip,host_ip) (kube_pod_info{node=~\"node-1|node-2\"}) - container_memory_rss * on (pod,namespace) group_left(node) max without(pod_ip,host_ip) (kube_pod_info{node=~\"node-1|node-2\"}))"),
        ("start", "$from"),
        ("end", "$end"),
        ("step", "60"),
    ]),
    lens(OPERATOR, &[
        ("query", "sum({__name__=~\"kubelet_running_pod_count|kubelet_running_pods\", node=~\"node-1|node-2\"})"),
        ("start", "$from"),
        ("end", "$end"),
        ("step", "60"),
    ]),
    lens(OPERATOR, &[
        ("query", "sum(rate(container_cpu_usage_seconds_total{container!=\"\",image!=\"\", pod=~\"web-6d4f-a|cart-0\", namespace=\"app\"}[1m])) by (pod)"),
        ("start", "$from"),
        ("end", "$end"),
        ("step", "60"),
        ("namespace", "app"),
    ]),
    Row::get(LENS, GET_METRICS, "/api/v1/query_range")
        .with(&[
            ("query", "sum(kubelet_volume_stats_used_bytes{persistentvolumeclaim=\"cart-data\", namespace=\"app\"}) by (persistentvolumeclaim, namespace)"),
            ("start", "$from"),
            ("end", "$end"),
            ("step", "60"),
        ])
        .needs(MATRIX.needs),
    // How it finds out whether a service is a Prometheus: a day in steps of five minutes.
    Row::get(HEADLAMP, REQUEST, "/api/v1/query_range")
        .with(&[("start", "$day_before"), ("end", "$end"), ("step", "300"), ("query", "up")])
        .needs(MATRIX.needs),
    Row::get(HEADLAMP, CHARTS, "/api/v1/query_range")
        .with(&[
            ("start", "$from"),
            ("end", "$end"),
            ("step", "15"),
            ("query", "sum(rate(container_cpu_usage_seconds_total{container!='',namespace='app',pod='cart-0'}[1m])) by (pod,namespace)"),
        ])
        .needs(MATRIX.needs),
    Row::post(OPENCOST, VALIDATE, "/api/v1/query")
        .in_url()
        .with(&[("query", "up"), ("time", "$end")])
        .needs(&[Is("/data/resultType", "vector"), Text("/data/result/0/metric/job"), Sample("/data/result/0/value")]),
    Row::post(OPENCOST, ALLOCATION, "/api/v1/query")
        .in_url()
        .with(&[("query", "avg(avg_over_time(kube_pod_container_resource_requests{resource=\"cpu\", unit=\"core\", container!=\"\", container!=\"POD\", node!=\"\", cluster=\"c1\"}[10m])) by (container, pod, namespace, node, cluster)"), ("time", "$end")])
        .needs(&[Sample("/data/result/0/value"), Text("/data/result/0/metric/node")]),
    Row::post(OPENCOST, ALLOCATION, "/api/v1/query")
        .in_url()
        .with(&[("query", "min_over_time(timestamp(group(node_cpu_hourly_cost{cluster=\"c1\"}))[10m:1m])"), ("time", "$end")])
        .needs(&[Sample("/data/result/0/value")]),
    Row::post(OPENCOST, ALLOCATION, "/api/v1/query")
        .in_url()
        .with(&[("query", "max(max_over_time(irate(container_cpu_usage_seconds_total{container!=\"POD\", container!=\"\", cluster=\"c1\"}[5m])[10m:1m])) by (container, pod_name, pod, namespace, instance, cluster)"), ("time", "$end")])
        .needs(&[Sample("/data/result/0/value")]),
    // A matrix where a vector is common.
    Row::post(OPENCOST, ALLOCATION, "/api/v1/query")
        .in_url()
        .with(&[("query", "avg(kube_pod_status_phase{cluster=\"c1\"} != 0) by (pod, namespace, cluster)[10m:1m]"), ("time", "$end")])
        .needs(MATRIX.needs),
    Row::post(OPENCOST, QUERY, "/api/v1/query_range")
        .in_url()
        .with(&[("query", "avg(node_cpu_hourly_cost) by (node)"), ("start", "$from_rfc"), ("end", "$end_rfc"), ("step", "60.000")])
        .needs(MATRIX.needs),
    Row::get(OPENCOST, COSTMODEL, "/api/v1/status/flags").same(Same::Status).needs(&[Text("/data/storage.tsdb.path")]),
    Row::get(OPENCOST, COSTMODEL, "/api/v1/targets").same(Same::Shape).needs(&[
        Some("/data/activeTargets"),
        List("/data/droppedTargets"),
    ]),
    Row::get(OPENCOST, COSTMODEL, "/api/v1/alertmanagers").needs(&[
        List("/data/activeAlertmanagers"),
        List("/data/droppedAlertmanagers"),
    ]),
];
