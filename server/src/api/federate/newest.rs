//! Reads the newest sample of each series and sorts them by metric name. Label sets are held as the store has them, once for
//! each metric and once for each source, so that a sample takes the same few bytes whatever its labels are.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use model::labels::sort_by_labels;
use model::sample::is_stale;
use model::{
    Batch, Column, Histogram, Labels, Matcher, MetricId, Querier, QuerierError, ReadHints, Selection, SourceId,
    Timestamp,
};
use query::{Bounds, Error};

use crate::api::ApiError;
use crate::api::error::told;

/// Memory that is reserved at once: a reservation for each label set would cost more than the set.
const GRAIN: usize = 64 << 10;
/// Samples for which there is room at first.
const SAMPLES_AT_FIRST: usize = 256;
/// Memory of a label set besides its text: where it stands in lists and maps while samples are read and sorted.
const SET_BYTES: usize = 160;
/// The same of a column of a batch.
const COLUMN_BYTES: usize = 160;
/// What is known of a metric without a name.
const NAMELESS: u32 = u32::MAX;
/// The place of the source of series whose metric holds all labels.
const NO_SOURCE: u32 = 0;

/// The newest sample of a series.
#[derive(Clone, Debug)]
pub(super) struct Newest<V> {
    /// Places of its labels in [`Series`].
    pub(super) metric: u32,
    pub(super) source: u32,
    pub(super) ts: Timestamp,
    pub(super) value: V,
}

/// Series that are written as one family: one metric name, and samples of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Family {
    /// Places of floats.
    Untyped(Range<usize>),
    /// Places of histograms.
    Histograms { of: Range<usize>, are_gauges: bool },
}

/// The newest samples of all series that were asked for, sorted by metric name.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// By name, and then by all labels.
    pub(super) metrics: Vec<Labels>,
    /// The first is the empty set.
    pub(super) sources: Vec<Labels>,
    /// Of each metric the number of its name.
    names: Vec<u32>,
    pub(super) floats: Vec<Newest<f64>>,
    pub(super) histograms: Vec<Newest<Arc<Histogram>>>,
    /// Warnings of the store.
    pub(super) warnings: Vec<String>,
    /// Series without a name, which have no place in an exposition.
    pub(super) nameless: usize,
}

/// Reads what some selections have between two times. Histograms that `keep` refuses are left out, as are series whose newest
/// sample is a stale marker.
pub(super) fn read(
    querier: &dyn Querier,
    (start, end): (Timestamp, Timestamp),
    selections: &[Vec<Matcher>],
    keep: fn(&Histogram) -> bool,
    bounds: &Bounds,
) -> Result<Series, ApiError> {
    let mut reading = Reading::new(bounds, keep, selections.len() > 1);
    for matchers in selections {
        bounds.check().map_err(told)?;
        let parts = querier.open(&Selection { start, end, matchers }, &ReadHints::NEWEST)?;
        if parts.count() > 0 {
            reading.account.at_least(parts.reader_bytes()).map_err(told)?;
            reading.begin();
            // The store only passes on that it was stopped; why is kept here.
            let mut failed = None;
            let read = parts.read_all(&mut |batch| {
                reading.add(&batch).map_err(|error| {
                    failed = Some(error);
                    QuerierError::Stopped
                })
            });
            if let Some(error) = failed {
                return Err(told(error));
            }
            read?;
        }
        reading.series.warnings.extend(parts.warnings());
    }
    Ok(reading.sorted())
}

impl Series {
    /// The family from some places of floats and histograms on, which move behind it.
    pub(super) fn next_family(&self, (floats, histograms): (&mut usize, &mut usize)) -> Option<Family> {
        let float = self.floats.get(*floats).map(|one| self.names[one.metric as usize]);
        let histogram = self.histograms.get(*histograms).map(|one| (self.names[one.metric as usize], is_gauge(one)));
        if let Some(name) = float.filter(|name| histogram.is_none_or(|(other, _)| *name <= other)) {
            let from = *floats;
            *floats += self.floats[from..].partition_point(|one| self.names[one.metric as usize] == name);
            return Some(Family::Untyped(from..*floats));
        }
        let kind = histogram?;
        let from = *histograms;
        let same = |one: &Newest<_>| (self.names[one.metric as usize], is_gauge(one)) == kind;
        *histograms += self.histograms[from..].partition_point(same);
        Some(Family::Histograms { of: from..*histograms, are_gauges: kind.1 })
    }

    /// About the memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts =
            |all: &[Labels]| all.iter().map(|labels| labels.as_text().len() + 2 * size_of::<Labels>()).sum::<usize>();
        let of_histogram =
            |one: &Newest<Arc<Histogram>>| size_of::<Newest<Arc<Histogram>>>() + histogram_bytes(&one.value);
        texts(&self.metrics)
            + texts(&self.sources)
            + self.names.capacity() * size_of::<u32>()
            + self.floats.capacity() * size_of::<Newest<f64>>()
            + self.histograms.iter().map(of_histogram).sum::<usize>()
    }
}

