//! `/metrics`: what is counted about this server, in the format that is asked for: text, or protobuf as `/federate` writes it.
//!
//! As upstream, OpenMetrics is not offered: it would say nothing more of metrics without exemplars and creation times.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use prometheus::TextEncoder;
use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType, Summary};

use super::federate::{Encoding, Format, MessageText, pair};
use crate::app::App;
use crate::monitor_metrics;
use crate::protobuf::{DOUBLE_LEN, bytes, double, length, number, varint};

/// `/metrics`
pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    exposition(&families(&app).await, &headers)
}

/// What is counted about this server.
pub(super) async fn families(app: &App) -> Vec<MetricFamily> {
    let mut families = app.registry.gather();
    if let Some(operator) = &app.operator {
        let of_monitors = monitor_metrics::families(&operator.outcome(), &app.scraper.status().await);
        // Their names are constants: nothing in them can be refused.
        families.extend(of_monitors.unwrap_or_default());
    }
    families
}

/// Families as a request with these headers asks for them.
pub(super) fn exposition(families: &[MetricFamily], headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // None of the names needs the escaping that is asked for.
    let format = Format::negotiated(accept);
    let body = match format.encoding {
        Encoding::Text => match TextEncoder::new().encode_to_string(families) {
            Ok(text) => text.into_bytes(),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        },
        Encoding::Delimited => delimited(families),
        Encoding::MessageText { multiline } => message_text(families, multiline),
    };
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

/// Each family behind its length.
fn delimited(families: &[MetricFamily]) -> Vec<u8> {
    let (mut out, mut message) = (Vec::new(), Vec::new());
    for family in families {
        message.clear();
        head(&mut message, family);
        for metric in family.get_metric() {
            bytes(&mut message, 4, &metric_message(family.get_field_type(), metric));
        }
        varint(&mut out, message.len() as u64);
        out.extend_from_slice(&message);
    }
    out
}

fn message_text(families: &[MetricFamily], multiline: bool) -> Vec<u8> {
    let (mut out, mut message) = (Vec::new(), Vec::new());
    for family in families {
        message.clear();
        head(&mut message, family);
        let mut text = MessageText::new(multiline);
        text.family(&mut out, &message);
        for metric in family.get_metric() {
            text.metric(&mut out, &metric_message(family.get_field_type(), metric));
        }
        text.end(&mut out);
    }
    out
}

/// The fields of a `MetricFamily` before its metrics.
fn head(out: &mut Vec<u8>, family: &MetricFamily) {
    bytes(out, 1, family.name().as_bytes());
    bytes(out, 2, family.help().as_bytes());
    let kind = match family.get_field_type() {
        MetricType::COUNTER => 0,
        MetricType::GAUGE => 1,
        MetricType::SUMMARY => 2,
        MetricType::UNTYPED => 3,
        MetricType::HISTOGRAM => 4,
    };
    number(out, 3, kind);
}

/// `Metric`
fn metric_message(kind: MetricType, metric: &Metric) -> Vec<u8> {
    let mut out = Vec::new();
    metric.get_label().iter().for_each(|label| pair(&mut out, label.name(), label.value()));
    // `Gauge` and `Counter` have one field.
    let mut value = |field, value| {
        length(&mut out, field, DOUBLE_LEN);
        double(&mut out, 1, value);
    };
    match kind {
        MetricType::COUNTER => value(3, metric.get_counter().get_value()),
        MetricType::HISTOGRAM => bytes(&mut out, 7, &histogram(metric.get_histogram())),
        MetricType::SUMMARY => bytes(&mut out, 4, &summary(metric.get_summary())),
        // Nothing of ours is untyped.
        _ => value(2, metric.get_gauge().get_value()),
    }
    out
}

/// `Histogram`. The bucket of all observations is left out, as protobuf allows.
fn histogram(histogram: &Histogram) -> Vec<u8> {
    let (mut out, mut message) = (Vec::new(), Vec::new());
    number(&mut out, 1, histogram.get_sample_count());
    double(&mut out, 2, histogram.get_sample_sum());
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound() != f64::INFINITY) {
        message.clear();
        number(&mut message, 1, bucket.cumulative_count());
        double(&mut message, 2, bucket.upper_bound());
        bytes(&mut out, 3, &message);
    }
    out
}

/// `Summary`
fn summary(summary: &Summary) -> Vec<u8> {
    let (mut out, mut message) = (Vec::new(), Vec::new());
    number(&mut out, 1, summary.sample_count());
    double(&mut out, 2, summary.sample_sum());
    for quantile in summary.get_quantile() {
        message.clear();
        double(&mut message, 1, quantile.quantile());
        double(&mut message, 2, quantile.value());
        bytes(&mut out, 3, &message);
    }
    out
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

    use super::*;

    #[test]
    fn families_as_messages() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new("a_total", "A \"b\"."), &["code"]).unwrap();
        counter.with_label_values(&["200"]).inc_by(3);
        let gauge = IntGauge::new("b", "B.").unwrap();
        gauge.set(-2);
        let opts = HistogramOpts::new("c", "C.").buckets(vec![0.5]);
        let histogram = HistogramVec::new(opts, &["x"]).unwrap();
        [0.25, 2.0].into_iter().for_each(|value| histogram.with_label_values(&["y"]).observe(value));
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        registry.register(Box::new(crate::summary::Summary::new("d", "D.", ("x", "y")).unwrap())).unwrap();
        let families = registry.gather();
        assert_eq!(
            String::from_utf8(message_text(&families, false)).unwrap(),
            "name:\"a_total\" help:\"A \\\"b\\\".\" type:COUNTER metric:{label:{name:\"code\" value:\"200\"} counter:{value:3}}\n\
             name:\"b\" help:\"B.\" type:GAUGE metric:{gauge:{value:-2}}\n\
             name:\"c\" help:\"C.\" type:HISTOGRAM metric:{label:{name:\"x\" value:\"y\"} histogram:{sample_count:2 \
             sample_sum:2.25 bucket:{cumulative_count:1 upper_bound:0.5}}}\n\
             name:\"d\" help:\"D.\" type:SUMMARY metric:{label:{name:\"x\" value:\"y\"} summary:{sample_count:0 sample_sum:0 \
             quantile:{quantile:0.5 value:nan} quantile:{quantile:0.9 value:nan} quantile:{quantile:0.99 value:nan}}}\n"
        );
        let gauge = b"\x16\x0a\x01b\x12\x02B.\x18\x01\x22\x0b\x12\x09\x09\0\0\0\0\0\0\0\xc0";
        assert_eq!(delimited(&families[1..2]), gauge);
    }
}
