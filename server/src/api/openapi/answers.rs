//! The forms of answers that the web page reads. `tests.rs` holds real answers against them, and the page's types are made of
//! them: a field that changes here or in a handler fails a build.

use super::shape::Shape::{Either, List, Map, Nullable, Number, Object, Text, Truth, Tuple, Whole, Word};
use super::shape::{Schema, Shape, has, may_have};

pub(super) const TEXTS: Shape = List(&Text);
pub(super) const TEXT: Shape = Text;
/// Labels, values by names.
pub(super) const LABELS: Shape = Map(&Text);
pub(super) const SERIES: Shape = List(&LABELS);
/// Values of flags by names.
pub(super) const FLAGS: Shape = Map(&Text);
pub(super) const FEATURES: Shape = Map(&Map(&Truth));

/// A time in seconds and a value as text, which may be `NaN`, `+Inf` and `-Inf`.
const POINT: Shape = Tuple(&[Number, Text]);
const HISTOGRAM_POINT: Shape = Tuple(&[Number, Object(&HISTOGRAM)]);

static HISTOGRAM: Schema = Schema {
    name: "Histogram",
    fields: &[
        has("count", Text),
        has("sum", Text),
        // Which ends are inclusive (0 the upper, 1 the lower, 2 none, 3 both), the two ends, and the count.
        may_have("buckets", List(&Tuple(&[Whole, Text, Text, Text]))),
    ],
};
static SAMPLE: Schema = Schema {
    name: "Sample",
    fields: &[has("metric", LABELS), may_have("value", POINT), may_have("histogram", HISTOGRAM_POINT)],
};
static RANGE_SERIES: Schema = Schema {
    name: "RangeSeries",
    fields: &[has("metric", LABELS), may_have("values", List(&POINT)), may_have("histograms", List(&HISTOGRAM_POINT))],
};
static DECISION: Schema = Schema { name: "PlanDecision", fields: &[has("pass", Text), has("detail", Text)] };
static ESTIMATE: Schema = Schema { name: "PlanEstimate", fields: &[has("series", Whole), has("samplesRead", Whole)] };
static COST: Schema = Schema {
    name: "PlanCost",
    fields: &[
        has("evaluations", Whole),
        has("reused", Whole),
        has("seconds", Number),
        has("series", Whole),
        has("samples", Whole),
        has("seriesRead", Whole),
        has("samplesRead", Whole),
        has("peakBytes", Whole),
    ],
};
static NODE: Schema = Schema {
    name: "PlanNode",
    fields: &[
        has("id", Whole),
        has("depth", Whole),
        has("operands", List(&Whole)),
        has("operation", Text),
        has("expression", Text),
        has("decisions", List(&Object(&DECISION))),
        may_have("estimated", Object(&ESTIMATE)),
        may_have("measured", Object(&COST)),
    ],
};
static PLAN: Schema = Schema { name: "Plan", fields: &[has("nodes", List(&Object(&NODE))), has("text", Text)] };
static TIMINGS: Schema = Schema {
    name: "QueryTimings",
    fields: &[
        has("evalTotalTime", Number),
        has("resultSortTime", Number),
        has("queryPreparationTime", Number),
        has("innerEvalTime", Number),
        has("execQueueTime", Number),
        has("execTotalTime", Number),
    ],
};
static SAMPLES: Schema = Schema {
    name: "QuerySamples",
    fields: &[
        may_have("totalQueryableSamplesPerStep", List(&Tuple(&[Number, Whole]))),
        has("totalQueryableSamples", Whole),
        may_have("samplesReadPerStep", List(&Tuple(&[Number, Whole]))),
        has("samplesRead", Whole),
        has("seriesTouched", Whole),
        has("peakSamples", Whole),
    ],
};
static STATS: Schema =
    Schema { name: "QueryStats", fields: &[has("timings", Object(&TIMINGS)), has("samples", Object(&SAMPLES))] };
