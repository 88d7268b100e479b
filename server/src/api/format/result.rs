//! The result of a query as JSON.

use model::float::format_f;
use query::{QueryResult, RangeSeries, Sample, Value};

use super::json::{array, histogram_point, items, point, put, string};
use super::label_sets::LabelSets;

/// The least number of series for a thread of its own, and the number of points that cost as much as the labels of a series.
const SERIES_PER_THREAD: usize = 2_000;
pub(crate) const POINTS_PER_SERIES: usize = 8;

/// The text before a query's result.
pub(crate) fn result_head(out: &mut String, value: &Value) {
    let kind = match value {
        Value::Scalar { .. } => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    put(out, format_args!("{{\"resultType\":\"{kind}\",\"result\":"));
}

/// The text behind it: further fields, such as `,"stats":{…}`.
pub(crate) fn result_tail(out: &mut String, beside: Option<&str>) {
    out.push_str(beside.unwrap_or_default());
    out.push('}');
}

/// The data of a query's answer.
pub(crate) fn query_result(out: &mut String, result: &QueryResult, beside: Option<&str>) {
    result_head(out, &result.value);
    match &result.value {
        // Upstream writes scalars by another way than samples: without an exponent, and times as the shortest floats.
        Value::Scalar { ts, value } => put(out, format_args!("[{},\"{}\"]", ts.as_seconds(), format_f(*value))),
        Value::String { ts, value } => {
            put(out, format_args!("[{},", ts.as_seconds()));
            string(out, value);
            out.push(']');
        }
        Value::Vector(samples) => side_by_side(out, samples, samples.len(), vector),
        Value::Matrix(series) => {
            let points = series.iter().map(|one| one.points.len() / POINTS_PER_SERIES).sum::<usize>();
            side_by_side(out, series, series.len() + points, matrix);
        }
    }
    result_tail(out, beside);
}

pub(crate) fn vector(out: &mut String, samples: &[Sample]) {
    let mut sets = LabelSets::default();
    items(out, samples, |out, sample| {
        out.push_str("{\"metric\":");
        sets.write(out, &sample.labels);
        match &sample.histogram {
            None => {
                out.push_str(",\"value\":");
                point(out, sample.ts, sample.value);
            }
            Some(histogram) => {
                out.push_str(",\"histogram\":");
                histogram_point(out, sample.ts, histogram);
            }
        }
        out.push('}');
    });
}

fn matrix(out: &mut String, series: &[RangeSeries]) {
    let mut sets = LabelSets::default();
    items(out, series, |out, series| {
        out.push_str("{\"metric\":");
        sets.write(out, &series.labels);
        if !series.points.is_empty() {
            out.push_str(",\"values\":");
            array(out, &series.points, |out, (ts, value)| point(out, *ts, *value));
        }
        if !series.histograms.is_empty() {
            out.push_str(",\"histograms\":");
            array(out, &series.histograms, |out, (ts, value)| histogram_point(out, *ts, value));
        }
        out.push('}');
    });
}

/// Writes an array, on several threads if it is large. `work` is its approximate size in series.
fn side_by_side<T: Sync>(out: &mut String, items: &[T], work: usize, write: fn(&mut String, &[T])) {
    let threads = match work / SERIES_PER_THREAD {
        0 | 1 => 1,
        // To ask costs more than a small answer: control groups are read from files.
        most => most.min(std::thread::available_parallelism().map_or(1, usize::from)),
    };
    // The first part is written by this thread straight into the answer.
    let (first, rest) = items.split_at(items.len().div_ceil(threads).min(items.len()));
    out.push('[');
    std::thread::scope(|scope| {
        // `chunks(0)` would panic; without items there is nothing in `rest`.
        let parts = rest.chunks(first.len().max(1));
        let parts: Vec<_> = parts
            .map(|part| {
                scope.spawn(move || {
                    let mut text = String::new();
                    write(&mut text, part);
                    text
                })
            })
            .collect();
        write(out, first);
        for part in parts {
            // A panic goes on here.
            let text = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            out.push(',');
            out.push_str(&text);
        }
    });
    out.push(']');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Histogram, Labels, Timestamp};

    use super::*;
    use crate::api::format::json::tests::written;

    #[test]
    fn samples_and_histograms_stand_apart() {
        let mut histogram = Histogram {
            count: 9.0,
            sum: f64::NEG_INFINITY,
            zero_count: 2.0,
            zero_threshold: 0.001,
            positive: [(0, 1.5), (1, 0.0), (2, 3.0)].into_iter().collect(),
            negative: [(1, 2.5)].into_iter().collect(),
            ..Histogram::default()
        };
        let metric = Labels::from_pairs([("job", "a")]);
        let both = query::RangeSeries {
            labels: metric.clone(),
            points: vec![(Timestamp(1_500), 2.0)],
            histograms: vec![(Timestamp(2_000), histogram.clone().into())],
        };
        let of = |value| {
            let result = QueryResult { value, warnings: vec![], infos: vec![], memory: Arc::default() };
            written(|out| query_result(out, &result, None))
        };
        let shown = r#"{"count":"9","sum":"-Inf","buckets":[[1,"-2","-1","2.5"],[3,"-0.001","0.001","2"],[0,"0.5","1","1.5"],[0,"2","4","3"]]}"#;
        assert_eq!(
            of(Value::Matrix(vec![both])),
            format!(
                r#"{{"resultType":"matrix","result":[{{"metric":{{"job":"a"}},"values":[[1.500,"2"]],"histograms":[[2,{shown}]]}}]}}"#
            )
        );
        (histogram.zero_count, histogram.positive, histogram.negative) = <_>::default();
        let sample =
            query::Sample { labels: metric, ts: Timestamp(3_000), value: 0.0, histogram: Some(histogram.into()) };
        assert_eq!(
            of(Value::Vector(vec![sample])),
            r#"{"resultType":"vector","result":[{"metric":{"job":"a"},"histogram":[3,{"count":"9","sum":"-Inf"}]}]}"#
        );
    }

    #[test]
    fn many_series_are_written_as_few() {
        let sample = |i: usize| Sample {
            labels: Labels::from_pairs([("i", i.to_string()), ("job", "a".to_owned())]),
            ts: Timestamp(1_000),
            value: i as f64,
            histogram: None,
        };
        for count in [0, 1, 2, 3, SERIES_PER_THREAD * 3 + 1] {
            let all: Vec<Sample> = (0..count).map(sample).collect();
            for work in [count, 2 * SERIES_PER_THREAD, 100 * SERIES_PER_THREAD] {
                let each = all.iter().map(|one| written(|out| vector(out, std::slice::from_ref(one))));
                let expected = format!("[{}]", each.collect::<Vec<_>>().join(","));
                assert!(written(|out| side_by_side(out, &all, work, vector)) == expected, "{count} {work}");
            }
        }
    }
}
