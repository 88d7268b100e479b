//! Answers of other servers, true ones and others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit::{Answer, Exporter};
use model::histogram::Buckets;
use model::{
    Batch, Caller, Column, Histogram, Labels, Listing, MatchOp, Matcher, Querier, QuerierError, ReadHints, Selection,
    Timestamp,
};
use prost::Message as _;
use prost::encoding::encode_varint;

use super::{LocalStart, Options, Peer, Remotes};
use crate::proto::read::{Chunk, ChunkedReadResponse, ChunkedSeries, QueryResult, ReadResponse};
use crate::proto::write::{Label, Sample, TimeSeries};
use crate::serve::{ExternalLabels, SampledResult, frames, sampled};
use crate::snappy;

const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
const PROTOBUF: &str = "application/x-protobuf";

fn configs(sections: &str) -> Vec<config::RemoteReadConfig> {
    config::Config::parse(&format!("remote_read: [{sections}]"), "p.yml".as_ref(), &|_| None).unwrap().remote_read
}

fn remotes(registry: &prometheus::Registry, local_start: Option<i64>, peers: &str) -> Remotes {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let options = Options {
        user_agent: "Weft/test".to_owned(),
        resolver: http_client::Resolver::system(),
        local_start: LocalStart(Arc::new(move || local_start.map(Timestamp))),
        peers: configs(peers)
            .into_iter()
            .map(|config| Peer { is_source: config.name == "source", is_queried: config.name != "source", config })
            .collect(),
        replica_labels: vec!["replica".to_owned()],
    };
    Remotes::new(options, registry).unwrap()
}

