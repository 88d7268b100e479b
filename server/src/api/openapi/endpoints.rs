//! The table of the endpoints below `/api/v1`, in the order in which they are shown.

use super::answers;
use super::discovery_answers;
use super::endpoint::{Answer, Endpoint, Kind, Methods, Param, Tag, needs, takes};
use super::params::{
    AT, COST, EVALUATION, LIMIT, MATCH, MUST_MATCH, POOL, QUERY, RANGE, REPLAYED, SEARCH, STEPS, WHICH_RULES,
};
use super::status_answers;

use Answer::{Bytes, Document, Events, Json, Lines, Nothing, Shaped, ShapedOrText};
use Kind::{Duration, Segment, Switch, Text, Texts, Time, Whole, Word};
use Methods::{Changes, Get, GetPost, Post};

const FOUND: Answer = Lines("Batches of results, then a line that says whether there were more.");

const fn endpoint(
    path: &'static str,
    (methods, tag): (Methods, Tag),
    about: &'static str,
    params: &'static [&'static [Param]],
    answer: Answer,
) -> Endpoint {
    Endpoint { path, methods, tag, about, params, answer }
}

/// What is there with `--enable-feature=query-cost`.
pub(super) static OF_COST: &[Endpoint] = &[
    endpoint(
        "/query_cost",
        (GetPost, Tag::Query),
        "Estimates what an instant query would cost.",
        &[QUERY, AT, EVALUATION, COST],
        Json("The estimate."),
    ),
    endpoint(
        "/query_range_cost",
        (GetPost, Tag::Query),
        "Estimates what a range query would cost.",
        &[QUERY, STEPS, EVALUATION, COST],
        Json("The estimate."),
    ),
];

