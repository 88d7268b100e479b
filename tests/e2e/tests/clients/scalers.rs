//! Who scales and rolls out by queries: prometheus-adapter, KEDA, Argo Rollouts.

use crate::row::Need::{Header, Is, List, Map, Sample, Samples, Some, Text};
use crate::row::{Row, Same};

const ADAPTER: &str = "prometheus-adapter";
const API: &str = "kubernetes-sigs/prometheus-adapter pkg/client/api.go";
const SELECTORS: &str = "kubernetes-sigs/prometheus-adapter docs/sample-config.yaml";
const RESOURCES: &str = "kubernetes-sigs/prometheus-adapter deploy/manifests/config-map.yaml";
const KEDA: &str = "KEDA";
const SCALER: &str = "kedacore/keda pkg/scalers/prometheus_scaler.go";
const ROLLOUTS: &str = "Argo Rollouts";
const PROVIDER: &str = "argoproj/argo-rollouts metricproviders/prometheus/prometheus.go";

const CONTAINERS: &str = "{__name__=~\"^container_.*\",container!=\"POD\",namespace!=\"\",pod!=\"\"}";
const OTHERS: &str = "{namespace!=\"\",__name__!~\"^container_.*\"}";
const CPU: &str = "sum by (namespace,pod,container) (\n  irate (\n      container_cpu_usage_seconds_total{namespace=\"app\",pod=~\"web-6d4f-a|web-6d4f-b\",container!=\"\",pod!=\"\"}[4m]\n  )\n)\n";
const SCALED: &str = "sum(rate(istio_requests_total{destination_service_name=\"web\"}[2m]))";
const SUCCESS: &str = "sum(irate(istio_requests_total{reporter=\"source\",destination_service_name=~\"web\",response_code!~\"5.*\"}[5m]))\n/\nsum(irate(istio_requests_total{reporter=\"source\",destination_service_name=~\"web\"}[5m]))";

pub const ROWS: &[Row] = &[
    // Series are listed from a time on, with three digits behind the point, and to no end.
    Row::get(ADAPTER, SELECTORS, "/api/v1/series")
        .with(&[("match[]", CONTAINERS), ("start", "$start.000"), ("end", "$end.000")])
        .needs(&[Some("/data"), Text("/data/0/__name__"), Text("/data/0/namespace"), Text("/data/0/pod")]),
    Row::post(ADAPTER, SELECTORS, "/api/v1/series")
        .with(&[("match[]", OTHERS), ("match[]", CONTAINERS), ("start", "$start.000"), ("end", "$end.000")])
        .needs(&[Some("/data"), Text("/data/0/__name__")]),
    Row::get(ADAPTER, RESOURCES, "/api/v1/query").with(&[("query", CPU), ("time", "$end.000")]).needs(&[
        Is("/data/resultType", "vector"),
        Sample("/data/result/0/value"),
        Text("/data/result/0/metric/pod"),
        Text("/data/result/0/metric/container"),
    ]),
    Row::post(ADAPTER, API, "/api/v1/query")
        .with(&[("query", CPU), ("time", "$end.000"), ("timeout", "30s")])
        .needs(&[Sample("/data/result/0/value")]),
    Row::get(ADAPTER, API, "/api/v1/query_range")
        .with(&[("query", CPU), ("start", "$from.000"), ("end", "$end.000"), ("step", "1m")])
        .needs(&[Samples("/data/result/0/values")]),
    // Of errors it decodes those of the statuses 400, 422 and 503.
    Row::get(ADAPTER, API, "/api/v1/series").fails(400).needs(&[
        Is("/status", "error"),
        Is("/errorType", "bad_data"),
        Text("/error"),
    ]),
    Row::get(ADAPTER, API, "/api/v1/query")
        .with(&[("query", "kube_pod_info * on (namespace) kube_pod_owner"), ("time", "$end.000")])
        .fails(422)
        // Which two series are named is left open.
        .same(Same::Shape)
        .needs(&[Is("/status", "error"), Is("/errorType", "execution"), Text("/error")]),
    // Parameters for others (Thanos) come along.
    Row::get(KEDA, SCALER, "/api/v1/query")
        .with(&[("query", SCALED), ("time", "$end_rfc"), ("namespace", "app"), ("dedup", "true")])
        .needs(&[Sample("/data/result/0/value")]),
    Row::get(KEDA, SCALER, "/api/v1/query")
        .with(&[("query", "sum(none_such)"), ("time", "$end_rfc")])
        .needs(&[Is("/data/resultType", "vector"), List("/data/result")]),
    Row::get(KEDA, SCALER, "/api/v1/query")
        .with(&[("query", "vector(0) / vector(0)"), ("time", "$end_rfc")])
        .needs(&[Is("/data/result/0/value/1", "NaN")]),
    Row::get(KEDA, SCALER, "/api/v1/query").with(&[("query", "sum("), ("time", "$end_rfc")]).fails(400),
    // By client_golang: a form first.
    Row::post(ROLLOUTS, PROVIDER, "/api/v1/query").with(&[("query", SUCCESS), ("time", "$end")]).needs(&[
        Is("/data/resultType", "vector"),
        Map("/data/result/0/metric"),
        Sample("/data/result/0/value"),
    ]),
    Row::post(ROLLOUTS, PROVIDER, "/api/v1/query")
        .with(&[("query", "scalar(sum(up))"), ("time", "$end")])
        .needs(&[Is("/data/resultType", "scalar"), Sample("/data/result")]),
    Row::post(ROLLOUTS, PROVIDER, "/api/v1/query_range")
        .with(&[("query", SUCCESS), ("start", "$from"), ("end", "$end"), ("step", "60")])
        .sends(&[("accept-encoding", "gzip"), ("x-scope-orgid", "tenant_a")])
        .needs(&[Samples("/data/result/0/values"), Header("content-encoding", "gzip")]),
    // Its warnings become metadata of the measurement.
    Row::post(ROLLOUTS, PROVIDER, "/api/v1/query")
        .with(&[("query", "histogram_quantile(7, istio_request_duration_milliseconds_bucket)"), ("time", "$end")])
        .needs(&[Some("/warnings")]),
];
