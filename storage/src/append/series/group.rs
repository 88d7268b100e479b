//! A batch by source: each series once, its samples at ascending times.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use foldhash::fast::RandomState;
use model::{Committed, Exemplar, Histogram, Labels, MetricId, SeriesBatch, SeriesSamples, Timestamp};

/// What a batch has of one source.
#[derive(Debug)]
pub(super) struct SourceGroup<'a> {
    pub(super) source: Labels,
    pub(super) series: Vec<SourceSeries<'a>>,
}

/// One series of a source.
#[derive(Debug)]
pub(super) struct SourceSeries<'a> {
    pub(super) metric: Labels,
    /// Ascending.
    pub(super) times: Cow<'a, [Timestamp]>,
    pub(super) values: Cow<'a, [f64]>,
    /// Each with the index of its time, ascending.
    pub(super) histograms: Vec<(usize, &'a Histogram)>,
    exemplars: Vec<&'a Exemplar>,
}

/// Samples of series that are still to be stored: a series, its column, and where in its samples.
pub(super) type Left<'g> = Vec<(&'g SourceSeries<'g>, u32, Range<usize>)>;

/// A sample that is being sorted. Zeros where counting began are not counted, and give way to any other.
struct Sample<'a> {
    ts: Timestamp,
    is_start: bool,
    value: f64,
    histogram: Option<&'a Histogram>,
}

/// The series of a batch by source. What lies before the horizon is too old; of two samples at one time the first stays. The
/// others are counted.
pub(super) fn grouped<'a>(
    batch: &SeriesBatch<'a>,
    horizon: Timestamp,
    committed: &mut Committed,
) -> Vec<SourceGroup<'a>> {
    let mut groups: Vec<SourceGroup<'a>> = Vec::new();
    let mut places: HashMap<String, usize, RandomState> = HashMap::default();
    // Where each series of a source is, to put together what comes in several pieces.
    let mut known: Vec<HashMap<Labels, Vec<&SeriesSamples<'a>>, RandomState>> = Vec::new();
    let mut order: Vec<Vec<Labels>> = Vec::new();
    let mut text = String::new();
    for series in batch.series {
        text.clear();
        // Into one buffer: a source that is known costs no allocation for each of its series.
        series.labels.filtered_text(|name| batch.sources.has(name), &mut text);
        let place = places.get(text.as_str()).copied().unwrap_or_else(|| {
            let source = series.labels.filtered(|name| batch.sources.has(name));
            places.insert(text.clone(), groups.len());
            groups.push(SourceGroup { source, series: Vec::new() });
            known.push(HashMap::default());
            order.push(Vec::new());
            groups.len() - 1
        });
        let metric = series.labels.filtered(|name| !batch.sources.has(name));
        match known[place].entry(metric) {
            Entry::Occupied(mut pieces) => pieces.get_mut().push(series),
            Entry::Vacant(new) => {
                order[place].push(new.key().clone());
                new.insert(vec![series]);
            }
        }
    }
    for ((group, mut pieces), order) in groups.iter_mut().zip(known).zip(order) {
        group.series.reserve(order.len());
        for metric in order {
            let pieces = pieces.remove(&metric).unwrap_or_default();
            group.series.push(SourceSeries::new(metric, &pieces, horizon, committed));
        }
    }
    groups
}

impl<'a> SourceSeries<'a> {
    pub(super) fn new(
        metric: Labels,
        pieces: &[&SeriesSamples<'a>],
        horizon: Timestamp,
        committed: &mut Committed,
    ) -> Self {
        let exemplars = pieces.iter().flat_map(|piece| piece.exemplars).collect();
        if let [one] = pieces
            && one.starts.is_empty()
            && one.timestamps.is_sorted_by(|a, b| a < b)
        {
            // As it comes from most: nothing is copied.
            let old = one.timestamps.partition_point(|ts| *ts < horizon);
            committed.too_old += u32::try_from(old).unwrap_or(u32::MAX);
            let histograms = one.histograms.iter().map(|(i, histogram)| (*i as usize, histogram));
            let histograms = histograms.filter(|(i, _)| *i >= old).map(|(i, histogram)| (i - old, histogram)).collect();
            let (times, values) = (one.timestamps[old..].into(), one.values[old..].into());
            return Self { metric, times, values, histograms, exemplars };
        }
        let mut samples: Vec<Sample<'a>> = pieces.iter().flat_map(|piece| samples_of(piece)).collect();
        // Stable, so that of two samples at one time the one that came first is the first.
        samples.sort_by_key(|sample| (sample.ts, sample.is_start));
        let zeros: Vec<Sample<'a>> = pieces.iter().flat_map(|piece| zeros_of(piece, &samples)).collect();
        // Only now: a zero depends on the sample before it. Behind a sample of its own time it gives way to that.
        samples.extend(zeros);
        samples.sort_by_key(|sample| (sample.ts, sample.is_start));
        let old = samples.iter().filter(|sample| sample.ts < horizon && !sample.is_start).count();
        committed.too_old += u32::try_from(old).unwrap_or(u32::MAX);
        samples.retain(|sample| sample.ts >= horizon);
        let mut series =
            Self { metric, times: Cow::default(), values: Cow::default(), histograms: Vec::new(), exemplars };
        for sample in samples {
            series.push(&sample, committed);
        }
        series
    }

    /// Adds a sample that is not before the last one.
    fn push(&mut self, sample: &Sample<'a>, committed: &mut Committed) {
        if self.times.last() == Some(&sample.ts) {
            let same = self.values.last().is_some_and(|last| last.to_bits() == sample.value.to_bits());
            if !sample.is_start {
                *(if same { &mut committed.stored } else { &mut committed.duplicate }) += 1;
            }
            return;
        }
        self.histograms.extend(sample.histogram.map(|histogram| (self.times.len(), histogram)));
        self.times.to_mut().push(sample.ts);
        self.values.to_mut().push(sample.value);
    }

    /// How many of its samples lie before a time.
    pub(super) fn before(&self, ts: Timestamp) -> usize {
        self.times.partition_point(|one| *one < ts)
    }
}

fn samples_of<'a>(piece: &SeriesSamples<'a>) -> impl Iterator<Item = Sample<'a>> {
    let mut histograms = piece.histograms.iter().peekable();
    let samples = (0..).zip(piece.timestamps).zip(piece.values);
    samples.map(move |((i, ts), value)| {
        let histogram = histograms.next_if(|(at, _)| *at == i).map(|(_, histogram)| histogram);
        Sample { ts: *ts, is_start: false, value: *value, histogram }
    })
}

