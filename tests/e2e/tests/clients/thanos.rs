//! Thanos' sidecar: what it checks before it serves, and what it asks for then. Its samples come by remote read, which is not
//! served yet.

use crate::row::Need::{
    Absent, Equal, Is, List, Map, Metric, Number, Sample, Samples, Some, SwitchAsText, Text, Time, Version, Yaml,
};
use crate::row::{Row, Same};

const CLIENT: &str = "Thanos sidecar";
const CHECKS: &str = "thanos-io/thanos cmd/thanos/sidecar.go";
const REQUESTS: &str = "thanos-io/thanos pkg/promclient/promclient.go";
const RELOADER: &str = "thanos-io/thanos pkg/reloader/reloader.go";

const fn get(path: &'static str) -> Row {
    Row::get(CLIENT, REQUESTS, path).sends(&[("user-agent", "thanos-sidecar")])
}

const SELECTOR: &str = "{namespace=\"app\", __name__=~\"kube_pod_.*\"}";

pub const ROWS: &[Row] = &[
    // It ends unless compaction is off, which it tells from these two.
    Row::get(CLIENT, CHECKS, "/api/v1/status/flags").same(Same::Status).needs(&[
        Text("/data/storage.tsdb.path"),
        Is("/data/storage.tsdb.min-block-duration", "2h"),
        Equal("/data/storage.tsdb.min-block-duration", "/data/storage.tsdb.max-block-duration"),
        SwitchAsText("/data/web.enable-admin-api"),
        SwitchAsText("/data/web.enable-lifecycle"),
        Is("/data/storage.tsdb.delay-compact-file.path", ""),
    ]),
    get("/api/v1/status/buildinfo").same(Same::Status).needs(&[Version("/data/version")]),
    get("/metrics").same(Same::Status).needs(&[Metric("prometheus_tsdb_lowest_timestamp_seconds")]),
    get("/api/v1/status/config").same(Same::Status).needs(&[Yaml(
        "/data/yaml",
        "/global/external_labels/replica",
        "a",
    )]),
    get("/api/v1/series")
        .with(&[("match[]", SELECTOR), ("start", "$start.5"), ("end", "$end.5")])
        .needs(&[Some("/data"), Text("/data/0/__name__")]),
    get("/api/v1/series")
        .with(&[("match[]", SELECTOR), ("start", "$start"), ("end", "$end"), ("limit", "2")])
        // Which two is left open.
        .same(Same::Status)
        .needs(&[Some("/data"), List("/warnings")]),
    // From the beginning of time to its end.
    get("/api/v1/labels")
        .with(&[("match[]", SELECTOR), ("start", "-62135596800"), ("end", "253402300799")])
        .needs(&[Some("/data")]),
    get("/api/v1/label/pod/values")
        .with(&[("match[]", SELECTOR), ("start", "$start"), ("end", "$end"), ("limit", "3")])
        .same(Same::Shape)
        .needs(&[Some("/data")]),
    get("/api/v1/label/none_such/values").with(&[("start", "$start"), ("end", "$end")]).needs(&[List("/data")]),
    get("/api/v1/rules").with(&[("type", "alert")]).same(Same::Shape).needs(&[
        Text("/data/groups/0/name"),
        Text("/data/groups/0/file"),
        Number("/data/groups/0/interval"),
        Number("/data/groups/0/evaluationTime"),
        Time("/data/groups/0/lastEvaluation"),
        Is("/data/groups/0/rules/0/type", "alerting"),
        Number("/data/groups/0/rules/0/evaluationTime"),
        Absent("/data/groups/0/rules/1"),
    ]),
    get("/api/v1/rules").with(&[("type", "record")]).same(Same::Shape).needs(&[
        Is("/data/groups/0/rules/0/type", "recording"),
        Map("/data/groups/0/rules/0/labels"),
        Absent("/data/groups/0/rules/1"),
    ]),
    get("/api/v1/alerts").same(Same::Shape).needs(&[Some("/data/alerts"), Time("/data/alerts/0/activeAt")]),
    get("/api/v1/metadata")
        .with(&[("metric", "node_load1"), ("limit", "1")])
        .same(Same::Shape)
        .needs(&[Text("/data/node_load1/0/help"), Text("/data/node_load1/0/type")]),
    get("/api/v1/query_exemplars")
        .with(&[("query", SELECTOR), ("start", "$start"), ("end", "$end")])
        .needs(&[List("/data")]),
    get("/api/v1/targets").with(&[("state", "active")]).same(Same::Shape).needs(&[
        Map("/data/activeTargets/0/discoveredLabels"),
        Map("/data/activeTargets/0/labels"),
        Text("/data/activeTargets/0/scrapePool"),
        Text("/data/activeTargets/0/scrapeUrl"),
        Text("/data/activeTargets/0/lastError"),
        Time("/data/activeTargets/0/lastScrape"),
        Number("/data/activeTargets/0/lastScrapeDuration"),
        Is("/data/activeTargets/0/health", "up"),
        List("/data/droppedTargets"),
    ]),
    get("/api/v1/status/tsdb").with(&[("limit", "5")]).same(Same::Status).needs(&[
        Number("/data/headStats/numSeries"),
        Number("/data/headStats/minTime"),
        Number("/data/headStats/maxTime"),
        Text("/data/seriesCountByMetricName/0/name"),
        Number("/data/seriesCountByMetricName/0/value"),
        Some("/data/labelValueCountByLabelName"),
        Some("/data/memoryInBytesByLabelName"),
        Some("/data/seriesCountByLabelValuePair"),
    ]),
    get("/api/v1/query")
        .with(&[
            ("query", "sum by (pod) (kube_pod_info)"),
            ("time", "$end_rfc"),
            ("dedup", "true"),
            ("explain", "false"),
            ("analyze", "false"),
            ("engine", ""),
            ("partial_response", "false"),
        ])
        .needs(&[Is("/data/resultType", "vector"), Sample("/data/result/0/value")]),
    get("/api/v1/query_range")
        .with(&[
            ("query", "sum by (pod) (kube_pod_info)"),
            ("start", "$from"),
            ("end", "$end"),
            ("step", "30"),
            ("dedup", "true"),
            ("partial_response", "true"),
        ])
        .needs(&[Is("/data/resultType", "matrix"), Samples("/data/result/0/values")]),
    // Errors become those of gRPC by their status.
    get("/api/v1/series")
        .with(&[("match[]", "{"), ("start", "$start"), ("end", "$end")])
        .fails(400)
        .needs(&[Is("/status", "error"), Text("/error")]),
    Row::post(CLIENT, REQUESTS, "/api/v1/admin/tsdb/snapshot")
        .with(&[("skip_head", "false")])
        .same(Same::Shape)
        .needs(&[Is("/status", "success"), Text("/data/name")]),
    Row::post(CLIENT, RELOADER, "/-/reload").same(Same::Status),
    Row::get(CLIENT, "thanos-io/thanos pkg/reloader/reloader.go", "/-/ready").same(Same::Status),
];
