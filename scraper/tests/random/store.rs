//! One target that is scraped, and a store that remembers what the last scrape left.

use kit::{Recorded, Recorder};
use model::{Labels, Timestamp};
use scraper::parse::{Format, Wanted};
use scraper::{Body, Counts, SampleRules, ScrapeCache};

/// Labels, time and the value's bits, or the notation of a histogram.
pub(crate) type Stored = (String, Timestamp, Result<u64, String>);

/// A target and its store.
#[derive(Debug)]
pub(crate) struct Target {
    cache: ScrapeCache,
    store: Recorder,
    wanted: Wanted,
}

impl Target {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let store = Recorder::default();
        *store.late_from.lock().unwrap() = Some(Timestamp::MIN);
        Self { cache: ScrapeCache::new(Labels::empty()), store, wanted }
    }

    /// What a scrape at that time counts and leaves, stale markers aside; or why it fails.
    pub(crate) fn scrape(
        &mut self,
        format: Format,
        body: &[u8],
        ts: Timestamp,
    ) -> (Counts, Result<Vec<Stored>, String>) {
        let rules = SampleRules { honor_timestamps: true, entry_limit: 10_000, ..SampleRules::default() };
        let (counts, read) =
            self.cache.read(Body { format, wanted: self.wanted, bytes: body }, &rules, ts, &self.store);
        self.cache.commit(&self.store, ts, &[], false).unwrap();
        let stored = self.store.take_samples().into_iter().filter(|one| !model::sample::is_stale(one.value));
        let mut stored: Vec<Stored> = stored
            .map(|Recorded { ts, series, value, histogram }| {
                (series.to_string(), ts, histogram.map_or(Ok(value.to_bits()), |histogram| Err(histogram.notation())))
            })
            .collect();
        stored.sort();
        (counts, read.map(|()| stored).map_err(|error| error.to_string()))
    }
}
