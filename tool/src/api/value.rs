//! The value of a query as the API sends it, and as upstream prints it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::float::{format_f, format_g};
use model::labels::METRIC_NAME;
use model::quote::quoted;
use serde_json::Value as Json;

use super::json::{labels, push_list, push_map, push_string};

/// The labels of a series, sorted by name.
pub(crate) type Metric = BTreeMap<String, String>;

/// The value of a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Scalar(i64, f64),
    Text(i64, String),
    Vector(Vec<Sample>),
    Matrix(Vec<Stream>),
}

/// A series at one time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) metric: Metric,
    pub(crate) ts: i64,
    pub(crate) value: Point,
}

/// A sample's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Point {
    Float(f64),
    Histogram(HistogramValue),
}

/// A series over time, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stream {
    pub(crate) metric: Metric,
    pub(crate) values: Vec<(i64, f64)>,
    pub(crate) histograms: Vec<(i64, HistogramValue)>,
}

/// A native histogram as the API sends it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HistogramValue {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) buckets: Option<Vec<Bucket>>,
}

/// A populated bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    /// Which bounds belong to it: 0 the upper, 1 the lower, 2 none, 3 both.
    pub(crate) boundaries: i64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

impl Value {
    /// Reads the data of an answer.
    pub(crate) fn decode(data: &Json) -> Result<Self, String> {
        let result = &data["result"];
        match data["resultType"].as_str() {
            Some("scalar") => pair(result).and_then(|(ts, value)| Ok(Self::Scalar(ts, float(value)?))),
            Some("string") => pair(result).and_then(|(ts, text)| {
                let text = text.as_str().ok_or("the string is not text")?;
                Ok(Self::Text(ts, text.to_owned()))
            }),
            Some("vector") => list(result, sample).map(Self::Vector),
            Some("matrix") => list(result, stream).map(Self::Matrix),
            _ => Err(format!("unexpected value type {}", data["resultType"])),
        }
    }

