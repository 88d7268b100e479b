//! Metric families as a request of remote write.

use std::collections::BTreeMap;

use model::float::format_g;
use model::labels::{BUCKET, JOB, METRIC_NAME};
use remote::proto::write::{Label, MetricMetadata, Sample, TimeSeries, WriteRequest};

use crate::text_format::{Family, Kind, Metric, MetricValue};

/// What stands before the name of a label of the exposition that would hide the job's.
const EXPORTED: &str = "exported_";

/// A request with all series of the families. Samples without a time get this one; `labels` are added to all.
pub(super) fn request(families: &BTreeMap<String, Family>, labels: &BTreeMap<&str, &str>, now: i64) -> WriteRequest {
    let mut request = WriteRequest::default();
    for family in families.values() {
        request.metadata.push(MetricMetadata {
            kind: kind_number(family.kind()),
            metric_family_name: family.name.clone(),
            help: family.help.clone().unwrap_or_default(),
            unit: String::new(),
        });
        for metric in &family.metrics {
            let series =
                Series { name: &family.name, metric, labels, ts: metric.ts.filter(|ts| *ts != 0).unwrap_or(now) };
            series.push(&mut request.timeseries);
        }
    }
    request
}

/// A type as the message has it.
fn kind_number(kind: Kind) -> i32 {
    match kind {
        Kind::Untyped => 0,
        Kind::Counter => 1,
        Kind::Gauge => 2,
        Kind::Histogram => 3,
        Kind::GaugeHistogram => 4,
        Kind::Summary => 5,
    }
}

/// A metric, of which a histogram or summary is several series.
struct Series<'a> {
    name: &'a str,
    metric: &'a Metric,
    labels: &'a BTreeMap<&'a str, &'a str>,
    ts: i64,
}

impl Series<'_> {
    fn push(&self, out: &mut Vec<TimeSeries>) {
        match &self.metric.value {
            MetricValue::Number(value) => out.push(self.one("", None, *value)),
            MetricValue::Summary { count, sum, quantiles } => {
                out.extend(
                    quantiles.iter().map(|(quantile, value)| self.one("", Some(("quantile", *quantile)), *value)),
                );
                out.extend([self.one("_sum", None, *sum), self.one("_count", None, *count)]);
            }
            MetricValue::Histogram { count, sum, buckets } => {
                out.extend(buckets.iter().map(|(bound, value)| self.one("_bucket", Some((BUCKET, *bound)), *value)));
                if !buckets.iter().any(|(bound, _)| *bound == f64::INFINITY) {
                    out.push(self.one("_bucket", Some((BUCKET, f64::INFINITY)), *count));
                }
                out.extend([self.one("_sum", None, *sum), self.one("_count", None, *count)]);
            }
        }
    }

    fn one(&self, suffix: &str, bound: Option<(&str, f64)>, value: f64) -> TimeSeries {
        let mut labels: BTreeMap<String, String> =
            self.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        labels.insert(METRIC_NAME.to_owned(), format!("{}{suffix}", self.name));
        for (name, value) in &self.metric.labels {
            let name = if name == JOB { format!("{EXPORTED}{name}") } else { name.clone() };
            labels.insert(name, value.clone());
        }
        if let Some((name, bound)) = bound {
            labels.insert(name.to_owned(), format_g(bound));
        }
        let labels = labels.into_iter().map(|(name, value)| Label { name, value }).collect();
        TimeSeries { labels, samples: vec![Sample { value, timestamp: self.ts }], ..TimeSeries::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_format::families;

    fn texts(request: &WriteRequest) -> Vec<String> {
        let text = |series: &TimeSeries| {
            let labels: Vec<String> =
                series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
            format!("{} {} {}", labels.join(","), series.samples[0].value, series.samples[0].timestamp)
        };
        request.timeseries.iter().map(text).collect()
    }

    #[test]
    fn families_become_series() {
        let text = "# HELP h Help.\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_sum 2\nh_count 3\n# TYPE s summary\n\
                    s{quantile=\"0.9\",job=\"x\"} 4 1500\ns_sum{job=\"x\"} 5\ns_count{job=\"x\"} 6\n# TYPE g gauge\ng 7 0\n";
        let labels = BTreeMap::from([("job", "promtool"), ("a", "b")]);
        let request = request(&families(text.as_bytes()).unwrap(), &labels, 99);
        assert_eq!(
            texts(&request),
            [
                "__name__=g,a=b,job=promtool 7 99",
                "__name__=h_bucket,a=b,job=promtool,le=0.5 1 99",
                "__name__=h_bucket,a=b,job=promtool,le=+Inf 3 99",
                "__name__=h_sum,a=b,job=promtool 2 99",
                "__name__=h_count,a=b,job=promtool 3 99",
                "__name__=s,a=b,exported_job=x,job=promtool,quantile=0.9 4 1500",
                "__name__=s_sum,a=b,exported_job=x,job=promtool 5 1500",
                "__name__=s_count,a=b,exported_job=x,job=promtool 6 1500",
            ]
        );
        let about: Vec<_> =
            request.metadata.iter().map(|one| (one.kind, one.metric_family_name.as_str(), one.help.as_str())).collect();
        assert_eq!(about, [(2, "g", ""), (3, "h", "Help."), (5, "s", "")]);
    }
}