fn is_gauge(one: &Newest<Arc<Histogram>>) -> bool {
    one.value.reset_hint == model::ResetHint::Gauge
}

fn histogram_bytes(histogram: &Histogram) -> usize {
    let side = |side: &model::histogram::Buckets| 8 * (side.spans.len() + side.counts.len());
    size_of::<Histogram>() + side(&histogram.positive) + side(&histogram.negative) + 8 * histogram.custom_values.len()
}

/// Memory that is reserved for what is read.
struct Account<'b> {
    bounds: &'b Bounds,
    spare: usize,
    /// The most that was needed for a moment, which may be needed again.
    most: usize,
}

impl Account<'_> {
    /// For what stays.
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.spare {
            let more = bytes.max(GRAIN);
            self.bounds.take(more)?;
            self.spare += more;
        }
        self.spare -= bytes;
        Ok(())
    }

    /// For what is given back and taken again.
    fn at_least(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.most {
            self.bounds.take(bytes - self.most)?;
            self.most = bytes;
        }
        Ok(())
    }

    fn push<T>(&mut self, all: &mut Vec<T>, item: T) -> Result<(), Error> {
        if all.len() == all.capacity() {
            let more = all.len().max(SAMPLES_AT_FIRST);
            self.take(more * size_of::<T>())?;
            all.reserve_exact(more);
        }
        all.push(item);
        Ok(())
    }
}

/// Batches on their way into [`Series`].
struct Reading<'b> {
    account: Account<'b>,
    keep: fn(&Histogram) -> bool,
    /// What several selections have in common is there once.
    are_several: bool,
    series: Series,
    /// Places of label sets by what the store calls them in the selection that is read, and by themselves.
    metrics: HashMap<MetricId, u32>,
    sources: HashMap<SourceId, u32>,
    known_metrics: HashMap<Labels, u32>,
    known_sources: HashMap<Labels, u32>,
    /// Does the label set of a source hold a name?
    names_sources: Vec<bool>,
}

impl<'b> Reading<'b> {
    fn new(bounds: &'b Bounds, keep: fn(&Histogram) -> bool, are_several: bool) -> Self {
        let series = Series { sources: vec![Labels::empty()], ..Series::default() };
        Self {
            account: Account { bounds, spare: 0, most: 0 },
            keep,
            are_several,
            series,
            metrics: HashMap::new(),
            sources: HashMap::new(),
            known_metrics: HashMap::new(),
            known_sources: HashMap::new(),
            names_sources: vec![false],
        }
    }

    /// Another selection: its ids are its own.
    fn begin(&mut self) {
        self.metrics.clear();
        self.sources.clear();
    }

    fn add(&mut self, batch: &Batch) -> Result<(), Error> {
        self.account.bounds.check()?;
        let of_column = |column: &Column| {
            let histograms = column.histograms.iter().map(|(_, histogram)| histogram_bytes(histogram)).sum::<usize>();
            COLUMN_BYTES + 8 * column.values.len() + histograms
        };
        self.account.at_least(batch.columns.iter().map(of_column).sum())?;
        let source = batch.source_id.map(|id| self.source(id, &batch.source)).transpose()?;
        for column in &batch.columns {
            let Some(slot) = (0..batch.timestamps.len()).rev().find(|slot| column.is_present(*slot)) else { continue };
            let histogram = column.histograms.last().filter(|(of, _)| *of as usize == slot);
            let is_left_out = match histogram {
                Some((_, histogram)) => !(self.keep)(histogram),
                None => is_stale(column.values[slot]),
            };
            if is_left_out {
                continue;
            }
            let Some((metric, source)) = self.labels(batch, column, source)? else {
                self.series.nameless += 1;
                continue;
            };
            let ts = batch.timestamps[slot];
            match histogram {
                Some((_, value)) => {
                    self.account.take(histogram_bytes(value))?;
                    let one = Newest { metric, source, ts, value: Arc::clone(value) };
                    self.account.push(&mut self.series.histograms, one)?;
                }
                None => {
                    let one = Newest { metric, source, ts, value: column.values[slot] };
                    self.account.push(&mut self.series.floats, one)?;
                }
            }
        }
        Ok(())
    }

    /// The places of a series' labels; `None` when it has no name.
    fn labels(&mut self, batch: &Batch, column: &Column, source: Option<u32>) -> Result<Option<(u32, u32)>, Error> {
        if let (Some(id), Some(source)) = (column.metric_id, source) {
            let metric = self.metric(id, &column.metric)?;
            if metric != NAMELESS {
                return Ok(Some((metric, source)));
            }
            if !self.names_sources[source as usize] {
                return Ok(None);
            }
        }
        let whole = batch.labels(column);
        if whole.name().is_empty() {
            return Ok(None);
        }
        Ok(Some((self.place_of_metric(whole)?, NO_SOURCE)))
    }