static VECTOR: Schema = Schema {
    name: "VectorResult",
    fields: &[
        has("resultType", Word(&["vector"])),
        has("result", List(&Object(&SAMPLE))),
        may_have("stats", Object(&STATS)),
        may_have("explain", Object(&PLAN)),
    ],
};
static MATRIX: Schema = Schema {
    name: "MatrixResult",
    fields: &[
        has("resultType", Word(&["matrix"])),
        has("result", List(&Object(&RANGE_SERIES))),
        may_have("stats", Object(&STATS)),
        may_have("explain", Object(&PLAN)),
    ],
};
static SIMPLE: Schema = Schema {
    name: "ScalarOrStringResult",
    fields: &[
        has("resultType", Word(&["scalar", "string"])),
        has("result", POINT),
        may_have("stats", Object(&STATS)),
        may_have("explain", Object(&PLAN)),
    ],
};
/// Instead of a result, with `explain=1`.
static PLAN_ALONE: Schema = Schema { name: "PlanAlone", fields: &[has("explain", Object(&PLAN))] };

pub(super) const QUERY: Shape = Either(&[Object(&VECTOR), Object(&MATRIX), Object(&SIMPLE), Object(&PLAN_ALONE)]);
pub(super) const QUERY_RANGE: Shape = Either(&[Object(&MATRIX), Object(&PLAN_ALONE)]);

static EXEMPLAR: Schema =
    Schema { name: "Exemplar", fields: &[has("labels", LABELS), has("value", Text), has("timestamp", Number)] };
static EXEMPLARS_OF_SERIES: Schema = Schema {
    name: "ExemplarsOfSeries",
    fields: &[has("seriesLabels", LABELS), has("exemplars", List(&Object(&EXEMPLAR)))],
};
pub(super) const EXEMPLARS: Shape = List(&Object(&EXEMPLARS_OF_SERIES));

static METADATA_OF_METRIC: Schema =
    Schema { name: "Metadata", fields: &[has("type", Text), has("unit", Text), has("help", Text)] };
pub(super) const METADATA: Shape = Map(&List(&Object(&METADATA_OF_METRIC)));

static POOLS: Schema = Schema { name: "ScrapePools", fields: &[has("scrapePools", TEXTS)] };
pub(super) const SCRAPE_POOLS: Shape = Object(&POOLS);

static ACTIVE_TARGET: Schema = Schema {
    name: "ActiveTarget",
    fields: &[
        has("discoveredLabels", LABELS),
        has("labels", LABELS),
        has("scrapePool", Text),
        has("scrapeUrl", Text),
        has("globalUrl", Text),
        has("lastError", Text),
        has("lastScrape", Text),
        has("lastScrapeDuration", Number),
        has("health", Word(&["up", "down", "unknown"])),
        has("scrapeInterval", Text),
        has("scrapeTimeout", Text),
        may_have("samplesOverLimit", Whole),
    ],
};
static DROPPED_TARGET: Schema =
    Schema { name: "DroppedTarget", fields: &[has("discoveredLabels", LABELS), has("scrapePool", Text)] };
static TARGET_LISTS: Schema = Schema {
    name: "Targets",
    fields: &[
        has("activeTargets", List(&Object(&ACTIVE_TARGET))),
        has("droppedTargets", List(&Object(&DROPPED_TARGET))),
        has("droppedTargetCounts", Nullable(&Map(&Whole))),
    ],
};
pub(super) const TARGETS: Shape = Object(&TARGET_LISTS);

static BUILD: Schema = Schema {
    name: "BuildInfo",
    fields: &[
        has("version", Text),
        has("revision", Text),
        has("branch", Text),
        has("buildUser", Text),
        has("buildDate", Text),
        has("goVersion", Text),
        has("application", Text),
        has("weftVersion", Text),
    ],
};
pub(super) const BUILD_INFO: Shape = Object(&BUILD);

static NOTIFICATION: Schema =
    Schema { name: "Notification", fields: &[has("text", Text), has("date", Text), has("active", Truth)] };
pub(super) const NOTIFICATIONS: Shape = List(&Object(&NOTIFICATION));

static SERIES_COUNT: Schema = Schema { name: "SeriesCount", fields: &[has("series", Whole), has("newSeries", Whole)] };
static SERIES_OF_VALUE: Schema =
    Schema { name: "SeriesOfValue", fields: &[has("value", Text), has("series", Whole), has("newSeries", Whole)] };
static CARDINALITY_OF_LABEL: Schema = Schema {
    name: "Cardinality",
    fields: &[
        has("label", Text),
        has("day", Text),
        has("total", Object(&SERIES_COUNT)),
        has("without", Object(&SERIES_COUNT)),
        has("valuesTotal", Whole),
        has("values", List(&Object(&SERIES_OF_VALUE))),
    ],
};
pub(super) const CARDINALITY: Shape = Object(&CARDINALITY_OF_LABEL);
