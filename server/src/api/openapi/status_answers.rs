//! The forms of answers about rules, alerts and the state of the server, as `answers` has those of queries and targets.

use super::answers::{LABELS, TEXTS};
use super::discovery_answers::LOST_TARGETS;
use super::shape::Shape::{Either, List, Map, Nullable, Number, Object, Text, Truth, Whole, Word};
use super::shape::{Schema, Shape, has, may_have};

static YAML: Schema = Schema { name: "ConfigurationText", fields: &[has("yaml", Text)] };
pub(super) const CONFIGURATION: Shape = Object(&YAML);

static ALERT: Schema = Schema {
    name: "Alert",
    fields: &[
        has("labels", LABELS),
        has("annotations", LABELS),
        has("state", Word(&["pending", "firing"])),
        has("activeAt", Text),
        may_have("keepFiringSince", Text),
        has("value", Text),
    ],
};
static ALERT_LIST: Schema = Schema { name: "Alerts", fields: &[has("alerts", List(&Object(&ALERT)))] };
pub(super) const ALERTS: Shape = Object(&ALERT_LIST);

const HEALTH: Shape = Word(&["ok", "err", "unknown"]);
static ALERTING_RULE: Schema = Schema {
    name: "AlertingRule",
    fields: &[
        has("type", Word(&["alerting"])),
        has("state", Word(&["inactive", "pending", "firing", "unknown"])),
        has("name", Text),
        has("query", Text),
        has("duration", Number),
        has("keepFiringFor", Number),
        has("labels", LABELS),
        has("annotations", LABELS),
        has("alerts", Nullable(&List(&Object(&ALERT)))),
        has("health", HEALTH),
        may_have("lastError", Text),
        has("evaluationTime", Number),
        has("lastEvaluation", Text),
    ],
};
static RECORDING_RULE: Schema = Schema {
    name: "RecordingRule",
    fields: &[
        has("type", Word(&["recording"])),
        has("name", Text),
        has("query", Text),
        has("labels", LABELS),
        has("health", HEALTH),
        may_have("lastError", Text),
        has("evaluationTime", Number),
        has("lastEvaluation", Text),
    ],
};
static BACKFILL_FAILURE: Schema = Schema { name: "BackfillFailure", fields: &[has("rule", Text), has("error", Text)] };
static BACKFILL: Schema = Schema {
    name: "Backfill",
    fields: &[
        has("state", Text),
        has("left", Whole),
        may_have("start", Text),
        may_have("end", Text),
        may_have("reached", Text),
        may_have("evaluations", Whole),
        may_have("evaluationsTotal", Whole),
        may_have("failures", List(&Object(&BACKFILL_FAILURE))),
    ],
};
static RULE_GROUP: Schema = Schema {
    name: "RuleGroup",
    fields: &[
        has("name", Text),
        has("file", Text),
        has("rules", List(&Either(&[Object(&ALERTING_RULE), Object(&RECORDING_RULE)]))),
        has("interval", Number),
        has("limit", Whole),
        has("evaluationTime", Number),
        has("lastEvaluation", Text),
        may_have("backfill", Object(&BACKFILL)),
    ],
};
static RULE_GROUPS: Schema = Schema {
    name: "RuleGroups",
    fields: &[has("groups", List(&Object(&RULE_GROUP))), may_have("groupNextToken", Text)],
};
pub(super) const RULES: Shape = Object(&RULE_GROUPS);

static FIRING: Schema = Schema {
    name: "Firing",
    fields: &[
        has("labels", LABELS),
        has("activeAt", Text),
        has("firedAt", Text),
        may_have("resolvedAt", Text),
        has("maxValue", Text),
    ],
};
static REPLAYED_RULE: Schema = Schema {
    name: "ReplayedRule",
    fields: &[
        has("type", Word(&["recording", "alerting"])),
        has("sentence", Text),
        has("name", Text),
        has("query", Text),
        has("failedEvaluations", Whole),
        may_have("lastError", Text),
        // Of recording rules.
        may_have("samples", Whole),
        may_have("series", Whole),
        // Of alerting rules.
        may_have("fired", Whole),
        may_have("onlyPending", Whole),
        may_have("firings", List(&Object(&FIRING))),
    ],
};
static REPLAYED_GROUP: Schema = Schema {
    name: "ReplayedGroup",
    fields: &[
        has("name", Text),
        has("file", Text),
        has("interval", Number),
        has("evaluations", Whole),
        has("rules", List(&Object(&REPLAYED_RULE))),
    ],
};
static REPLAYED: Schema = Schema {
    name: "Replay",
    fields: &[has("start", Text), has("end", Text), has("groups", List(&Object(&REPLAYED_GROUP)))],
};
pub(super) const REPLAY: Shape = Object(&REPLAYED);

