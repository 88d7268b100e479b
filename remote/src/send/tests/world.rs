//! A store, a receiver and a clock of the test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::{Config, RemoteWriteConfig};
use futures::future::BoxFuture;
use http_client::Resolver;
use model::sample::histogram_mark;
use model::{
    Announced, Batch, BatchSink, Column, Exemplar, Extent, Histogram, Labels, Listing, MetricId, PartReader, Parts,
    Querier, QuerierError, ReadHints, Selection, SourceId, Timestamp, Touched,
};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::time::Instant;

use crate::proto::{write, write_v2};
use crate::send::encode::Protocol;
use crate::send::transport::{Outcome, Transport};
use crate::send::window::Counts;
use crate::send::{
    Commits, ExemplarSource, FamilyKind, FamilyMetadata, Manager, MetadataSource, NumberedExemplars, Options,
};

/// The wall clock when a test begins.
pub(in crate::send) const BEGIN: i64 = 1_700_000_000_000;

/// A sample: a value, or a histogram with that count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::send) enum Value {
    Float(f64),
    Histogram(f64),
}

type Series = BTreeMap<Timestamp, (Value, Timestamp)>;

/// What was stored, by source and metric.
#[derive(Debug, Default)]
pub(in crate::send) struct Store {
    /// Of the process that is at work.
    pub(in crate::send) commits: Mutex<Arc<Commits>>,
    series: Mutex<BTreeMap<(u32, u32), Series>>,
    pub(in crate::send) exemplars: Mutex<Vec<(Labels, Exemplar)>>,
    /// How often it was read.
    pub(in crate::send) reads: Mutex<usize>,
}

pub(in crate::send) fn source_labels(source: u32) -> Labels {
    Labels::from_pairs([("instance", format!("host-{source}")), ("job", "j".to_owned())])
}

fn metric_labels(metric: u32) -> Labels {
    Labels::from_pairs([("__name__", format!("metric_{metric}"))])
}

impl Store {
    /// Stores samples of one commit: source, metric, time, value.
    pub(in crate::send) fn commit(&self, samples: &[(u32, u32, i64, Value)]) {
        let extent = || {
            let times = samples.iter().map(|one| Timestamp(one.2));
            let (first, last) = (times.clone().min().unwrap(), times.max().unwrap());
            Extent { samples: samples.len(), first, last }
        };
        let commits = Arc::clone(&self.commits.lock());
        let _announced = Announced::new(Some(&*commits), &extent, &|each| {
            for (source, metric, ts, _) in samples {
                let (from, to) = (Timestamp(*ts), Timestamp(*ts));
                each(Touched { source: SourceId(*source), metric: Some(MetricId(*metric)), from, to });
            }
        });
        let mut series = self.series.lock();
        for (source, metric, ts, value) in samples {
            let start = if *metric == 7 { Timestamp(ts - 5_000) } else { Timestamp::EPOCH };
            series.entry((*source, *metric)).or_default().insert(Timestamp(*ts), (*value, start));
        }
    }

    pub(in crate::send) fn len(&self) -> usize {
        self.series.lock().values().map(Series::len).sum()
    }

    /// All samples as a receiver should have them: series, time, value.
    pub(in crate::send) fn all(&self) -> BTreeMap<(Labels, i64), f64> {
        let series = self.series.lock();
        let of = |((source, metric), samples): (&(u32, u32), &Series)| {
            let labels = source_labels(*source).joined(&metric_labels(*metric));
            let each = samples.iter().map(move |(ts, (value, _))| {
                let (Value::Float(value) | Value::Histogram(value)) = *value;
                ((labels.clone(), ts.0), value)
            });
            each.collect::<Vec<_>>()
        };
        series.iter().flat_map(of).collect()
    }
}

#[derive(Debug)]
struct Found(Vec<Batch>);

impl Parts for Found {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(self))
    }
}

impl PartReader for &Found {
    fn read(&self, part: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        sink(self.0[part].clone())
    }
}

