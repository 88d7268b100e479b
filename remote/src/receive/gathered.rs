//! Series of a request until they are stored: their samples one after the other in a few vectors, which a request uses again for
//! all of its batches.

use std::ops::Range;

use model::sample::{HISTOGRAM_MARK_BITS, NORMAL_NAN_BITS, histogram_mark, stale_nan};
use model::{Exemplar, Histogram, Labels, SeriesSamples, Timestamp};

/// So many series, and so many samples, are stored at once: what a request takes besides its body does not grow with it. Ordinary
/// requests have less of both.
const SERIES_MAX: usize = 10_000;
const SAMPLES_MAX: usize = 100_000;

/// Series with their samples.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    series: Vec<Piece>,
    times: Vec<Timestamp>,
    values: Vec<f64>,
    histograms: Vec<(u32, Histogram)>,
    starts: Vec<(u32, Timestamp)>,
    exemplars: Vec<Exemplar>,
}

/// Where the samples of a series are.
#[derive(Debug)]
struct Piece {
    labels: Labels,
    times: Range<usize>,
    histograms: Range<usize>,
    starts: Range<usize>,
    exemplars: Range<usize>,
}

/// What is gathered, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) floats: u64,
    pub(super) histograms: u64,
    pub(super) exemplars: u64,
}

impl Gathered {
    /// What follows is of this series, until the next one begins.
    #[inline]
    pub(super) fn begin(&mut self, labels: Labels) {
        let empty = |at: usize| at..at;
        self.series.push(Piece {
            labels,
            times: empty(self.times.len()),
            histograms: empty(self.histograms.len()),
            starts: empty(self.starts.len()),
            exemplars: empty(self.exemplars.len()),
        });
    }

    /// A sample of the series.
    #[inline]
    pub(super) fn push(&mut self, ts: Timestamp, value: f64) {
        // The store uses this NaN to mark native histograms; a sender may use it as an ordinary NaN.
        let is_mark = value.to_bits() == HISTOGRAM_MARK_BITS;
        self.add(ts, if is_mark { f64::from_bits(NORMAL_NAN_BITS) } else { value });
    }

    /// A histogram of the series; `None` is its end.
    pub(super) fn push_histogram(&mut self, ts: Timestamp, histogram: Option<Histogram>) {
        let Some(histogram) = histogram else { return self.add(ts, stale_nan()) };
        let at = self.index();
        self.add(ts, histogram_mark());
        let Some(piece) = self.series.last_mut() else { return };
        self.histograms.push((at, histogram));
        piece.histograms.end = self.histograms.len();
    }

    /// Since when the next sample of the series counts.
    pub(super) fn start(&mut self, start: Timestamp) {
        let at = self.index();
        let Some(piece) = self.series.last_mut() else { return };
        self.starts.push((at, start));
        piece.starts.end = self.starts.len();
    }

    pub(super) fn push_exemplar(&mut self, exemplar: Exemplar) {
        let Some(piece) = self.series.last_mut() else { return };
        self.exemplars.push(exemplar);
        piece.exemplars.end = self.exemplars.len();
    }

    #[inline]
    fn add(&mut self, ts: Timestamp, value: f64) {
        let Some(piece) = self.series.last_mut() else { return };
        self.times.push(ts);
        self.values.push(value);
        piece.times.end = self.times.len();
    }

    /// The index of the next sample in its series.
    fn index(&self) -> u32 {
        let n = self.series.last().map_or(0, |piece| piece.times.len());
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    /// The series that is being gathered.
    pub(super) fn labels(&self) -> Option<&Labels> {
        self.series.last().map(|piece| &piece.labels)
    }

    /// Is it enough to be stored?
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.series.len() >= SERIES_MAX || self.times.len() + self.exemplars.len() >= SAMPLES_MAX
    }

    pub(super) fn counts(&self) -> Counts {
        let [times, histograms, exemplars] =
            [self.times.len(), self.histograms.len(), self.exemplars.len()].map(|n| n as u64);
        Counts { floats: times - histograms, histograms, exemplars }
    }

    /// Sorts the exemplars of each series by time, as the store wants them.
    pub(super) fn sort_exemplars(&mut self) {
        for piece in &self.series {
            self.exemplars[piece.exemplars.clone()].sort_by_key(|one| one.ts);
        }
    }

    /// The series as they are stored.
    pub(super) fn series(&self) -> Vec<SeriesSamples<'_>> {
        let series = self.series.iter().map(|piece| SeriesSamples {
            labels: &piece.labels,
            timestamps: &self.times[piece.times.clone()],
            values: &self.values[piece.times.clone()],
            histograms: &self.histograms[piece.histograms.clone()],
            starts: &self.starts[piece.starts.clone()],
            exemplars: &self.exemplars[piece.exemplars.clone()],
        });
        // A series whose samples were all rejected is skipped.
        series.filter(|series| !series.timestamps.is_empty() || !series.exemplars.is_empty()).collect()
    }

    /// Makes room for others, which are of the same series as the last ones were.
    pub(super) fn clear(&mut self) {
        let last = self.series.pop();
        self.series.clear();
        self.times.clear();
        self.values.clear();
        self.histograms.clear();
        self.starts.clear();
        self.exemplars.clear();
        if let Some(piece) = last {
            self.begin(piece.labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name)])
    }

    #[test]
    fn series_lie_one_after_the_other() {
        let mut gathered = Gathered::default();
        gathered.begin(named("a"));
        gathered.start(Timestamp(5));
        gathered.push(Timestamp(10), 1.0);
        gathered.push(Timestamp(20), f64::from_bits(HISTOGRAM_MARK_BITS));
        gathered.begin(named("nothing"));
        gathered.begin(named("b"));
        gathered.push_histogram(Timestamp(30), None);
        gathered.push_histogram(Timestamp(40), Some(Histogram::default()));
        gathered.push_exemplar(Exemplar { labels: Labels::empty(), value: 1.0, ts: Timestamp(1) });
        let series = gathered.series();
        let [a, b] = &series[..] else { panic!("two series, and none of nothing: {series:?}") };
        assert_eq!(
            (a.labels, a.timestamps, a.starts),
            (&named("a"), &[Timestamp(10), Timestamp(20)][..], &[(0, Timestamp(5))][..])
        );
        assert_eq!(a.values[1].to_bits(), NORMAL_NAN_BITS, "no histogram stands there");
        assert!(model::sample::is_stale(b.values[0]) && b.histograms[0].0 == 1 && b.exemplars.len() == 1);
        assert_eq!(gathered.counts(), Counts { floats: 3, histograms: 1, exemplars: 1 });
    }

    #[test]
    fn a_series_goes_on_after_a_batch() {
        let mut gathered = Gathered::default();
        gathered.begin(named("a"));
        for i in 0.. {
            gathered.push(Timestamp(i), 0.0);
            if gathered.is_full() {
                break;
            }
        }
        assert_eq!(gathered.counts().floats, SAMPLES_MAX as u64);
        gathered.clear();
        gathered.push(Timestamp(-1), 2.0);
        let series = gathered.series();
        assert_eq!((series[0].labels, series[0].timestamps), (&named("a"), &[Timestamp(-1)][..]));
    }
}