static ALERTMANAGER: Schema = Schema { name: "Alertmanager", fields: &[has("url", Text)] };
static ALERTMANAGER_LISTS: Schema = Schema {
    name: "Alertmanagers",
    fields: &[
        has("activeAlertmanagers", List(&Object(&ALERTMANAGER))),
        has("droppedAlertmanagers", List(&Object(&ALERTMANAGER))),
    ],
};
pub(super) const ALERTMANAGERS: Shape = Object(&ALERTMANAGER_LISTS);

static TRIAL_PAGE: Schema = Schema {
    name: "ScrapedPage",
    fields: &[has("text", Text), has("firstLine", Whole), has("isCut", Truth), may_have("wrongLine", Whole)],
};
static TRIAL_SAMPLE: Schema =
    Schema { name: "ScrapedSample", fields: &[has("metric", LABELS), has("value", Text), may_have("timestamp", Text)] };
static TRIAL_SCRAPE: Schema = Schema {
    name: "TrialScrape",
    fields: &[
        has("error", Text),
        has("began", Text),
        has("durationSeconds", Number),
        may_have("contentType", Text),
        may_have("format", Word(&["text", "openmetrics", "openmetrics2", "protobuf"])),
        has("bodyBytes", Whole),
        has("samplesScraped", Whole),
        has("samplesPostMetricRelabeling", Whole),
        may_have("page", Object(&TRIAL_PAGE)),
        has("samples", List(&Object(&TRIAL_SAMPLE))),
        has("samplesTotal", Whole),
    ],
};
pub(super) const TRIAL: Shape = Object(&TRIAL_SCRAPE);

static RELABEL_RULE: Schema = Schema {
    name: "RelabelRule",
    fields: &[
        may_have("source_labels", TEXTS),
        has("separator", Text),
        has("regex", Text),
        may_have("modulus", Whole),
        may_have("target_label", Text),
        has("replacement", Text),
        has("action", Text),
    ],
};
static RELABEL_STEP: Schema = Schema {
    name: "RelabelStep",
    fields: &[has("rule", Object(&RELABEL_RULE)), has("output", LABELS), has("keep", Truth)],
};
static STEPS: Schema = Schema { name: "RelabelSteps", fields: &[has("steps", List(&Object(&RELABEL_STEP)))] };
pub(super) const RELABEL_STEPS: Shape = Object(&STEPS);

static EXPLAINED_OBJECT: Schema = Schema {
    name: "ExplainedObject",
    fields: &[
        has("kind", Text),
        has("namespace", Text),
        has("name", Text),
        has("state", Word(&["accepted", "invalid", "notSelected", "pending"])),
        may_have("reason", Text),
        has("generation", Whole),
    ],
};
static EXPLAINED_RELABELING: Schema = Schema {
    name: "ExplainedRelabeling",
    fields: &[
        has("index", Whole),
        has("rule", Text),
        may_have("field", Text),
        has("dropped", Whole),
        has("values", Map(&Whole)),
    ],
};
static EXPLAINED_TARGET: Schema = Schema {
    name: "ExplainedTarget",
    fields: &[has("url", Text), has("health", Word(&["up", "down", "unknown"])), may_have("lastError", Text)],
};
static EXPLAINED_JOB: Schema = Schema {
    name: "ExplainedJob",
    fields: &[
        has("job", Text),
        has("sentence", Text),
        has("discovery", TEXTS),
        has("discoveryErrors", TEXTS),
        has("candidates", Whole),
        has("rules", List(&Object(&EXPLAINED_RELABELING))),
        has("unmatchedRules", TEXTS),
        has("targets", List(&Object(&EXPLAINED_TARGET))),
        has("invalid", TEXTS),
        may_have("lost", LOST_TARGETS),
        may_have("lostLeftOut", Whole),
    ],
};
static EXPLAINED_GROUP: Schema =
    Schema { name: "ExplainedGroup", fields: &[has("group", Text), has("file", Text), has("sentence", Text)] };