    /// The value as promtool prints it by default.
    pub(crate) fn to_promql(&self) -> String {
        match self {
            Self::Scalar(ts, value) => format!("scalar: {} @[{}]", format_f(*value), time(*ts)),
            Self::Text(_, text) => text.clone(),
            Self::Vector(samples) => {
                let lines = samples.iter().map(|sample| {
                    format!("{} => {} @[{}]", metric_text(&sample.metric), sample.value.to_promql(), time(sample.ts))
                });
                lines.collect::<Vec<_>>().join("\n")
            }
            Self::Matrix(streams) => {
                let mut sorted: Vec<&Stream> = streams.iter().collect();
                sorted.sort_by(|a, b| compare_metrics(&a.metric, &b.metric));
                sorted.into_iter().map(Stream::to_promql).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// The value as JSON.
    pub(crate) fn to_json(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Scalar(ts, value) => push_pair(&mut out, *ts, *value),
            Self::Text(ts, text) => {
                write!(out, "[{},", time(*ts)).expect("BUG: writing to a string does not fail");
                push_string(&mut out, text);
                out.push(']');
            }
            Self::Vector(samples) => push_list(&mut out, samples, |out, sample| {
                push_metric(out, &sample.metric);
                match &sample.value {
                    Point::Float(value) => {
                        out.push_str(",\"value\":");
                        push_pair(out, sample.ts, *value);
                    }
                    Point::Histogram(histogram) => {
                        out.push_str(",\"histogram\":");
                        push_histogram(out, sample.ts, histogram);
                    }
                }
                out.push('}');
            }),
            Self::Matrix(streams) => push_list(&mut out, streams, push_stream),
        }
        out
    }
}

impl Point {
    fn to_promql(&self) -> String {
        match self {
            Self::Float(value) => format_f(*value),
            Self::Histogram(histogram) => histogram.to_promql(),
        }
    }
}

impl Stream {
    fn to_promql(&self) -> String {
        let values = self.values.iter().map(|(ts, value)| format!("{} @[{}]", format_f(*value), time(*ts)));
        let histograms = self.histograms.iter().map(|(ts, value)| format!("{} @[{}]", value.to_promql(), time(*ts)));
        let points: Vec<String> = values.chain(histograms).collect();
        format!("{} =>\n{}", metric_text(&self.metric), points.join("\n"))
    }
}

impl HistogramValue {
    pub(crate) fn to_promql(&self) -> String {
        let bucket = |bucket: &Bucket| {
            let open = if matches!(bucket.boundaries, 1 | 3) { '[' } else { '(' };
            let close = if matches!(bucket.boundaries, 0 | 3) { ']' } else { ')' };
            let (lower, upper) = (format_g(bucket.lower), format_g(bucket.upper));
            format!("{open}{lower},{upper}{close}:{}", format_f(bucket.count))
        };
        let buckets: Vec<String> = self.buckets.iter().flatten().map(bucket).collect();
        format!("Count: {}, Sum: {}, Buckets: [{}]", six(self.count), six(self.sum), buckets.join(" "))
    }
}

/// Go's `%f`.
fn six(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { format_f(value) }
}

/// Milliseconds as seconds.
pub(crate) fn time(ms: i64) -> String {
    format_f(ms as f64 / 1000.0)
}

/// `name{label="value", …}`, sorted by the printed labels.
pub(crate) fn metric_text(metric: &Metric) -> String {
    let name = metric.get(METRIC_NAME);
    let mut texts: Vec<String> = metric
        .iter()
        .filter(|(label, _)| *label != METRIC_NAME)
        .map(|(label, value)| format!("{label}={}", quoted(value)))
        .collect();
    texts.sort();
    match (name, texts.is_empty()) {
        (Some(name), true) => name.clone(),
        (name, _) => format!("{}{{{}}}", name.map_or("", String::as_str), texts.join(", ")),
    }
}

/// `{label="value", …}` with the name among them, sorted by name.
pub(crate) fn label_set_text(metric: &Metric) -> String {
    let labels: Vec<String> = metric.iter().map(|(label, value)| format!("{label}={}", quoted(value))).collect();
    format!("{{{}}}", labels.join(", "))
}

/// The order of upstream's label sets: by their number, then by the first name that only one has, or its values.
pub(crate) fn compare_metrics(a: &Metric, b: &Metric) -> Ordering {
    let by_names = || {
        for name in a.keys().chain(b.keys()).collect::<std::collections::BTreeSet<_>>() {
            match (a.get(name), b.get(name)) {
                (None, _) => return Ordering::Less,
                (_, None) => return Ordering::Greater,
                (Some(one), Some(other)) if one != other => return one.cmp(other),
                _ => {}
            }
        }
        Ordering::Equal
    };
    a.len().cmp(&b.len()).then_with(by_names)
}

fn push_metric(out: &mut String, metric: &Metric) {
    out.push_str("{\"metric\":");
    push_map(out, metric);
}

fn push_stream(out: &mut String, stream: &Stream) {
    push_metric(out, &stream.metric);
    if !stream.values.is_empty() || stream.histograms.is_empty() {
        out.push_str(",\"values\":");
        push_list(out, &stream.values, |out, (ts, value)| push_pair(out, *ts, *value));
    }
    if !stream.histograms.is_empty() {
        out.push_str(",\"histograms\":");
        push_list(out, &stream.histograms, |out, (ts, histogram)| push_histogram(out, *ts, histogram));
    }
    out.push('}');
}

fn push_pair(out: &mut String, ts: i64, value: f64) {
    out.push_str(&format!("[{},\"{}\"]", time(ts), format_f(value)));
}

fn push_histogram(out: &mut String, ts: i64, histogram: &HistogramValue) {
    let (count, sum) = (format_f(histogram.count), format_f(histogram.sum));
    out.push_str(&format!("[{},{{\"count\":\"{count}\",\"sum\":\"{sum}\",\"buckets\":", time(ts)));
    match &histogram.buckets {
        Some(buckets) => push_list(out, buckets, |out, bucket| {
            let (lower, upper) = (format_f(bucket.lower), format_f(bucket.upper));
            out.push_str(&format!("[{},\"{lower}\",\"{upper}\",\"{}\"]", bucket.boundaries, format_f(bucket.count)));
        }),
        None => out.push_str("null"),
    }
    out.push_str("}]");
}

fn list<T>(json: &Json, decode: impl Fn(&Json) -> Result<T, String>) -> Result<Vec<T>, String> {
    match json {
        Json::Null => Ok(Vec::new()),
        Json::Array(items) => items.iter().map(decode).collect(),
        _ => Err("the result is not a list".to_owned()),
    }
}

/// A time and what is there at that time.
fn pair(json: &Json) -> Result<(i64, &Json), String> {
    match json.as_array().map(Vec::as_slice) {
        Some([ts, value]) => {
            let ts = ts.as_f64().ok_or_else(|| format!("{ts} is not a time"))?;
            Ok(((ts * 1000.0).round() as i64, value))
        }
        _ => Err(format!("{json} is not a sample")),
    }
}

fn float(json: &Json) -> Result<f64, String> {
    json.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{json} is not a sample value"))
}

fn sample(json: &Json) -> Result<Sample, String> {
    let metric = labels(&json["metric"])?;
    let (ts, value) = match json.get("histogram") {
        Some(histogram) => {
            pair(histogram).and_then(|(ts, value)| Ok((ts, Point::Histogram(histogram_value(value)?))))?
        }
        None => pair(&json["value"]).and_then(|(ts, value)| Ok((ts, Point::Float(float(value)?))))?,
    };
    Ok(Sample { metric, ts, value })
}

fn stream(json: &Json) -> Result<Stream, String> {
    Ok(Stream {
        metric: labels(&json["metric"])?,
        values: list(&json["values"], |point| pair(point).and_then(|(ts, value)| Ok((ts, float(value)?))))?,
        histograms: list(&json["histograms"], |point| {
            pair(point).and_then(|(ts, value)| Ok((ts, histogram_value(value)?)))
        })?,
    })
}

fn histogram_value(json: &Json) -> Result<HistogramValue, String> {
    let bucket = |json: &Json| match json.as_array().map(Vec::as_slice) {
        Some([boundaries, lower, upper, count]) => Ok(Bucket {
            boundaries: boundaries.as_i64().ok_or_else(|| format!("{boundaries} does not say which bounds belong"))?,
            lower: float(lower)?,
            upper: float(upper)?,
            count: float(count)?,
        }),
        _ => Err(format!("{json} is not a bucket")),
    };
    let buckets = json.get("buckets").map(|buckets| list(buckets, bucket)).transpose()?;
    Ok(HistogramValue { count: float(&json["count"])?, sum: float(&json["sum"])?, buckets })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(kind: &str, result: &Json) -> Value {
        Value::decode(&json!({"resultType": kind, "result": result})).unwrap()
    }

    #[test]
    fn scalars_and_strings() {
        let scalar = value("scalar", &json!([1_435_781_451.781, "1e+21"]));
        assert_eq!(scalar.to_promql(), "scalar: 1000000000000000000000 @[1435781451.781]");
        assert_eq!(scalar.to_json(), r#"[1435781451.781,"1000000000000000000000"]"#);
        let text = value("string", &json!([1, "a<b"]));
        assert_eq!((text.to_promql(), text.to_json()), ("a<b".to_owned(), r#"[1,"a\u003cb"]"#.to_owned()));
    }

    #[test]
    fn vectors_keep_their_order() {
        let histogram =
            json!({"count": "3", "sum": "-0.5", "buckets": [[3, "-0.001", "0.001", "1"], [0, "1", "2e6", "2"]]});
        let vector = value(
            "vector",
            &json!([
                {"metric": {"__name__": "up", "job": "a", "job1": "\"x\""}, "value": [0, "NaN"]},
                {"metric": {}, "value": [0.5, "-Inf"]},
                {"metric": {"__name__": "h"}, "histogram": [2, histogram]},
            ]),
        );
        assert_eq!(
            vector.to_promql(),
            "up{job1=\"\\\"x\\\"\", job=\"a\"} => NaN @[0]\n{} => -Inf @[0.5]\nh => Count: 3.000000, Sum: -0.500000, Buckets: \
             [[-0.001,0.001]:1 (1,2e+06]:2] @[2]"
        );
        assert_eq!(
            vector.to_json(),
            r#"[{"metric":{"__name__":"up","job":"a","job1":"\"x\""},"value":[0,"NaN"]},{"metric":{},"value":[0.5,"-Inf"]},{"metric":{"__name__":"h"},"histogram":[2,{"count":"3","sum":"-0.5","buckets":[[3,"-0.001","0.001","1"],[0,"1","2000000","2"]]}]}]"#
        );
        let none = value("vector", &json!([]));
        assert_eq!((none.to_promql().as_str(), none.to_json().as_str()), ("", "[]"));
    }

    #[test]
    fn matrices_are_sorted_when_printed() {
        let histogram = json!({"count": "1", "sum": "2"});
        let matrix = value(
            "matrix",
            &json!([
                {"metric": {"a": "2"}, "values": [[0, "1"], [15, "2"]]},
                {"metric": {"a": "1", "b": "1"}, "values": [[0, "1"]], "histograms": [[1, histogram]]},
                {"metric": {"a": "1"}, "histograms": [[1, histogram]]},
            ]),
        );
        assert_eq!(
            matrix.to_promql(),
            "{a=\"1\"} =>\nCount: 1.000000, Sum: 2.000000, Buckets: [] @[1]\n{a=\"2\"} =>\n1 @[0]\n2 @[15]\n{a=\"1\", b=\"1\"} \
             =>\n1 @[0]\nCount: 1.000000, Sum: 2.000000, Buckets: [] @[1]"
        );
        assert_eq!(
            matrix.to_json(),
            r#"[{"metric":{"a":"2"},"values":[[0,"1"],[15,"2"]]},{"metric":{"a":"1","b":"1"},"values":[[0,"1"]],"histograms":[[1,{"count":"1","sum":"2","buckets":null}]]},{"metric":{"a":"1"},"histograms":[[1,{"count":"1","sum":"2","buckets":null}]]}]"#
        );
    }

    #[test]
    fn what_is_no_value_is_told() {
        for (data, part) in [
            (json!(null), "unexpected value type null"),
            (json!({"resultType": "vector", "result": {}}), "the result is not a list"),
            (json!({"resultType": "vector", "result": [{"metric": [], "value": [0, "1"]}]}), "not a set of labels"),
            (json!({"resultType": "vector", "result": [{"metric": {"a": 1}, "value": [0, "1"]}]}), "which is not text"),
            (json!({"resultType": "matrix", "result": [{"metric": {}, "values": [[0]]}]}), "[0] is not a sample"),
            (json!({"resultType": "scalar", "result": ["a", "1"]}), "\"a\" is not a time"),
            (json!({"resultType": "scalar", "result": [1, 1]}), "1 is not a sample value"),
        ] {
            let why = Value::decode(&data).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
