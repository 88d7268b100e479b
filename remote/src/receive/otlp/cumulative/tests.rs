use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogram, Histogram, ResourceMetrics, ScopeMetrics, Sum};

use super::*;

const DELTA: i32 = AggregationTemporality::Delta as i32;

fn request(data: Data) -> ExportMetricsServiceRequest {
    let metrics = vec![Metric { name: "m".to_owned(), data: Some(data), ..Metric::default() }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] }
}

fn data(request: &ExportMetricsServiceRequest) -> &Data {
    request.resource_metrics[0].scope_metrics[0].metrics[0].data.as_ref().unwrap()
}

fn number(start: u64, ts: u64, value: i64, key: &str) -> NumberDataPoint {
    let attributes = vec![KeyValue { key: key.to_owned(), ..KeyValue::default() }];
    let value = Some(Value::AsInt(value));
    NumberDataPoint { attributes, start_time_unix_nano: start, time_unix_nano: ts, value, ..Default::default() }
}

fn sum(points: Vec<NumberDataPoint>, temporality: i32) -> ExportMetricsServiceRequest {
    request(Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic: true }))
}

/// Starts, times and values of what becomes of a request, and how many points were left out.
fn applied(
    totals: &mut Cumulative,
    mut request: ExportMetricsServiceRequest,
    now: Instant,
) -> (Vec<(u64, u64, i64)>, u64) {
    let dropped = totals.apply(&mut request, now);
    let Data::Sum(sum) = data(&request) else { panic!("a sum") };
    assert_eq!(sum.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let shown = sum.data_points.iter().map(|point| match point.value {
        Some(Value::AsInt(value)) => (point.start_time_unix_nano, point.time_unix_nano, value),
        other => panic!("{other:?}"),
    });
    (shown.collect(), dropped)
}

#[test]
fn numbers_are_added_by_stream() {
    let (mut totals, now) = (Cumulative::default(), Instant::now());
    let points = vec![number(1, 2, 5, "a"), number(2, 3, 7, "a"), number(1, 2, 1, "b")];
    assert_eq!(applied(&mut totals, sum(points, DELTA), now), (vec![(1, 2, 5), (1, 3, 12), (1, 2, 1)], 0));
    let points = vec![number(3, 3, 9, "a"), number(0, 4, 9, "a"), number(3, 4, 1, "a")];
    assert_eq!(
        applied(&mut totals, sum(points, DELTA), now),
        (vec![(1, 4, 13)], 2),
        "not newer, and older than it all"
    );
    let cumulative = sum(vec![number(1, 9, 3, "a")], AggregationTemporality::Cumulative as i32);
    assert_eq!(applied(&mut totals, cumulative, now), (vec![(1, 9, 3)], 0), "left as it is");
    let later = now + STALE + SWEEP;
    assert_eq!(applied(&mut totals, sum(vec![number(4, 5, 2, "a")], DELTA), later), (vec![(4, 5, 2)], 0), "forgotten");
}

#[test]
fn streams_take_bounded_memory() {
    let (mut totals, now) = (Cumulative::default(), Instant::now());
    let points = (0..BYTES_MAX / STREAM_BYTES + 5).map(|i| number(1, 2, 1, &i.to_string())).collect();
    let (kept, dropped) = applied(&mut totals, sum(points, DELTA), now);
    assert_eq!((kept.len(), dropped), (BYTES_MAX / STREAM_BYTES, 5));
}

#[test]
fn histograms_are_added_by_bucket() {
    let mut totals = Cumulative::default();
    let mut add = |ts: u64, bounds: &[f64], counts: &[u64], sum: Option<f64>| {
        let point = HistogramDataPoint {
            time_unix_nano: ts,
            count: counts.iter().sum(),
            sum,
            bucket_counts: counts.to_vec(),
            explicit_bounds: bounds.to_vec(),
            ..HistogramDataPoint::default()
        };
        let histogram = Histogram { data_points: vec![point], aggregation_temporality: DELTA };
        let mut request = request(Data::Histogram(histogram));
        totals.apply(&mut request, Instant::now());
        let Data::Histogram(histogram) = data(&request) else { panic!("a histogram") };
        let point = &histogram.data_points[0];
        (point.count, point.sum, point.bucket_counts.clone())
    };
    assert_eq!(add(1, &[1.0], &[1, 2], Some(0.5)), (3, Some(0.5), vec![1, 2]));
    assert_eq!(add(2, &[1.0], &[0, 4], Some(1.0)), (7, Some(1.5), vec![1, 6]));
    assert_eq!(add(3, &[1.0], &[1, 0], None), (8, None, vec![2, 6]));
    assert_eq!(add(4, &[2.0], &[1, 1], Some(1.0)), (2, Some(1.0), vec![1, 1]), "other bounds");
}

#[test]
fn exponential_histograms_meet_at_the_coarser_scale() {
    let mut totals = Cumulative::default();
    let mut add = |ts: u64, scale: i32, offset: i32, counts: &[u64]| {
        let point = ExponentialHistogramDataPoint {
            time_unix_nano: ts,
            count: counts.iter().sum(),
            scale,
            positive: Some(Buckets { offset, bucket_counts: counts.to_vec() }),
            ..ExponentialHistogramDataPoint::default()
        };
        let histogram = ExponentialHistogram { data_points: vec![point], aggregation_temporality: DELTA };
        let mut request = request(Data::ExponentialHistogram(histogram));
        totals.apply(&mut request, Instant::now());
        let Data::ExponentialHistogram(histogram) = data(&request) else { panic!("a histogram") };
        let point = &histogram.data_points[0];
        let side = point.positive.clone().unwrap();
        (point.scale, point.count, side.offset, side.bucket_counts)
    };
    assert_eq!(add(1, 1, -1, &[1, 2, 3]), (1, 6, -1, vec![1, 2, 3]));
    assert_eq!(add(2, 1, -3, &[4]), (1, 10, -3, vec![4, 0, 1, 2, 3]));
    // Half as many buckets: -3 to -2, -2 and -1 to -1, 0 and 1 to 0.
    assert_eq!(add(3, 0, 0, &[1]), (0, 11, -2, vec![4, 1, 6]));
    let (scale, count, _, counts) = add(4, 0, 100_000, &[1]);
    assert!(scale < 0 && count == 12 && counts.len() <= 160, "{scale} {}", counts.len());
    let extremes = [add(5, 20, i32::MAX, &[1]), add(6, i32::MIN, i32::MIN, &[1])];
    assert!(extremes.iter().all(|(_, _, _, counts)| counts.len() <= 400), "nothing grows without bound");
}