impl Querier for Store {
    fn open<'q>(&'q self, what: &Selection<'_>, hints: &ReadHints<'_>) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        *self.reads.lock() += 1;
        let mut found = Vec::new();
        for ((source, metric), samples) in &*self.series.lock() {
            if what.start > what.end || hints.sources.is_some_and(|sources| !sources.contains(&SourceId(*source))) {
                continue;
            }
            let mut column =
                Column { metric_id: Some(MetricId(*metric)), metric: metric_labels(*metric), ..Column::default() };
            let mut timestamps = Vec::new();
            for ((ts, (value, start)), slot) in samples.range(what.start..=what.end).zip(0..) {
                timestamps.push(*ts);
                column.values.push(if let Value::Float(value) = value { *value } else { histogram_mark() });
                if let Value::Histogram(count) = value {
                    let histogram = Histogram { count: *count, zero_count: *count, ..Histogram::default() };
                    column.histograms.push((slot, Arc::new(histogram)));
                }
                if *start != Timestamp::EPOCH {
                    column.start_times.push((slot, *start));
                }
            }
            if !timestamps.is_empty() {
                let source_id = Some(SourceId(*source));
                found.push(Batch { source_id, source: source_labels(*source), timestamps, columns: vec![column] });
            }
        }
        Ok(Box::new(Found(found)))
    }

    fn list_series(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        Ok(Vec::new())
    }

    fn list_label_names(&self, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        Ok(Vec::new())
    }

    fn list_label_values(&self, _: &str, _: &Selection<'_>, _: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        Ok(Vec::new())
    }
}

impl ExemplarSource for Store {
    fn exemplars_since(
        &self,
        number: u64,
        most: usize,
    ) -> Result<NumberedExemplars, Box<dyn std::error::Error + Send + Sync>> {
        let all = self.exemplars.lock();
        let first = usize::try_from(number).unwrap_or(usize::MAX).min(all.len());
        let last = all.len().min(first + most);
        Ok((last as u64, all[first..last].to_vec()))
    }
}

impl MetadataSource for Store {
    fn families(&self) -> BoxFuture<'_, Vec<FamilyMetadata>> {
        let family = |i| FamilyMetadata {
            name: format!("family_{i}"),
            kind: FamilyKind::Counter,
            help: "Help.".to_owned(),
            unit: String::new(),
        };
        Box::pin(std::future::ready((0..3).map(family).collect()))
    }
}

/// What a receiver does with the next requests.
#[derive(Clone, Debug)]
pub(in crate::send) enum Does {
    /// This, and forgets what it got.
    Says(Outcome),
    /// Takes it and dies before it says so.
    TakesAndFails,
}

/// A receiver as strict as Prometheus without an out-of-order window: a request with a sample that is older than the newest of its
/// series, or another one at that time, is refused as a whole.
#[derive(Debug, Default)]
pub(in crate::send) struct Receiver {
    pub(in crate::send) samples: Mutex<BTreeMap<(Labels, i64), f64>>,
    pub(in crate::send) starts: Mutex<BTreeMap<(Labels, i64), i64>>,
    pub(in crate::send) exemplars: Mutex<Vec<(Labels, i64)>>,
    pub(in crate::send) families: Mutex<usize>,
    newest: Mutex<BTreeMap<Labels, (i64, f64)>>,
    pub(in crate::send) next: Mutex<std::collections::VecDeque<Does>>,
    /// While it is away.
    pub(in crate::send) down: Mutex<bool>,
    /// When each request came, how many samples it had, and whether these were taken.
    pub(in crate::send) requests: Mutex<Vec<(Instant, usize, bool)>>,
    /// Late samples are taken.
    pub(in crate::send) takes_late: bool,
}

#[derive(Debug, Default)]
struct Received {
    /// Series, time, value, start.
    samples: Vec<(Labels, i64, f64, i64)>,
    exemplars: Vec<(Labels, i64)>,
    families: usize,
}