    fn metric(&mut self, id: MetricId, labels: &Labels) -> Result<u32, Error> {
        if let Some(place) = self.metrics.get(&id) {
            return Ok(*place);
        }
        let place = if labels.name().is_empty() { NAMELESS } else { self.place_of_metric(labels.clone())? };
        self.metrics.insert(id, place);
        Ok(place)
    }

    fn place_of_metric(&mut self, labels: Labels) -> Result<u32, Error> {
        let all = &mut self.series.metrics;
        place(&mut self.account, (all, self.are_several.then_some(&mut self.known_metrics)), labels)
    }

    fn source(&mut self, id: SourceId, labels: &Labels) -> Result<u32, Error> {
        if let Some(place) = self.sources.get(&id) {
            return Ok(*place);
        }
        let all = &mut self.series.sources;
        let known = self.are_several.then_some(&mut self.known_sources);
        let place = place(&mut self.account, (all, known), labels.clone())?;
        self.names_sources.resize(self.series.sources.len(), !labels.name().is_empty());
        self.sources.insert(id, place);
        Ok(place)
    }

    /// Sorts by names; what is left over is given back.
    fn sorted(self) -> Series {
        let Self { are_several, mut series, .. } = self;
        let mut metrics: Vec<(Labels, u32)> = std::mem::take(&mut series.metrics).into_iter().zip(0..).collect();
        sort_by_labels(&mut metrics, |(labels, _)| labels);
        // Labels that begin with a capital letter stand before the name. Of most sets it is the first label, and nothing moves.
        metrics.sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
        let mut moved = vec![0u32; metrics.len()];
        let mut last = (0u32, "");
        for ((labels, before), now) in metrics.iter().zip(0..) {
            moved[*before as usize] = now;
            if labels.name() != last.1 {
                last = (last.0 + 1, labels.name());
            }
            series.names.push(last.0);
        }
        series.metrics = metrics.into_iter().map(|(labels, _)| labels).collect();
        series.floats.iter_mut().for_each(|one| one.metric = moved[one.metric as usize]);
        series.histograms.iter_mut().for_each(|one| one.metric = moved[one.metric as usize]);
        series.floats.sort_unstable_by_key(key);
        let names = &series.names;
        series.histograms.sort_unstable_by_key(|one| (names[one.metric as usize], is_gauge(one), key(one)));
        if are_several {
            series.floats.dedup_by_key(|one| key(one));
            series.histograms.dedup_by_key(|one| key(one));
            series.drop_doubles();
        }
        series
    }
}

/// Orders samples by their labels' places, in one comparison.
fn key<V>(one: &Newest<V>) -> u64 {
    u64::from(one.metric) << 32 | u64::from(one.source)
}

/// The place of a label set in a list, to which it is added unless it is known.
fn place(
    account: &mut Account<'_>,
    (all, known): (&mut Vec<Labels>, Option<&mut HashMap<Labels, u32>>),
    labels: Labels,
) -> Result<u32, Error> {
    // As many label sets do not fit into memory.
    let next = u32::try_from(all.len()).unwrap_or(NAMELESS);
    if let Some(known) = known {
        match known.entry(labels.clone()) {
            Entry::Occupied(entry) => return Ok(*entry.get()),
            Entry::Vacant(entry) => drop(entry.insert(next)),
        }
    }
    account.take(labels.as_text().len() + SET_BYTES)?;
    all.push(labels);
    Ok(next)
}

impl Series {
    /// Leaves of a series that one selection found with several sources, and another, opened before the second of them began,
    /// with one, only the first.
    fn drop_doubles(&mut self) {
        let Self { metrics, sources, names, floats, histograms, .. } = self;
        let whole = floats.iter().map(|one| (one.metric, one.source));
        let whole = whole.chain(histograms.iter().map(|one| (one.metric, one.source)));
        let whole: Vec<u32> = whole.filter(|(_, source)| *source == NO_SOURCE).map(|(metric, _)| metric).collect();
        let of_whole: HashSet<u32> = whole.iter().map(|metric| names[*metric as usize]).collect();
        let whole: HashSet<&Labels> = whole.iter().map(|metric| &metrics[*metric as usize]).collect();
        let is_double = |metric: u32, source: u32| {
            source != NO_SOURCE
                && of_whole.contains(&names[metric as usize])
                && whole.contains(&sources[source as usize].joined(&metrics[metric as usize]))
        };
        if !whole.is_empty() {
            floats.retain(|one| !is_double(one.metric, one.source));
            histograms.retain(|one| !is_double(one.metric, one.source));
        }
    }
}