/// What is always there.
pub(super) static ENDPOINTS: &[Endpoint] = &[
    endpoint(
        "/query",
        (GetPost, Tag::Query),
        "Evaluates a query at one time.",
        &[QUERY, AT, EVALUATION, COST],
        Shaped(
            "`resultType` (`vector`, `matrix`, `scalar` or `string`), `result`, and statistics or plan if requested.",
            answers::QUERY,
        ),
    ),
    endpoint(
        "/query_range",
        (GetPost, Tag::Query),
        "Evaluates a query at each step of a range.",
        &[QUERY, STEPS, EVALUATION, COST],
        Shaped("`resultType` `matrix`, `result`, and statistics or plan if requested.", answers::QUERY_RANGE),
    ),
    endpoint(
        "/query_exemplars",
        (GetPost, Tag::Query),
        "The exemplars of the series that a query selects.",
        &[QUERY, RANGE],
        Shaped("For each series `seriesLabels` and `exemplars`.", answers::EXEMPLARS),
    ),
    endpoint(
        "/format_query",
        (GetPost, Tag::Query),
        "Formats a query.",
        &[QUERY],
        Shaped("The formatted text.", answers::TEXT),
    ),
    endpoint("/parse_query", (GetPost, Tag::Query), "Parses a query.", &[QUERY], Json("Its syntax tree.")),
    endpoint(
        "/labels",
        (GetPost, Tag::Labels),
        "The names of labels.",
        &[RANGE, MATCH, LIMIT],
        Shaped("The names.", answers::TEXTS),
    ),
    endpoint(
        "/label/{name}/values",
        (Get, Tag::Labels),
        "The values of a label.",
        &[
            &[needs("name", Segment, "The name of the label; `U__` in front: with other characters escaped.")],
            RANGE,
            MATCH,
            LIMIT,
        ],
        Shaped("The values.", answers::TEXTS),
    ),
    endpoint(
        "/search/metric_names",
        (GetPost, Tag::Labels),
        "Searches the names of metrics. As the next two, with `--enable-feature=search-api`.",
        &[MATCH, SEARCH, &[takes("include_metadata", Switch, "Show type, help and unit.")]],
        FOUND,
    ),
    endpoint("/search/label_names", (GetPost, Tag::Labels), "Searches the names of labels.", &[MATCH, SEARCH], FOUND),
    endpoint(
        "/search/label_values",
        (GetPost, Tag::Labels),
        "Searches the values of a label.",
        &[&[needs("label", Text, "The name of the label.")], MATCH, SEARCH],
        FOUND,
    ),
    endpoint(
        "/series",
        (GetPost, Tag::Series),
        "The series that selectors find.",
        &[RANGE, MUST_MATCH, LIMIT],
        Shaped("Their label sets.", answers::SERIES),
    ),
    endpoint(
        "/metadata",
        (Get, Tag::Metadata),
        "What targets say of their metrics.",
        &[&[
            takes("limit", Whole, "The most metrics."),
            takes("limit_per_metric", Whole, "The most texts of one metric."),
            takes("metric", Text, "Of this metric only."),
        ]],
        Shaped("By metric, `type`, `unit` and `help`.", answers::METADATA),
    ),
    endpoint(
        "/scrape_pools",
        (Get, Tag::Targets),
        "The names of the jobs.",
        &[],
        Shaped("`scrapePools`.", answers::SCRAPE_POOLS),
    ),
    endpoint(
        "/scrape_pools/config",
        (Get, Tag::Targets),
        "The configuration of a job, with its defaults.",
        &[POOL],
        Shaped("`yaml`; secrets are not shown.", status_answers::CONFIGURATION),
    ),
    endpoint(
        "/targets",
        (Get, Tag::Targets),
        "What is scraped, and what was found and dropped.",
        &[&[
            takes("scrapePool", Text, "Of this job only."),
            takes("state", Word(&["active", "dropped", "any"]), "Active or dropped ones only."),
        ]],
        Shaped("`activeTargets`, `droppedTargets` and `droppedTargetCounts`.", answers::TARGETS),
    ),
    endpoint(
        "/targets/scrape",
        (GetPost, Tag::Targets),
        "Scrapes a target once, outside its schedule. Nothing is stored.",
        &[POOL, &[needs("scrapeUrl", Text, "The target's URL, as `/targets` has it.")]],
        Shaped(
            "What the target said, why that would fail, and the samples that would be stored.",
            status_answers::TRIAL,
        ),
    ),
    endpoint(
        "/targets/metadata",
        (Get, Tag::Targets),
        "What each target says of its metrics.",
        &[&[
            takes("match_target", Text, "Only targets that this selector fits."),
            takes("metric", Text, "Of this metric only."),
            takes("limit", Whole, "The most targets."),
        ]],
        Json("`target`, `metric`, `type`, `help` and `unit` of each."),
    ),
    endpoint(
        "/targets/relabel_steps",
        (Get, Tag::Targets),
        "What each relabeling of a job makes of a target's labels.",
        &[POOL, &[needs("labels", Text, "The labels that discovery found, as a JSON object.")]],
        Shaped("`steps`, each a rule and its outcome.", status_answers::RELABEL_STEPS),
    ),
    endpoint(
        "/explain",
        (GetPost, Tag::Targets),
        "Why something is scraped, or is not. One of its parameters is needed.",
        &[&[
            takes("monitor", Text, "A ServiceMonitor, PodMonitor, Probe or ScrapeConfig, namespace/name."),
            takes("kind", Text, "Which of these it is, where several have the name."),
            takes("rule", Text, "A PrometheusRule, namespace/name, or the name of a rule."),
            takes("pod", Text, "A pod, namespace/name."),
            takes("service", Text, "A Service, namespace/name."),
            takes("target", Text, "An address or URL."),
            takes("job", Text, "The name of a job."),
        ]],
        ShapedOrText("An explanation; its fields depend on the parameter that was given.", status_answers::EXPLANATION),
    ),
    endpoint(
        "/monitors",
        (Get, Tag::Targets),
        "The monitors and PrometheusRules that are known, and what became of each.",
        &[],
        Shaped("`monitors`; `kinds` and `prometheus` say what keeps others from being seen.", status_answers::MONITORS),
    ),
    endpoint(
        "/rules",
        (Get, Tag::Rules),
        "The rule groups, and how their last evaluation went.",
        &[WHICH_RULES],
        Shaped("`groups`, and `groupNextToken` where there are more.", status_answers::RULES),
    ),
    endpoint(
        "/rules/replay",
        (GetPost, Tag::Rules),
        "What rules would have done over a past range. Nothing is stored or sent.",
        &[WHICH_RULES, REPLAYED],
        ShapedOrText("What each rule would have recorded or fired.", status_answers::REPLAY),
    ),
    endpoint(
        "/alerts",
        (Get, Tag::Alerts),
        "The alerts that are pending or firing.",
        &[],
        Shaped("`alerts`.", status_answers::ALERTS),
    ),
    endpoint(
        "/alertmanagers",
        (Get, Tag::Alerts),
        "The Alertmanagers that alerts are sent to, and those that were found and dropped.",
        &[],
        Shaped("`activeAlertmanagers` and `droppedAlertmanagers`.", status_answers::ALERTMANAGERS),
    ),
    endpoint(
        "/status/config",
        (Get, Tag::Status),
        "The configuration in force, with its defaults.",
        &[],
        Shaped("`yaml`; secrets are not shown.", status_answers::CONFIGURATION),
    ),
    endpoint(
        "/status/runtimeinfo",
        (Get, Tag::Status),
        "How the process is doing.",
        &[],
        Shaped("`startTime`, `reloadConfigSuccess`, `storageRetention` and others.", status_answers::RUNTIME_INFO),
    ),
    endpoint(
        "/status/buildinfo",
        (Get, Tag::Status),
        "Which program this is.",
        &[],
        Shaped(
            "`version` is that of the Prometheus that it is compatible with, `weftVersion` its own.",
            answers::BUILD_INFO,
        ),
    ),
    endpoint("/status/flags", (Get, Tag::Status), "The flags.", &[], Shaped("Name and value of each.", answers::FLAGS)),
    endpoint(
        "/status/tsdb",
        (Get, Tag::Status),
        "How much is stored, and which names and labels have the most series.",
        &[&[takes("limit", Whole, "The most items of a list; 10 by default, at most 10,000.")]],
        Shaped("Counts; `storage` says what lies where and what is damaged.", status_answers::TSDB),
    ),
    endpoint(
        "/status/tsdb/blocks",
        (Get, Tag::Status),
        "The stretches of time that are stored as pages.",
        &[],
        Shaped("`blocks`, in the form of Prometheus' own.", status_answers::BLOCKS),
    ),
    endpoint(
        "/status/forecast",
        (Get, Tag::Status),
        "The disk and the memory that will be needed, if things go on as they are.",
        &[],
        Shaped("`disk` and `memory`; what is not known is null.", status_answers::FORECAST),
    ),
    endpoint(
        "/status/walreplay",
        (Get, Tag::Status),
        "How far the log is replayed. Weft has nothing to replay.",
        &[],
        Json("`min`, `max` and `current`, which are 0."),
    ),
    endpoint(
        "/status/self_metrics",
        (Get, Tag::Status),
        "What `/metrics` says, as JSON.",
        &[&[takes("metric_name_pattern", Text, "Only metrics whose whole name matches this regular expression.")]],
        Json("Metric families, as the JSON form of their protobuf messages."),
    ),
    endpoint(
        "/status/active_queries",
        (Get, Tag::Status),
        "The queries that run now.",
        &[],
        Shaped(
            "`queries`: what each asks for, who asks, for how long it has run, and what it holds.",
            status_answers::ACTIVE_QUERIES,
        ),
    ),
    endpoint(
        "/status/active_queries/cancel",
        (Changes, Tag::Admin),
        "Cancels a query.",
        &[&[needs("id", Whole, "Its `id` in the list of those that run.")]],
        Nothing,
    ),
    endpoint(
        "/status/top_queries",
        (Get, Tag::Status),
        "The queries of the last minutes that were asked most often, took longest, or held the most samples.",
        &[&[
            takes("topN", Whole, "The most queries of a list; 20 by default."),
            takes("maxLifetime", Duration, "How old they may be; 10m by default."),
        ]],
        Shaped(
            "`topByCount`, `topByAvgDuration`, `topBySumDuration` and `topByPeakSamples`.",
            status_answers::TOP_QUERIES,
        ),
    ),
    endpoint(
        "/status/cardinality",
        (Get, Tag::Status),
        "The series of a day by the values of a label, and how many of them the day before had not.",
        &[&[
            takes("label", Text, "The name of the label; `__name__` by default."),
            takes("day", Text, "Of UTC, such as 2026-01-31; today by default."),
            takes("sort", Word(&["series", "new"]), "Which values come first."),
            takes("limit", Whole, "The most values; 100 by default."),
        ]],
        Shaped("`total`, `without` the label, and `values`, each with `series` and `newSeries`.", answers::CARDINALITY),
    ),
    endpoint(
        "/status/metric_usage",
        (Get, Tag::Status),
        "Which metrics queries and rules ask for, and which are never asked for.",
        &[&[takes("limit", Whole, "The most metrics of a list; 1,000 by default.")]],
        Shaped(
            "`metrics`, and `neverAsked` with `metricRelabelConfigs` that drop those.",
            status_answers::METRIC_USAGE,
        ),
    ),
    endpoint(
        "/status/discovery",
        (Get, Tag::Status),
        "How each source of targets fares: watches of API servers, and what is asked again and again.",
        &[],
        Shaped(
            "`sources`, those that do not work first; `role` gives the rights that were refused.",
            discovery_answers::DISCOVERY,
        ),
    ),
    endpoint(
        "/status/remote_write",
        (Get, Tag::Status),
        "How far the sending to each server of `remote_write` is.",
        &[],
        Json("`remotes`, each with how far it is behind, what is pending, and its last error."),
    ),
    endpoint(
        "/admin/tsdb/delete_series",
        (Changes, Tag::Admin),
        "Deletes what series have in a range.",
        &[
            MUST_MATCH,
            &[takes("start", Time, "From the beginning by default."), takes("end", Time, "To the end by default.")],
        ],
        Nothing,
    ),
    endpoint(
        "/admin/tsdb/clean_tombstones",
        (Changes, Tag::Admin),
        "Frees the space of what was deleted.",
        &[],
        Nothing,
    ),
    endpoint(
        "/admin/tsdb/snapshot",
        (Changes, Tag::Admin),
        "Makes a copy of the store in its own directory.",
        &[&[takes("skip_head", Switch, "Has no effect: all is copied.")]],
        Json("`name`, a folder below `snapshots`."),
    ),
    endpoint(
        "/admin/rules/backfill",
        (Changes, Tag::Admin),
        "Computes the history of recording rules. `rule_group[]` or `file[]` is needed.",
        &[&[
            needs("start", Time, "From when on."),
            takes("end", Time, "Up to when; by default to where they have values."),
            takes("rule_group[]", Texts, "Of groups with one of these names."),
            takes("file[]", Texts, "Of groups of one of these files."),
        ]],
        Json("The groups that were asked for."),
    ),
    endpoint(
        "/read",
        (Post(&["application/x-protobuf"]), Tag::Remote),
        "Reads series by remote read, as samples in snappy's block format or as a stream of chunks.",
        &[],
        Bytes(
            "One message with all samples, or messages with chunks.",
            &["application/x-protobuf", "application/x-streamed-protobuf"],
        ),
    ),
    endpoint(
        "/otlp/v1/metrics",
        (Post(&["application/x-protobuf", "application/json"]), Tag::Remote),
        "Takes metrics of OpenTelemetry, as they are or in gzip. Off unless `--web.enable-otlp-receiver` is given.",
        &[],
        Bytes("What was left out, if something was.", &["application/x-protobuf", "application/json"]),
    ),
    endpoint(
        "/write",
        (Post(&["application/x-protobuf"]), Tag::Remote),
        "Takes samples by remote write 1.0 and 2.0, in snappy's block format. Off unless `--web.enable-remote-write-receiver` is given.",
        &[],
        Nothing,
    ),
    endpoint(
        "/features",
        (Get, Tag::Features),
        "What this server can do.",
        &[],
        Shaped("By category and name, whether it is there.", answers::FEATURES),
    ),
    endpoint(
        "/notifications",
        (Get, Tag::Notifications),
        "What the server tells whoever looks at it.",
        &[],
        Shaped("`text`, `date` and `active` of each.", answers::NOTIFICATIONS),
    ),
    endpoint(
        "/notifications/live",
        (Get, Tag::Notifications),
        "The same, and each change as it comes. 204 when too many listen.",
        &[],
        Events("`text`, `date` and `active`."),
    ),
    endpoint(
        "/openapi.yaml",
        (Get, Tag::Status),
        "This document.",
        &[&[takes("openapi_version", Word(&["3.1", "3.2"]), "The version of OpenAPI; 3.1 by default.")]],
        Document,
    ),
];