static SIGHTING: Schema = Schema {
    name: "Sighting",
    fields: &[
        has("job", Text),
        may_have("monitor", Text),
        has("address", Text),
        has("verdict", Word(&["kept", "dropped", "invalid"])),
        has("sentence", Text),
    ],
};
static REPORT: Schema = Schema {
    name: "Explanation",
    fields: &[
        has("sentence", Text),
        may_have("object", Object(&EXPLAINED_OBJECT)),
        may_have("jobs", List(&Object(&EXPLAINED_JOB))),
        may_have("groups", List(&Object(&EXPLAINED_GROUP))),
        may_have("sightings", List(&Object(&SIGHTING))),
        may_have("lost", LOST_TARGETS),
    ],
};
static PROMETHEUS: Schema = Schema {
    name: "PrometheusObject",
    fields: &[has("name", Text), has("isPaused", Truth), may_have("error", Text), has("notApplied", TEXTS)],
};
static KIND: Schema =
    Schema { name: "KindOfObject", fields: &[has("kind", Text), has("objects", Whole), has("errors", TEXTS)] };
static MONITOR: Schema = Schema {
    name: "Monitor",
    fields: &[
        has("kind", Text),
        has("namespace", Text),
        has("name", Text),
        has("state", Word(&["accepted", "invalid", "notSelected", "pending"])),
        may_have("reason", Text),
        has("jobs", TEXTS),
        has("targets", Map(&Whole)),
    ],
};
static MONITOR_LIST: Schema = Schema {
    name: "Monitors",
    fields: &[
        has("isFollowed", Truth),
        may_have("prometheus", Object(&PROMETHEUS)),
        has("kinds", List(&Object(&KIND))),
        has("monitors", List(&Object(&MONITOR))),
    ],
};
pub(super) const MONITORS: Shape = Object(&MONITOR_LIST);

static UNMATCHED: Schema = Schema { name: "UnmatchedSelector", fields: &[has("selector", Text), has("reason", Text)] };
static EVALUATION: Schema = Schema {
    name: "RuleEvaluation",
    fields: &[has("time", Text), has("durationSeconds", Number), has("samples", Whole), may_have("error", Text)],
};
static EXPLAINED_RULE: Schema = Schema {
    name: "ExplainedRule",
    fields: &[
        has("sentence", Text),
        has("file", Text),
        has("group", Text),
        has("name", Text),
        has("query", Text),
        has("health", HEALTH),
        has("unmatched", List(&Object(&UNMATCHED))),
        has("evaluations", List(&Object(&EVALUATION))),
    ],
};
static RULES_REPORT: Schema =
    Schema { name: "RulesExplanation", fields: &[has("rules", List(&Object(&EXPLAINED_RULE)))] };
pub(super) const EXPLANATION: Shape = Either(&[Object(&REPORT), Object(&RULES_REPORT)]);

static RUNTIME: Schema = Schema {
    name: "RuntimeInfo",
    fields: &[
        has("startTime", Text),
        has("CWD", Text),
        has("hostname", Text),
        has("serverTime", Text),
        has("reloadConfigSuccess", Truth),
        has("lastConfigTime", Text),
        has("corruptionCount", Whole),
        has("goroutineCount", Whole),
        has("GOMAXPROCS", Whole),
        has("GOMEMLIMIT", Whole),
        has("GOGC", Text),
        has("GODEBUG", Text),
        has("storageRetention", Text),
    ],
};
pub(super) const RUNTIME_INFO: Shape = Object(&RUNTIME);

static HEAD: Schema = Schema {
    name: "HeadStats",
    fields: &[
        has("numSeries", Whole),
        has("numLabelPairs", Whole),
        has("chunkCount", Whole),
        has("minTime", Whole),
        has("maxTime", Whole),
    ],
};
static COUNT: Schema = Schema { name: "NamedCount", fields: &[has("name", Text), has("value", Whole)] };
const COUNTS: Shape = List(&Object(&COUNT));
static DAMAGE: Schema = Schema {
    name: "Damage",
    fields: &[
        has("place", Text),
        has("family", Text),
        has("minTime", Whole),
        has("maxTime", Whole),
        has("metrics", TEXTS),
        has("error", Text),
    ],
};
static STORAGE: Schema = Schema {
    name: "StorageStats",
    fields: &[
        has("pageSamples", Whole),
        has("pageBytes", Whole),
        has("rowBytes", Whole),
        has("indexBytes", Whole),
        has("damage", List(&Object(&DAMAGE))),
    ],
};
static TSDB_STATS: Schema = Schema {
    name: "TsdbStats",
    fields: &[
        has("headStats", Object(&HEAD)),
        has("seriesCountByMetricName", COUNTS),
        has("labelValueCountByLabelName", COUNTS),
        has("memoryInBytesByLabelName", COUNTS),
        has("seriesCountByLabelValuePair", COUNTS),
        has("storage", Object(&STORAGE)),
    ],
};
pub(super) const TSDB: Shape = Object(&TSDB_STATS);

