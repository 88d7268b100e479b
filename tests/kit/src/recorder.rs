//! A store to write to.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::sample::{is_histogram_mark, is_stale};
use model::{
    AppendError, Appender, Committed, Exemplar, Histogram, Labels, LabelsBuilder, Layout, MetricId, Row, Scraped,
    SourceId, Timestamp,
};

/// All that was committed, in order.
#[derive(Debug, Default)]
pub struct Recorder {
    state: Mutex<State>,
    /// The next commit fails.
    pub full: AtomicBool,
    /// The next commit finds its ids forgotten.
    pub forgetful: AtomicBool,
    /// Are exemplars wanted, and those there are: `series labels value time`, sorted.
    pub exemplars: Mutex<(bool, Vec<String>)>,
    /// From when on late samples are taken, if ever.
    pub late_from: Mutex<Option<Timestamp>>,
    /// New metrics are refused.
    pub no_metrics: AtomicBool,
    /// How many commits there were.
    pub commits: AtomicUsize,
    /// The times of the repeats of the last.
    pub order: Mutex<Vec<String>>,
    /// What the next commit says of samples that it leaves out.
    pub left_out: Mutex<Committed>,
    /// Samples before this time are out of order.
    pub newest: Mutex<Timestamp>,
}

#[derive(Debug, Default)]
struct State {
    sources: Vec<Labels>,
    metrics: Vec<Labels>,
    samples: Vec<Recorded>,
}

/// A sample that was committed.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its time.
    pub ts: Timestamp,
    /// The whole label set.
    pub series: Labels,
    /// Bit-exact; a stale marker among them.
    pub value: f64,
    /// The histogram that the value stands for, if it is the mark of one.
    pub histogram: Option<Histogram>,
}

impl Recorded {
    /// The value as text: of a histogram its notation.
    fn shown(&self) -> String {
        match &self.histogram {
            Some(histogram) => histogram.notation(),
            None if is_stale(self.value) => "stale".to_owned(),
            None => self.value.to_string(),
        }
    }
}

impl State {
    fn series(&self, row: &Row<'_>, column: usize) -> Labels {
        let mut labels = LabelsBuilder::new(&self.sources[row.source.0 as usize]);
        for (name, value) in &self.metrics[row.layout.metrics[column].0 as usize] {
            labels.set(name, value);
        }
        labels.labels()
    }
}

impl Recorder {
    /// The samples committed since the last call: `time series value`, sorted, without those of the report series.
    pub fn take(&self) -> Vec<String> {
        self.take_all().into_iter().filter(|line| !line.contains(" scrape_") && !line.contains(" up")).collect()
    }

    /// All samples committed since the last call, in the order in which they were committed.
    pub fn take_in_order(&self) -> Vec<String> {
        self.take_samples().iter().map(|one| format!("{} {} {}", one.ts, one.series, one.shown())).collect()
    }

    /// The same as they are.
    pub fn take_samples(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.state.lock().unwrap().samples)
    }

    /// All samples as lines, sorted.
    pub fn take_all(&self) -> Vec<String> {
        let mut lines = self.take_in_order();
        lines.sort();
        lines
    }
}

fn intern(known: &mut Vec<Labels>, labels: &Labels) -> u32 {
    let at = known.iter().position(|k| k == labels).unwrap_or_else(|| {
        known.push(labels.clone());
        known.len() - 1
    });
    u32::try_from(at).unwrap()
}

impl Appender for Recorder {
    fn source(&self, labels: &Labels) -> Result<SourceId, AppendError> {
        Ok(SourceId(intern(&mut self.state.lock().unwrap().sources, labels)))
    }

    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError> {
        if self.no_metrics.load(Ordering::Relaxed) {
            return Err(AppendError::Store("no space left".into()));
        }
        let mut state = self.state.lock().unwrap();
        Ok(labels.iter().map(|l| MetricId(intern(&mut state.metrics, l))).collect())
    }

    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError> {
        let mut distinct = BTreeMap::new();
        metrics.iter().for_each(|m| *distinct.entry(m).or_insert(0) += 1);
        assert!(distinct.values().all(|n| *n == 1), "a metric has one column");
        Ok(Layout { metrics: metrics.into(), segments: [].into() })
    }

    fn takes_late_from(&self) -> Timestamp {
        self.late_from.lock().unwrap().unwrap_or(Timestamp::MAX)
    }

    fn keeps_exemplars(&self) -> bool {
        self.exemplars.lock().unwrap().0
    }

    fn exemplars(&self, source: SourceId, exemplars: &[(MetricId, Exemplar)]) -> Result<u32, AppendError> {
        let state = self.state.lock().unwrap();
        let kept = &mut self.exemplars.lock().unwrap().1;
        for (metric, Exemplar { labels, value, ts }) in exemplars {
            let mut series = LabelsBuilder::new(&state.sources[source.0 as usize]);
            for (name, value) in &state.metrics[metric.0 as usize] {
                series.set(name, value);
            }
            kept.push(format!("{} {labels} {value} {ts}", series.labels()));
        }
        kept.sort();
        Ok(2)
    }

    fn commit_scrape(&self, parts: &[Scraped<'_>]) -> Result<Committed, AppendError> {
        if self.full.swap(false, Ordering::Relaxed) {
            return Err(AppendError::Store("no space left".into()));
        }
        if self.forgetful.swap(false, Ordering::Relaxed) {
            *self.state.lock().unwrap() = State::default();
            return Err(AppendError::Forgotten);
        }
        let mut state = self.state.lock().unwrap();
        let mut committed = std::mem::take(&mut *self.left_out.lock().unwrap());
        self.commits.fetch_add(1, Ordering::Relaxed);
        let repeats = parts.iter().flat_map(|part| part.repeats);
        *self.order.lock().unwrap() = repeats.map(|one| one.ts.to_string()).collect();
        for Scraped { row, starts, repeats } in parts {
            assert_eq!(row.values.len(), row.layout.metrics.len());
            assert_eq!(row.present.len(), row.values.len().div_ceil(64));
            for (column, value) in row.values.iter().enumerate() {
                if row.present[column / 64] >> (column % 64) & 1 == 0 {
                    continue;
                }
                let histogram = row.histograms.iter().find(|(c, _)| *c as usize == column);
                assert_eq!(histogram.is_some(), is_histogram_mark(*value));
                let own = row.own_times.iter().find(|(c, _)| *c as usize == column);
                if own.map_or(row.ts, |own| own.1) < *self.newest.lock().unwrap() {
                    committed.out_of_order += 1;
                    continue;
                }
                let series = state.series(row, column);
                let (ts, histogram) = (own.map_or(row.ts, |o| o.1), histogram.map(|(_, one)| one.clone()));
                state.samples.push(Recorded { ts, series, value: *value, histogram });
                committed.stored += 1;
            }
            for one in starts.iter().chain(*repeats) {
                let (series, histogram) = (state.series(row, one.column as usize), one.histogram.as_deref().cloned());
                state.samples.push(Recorded { ts: one.ts, series, value: one.value, histogram });
            }
        }
        Ok(committed)
    }
}
