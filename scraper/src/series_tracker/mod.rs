//! The series tracker: the columns of one source, their values in this scrape, and which of them the last scrape had, so that
//! vanished series get stale markers. Step 5.

mod commit;

use std::collections::{HashMap, HashSet};

use model::sample::stale_nan;
use model::{AppendError, Appender, Exemplar, ExtraSample, Histogram, Labels, Layout, MetricId, SourceId, Timestamp};

use crate::start_timestamps::StartTimestamps;

/// Columns of ended series are removed when they are this many more than the live ones.
const DEAD_SLACK: usize = 128;

/// Extra samples (of columns that were exposed several times) that one scrape may hold.
pub(crate) const REPEATS_MAX: usize = 100_000;

/// The outcome of putting a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It will be stored.
    Taken,
    /// Its series has one for that time already.
    Duplicate,
    /// There are more than [`REPEATS_MAX`].
    TooMany,
}

/// The times of columns that have several samples.
#[derive(Debug, Default)]
struct Taken {
    times: HashSet<(u32, Timestamp)>,
    /// How many of the own times are among these.
    known: usize,
}

impl Taken {
    fn learn(&mut self, own_times: &[(u32, Timestamp)]) {
        self.times.extend(own_times.get(self.known..).unwrap_or_default());
        self.known = own_times.len();
    }

    fn forget(&mut self) {
        if self.known > 0 || !self.times.is_empty() {
            *self = Self::default();
        }
    }
}

/// One source of a target. Almost every target has exactly one.
#[derive(Debug)]
pub(crate) struct SeriesTracker {
    /// The labels of the source.
    pub(crate) labels: Labels,
    id: Option<SourceId>,
    metrics: Vec<MetricId>,
    /// The layout of `metrics`; made again when they change.
    layout: Option<Layout>,
    values: Vec<f64>,
    present: Vec<u64>,
    /// The columns that get a stale marker when they are not there.
    tracked: Vec<u64>,
    /// Those of them that a refused body had, up to where it was refused; none where no body was.
    held: Vec<u64>,
    own_times: Vec<(u32, Timestamp)>,
    /// When the last scrape was, and the own times that it had, columns ascending; of several the latest.
    last: (Timestamp, Vec<(u32, Timestamp)>),
    /// Of the columns whose value is the marker of one.
    histograms: Vec<(u32, Histogram)>,
    /// Of some columns.
    exemplars: Vec<(u32, Exemplar)>,
    /// Extra samples of columns that were exposed several times, each at another time.
    repeats: Vec<ExtraSample>,
    /// What `repeats` must not repeat, once a column was exposed several times.
    taken: Taken,
    /// Since when the samples of columns count.
    pub(crate) starts: StartTimestamps,
    /// The columns of `up` and its like.
    report: Vec<u32>,
}

impl SeriesTracker {
    pub(crate) fn new(labels: Labels) -> Self {
        Self {
            labels,
            id: None,
            metrics: Vec::new(),
            layout: None,
            values: Vec::new(),
            present: Vec::new(),
            tracked: Vec::new(),
            held: Vec::new(),
            own_times: Vec::new(),
            last: (Timestamp::MIN, Vec::new()),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            repeats: Vec::new(),
            taken: Taken::default(),
            starts: StartTimestamps::default(),
            report: Vec::new(),
        }
    }

    /// Nothing was exposed yet.
    pub(crate) fn begin(&mut self) {
        self.present.fill(0);
        self.held.clear();
        self.own_times.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.repeats.clear();
        self.taken.forget();
        self.starts.begin();
    }

    /// The body is refused, and nothing of it stays but that, as upstream has it, no series ends that it had.
    pub(crate) fn refuse(&mut self, track_own_times: bool) {
        // Of the series that the last scrape had, those that this body had before it was refused.
        let mut held: Vec<u64> = self.present.iter().zip(&self.tracked).map(|(present, was)| present & was).collect();
        if !track_own_times {
            self.own_times.iter().for_each(|(column, _)| clear(&mut held, *column as usize));
        }
        self.begin();
        self.held = held;
    }

    /// Has the series a later sample than one of that time? Only of series that were there in the last scrape.
    pub(crate) fn is_past(&self, column: u32, own: Timestamp) -> bool {
        let (last_scrape, own_times) = &self.last;
        let last = own_times.binary_search_by_key(&column, |(column, _)| *column).map(|at| own_times[at].1);
        has(&self.tracked, column as usize) && own < last.unwrap_or(*last_scrape)
    }

    /// Has the column a value in this scrape?
    #[inline]
    pub(crate) fn is_present(&self, column: u32) -> bool {
        has(&self.present, column as usize)
    }