fn received(body: &[u8], protocol: Protocol) -> Received {
    let bytes = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let mut received = Received::default();
    let count = |histogram: &crate::proto::histogram::Histogram| match histogram.count {
        Some(crate::proto::histogram::Count::Int(count)) => count as f64,
        Some(crate::proto::histogram::Count::Float(count)) => count,
        None => panic!("a histogram without count"),
    };
    if protocol == Protocol::V1 {
        let request = write::WriteRequest::decode(&*bytes).unwrap();
        received.families = request.metadata.len();
        for series in request.timeseries {
            assert!(series.labels.is_sorted_by(|a, b| a.name < b.name));
            let labels = Labels::from_pairs(series.labels.iter().map(|label| (&label.name, &label.value)));
            received.samples.extend(series.samples.iter().map(|one| (labels.clone(), one.timestamp, one.value, 0)));
            received.samples.extend(series.histograms.iter().map(|one| (labels.clone(), one.timestamp, count(one), 0)));
            received.exemplars.extend(series.exemplars.iter().map(|one| (labels.clone(), one.timestamp)));
        }
        return received;
    }
    let request = write_v2::Request::decode(&*bytes).unwrap();
    assert_eq!(request.symbols[0], "");
    for series in request.timeseries {
        assert!(series.samples.is_empty() != series.histograms.is_empty(), "floats or histograms");
        let text = |i: &u32| request.symbols[*i as usize].as_str();
        let labels = Labels::from_pairs(series.labels_refs.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))));
        let floats = series.samples.iter().map(|one| (labels.clone(), one.timestamp, one.value, one.start_timestamp));
        received.samples.extend(floats);
        let histograms = series.histograms.iter();
        received.samples.extend(histograms.map(|one| (labels.clone(), one.timestamp, count(one), one.start_timestamp)));
        received.exemplars.extend(series.exemplars.iter().map(|one| (labels.clone(), one.timestamp)));
    }
    received
}

impl Receiver {
    fn take(&self, body: &[u8], protocol: Protocol) -> Outcome {
        let received = received(body, protocol);
        let mut newest = self.newest.lock();
        let mut next = newest.clone();
        for (labels, ts, value, _) in &received.samples {
            let known = next.get(labels);
            if !self.takes_late && known.is_some_and(|(last, same)| ts < last || ts == last && value != same) {
                return Outcome::Refused("out of order sample".to_owned(), None);
            }
            if known.is_none_or(|(last, _)| ts > last) {
                next.insert(labels.clone(), (*ts, *value));
            }
        }
        *newest = next;
        *self.families.lock() += received.families;
        let written = Counts { samples: received.samples.len() as u64, ..Counts::default() };
        for (labels, ts, value, start) in received.samples {
            if start != 0 {
                self.starts.lock().insert((labels.clone(), ts), start);
            }
            self.samples.lock().insert((labels, ts), value);
        }
        self.exemplars.lock().extend(received.exemplars);
        // Of histograms it says the same here, which the sender does not mind.
        Outcome::Accepted(Some(Counts { histograms: written.samples, exemplars: written.samples, ..written }))
    }
}

impl Transport for Receiver {
    fn post(&self, body: Bytes, protocol: Protocol, _: u32) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            // As over a network: the clock may move on.
            tokio::time::sleep(Duration::from_millis(5)).await;
            let does = self.next.lock().pop_front();
            let n = received(&body, protocol).samples.len();
            let outcome = match does {
                _ if *self.down.lock() => Outcome::Failed("connection refused".to_owned(), None),
                Some(Does::Says(outcome)) => outcome,
                Some(Does::TakesAndFails) => {
                    self.take(&body, protocol);
                    // What dies here is the sender.
                    std::future::pending().await
                }
                None => self.take(&body, protocol),
            };
            self.requests.lock().push((Instant::now(), n, matches!(outcome, Outcome::Accepted(_))));
            outcome
        })
    }
}

/// A manager on a store, as after a start.
pub(in crate::send) fn manager(folder: &Path, store: &Arc<Store>, began: Instant) -> Manager {
    let options = Options {
        directory: folder.to_owned(),
        querier: Arc::<Store>::clone(store),
        commits: Arc::clone(&store.commits.lock()),
        exemplars: Arc::<Store>::clone(store),
        metadata: Arc::<Store>::clone(store),
        user_agent: "Weft/test".to_owned(),
        resolver: Resolver::system(),
        clock: Arc::new(move || now(began)),
    };
    Manager::new(options, &prometheus::Registry::new()).unwrap()
}

/// The wall clock.
pub(in crate::send) fn now(began: Instant) -> Timestamp {
    Timestamp(BEGIN + i64::try_from(began.elapsed().as_millis()).unwrap())
}

pub(in crate::send) fn config(settings: &str) -> RemoteWriteConfig {
    let text = format!("remote_write: [{{url: 'http://receiver.test/', {settings}}}]");
    Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap().remote_write.remove(0)
}

/// Waits, on the clock of the test, until something holds.
#[track_caller]
pub(in crate::send) fn until(what: &'static str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..200_000 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{caller}: not within an hour: {what}");
    }
}
