//! `/api/v1/status/self_metrics`: what `/metrics` says, as JSON: metric families as protobuf's JSON mapping writes them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use model::Regex;
use prometheus::proto;
use serde::{Serialize, Serializer};

use super::exposition::families;
use super::{ApiError, Params, format};
use crate::app::App;

/// `/api/v1/status/self_metrics`
pub(crate) async fn self_metrics(State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let wanted = match params.get("metric_name_pattern") {
        "" => None,
        pattern => {
            let fault = |error| ApiError::bad_data(format!("invalid metric_name_pattern: {error}"));
            Some(Regex::in_anchors(pattern).map_err(fault)?)
        }
    };
    let families = families(&app).await;
    let shown = families.iter().filter(|family| wanted.as_ref().is_none_or(|wanted| wanted.is_match(family.name())));
    Ok(format::success_of(&shown.map(FamilyJson::new).collect::<Vec<_>>()))
}

#[derive(Serialize)]
struct FamilyJson<'a> {
    name: &'a str,
    help: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    metric: Vec<MetricJson<'a>>,
}

#[derive(Default, Serialize)]
struct MetricJson<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    label: Vec<LabelJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gauge: Option<ValueJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counter: Option<ValueJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    histogram: Option<HistogramJson>,
}

#[derive(Serialize)]
struct LabelJson<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct ValueJson {
    value: Double,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HistogramJson {
    sample_count: Unsigned,
    sample_sum: Double,
    bucket: Vec<BucketJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BucketJson {
    cumulative_count: Unsigned,
    upper_bound: Double,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SummaryJson {
    sample_count: Unsigned,
    sample_sum: Double,
    quantile: Vec<QuantileJson>,
}

#[derive(Serialize)]
struct QuantileJson {
    quantile: Double,
    value: Double,
}

/// 64 bits are a string: readers of JSON have 53 of them.
struct Unsigned(u64);

impl Serialize for Unsigned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// What JSON has no number for is a string.
struct Double(f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("Infinity"),
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            value => serializer.serialize_f64(value),
        }
    }
}

impl<'a> FamilyJson<'a> {
    fn new(family: &'a proto::MetricFamily) -> Self {
        let kind = family.get_field_type();
        let metric = family.get_metric().iter().map(|metric| MetricJson::new(kind, metric)).collect();
        let kind = match kind {
            proto::MetricType::COUNTER => "COUNTER",
            proto::MetricType::GAUGE => "GAUGE",
            proto::MetricType::SUMMARY => "SUMMARY",
            proto::MetricType::UNTYPED => "UNTYPED",
            proto::MetricType::HISTOGRAM => "HISTOGRAM",
        };
        Self { name: family.name(), help: family.help(), kind, metric }
    }
}

impl<'a> MetricJson<'a> {
    fn new(kind: proto::MetricType, metric: &'a proto::Metric) -> Self {
        let label = metric.get_label().iter().map(|pair| LabelJson { name: pair.name(), value: pair.value() });
        let mut json = Self { label: label.collect(), ..Self::default() };
        match kind {
            proto::MetricType::COUNTER => {
                json.counter = Some(ValueJson { value: Double(metric.get_counter().get_value()) });
            }
            proto::MetricType::HISTOGRAM => {
                let histogram = metric.get_histogram();
                let bucket = histogram.get_bucket().iter().map(|bucket| BucketJson {
                    cumulative_count: Unsigned(bucket.cumulative_count()),
                    upper_bound: Double(bucket.upper_bound()),
                });
                json.histogram = Some(HistogramJson {
                    sample_count: Unsigned(histogram.get_sample_count()),
                    sample_sum: Double(histogram.get_sample_sum()),
                    bucket: bucket.collect(),
                });
            }
            proto::MetricType::SUMMARY => {
                let summary = metric.get_summary();
                let quantile = summary.get_quantile().iter().map(|quantile| QuantileJson {
                    quantile: Double(quantile.quantile()),
                    value: Double(quantile.value()),
                });
                json.summary = Some(SummaryJson {
                    sample_count: Unsigned(summary.sample_count()),
                    sample_sum: Double(summary.sample_sum()),
                    quantile: quantile.collect(),
                });
            }
            // Nothing of ours is untyped.
            _ => json.gauge = Some(ValueJson { value: Double(metric.get_gauge().get_value()) }),
        }
        json
    }
}
