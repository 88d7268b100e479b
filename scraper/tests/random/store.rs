//! One target that is scraped, and a store that remembers what the last scrape left.

use std::sync::Mutex;

use model::{AppendError, Appender, Committed, Labels, Layout, MetricId, Scraped, SourceId};
use scraper::parse::{Format, Wanted};
use scraper::{Body, Counts, SampleRules, ScrapeCache};

#[derive(Debug, Default)]
struct Store(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sources: Vec<Labels>,
    metrics: Vec<Labels>,
    stored: Vec<Stored>,
}

/// Labels, time and the value's bits, or the notation of a histogram.
pub(crate) type Stored = (String, i64, Result<u64, String>);

fn intern(known: &mut Vec<Labels>, labels: &Labels) -> u32 {
    let at = known.iter().position(|k| k == labels).unwrap_or_else(|| {
        known.push(labels.clone());
        known.len() - 1
    });
    u32::try_from(at).unwrap()
}

impl Appender for Store {
    fn source(&self, labels: &Labels) -> Result<SourceId, AppendError> {
        Ok(SourceId(intern(&mut self.0.lock().unwrap().sources, labels)))
    }

    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError> {
        let mut state = self.0.lock().unwrap();
        Ok(labels.iter().map(|labels| MetricId(intern(&mut state.metrics, labels))).collect())
    }

    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError> {
        Ok(Layout { metrics: metrics.into(), segments: [].into() })
    }

    fn takes_late_from_ms(&self) -> i64 {
        i64::MIN
    }

    fn commit_scrape(&self, parts: &[Scraped<'_>]) -> Result<Committed, AppendError> {
        let mut state = self.0.lock().unwrap();
        for Scraped { row, repeats, .. } in parts {
            for (column, value) in row.values.iter().enumerate() {
                let own = row.own_times.iter().find(|(at, _)| *at as usize == column);
                if row.present[column / 64] >> (column % 64) & 1 == 1 && !model::sample::is_stale(*value) {
                    let labels = state.metrics[row.layout.metrics[column].0 as usize].to_string();
                    let histogram = row.histograms.iter().find(|(at, _)| *at as usize == column);
                    assert_eq!(histogram.is_some(), model::sample::is_histogram_mark(*value), "{labels}");
                    let value = histogram.map_or(Ok(value.to_bits()), |(_, histogram)| Err(histogram.notation()));
                    state.stored.push((labels, own.map_or(row.ts_ms, |own| own.1), value));
                }
            }
            for one in *repeats {
                let labels = state.metrics[row.layout.metrics[one.column as usize].0 as usize].to_string();
                let value = one.histogram.as_ref().map_or(Ok(one.value.to_bits()), |one| Err(one.notation()));
                state.stored.push((labels, one.ts_ms, value));
            }
        }
        Ok(Committed::default())
    }
}

/// A target and its store.
#[derive(Debug)]
pub(crate) struct Target {
    layout: ScrapeCache,
    store: Store,
    wanted: Wanted,
}

impl Target {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self { layout: ScrapeCache::new(Labels::from_pairs([("job", "j")])), store: Store::default(), wanted }
    }

    /// What a scrape at that time counts and leaves, stale markers aside; or why it fails.
    pub(crate) fn scrape(&mut self, format: Format, body: &[u8], ts_ms: i64) -> (Counts, Result<Vec<Stored>, String>) {
        let rules = SampleRules { honor_timestamps: true, entry_limit: 10_000, ..SampleRules::default() };
        let (counts, read) =
            self.layout.read(Body { format, wanted: self.wanted, bytes: body }, &rules, ts_ms, &self.store);
        self.layout.commit(&self.store, ts_ms, &[], false).unwrap();
        let mut stored = std::mem::take(&mut self.store.0.lock().unwrap().stored);
        stored.sort();
        (counts, read.map(|()| stored).map_err(|error| error.to_string()))
    }
}