static DISK: Schema = Schema {
    name: "DiskForecast",
    fields: &[
        has("usedBytes", Whole),
        has("freeBytes", Nullable(&Whole)),
        has("bytesPerDay", Nullable(&Whole)),
        has("expectedBytes", Nullable(&Whole)),
        has("fullAt", Nullable(&Text)),
        has("retention", Text),
    ],
};
static MEMORY: Schema = Schema {
    name: "MemoryForecast",
    fields: &[
        has("residentBytes", Nullable(&Whole)),
        has("limitBytes", Nullable(&Whole)),
        has("series", Whole),
        has("seriesMax", Nullable(&Whole)),
    ],
};
static NEEDS: Schema =
    Schema { name: "Forecast", fields: &[has("disk", Object(&DISK)), has("memory", Object(&MEMORY))] };
pub(super) const FORECAST: Shape = Object(&NEEDS);

static BLOCK_STATS: Schema =
    Schema { name: "BlockStats", fields: &[has("numSamples", Whole), has("numSeries", Whole)] };
static BLOCK_COMPACTION: Schema =
    Schema { name: "BlockCompaction", fields: &[has("level", Whole), has("sources", TEXTS)] };
static BLOCK: Schema = Schema {
    name: "Block",
    fields: &[
        has("ulid", Text),
        has("minTime", Whole),
        has("maxTime", Whole),
        has("stats", Object(&BLOCK_STATS)),
        has("compaction", Object(&BLOCK_COMPACTION)),
        has("version", Whole),
    ],
};
static BLOCK_LIST: Schema = Schema { name: "Blocks", fields: &[has("blocks", List(&Object(&BLOCK)))] };
pub(super) const BLOCKS: Shape = Object(&BLOCK_LIST);

static ACTIVE_QUERY: Schema = Schema {
    name: "ActiveQuery",
    fields: &[
        has("id", Whole),
        has("query", Text),
        has("began", Text),
        has("elapsedSeconds", Number),
        has("client", Text),
        has("path", Text),
        has("start", Text),
        has("end", Text),
        has("stepSeconds", Number),
        has("samples", Whole),
        has("memoryBytes", Whole),
    ],
};
static ACTIVE_QUERY_LIST: Schema =
    Schema { name: "ActiveQueries", fields: &[has("queries", List(&Object(&ACTIVE_QUERY)))] };
pub(super) const ACTIVE_QUERIES: Shape = Object(&ACTIVE_QUERY_LIST);

static QUERY_COST: Schema = Schema {
    name: "TopQuery",
    fields: &[
        has("query", Text),
        has("timeRangeSeconds", Number),
        has("count", Whole),
        has("avgDurationSeconds", Number),
        has("sumDurationSeconds", Number),
        has("peakSamples", Whole),
    ],
};
const QUERY_COSTS: Shape = List(&Object(&QUERY_COST));
static TOP: Schema = Schema {
    name: "TopQueries",
    fields: &[
        has("topN", Whole),
        has("maxLifetimeSeconds", Number),
        has("topByCount", QUERY_COSTS),
        has("topByAvgDuration", QUERY_COSTS),
        has("topBySumDuration", QUERY_COSTS),
        has("topByPeakSamples", QUERY_COSTS),
    ],
};
pub(super) const TOP_QUERIES: Shape = Object(&TOP);

static USED_METRIC: Schema = Schema {
    name: "UsedMetric",
    fields: &[
        has("name", Text),
        has("series", Whole),
        has("apiCount", Whole),
        has("ruleCount", Whole),
        may_have("lastApi", Text),
        may_have("lastRule", Text),
    ],
};
static NEVER_ASKED: Schema = Schema {
    name: "NeverAsked",
    fields: &[has("metrics", Whole), has("series", Whole), has("names", TEXTS), has("metricRelabelConfigs", Text)],
};
static USAGE: Schema = Schema {
    name: "MetricUsage",
    fields: &[has("since", Text), has("metrics", List(&Object(&USED_METRIC))), has("neverAsked", Object(&NEVER_ASKED))],
};
pub(super) const METRIC_USAGE: Shape = Object(&USAGE);