    /// Takes a value, and its native histogram, if the value is the histogram mark. Of several for one time the first wins,
    /// and, as upstream has it, what comes again without a time of its own is always one too many.
    pub(crate) fn put(
        &mut self,
        column: u32,
        value: f64,
        own: Option<Timestamp>,
        histogram: Option<Box<Histogram>>,
    ) -> Put {
        let at = column as usize;
        // The common case: the first sample of this series in this scrape.
        if !has(&self.present, at) {
            set(&mut self.present, at);
            self.values[at] = value;
            self.own_times.extend(own.map(|own| (column, own)));
            self.histograms.extend(histogram.map(|histogram| (column, *histogram)));
            return Put::Taken;
        }
        // Without a time of its own it would be a second sample at the time of the scrape.
        let Some(ts) = own else { return Put::Duplicate };
        if self.repeats.len() >= REPEATS_MAX {
            return Put::TooMany;
        }
        // The set of (column, time) is filled only once a series comes a second time, with all own times so far.
        self.taken.learn(&self.own_times);
        if !self.taken.times.insert((column, ts)) {
            return Put::Duplicate;
        }
        self.repeats.push(ExtraSample { column, ts, value, histogram });
        Put::Taken
    }

    /// Takes the exemplars of a sample just taken.
    pub(crate) fn put_exemplars(&mut self, column: u32, exemplars: Vec<Exemplar>) {
        self.exemplars.extend(exemplars.into_iter().map(|exemplar| (column, exemplar)));
    }

    /// The columns of these metrics, made where they are new.
    pub(crate) fn columns(&mut self, ids: &[MetricId]) -> Vec<u32> {
        let number = |len: usize| u32::try_from(len).expect("BUG: a body has fewer than 2^32 lines");
        let first = number(self.metrics.len());
        // Metrics that nobody had before come in ascending order; there is nothing to look up then.
        // The store numbers new metrics upwards, so a fresh target's columns need no map.
        let newest = self.metrics.iter().max();
        let all_new = newest.is_none_or(|newest| ids.first() > Some(newest)) && ids.is_sorted_by(|a, b| a < b);
        let columns = if all_new {
            self.metrics.extend_from_slice(ids);
            (first..number(self.metrics.len())).collect()
        } else {
            let mut known: HashMap<MetricId, u32> = self.metrics.iter().copied().zip(0..).collect();
            let mut column = |id: &MetricId| {
                *known.entry(*id).or_insert_with(|| {
                    self.metrics.push(*id);
                    number(self.metrics.len() - 1)
                })
            };
            ids.iter().map(&mut column).collect()
        };
        if number(self.metrics.len()) > first {
            // More columns: the layout is made anew at the next commit.
            self.layout = None;
        }
        let words = self.metrics.len().div_ceil(64);
        self.values.resize(self.metrics.len(), 0.0);
        self.present.resize(words, 0);
        self.tracked.resize(words, 0);
        columns
    }

    /// Sets `up` and its like, which are not subject to labels or limits of the target.
    pub(crate) fn report(&mut self, appender: &dyn Appender, report: &[(&str, f64)]) -> Result<(), AppendError> {
        if report.is_empty() {
            return Ok(());
        }
        // The set of report series changes only with the configuration.
        if self.report.len() != report.len() {
            let labels: Vec<Labels> =
                report.iter().map(|(name, _)| Labels::from_sorted([(model::labels::METRIC_NAME, *name)])).collect();
            self.report = self.columns(&appender.metrics(&labels)?);
        }
        for (column, (_, value)) in self.report.iter().zip(report) {
            let column = *column as usize;
            set(&mut self.present, column);
            self.values[column] = *value;
        }
        Ok(())
    }

    /// Decides which zeros are stored where counting began: those that are later than what the last scrape had of their series.
    pub(crate) fn choose_starts(&mut self, ts: Timestamp) {
        let mut starts = std::mem::take(&mut self.starts);
        // A zero at the very time of the last sample would be its duplicate; `is_past` by itself lets that time pass.
        starts.choose(ts, |column, start| !self.is_past(column, start - 1));
        self.starts = starts;
    }

    /// Writes a stale marker for every series that the last scrape had and this one has not.
    pub(crate) fn mark_vanished(&mut self) {
        for word in 0..self.tracked.len() {
            // Sixty-four series at a time: tracked before, absent now, and not held by a refused body.
            let held = self.held.get(word).copied().unwrap_or_default();
            let mut vanished = self.tracked[word] & !self.present[word] & !held;
            self.present[word] |= vanished;
            while vanished != 0 {
                self.values[word * 64 + vanished.trailing_zeros() as usize] = stale_nan();
                vanished &= vanished - 1;
            }
        }
    }