/// Zeros where counting began after the sample before, and before the one that says so.
fn zeros_of<'a>(piece: &SeriesSamples<'a>, sorted: &[Sample<'_>]) -> Vec<Sample<'a>> {
    let zero = |(i, start): &(u32, Timestamp)| {
        let ts = *piece.timestamps.get(*i as usize)?;
        // Histograms begin without one: an empty one has no form that is known.
        let is_float = !piece.histograms.iter().any(|(at, _)| at == i);
        let before = sorted[..sorted.partition_point(|sample| sample.ts < ts)].last();
        let began = *start < ts && before.is_none_or(|before| before.ts < *start);
        (is_float && began).then_some(Sample { ts: *start, is_start: true, value: 0.0, histogram: None })
    };
    piece.starts.iter().filter_map(zero).collect()
}

impl SourceGroup<'_> {
    /// The exemplars of its series, whose metrics these are.
    pub(super) fn exemplars(&self, metrics: &[MetricId]) -> Vec<(MetricId, Exemplar)> {
        let each = self.series.iter().zip(metrics);
        each.flat_map(|(series, metric)| series.exemplars.iter().map(|one| (*metric, (*one).clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use model::{Lateness, SourceLabels};

    use super::*;

    fn at<const N: usize>(times: [i64; N]) -> [Timestamp; N] {
        times.map(Timestamp)
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn series_are_put_together_by_source_and_sorted_by_time() {
        let (a, b) = (labels(&[("__name__", "a"), ("job", "x")]), labels(&[("__name__", "b"), ("job", "y")]));
        let (first, second, third) = (at([30, 10]), at([10, 20]), at([20, 10, 30]));
        let series = [
            SeriesSamples::floats(&a, &first, &[3.0, 1.0]),
            SeriesSamples::floats(&b, &second, &[7.0, 8.0]),
            SeriesSamples { starts: &[(0, Timestamp(15))], ..SeriesSamples::floats(&a, &third, &[2.0, 1.0, 4.0]) },
        ];
        let sources = SourceLabels::Known;
        let mut committed = Committed::default();
        let batch = SeriesBatch { series: &series, sources: &sources, lateness: Lateness::Any, memo: None };
        let groups = grouped(&batch, Timestamp::EPOCH, &mut committed);
        assert_eq!(groups.len(), 2);
        assert_eq!((&groups[0].source, &groups[1].source), (&labels(&[("job", "x")]), &labels(&[("job", "y")])));
        let one = &groups[0].series[0];
        assert_eq!(one.metric, labels(&[("__name__", "a")]));
        assert_eq!((&one.times[..], &one.values[..]), (&at([10, 15, 20, 30])[..], &[1.0, 0.0, 2.0, 3.0][..]));
        assert_eq!((committed.stored, committed.duplicate), (1, 1), "10 came twice, and 30 with another value");
        assert!(matches!(groups[1].series[0].times, Cow::Borrowed(_)), "what is in order is not copied");
    }

    #[test]
    fn a_zero_is_where_counting_began_and_nowhere_else() {
        let a = labels(&[("__name__", "a")]);
        let times = |starts: [(u32, i64); 3]| {
            let starts = &starts.map(|(i, start)| (i, Timestamp(start)));
            let at = at([10, 20, 30]);
            let series = [SeriesSamples { starts, ..SeriesSamples::floats(&a, &at, &[1.0, 2.0, 1.0]) }];
            let sources = SourceLabels::Known;
            let batch = SeriesBatch { series: &series, sources: &sources, lateness: Lateness::Any, memo: None };
            grouped(&batch, Timestamp::EPOCH, &mut Committed::default())[0].series[0].times.to_vec()
        };
        assert_eq!(times([(0, 5), (1, 5), (2, 25)]), at([5, 10, 20, 25, 30]));
        assert_eq!(times([(0, 10), (1, 10), (2, 40)]), at([10, 20, 30]), "at a sample, before one, after its own");
    }
}
