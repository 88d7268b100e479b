//! How much memory a message takes once it is decoded, before it is. A point of a few bytes becomes a structure of a few hundred: a
//! small body could otherwise take a hundred times its size.

use model::protobuf::{Broken, Fields, Value};

/// A field of a message in memory: the largest of those that repeat (`ExponentialHistogramDataPoint`) has about so many bytes.
const FIELD_BYTES: usize = 256;

/// The fields of a message that are messages themselves, by their numbers.
struct Kind(&'static [(u64, &'static Kind)]);

static LEAF: Kind = Kind(&[]);
static ANY_VALUE: Kind = Kind(&[(5, &ARRAY), (6, &LIST)]);
static ARRAY: Kind = Kind(&[(1, &ANY_VALUE)]);
static LIST: Kind = Kind(&[(1, &KEY_VALUE)]);
static KEY_VALUE: Kind = Kind(&[(2, &ANY_VALUE)]);
static EXEMPLAR: Kind = Kind(&[(7, &KEY_VALUE)]);
static NUMBER_POINT: Kind = Kind(&[(5, &EXEMPLAR), (7, &KEY_VALUE)]);
static HISTOGRAM_POINT: Kind = Kind(&[(8, &EXEMPLAR), (9, &KEY_VALUE)]);
static EXPONENTIAL_POINT: Kind = Kind(&[(1, &KEY_VALUE), (8, &LEAF), (9, &LEAF), (11, &EXEMPLAR)]);
static SUMMARY_POINT: Kind = Kind(&[(6, &LEAF), (7, &KEY_VALUE)]);
static NUMBERS: Kind = Kind(&[(1, &NUMBER_POINT)]);
static HISTOGRAMS: Kind = Kind(&[(1, &HISTOGRAM_POINT)]);
static EXPONENTIALS: Kind = Kind(&[(1, &EXPONENTIAL_POINT)]);
static SUMMARIES: Kind = Kind(&[(1, &SUMMARY_POINT)]);
static METRIC: Kind =
    Kind(&[(5, &NUMBERS), (7, &NUMBERS), (9, &HISTOGRAMS), (10, &EXPONENTIALS), (11, &SUMMARIES), (12, &KEY_VALUE)]);
static SCOPE: Kind = Kind(&[(3, &KEY_VALUE)]);
static SCOPE_METRICS: Kind = Kind(&[(1, &SCOPE), (2, &METRIC)]);
static RESOURCE: Kind = Kind(&[(1, &KEY_VALUE), (3, &LEAF)]);
static RESOURCE_METRICS: Kind = Kind(&[(1, &RESOURCE), (2, &SCOPE_METRICS)]);
static REQUEST: Kind = Kind(&[(1, &RESOURCE_METRICS)]);

/// Messages lie at most so deep in each other; prost takes no more than 100.
const DEPTH_MAX: usize = 100;

/// Bytes that a request takes in memory, about.
pub(super) fn of_protobuf(message: &[u8]) -> Result<usize, Broken> {
    let mut messages = 0usize;
    count(message, &REQUEST, 0, &mut messages)?;
    // Packed counts of buckets are up to eight times as long as they are written.
    Ok(messages.saturating_mul(FIELD_BYTES).saturating_add(message.len().saturating_mul(8)))
}

fn count(message: &[u8], kind: &Kind, depth: usize, messages: &mut usize) -> Result<(), Broken> {
    if depth > DEPTH_MAX {
        return Err("messages in messages in messages");
    }
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        let Some((_, inner)) = kind.0.iter().find(|(known, _)| *known == number) else { continue };
        if let Value::Bytes(bytes) = value {
            *messages += 1;
            count(bytes, inner, depth + 1, messages)?;
        }
    }
    Ok(())
}

/// The same of a request in JSON.
pub(super) fn of_json(text: &[u8]) -> usize {
    let objects = text.iter().filter(|b| matches!(b, b'{' | b'[')).count();
    objects.saturating_mul(FIELD_BYTES).saturating_add(text.len().saturating_mul(8))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics,
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn small_points_weigh_what_they_take() {
        let points = vec![ExponentialHistogramDataPoint::default(); 1000];
        let data = Some(Data::ExponentialHistogram(ExponentialHistogram { data_points: points, ..Default::default() }));
        let metrics = vec![Metric { data, ..Metric::default() }];
        let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
        let bytes = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        assert!(bytes.len() < 2_100, "{}", bytes.len());
        let weight = of_protobuf(&bytes).unwrap();
        assert!(weight >= 1000 * size_of::<ExponentialHistogramDataPoint>(), "{weight}");
        assert!(of_protobuf(b"\x0a\x05a").is_err());
        assert!(of_json(b"[{},{}]") >= 3 * FIELD_BYTES);
    }
}
