//! The newest samples of all series, sorted by metric name. Label sets are held as the store has them, once for each metric and once
//! for each source, so that a sample takes the same few bytes whatever its labels are.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use model::histogram::Buckets;
use model::labels::sort_by_labels;
use model::{Histogram, Labels, ResetHint, Timestamp};

/// The place of the source of series whose metric holds all labels.
pub(super) const NO_SOURCE: u32 = 0;

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

impl Series {
    pub(super) fn new() -> Self {
        Self { sources: vec![Labels::empty()], ..Self::default() }
    }

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

    pub(super) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
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

    /// Sorts by names. What several selections have in common stays once.
    pub(super) fn sort(&mut self, are_several: bool) {
        let mut metrics: Vec<(Labels, u32)> = std::mem::take(&mut self.metrics).into_iter().zip(0..).collect();
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
            self.names.push(last.0);
        }
        self.metrics = metrics.into_iter().map(|(labels, _)| labels).collect();
        self.floats.iter_mut().for_each(|one| one.metric = moved[one.metric as usize]);
        self.histograms.iter_mut().for_each(|one| one.metric = moved[one.metric as usize]);
        self.floats.sort_unstable_by_key(key);
        let names = &self.names;
        self.histograms.sort_unstable_by_key(|one| (names[one.metric as usize], is_gauge(one), key(one)));
        if are_several {
            self.floats.dedup_by_key(|one| key(one));
            self.histograms.dedup_by_key(|one| key(one));
            self.drop_doubles();
        }
    }

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

fn is_gauge(one: &Newest<Arc<Histogram>>) -> bool {
    one.value.reset_hint == ResetHint::Gauge
}

pub(super) fn histogram_bytes(histogram: &Histogram) -> usize {
    let side = |side: &Buckets| 8 * (side.spans.len() + side.counts.len());
    size_of::<Histogram>() + side(&histogram.positive) + side(&histogram.negative) + 8 * histogram.custom_values.len()
}

/// Orders samples by their labels' places, in one comparison.
fn key<V>(one: &Newest<V>) -> u64 {
    u64::from(one.metric) << 32 | u64::from(one.source)
}
