//! Whole requests, from bytes to the store.

use std::sync::Arc;

use model::Committed;
use model::sample::stale_nan;
use prost::Message as _;

use super::*;
use crate::proto::histogram::{self, Count};
use crate::proto::{write, write_v2};
use crate::receive::Fault;
use crate::receive::noting::Store;

fn receive(store: &Arc<Store>, options: WriteOptions, message: WriteMessage, bytes: &[u8]) -> Written {
    let appender: Arc<dyn SeriesAppender> = Arc::<Store>::clone(store);
    WriteReceiver::new(appender, options, &Registry::new()).unwrap().receive(message, bytes)
}

/// The series that a request stores, and its outcome.
fn stored(message: WriteMessage, bytes: &[u8]) -> (Vec<String>, Written) {
    let store = Arc::new(Store::default());
    let written = receive(&store, WriteOptions::default(), message, bytes);
    let lines = store.lines.lock().clone();
    (lines, written)
}

fn reason(written: &Written) -> &str {
    match &written.fault {
        Some(Fault::Refused(why)) => why,
        other => panic!("nothing was refused: {other:?}"),
    }
}

fn labels(pairs: &[(&str, &str)]) -> Vec<write::Label> {
    pairs.iter().map(|(name, value)| write::Label { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

fn whole(ts: i64, sum: f64) -> histogram::Histogram {
    histogram::Histogram { count: Some(Count::Int(0)), sum, timestamp: ts, ..histogram::Histogram::default() }
}

fn request() -> write::WriteRequest {
    let exemplar = write::Exemplar { labels: labels(&[("trace_id", "x")]), value: 3.0, timestamp: 11 };
    let samples = vec![write::Sample { value: 1.5, timestamp: 10 }, write::Sample { value: -2.0, timestamp: 20 }];
    let floats = write::TimeSeries {
        labels: labels(&[("job", "j"), ("__name__", "a")]),
        samples,
        exemplars: vec![exemplar],
        histograms: vec![],
    };
    let histograms = write::TimeSeries {
        labels: labels(&[("__name__", "h")]),
        histograms: vec![whole(10, 0.0), whole(20, stale_nan())],
        ..write::TimeSeries::default()
    };
    let metadata = write::MetricMetadata { kind: 1, metric_family_name: "a".to_owned(), ..Default::default() };
    write::WriteRequest { timeseries: vec![floats, histograms], metadata: vec![metadata] }
}

#[test]
fn a_request_of_version_1_is_stored() {
    let (lines, written) = stored(WriteMessage::V1, &request().encode_to_vec());
    assert_eq!(
        lines,
        [r#"{__name__="a", job="j"} 1.5@10 -2@20 | {trace_id="x"}=3@11"#, r#"{__name__="h"} {{}}@10 stale@20"#]
    );
    assert!(written.fault.is_none());
    assert_eq!((written.samples, written.histograms, written.exemplars), (3, 1, 1));
}

#[test]
fn series_of_version_1_without_valid_labels_are_left_out() {
    let mut message = request();
    message.timeseries[0].labels = labels(&[("job", "j")]);
    let store = Arc::new(Store::default());
    let registry = Registry::new();
    let appender: Arc<dyn SeriesAppender> = Arc::<Store>::clone(&store);
    let receiver = WriteReceiver::new(appender, WriteOptions::default(), &registry).unwrap();
    let written = receiver.receive(WriteMessage::V1, &message.encode_to_vec());
    assert!(written.fault.is_none(), "the sender is not told");
    assert_eq!((store.lines.lock().len(), receiver.metrics.invalid_labels.get()), (1, 1));
}

#[test]
fn what_is_wrong_with_a_sample_is_told_and_the_rest_stored() {
    let mut message = request();
    message.timeseries[0].samples[1].timestamp = Timestamp::now().0 + 3_600_000;
    message.timeseries[1].histograms[0].schema = 100;
    let (lines, written) = stored(WriteMessage::V1, &message.encode_to_vec());
    assert_eq!(lines, [r#"{__name__="a", job="j"} 1.5@10 | {trace_id="x"}=3@11"#, r#"{__name__="h"} stale@20"#]);
    let told: Vec<&str> = reason(&written).lines().collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], r#"out of bounds: timestamp is too far in the future for series {__name__="a", job="j"}"#);
    assert!(
        told[1].starts_with("histogram has an invalid schema") && told[1].ends_with(r#"for series {__name__="h"}"#)
    );
}

#[test]
fn what_the_store_leaves_out_is_told() {
    let store = Arc::new(Store::default());
    *store.answer.lock() = Committed { stored: 3, out_of_order: 1, late_exemplars: 1, ..Committed::default() };
    let written = receive(&store, WriteOptions::default(), WriteMessage::V1, &request().encode_to_vec());
    assert_eq!(
        reason(&written),
        "out of order sample: 1 of 4 samples of 2 series, some of {job=\"j\"}\n\
         out of order exemplar: 1 of 4 samples of 2 series, some of {job=\"j\"}"
    );
    assert_eq!((written.samples, written.histograms, written.exemplars), (2, 1, 0));
    *store.answer.lock() = Committed { duplicate: 1, too_old: 1, ..Committed::default() };
    let mut one = request();
    one.timeseries.remove(1);
    let written = receive(&store, WriteOptions::default(), WriteMessage::V1, &one.encode_to_vec());
    assert_eq!(
        reason(&written),
        "duplicate sample for timestamp for series {__name__=\"a\", job=\"j\"}\n\
         too old sample for series {__name__=\"a\", job=\"j\"}"
    );
}

#[test]
fn a_store_that_cannot_write_is_no_refusal() {
    let store = Arc::new(Store { is_closed: true, ..Store::default() });
    let written = receive(&store, WriteOptions::default(), WriteMessage::V1, &request().encode_to_vec());
    assert!(matches!(&written.fault, Some(Fault::Store(error)) if error.what.starts_with("4 samples of 2 series")));
    assert_eq!(written.samples, 0);
}

#[test]
fn what_is_no_message_is_refused() {
    let bytes = request().encode_to_vec();
    for broken in [&bytes[..bytes.len() - 1], b"\x0a\x7f", b"\x0b"] {
        for message in WriteMessage::ALL {
            assert!(!reason(&stored(message, broken).1).is_empty(), "{broken:?}");
        }
    }
    assert!(!reason(&stored(WriteMessage::V1, b"\x08\x01").1).is_empty(), "a number where a series should be");
    assert!(stored(WriteMessage::V1, b"").1.fault.is_none(), "an empty message has no series");
}

fn request_v2() -> write_v2::Request {
    let symbols = ["", "__name__", "a", "job", "j", "h", "help", "seconds", "trace_id", "x"];
    let sample = |value, timestamp, start_timestamp| write_v2::Sample { value, timestamp, start_timestamp };
    let floats = write_v2::TimeSeries {
        labels_refs: vec![3, 4, 1, 2],
        samples: vec![sample(1.5, 10, 0), sample(-2.0, 20, 15)],
        exemplars: vec![write_v2::Exemplar { labels_refs: vec![8, 9], value: 3.0, timestamp: 11 }],
        metadata: Some(write_v2::Metadata { kind: 1, help_ref: 6, unit_ref: 7 }),
        histograms: vec![],
    };
    let histograms = write_v2::TimeSeries {
        labels_refs: vec![1, 5],
        histograms: vec![whole(10, 0.0)],
        ..write_v2::TimeSeries::default()
    };
    write_v2::Request {
        symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
        timeseries: vec![floats, histograms],
    }
}

#[test]
fn a_request_of_version_2_is_stored() {
    let bytes = request_v2().encode_to_vec();
    let (lines, written) = stored(WriteMessage::V2, &bytes);
    let expected = [r#"{__name__="a", job="j"} 1.5@10 -2@20 | {trace_id="x"}=3@11"#, r#"{__name__="h"} {{}}@10"#];
    assert_eq!(lines, expected);
    assert!(written.fault.is_none());
    assert_eq!((written.samples, written.histograms, written.exemplars), (2, 1, 1));
    let receiver = WriteReceiver::new(Arc::new(Store::default()), WriteOptions::default(), &Registry::new()).unwrap();
    receiver.receive(WriteMessage::V2, &bytes);
    assert_eq!(receiver.metrics.without_metadata.get(), 1, "the histogram says nothing about itself");
    let store = Arc::new(Store::default());
    let options = WriteOptions { type_labels: true, start_zeros: true };
    receive(&store, options, WriteMessage::V2, &bytes);
    assert_eq!(
        store.lines.lock()[0],
        r#"{__name__="a", __type__="counter", __unit__="seconds", job="j"} 1.5@10 -2@20 | 1:15 | {trace_id="x"}=3@11"#
    );
    // The table may stand behind what it is for.
    let first = write_v2::Request { symbols: vec![], ..request_v2() }.encode_to_vec();
    let table = write_v2::Request { timeseries: vec![], ..request_v2() }.encode_to_vec();
    assert_eq!(stored(WriteMessage::V2, &[first, table].concat()).0, expected);
}

#[test]
fn what_is_wrong_with_a_series_of_version_2_is_told_and_the_rest_stored() {
    let check = |change: &dyn Fn(&mut write_v2::TimeSeries), why: &str| {
        let mut message = request_v2();
        change(&mut message.timeseries[0]);
        let (lines, written) = stored(WriteMessage::V2, &message.encode_to_vec());
        assert_eq!((reason(&written), lines.last().unwrap().as_str()), (why, r#"{__name__="h"} {{}}@10"#));
    };
    check(
        &|series| series.labels_refs = vec![1, 2, 3],
        "parsing labels for series [1, 2, 3]: invalid labelRefs length 3",
    );
    check(
        &|series| series.labels_refs = vec![1, 10],
        "parsing labels for series [1, 10]: labelRefs 1 (name) = 10 (value) outside of symbols table (size 10)",
    );
    check(
        &|series| series.metadata.as_mut().unwrap().unit_ref = 99,
        "parsing metadata for series [3, 4, 1, 2]: metadata unit_ref 99 outside of symbols table (size 10)",
    );
    check(&|series| series.labels_refs = vec![3, 4], r#"invalid metric name or labels, got {job="j"}"#);
    check(
        &|series| series.labels_refs = vec![1, 2, 0, 2],
        r#"invalid metric name or labels, got {="a", __name__="a"}"#,
    );
    check(
        &|series| series.labels_refs = vec![1, 2, 3, 4, 3, 5],
        r#"invalid labels for series, labels {__name__="a", job="j", job="h"}, duplicated label job"#,
    );
    check(
        &|series| {
            series.samples.clear();
            series.exemplars.clear();
        },
        r#"TimeSeries must contain at least one sample or histogram for series {__name__="a", job="j"}"#,
    );
    check(
        &|series| series.exemplars[0].labels_refs = vec![1],
        r#"parsing exemplar for series {__name__="a", job="j"}: invalid labelRefs length 1"#,
    );
}

#[test]
fn of_many_reasons_some_are_told() {
    let mut message = request_v2();
    message.timeseries[0].samples.clear();
    message.timeseries[0].exemplars.clear();
    let wrong = message.timeseries[0].clone();
    message.timeseries.extend(std::iter::repeat_n(wrong, 20));
    let (_, written) = stored(WriteMessage::V2, &message.encode_to_vec());
    let told = reason(&written);
    assert_eq!((told.lines().count(), told.lines().last()), (11, Some("and 11 more")));
}

#[test]
fn large_requests_are_stored_piece_by_piece() {
    let samples = (0..250_000).map(|i| write::Sample { value: 1.0, timestamp: i }).collect();
    let series = write::TimeSeries { labels: labels(&[("__name__", "a")]), samples, ..Default::default() };
    let message = write::WriteRequest { timeseries: vec![series], metadata: vec![] };
    let (lines, written) = stored(WriteMessage::V1, &message.encode_to_vec());
    assert_eq!((lines.len(), written.samples), (3, 250_000));
    assert!(lines[2].starts_with(r#"{__name__="a"} 1@200000 "#));
}