fn response(media_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn series(name: &str, samples: &[(i64, f64)]) -> Batch {
    let metric = Labels::from_pairs([("__name__", name), ("job", "x")]);
    let values = samples.iter().map(|(_, value)| *value).collect();
    let timestamps = samples.iter().map(|(ts, _)| Timestamp(*ts)).collect();
    Batch { timestamps, columns: vec![Column { metric, values, ..Column::default() }], ..Batch::default() }
}

fn with_histograms(name: &str) -> Batch {
    let mut batch = series(name, &[(10, 1.0), (20, 0.0), (30, 0.0), (40, 4.0)]);
    let histogram = |count: f64| {
        let positive = Buckets::run(2, vec![count, 1.0]);
        Arc::new(Histogram { count: count + 1.0, sum: 0.5, positive, ..Histogram::default() })
    };
    batch.columns[0].histograms = vec![(1, histogram(2.0)), (2, histogram(3.0))];
    batch
}

fn chunked(all: &[Batch]) -> Vec<u8> {
    let mut body = Vec::new();
    for batch in all {
        frames(batch, (0, &ExternalLabels::from([("zone".to_owned(), "eu".to_owned())])), 1 << 20, |frame| {
            body.extend(frame);
            true
        });
    }
    body
}

fn compressed(all: &[Batch]) -> Vec<u8> {
    let mut result = SampledResult::default();
    let external = ExternalLabels::from([("zone".to_owned(), "eu".to_owned())]);
    all.iter().for_each(|batch| result.push(batch, &external));
    snappy::encoded(&sampled(vec![result])).unwrap()
}

/// A frame around a message.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_varint(message.len() as u64, &mut frame);
    frame.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

fn label_set(pairs: &[(&str, &str)]) -> Vec<Label> {
    pairs.iter().map(|(name, value)| Label::new(name, value)).collect()
}

/// Reads with a caller: series in short, and warnings.
fn read_as(store: &dyn Querier, matchers: &[Matcher], caller: Caller<'_>) -> Result<Vec<String>, QuerierError> {
    let selection = Selection { start: Timestamp(0), end: Timestamp(1_000), matchers };
    let parts = store.open(&selection, &ReadHints { caller, ..ReadHints::default() })?;
    let mut found = Vec::new();
    parts.read_all(&mut |batch| {
        let column = &batch.columns[0];
        let sample = |(i, ts): (usize, &Timestamp)| {
            let histogram = column.histograms.iter().find(|(slot, _)| *slot as usize == i);
            let value = histogram
                .map_or(format!("{}", column.values[i]), |(_, one)| format!("h{}{:?}", one.count, one.reset_hint));
            format!("{value}@{}", ts.0)
        };
        let samples: Vec<String> = batch.timestamps.iter().enumerate().map(sample).collect();
        found.push(format!("{} {}", column.metric, samples.join(" ")));
        Ok(())
    })?;
    found.extend(parts.warnings());
    Ok(found)
}

/// What is made of a response of the server at `url` in the section.
async fn read_with(bytes: Vec<u8>, settings: &str) -> Result<Vec<String>, String> {
    let server = Exporter::start(move |_| Answer::Raw(bytes.clone()));
    let section = format!("{{url: 'http://{}/read', name: n, read_recent: true, {settings}}}", server.address);
    let remotes = remotes(&prometheus::Registry::new(), None, "");
    remotes.apply(&configs(&section), &Labels::from_pairs([("zone", "eu")])).unwrap();
    let store = remotes.queriers().remove(0);
    let job = [Matcher::equal("job", "x")];
    let read = tokio::task::spawn_blocking(move || read_as(&*store, &job, Caller(None))).await.unwrap();
    read.map_err(|error| error.to_string())
}

async fn read(media_type: &str, body: &[u8]) -> Result<Vec<String>, String> {
    read_with(response(media_type, body), "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_come_as_they_were_sent() {
    let long: Vec<(i64, f64)> = (0..500).map(|i| (2 * i, i as f64)).collect();
    let all =
        [with_histograms("a"), series("b", &long), series("c", &[(999, 1.0), (1_001, 2.0)]), series("d", &[(-1, 1.0)])];
    let from_chunks = read(STREAMED, &chunked(&all)).await.unwrap();
    // The label of the other server is gone, and so is what was not asked for.
    assert_eq!(from_chunks[0], r#"a{job="x"} 1@10 h3Unknown@20 h4Unknown@30 4@40"#);
    assert_eq!(from_chunks[1].split(' ').count(), 1 + 500);
    assert_eq!(from_chunks[2..], [r#"c{job="x"} 1@999"#]);
    assert_eq!(read(PROTOBUF, &compressed(&all)).await.unwrap(), from_chunks);
    assert_eq!(read(STREAMED, b"").await.unwrap(), Vec::<String>::new());
    assert_eq!(read(PROTOBUF, &compressed(&[])).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_no_order_is_brought_into_one() {
    let b_late = series("b", &[(30, 3.0), (40, 4.0)]);
    // Of two samples at one time the first stays.
    let b_early = series("b", &[(10, 1.0), (30, 9.0)]);
    let a = series("a", &[(5, 5.0)]);
    let all = [b_late, a, b_early];
    let expected = [r#"a{job="x"} 5@5"#, r#"b{job="x"} 1@10 3@30 4@40"#];
    assert_eq!(read(STREAMED, &chunked(&all)).await.unwrap(), expected);
    assert_eq!(read(PROTOBUF, &compressed(&all)).await.unwrap(), expected);
    // Labels in no order, samples too, a series that was not asked for, and a histogram that makes no sense.
    let sample = |timestamp, value| Sample { value, timestamp };
    let histogram = crate::proto::histogram::Histogram { schema: 77, timestamp: 7, ..Default::default() };
    let odd = TimeSeries {
        labels: label_set(&[("job", "x"), ("__name__", "z"), ("zone", "other"), ("empty", "")]),
        samples: vec![sample(9, 9.0), sample(3, 3.0), sample(9, 8.0)],
        histograms: vec![histogram],
        ..TimeSeries::default()
    };
    let other =
        TimeSeries { labels: label_set(&[("job", "y")]), samples: vec![sample(1, 1.0)], ..TimeSeries::default() };
    let message = ReadResponse { results: vec![QueryResult { timeseries: vec![other, odd] }] };
    let found = read(PROTOBUF, &snappy::encoded(&message.encode_to_vec()).unwrap()).await.unwrap();
    let warning = "remote_read n: 1 histograms that are not valid were left out";
    assert_eq!(found, [r#"z{job="x"} 3@3 9@9"#, warning]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_make_no_sense_are_told_and_not_used() {
    let frame = chunked(&[series("a", &[(1, 1.0)])]);
    let mut flipped = frame.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let twice = label_set(&[("job", "x"), ("job", "x")]);
    let broken_chunk = Chunk { kind: 1, data: vec![0, 9, 1], ..Chunk::default() };
    let unknown_chunk = Chunk { kind: 77, data: vec![0, 1, 1], ..Chunk::default() };
    let of_chunk = |chunk| {
        let one = ChunkedSeries { labels: label_set(&[("job", "x")]), chunks: vec![chunk] };
        framed(&ChunkedReadResponse { chunked_series: vec![one], query_index: 0 }.encode_to_vec())
    };
    let doubled = ReadResponse {
        results: vec![QueryResult { timeseries: vec![TimeSeries { labels: twice, ..TimeSeries::default() }] }],
    };
    // 4 GiB - 1, declared by five bytes; and a gigabyte by some hundred.
    let bomb = [&b"\x80\x80\x80\x80\x04"[..], &[0; 100]].concat();
    let two = snappy::encoded(&ReadResponse { results: vec![QueryResult::default(); 2] }.encode_to_vec()).unwrap();
    for (media_type, body, why) in [
        (PROTOBUF, b"\xff\xff\xff\xff\x0f".to_vec(), "which is too long"),
        (PROTOBUF, bomb, "which is too long"),
        (PROTOBUF, b"\x05\x00a".to_vec(), "snappy: corrupt input"),
        (PROTOBUF, Vec::new(), "snappy: corrupt input"),
        (PROTOBUF, snappy::encoded(b"\x0a\x05a").unwrap(), "unable to unmarshal response body: message breaks off"),
        (PROTOBUF, two, "responses: want 1, got 2"),
        (PROTOBUF, snappy::encoded(b"").unwrap(), "responses: want 1, got 0"),
        (PROTOBUF, snappy::encoded(&doubled.encode_to_vec()).unwrap(), "duplicate label with name: job"),
        (STREAMED, frame[..frame.len() - 1].to_vec(), "unexpected EOF"),
        (STREAMED, frame[..3].to_vec(), "unexpected EOF"),
        (STREAMED, flipped, "checksum mismatch"),
        (STREAMED, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), "more than ten bytes"),
        (STREAMED, b"\xff\xff\xff\xff\x0f".to_vec(), "exceeded the limit 50000000 bytes; got: 4294967295 bytes"),
        (STREAMED, framed(b"\x0a\x05a"), "message breaks off"),
        (STREAMED, of_chunk(broken_chunk), r#"a chunk of {job="x"} is broken: it ends too early"#),
        (STREAMED, of_chunk(unknown_chunk), "the encoding of a chunk is not known"),
        ("text/html", b"<html>".to_vec(), "unsupported content type: text/html"),
    ] {
        let error = read(media_type, &body).await.unwrap_err();
        assert!(error.starts_with("remote_read n: ") && error.contains(why), "{error}\n{why}");
    }
    let cut = response(STREAMED, &frame);
    let error = read_with(cut[..cut.len() - 2].to_vec(), "").await.unwrap_err();
    assert!(error.contains("error reading response"), "{error}");
    let error = read_with(response(STREAMED, &frame), "chunked_read_limit: 10").await.unwrap_err();
    assert!(error.contains("exceeded the limit 10 bytes"), "{error}");
    let failed = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 9\r\n\r\nbroken\n\n\n".to_vec();
    let error = read_with(failed, "").await.unwrap_err();
    assert_eq!(error, "remote_read n: the server returned HTTP status 500 Internal Server Error: broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_longer_than_is_wanted() {
    let silent = Exporter::start(|_| Answer::Silence);
    let section = |rest: &str| format!("{{url: 'http://{}/', name: n, read_recent: true, {rest}}}", silent.address);
    let remotes = remotes(&prometheus::Registry::new(), None, "");
    remotes.apply(&configs(&section("remote_timeout: 50ms")), &Labels::empty()).unwrap();
    let store = remotes.queriers().remove(0);
    let late = tokio::task::spawn_blocking(move || read_as(&*store, &[], Caller(None))).await.unwrap();
    assert_eq!(late.unwrap_err().to_string(), "remote_read n: no whole answer within 50ms (remote_timeout)");
    remotes.apply(&configs(&section("remote_timeout: 1h")), &Labels::empty()).unwrap();
    let store = remotes.queriers().remove(0);
    let stopped = tokio::task::spawn_blocking(move || {
        let asked = AtomicUsize::new(0);
        let grow = |_| if asked.fetch_add(1, Ordering::Relaxed) < 3 { Ok(()) } else { Err(QuerierError::Stopped) };
        read_as(&*store, &[], Caller(Some(&grow)))
    });
    assert!(matches!(stopped.await.unwrap(), Err(QuerierError::Stopped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_takes_is_reserved_before() {
    let long: Vec<(i64, f64)> = (0..1_000).map(|i| (i, (i as f64).sin())).collect();
    for (media_type, body) in
        [(STREAMED, chunked(&[series("a", &long)])), (PROTOBUF, compressed(&[series("a", &long)]))]
    {
        let server = Exporter::start({
            let bytes = response(media_type, &body);
            move |_| Answer::Raw(bytes.clone())
        });
        let remotes = remotes(&prometheus::Registry::new(), None, "");
        let section = format!("{{url: 'http://{}/', name: n, read_recent: true}}", server.address);
        remotes.apply(&configs(&section), &Labels::empty()).unwrap();
        for (most, enough) in [(1_000, false), (1 << 20, true)] {
            let store = remotes.queriers().remove(0);
            let read = tokio::task::spawn_blocking(move || {
                let taken = AtomicUsize::new(0);
                let grow = |bytes| {
                    let all = taken.fetch_add(bytes, Ordering::Relaxed) + bytes;
                    if all <= most { Ok(()) } else { Err(QuerierError::Stopped) }
                };
                let read = read_as(&*store, &[], Caller(Some(&grow)));
                (read, taken.into_inner())
            });
            let (read, taken) = read.await.unwrap();
            assert_eq!(read.is_ok(), enough, "{media_type}: {read:?}");
            assert!(!enough || taken > body.len(), "{media_type}: {taken}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn series_are_listed_with_a_selector() {
    let label_set = |name: &str, zone: &str| TimeSeries {
        labels: label_set(&[("__name__", name), ("job", "x"), ("zone", zone)]),
        ..TimeSeries::default()
    };
    let timeseries = vec![label_set("b", "eu"), label_set("a", "eu")];
    let message = ReadResponse { results: vec![QueryResult { timeseries }] };
    let bytes = response(PROTOBUF, &snappy::encoded(&message.encode_to_vec()).unwrap());
    let server = Exporter::start(move |_| Answer::Raw(bytes.clone()));
    let registry = prometheus::Registry::new();
    let remotes = remotes(&registry, None, "");
    let (up, down) = (server.address.clone(), kit::free_port());
    let section =
        format!("{{url: 'http://u:hunter2@{up}/', name: up, read_recent: true}}, {{url: 'http://127.0.0.1:{down}/'}}");
    remotes.apply(&configs(&section), &Labels::from_pairs([("zone", "eu")])).unwrap();
    let stores = remotes.queriers();
    let listed = move || {
        let job = [Matcher::equal("job", "x")];
        let selection = Selection { start: Timestamp(0), end: Timestamp(9), matchers: &job };
        let all = Listing::of_at_most(0);
        let store = &stores[0];
        let series = store.list_series(&selection, &all).unwrap();
        let shown: Vec<String> = series.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [r#"a{job="x"}"#, r#"b{job="x"}"#]);
        assert_eq!(store.list_series(&selection, &Listing::of_at_most(1)).unwrap().len(), 1);
        assert_eq!(store.list_label_names(&selection, &all).unwrap(), ["__name__", "job"]);
        assert_eq!(store.list_label_values("__name__", &selection, &all).unwrap(), ["a", "b"]);
        assert!(store.listing_warnings(&selection).is_empty());
        let everything = Selection { matchers: &[], ..selection };
        assert!(store.list_label_names(&everything, &all).unwrap().is_empty());
        let warnings = store.listing_warnings(&everything);
        assert!(warnings[0].contains("with a selector (match[]) only") && warnings.len() == 1, "{warnings:?}");
        assert!(store.listing_warnings(&everything).is_empty(), "they were told");
        assert!(matches!(stores[1].list_series(&selection, &all), Err(QuerierError::Remote(_))));
        let warnings = stores[1].listing_warnings(&selection);
        assert!(warnings[0].contains("error sending request"), "{warnings:?}");
    };
    tokio::task::spawn_blocking(listed).await.unwrap();
    let shown = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let labels = format!(r#"code="200",remote_name="up",response_type="sampled",url="http://u:xxxxx@{up}/""#);
    assert!(shown.contains(&format!("prometheus_remote_read_client_queries_total{{{labels}}} 4")), "{shown}");
    assert!(shown.contains("prometheus_remote_read_client_request_duration_seconds_count{"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let queries = format!(r#"prometheus_remote_read_client_queries{{remote_name="up",url="http://u:xxxxx@{up}/"}} 0"#);
    assert!(shown.contains(&queries), "{shown}");
    // A remote whose settings change keeps its metrics; one that goes takes them along.
    let changed = section.replace("name: up", "name: up, remote_timeout: 7s");
    remotes.apply(&configs(&changed), &Labels::empty()).unwrap();
    let gathered = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(gathered().contains(&queries));
    remotes.apply(&[], &Labels::empty()).unwrap();
    assert_eq!(gathered(), "");
}

#[tokio::test]
async fn a_remote_is_asked_for_what_concerns_it() {
    let may_have = |settings: &str, start: i64, matchers: &[Matcher]| {
        let remotes = remotes(&prometheus::Registry::new(), Some(100), "");
        remotes.apply(&configs(&format!("{{url: 'http://r/', {settings}}}")), &Labels::empty()).unwrap();
        let selection = Selection { start: Timestamp(start), end: Timestamp(500), matchers };
        remotes.queriers()[0].may_have(&selection)
    };
    assert!(may_have("", 100, &[]) && !may_have("", 101, &[]) && may_have("read_recent: true", 101, &[]));
    let required = "read_recent: true, required_matchers: {a: x, b: y}";
    let both = [Matcher::equal("b", "y"), Matcher::equal("c", "z"), Matcher::equal("a", "x")];
    assert!(may_have(required, 0, &both) && !may_have(required, 0, &both[..2]));
    let regex = [Matcher::equal("b", "y"), Matcher::new(MatchOp::Regex, "a", "x").unwrap()];
    assert!(!may_have(required, 0, &regex), "only equality counts");
}

#[tokio::test]
async fn sections_are_checked() {
    let remotes = remotes(&prometheus::Registry::new(), None, "");
    let twice = configs("{url: 'http://u:hunter2@r/'}, {url: 'http://u:hunter2@r/'}");
    let error = remotes.check(&twice).unwrap_err().to_string();
    assert_eq!(error, "duplicate remote read configs are not allowed, found duplicate for URL: http://u:xxxxx@r/");
    assert!(remotes.check(&configs("{url: 'http://r/'}, {url: 'http://r/', name: n}")).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_have_labels_of_their_own() {
    let metric = label_set(&[("__name__", "a"), ("cluster", "eu"), ("job", "x"), ("replica", "b")]);
    let series =
        TimeSeries { labels: metric, samples: vec![Sample { value: 1.0, timestamp: 5 }], ..TimeSeries::default() };
    let message = ReadResponse { results: vec![QueryResult { timeseries: vec![series] }] };
    let bytes = response(PROTOBUF, &snappy::encoded(&message.encode_to_vec()).unwrap());
    let server = Exporter::start(move |_| Answer::Raw(bytes.clone()));
    let url = format!("http://{}/", server.address);
    let peers = format!("{{url: '{url}', read_recent: true}}, {{url: '{url}', name: source, read_recent: true}}");
    let remotes = remotes(&prometheus::Registry::new(), None, &peers);
    assert!(remotes.replicas().is_empty(), "nothing was applied yet");
    let section = configs("{url: 'http://127.0.0.1:1/', read_recent: true}");
    // Whatever their values are.
    remotes.apply(&section, &Labels::from_pairs([("cluster", "us")])).unwrap();
    assert_eq!((remotes.queriers().len(), remotes.replicas().len(), remotes.sources().len()), (1, 1, 1));
    for store in [remotes.replicas().remove(0), remotes.sources().remove(0)] {
        let read = tokio::task::spawn_blocking(move || read_as(&*store, &[], Caller(None)).unwrap());
        assert_eq!(read.await.unwrap(), [r#"a{job="x"} 1@5"#]);
    }
}