    /// True if there is nothing to store.
    pub(crate) fn is_silent(&self) -> bool {
        self.present.iter().all(|word| *word == 0)
    }

    /// The scrape is stored: what was there now is what may vanish next.
    pub(crate) fn end(&mut self, ts: Timestamp, track_own_times: bool) {
        // Of a series that a refused body had, the last sample is what it was.
        // After a refused body the last samples are those of the scrape before.
        if self.held.is_empty() {
            self.last.0 = ts;
            std::mem::swap(&mut self.last.1, &mut self.own_times);
        }
        for word in 0..self.present.len() {
            // Series whose sample is a stale marker are over and are not tracked any further.
            let mut stale = self.present[word];
            let mut live = 0;
            while stale != 0 {
                let bit = stale.trailing_zeros();
                let at = word * 64 + bit as usize;
                if !model::sample::is_stale(self.values[at]) {
                    live |= 1 << bit;
                }
                stale &= stale - 1;
            }
            self.tracked[word] = live;
        }
        if !track_own_times {
            // Series with own times get stale markers only where the job asks for it.
            for (column, _) in &self.last.1 {
                clear(&mut self.tracked, *column as usize);
            }
        }
        // The latest time of a series decides what is out of order in the next scrape, extra samples included.
        for one in &self.repeats {
            match self.last.1.binary_search_by_key(&one.column, |(column, _)| *column) {
                Ok(at) => self.last.1[at].1 = one.ts.max(self.last.1[at].1),
                Err(at) => self.last.1.insert(at, (one.column, one.ts.max(ts))),
            }
        }
        self.tracked.iter_mut().zip(&self.held).for_each(|(tracked, held)| *tracked |= held);
        // Report series exist as long as the target; `end_report` tracks them when it goes.
        for column in &self.report {
            clear(&mut self.tracked, *column as usize);
        }
        self.begin();
    }

    /// The report series end with the target; false when there are none.
    pub(crate) fn end_report(&mut self) -> bool {
        let report = std::mem::take(&mut self.report);
        report.iter().for_each(|column| set(&mut self.tracked, *column as usize));
        !report.is_empty()
    }

    /// Tracks the series of the last scrape of another target too, to mark those that are not exposed any more.
    pub(crate) fn adopt(&mut self, mut other: Self) {
        other.end_report();
        let tracked: Vec<MetricId> =
            (0..other.metrics.len()).filter(|&at| has(&other.tracked, at)).map(|at| other.metrics[at]).collect();
        for column in self.columns(&tracked) {
            set(&mut self.tracked, column as usize);
        }
    }

    /// Was nothing ever exposed?
    pub(crate) fn is_blank(&self) -> bool {
        self.metrics.is_empty()
    }

    /// How many series were there.
    pub(crate) fn live(&self) -> usize {
        self.tracked.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Removes columns that no line refers to and that await no stale marker, if they are many; returns the new place of each
    /// of the others. `used` are the columns that lines refer to.
    pub(crate) fn drop_dead(&mut self, used: impl Iterator<Item = u32>) -> Option<Vec<u32>> {
        if self.metrics.len() <= DEAD_SLACK {
            return None;
        }
        let mut keep = self.tracked.clone();
        self.report.iter().copied().chain(used).for_each(|column| set(&mut keep, column as usize));
        let live: usize = keep.iter().map(|word| word.count_ones() as usize).sum();
        // Amortised: columns are moved only when more than half of them are dead.
        if self.metrics.len() <= 2 * live + DEAD_SLACK {
            return None;
        }
        let mut moved = vec![0; self.metrics.len()];
        let tracked = std::mem::take(&mut self.tracked);
        self.tracked = vec![0; live.div_ceil(64)];
        for (next, at) in (0..self.metrics.len()).filter(|&at| has(&keep, at)).enumerate() {
            self.metrics[next] = self.metrics[at];
            if has(&tracked, at) {
                set(&mut self.tracked, next);
            }
            moved[at] = u32::try_from(next).expect("BUG: fewer than before");
        }
        self.metrics.truncate(live);
        self.values = vec![0.0; live];
        self.present = vec![0; live.div_ceil(64)];
        self.report.iter_mut().for_each(|column| *column = moved[*column as usize]);
        self.last.1.clear();
        self.starts.move_columns(|column| has(&keep, column as usize).then(|| moved[column as usize]));
        self.layout = None;
        Some(moved)
    }
}

fn has(bits: &[u64], at: usize) -> bool {
    bits[at / 64] >> (at % 64) & 1 == 1
}

fn set(bits: &mut [u64], at: usize) {
    bits[at / 64] |= 1 << (at % 64);
}

fn clear(bits: &mut [u64], at: usize) {
    bits[at / 64] &= !(1 << (at % 64));
}
