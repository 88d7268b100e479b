//! Cost limits of queries (`--enable-feature=query-cost`): series found, samples read, duration.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Error;

/// The estimated cost of a query; the actual cost may be higher or lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostEstimate {
    /// Series found, summed over selectors.
    pub series: u64,
    /// Samples read; a histogram counts as several.
    pub samples_read: u64,
}

/// Limits of all queries. Changes apply to queries that begin later.
#[derive(Debug, Default)]
pub struct CostLimits {
    enabled: bool,
    max_series: AtomicU64,
    max_samples_read: AtomicU64,
    max_duration_ms: AtomicU64,
}

impl CostLimits {
    /// Enabled, with no limit set.
    #[must_use]
    pub fn enabled() -> Self {
        Self { enabled: true, ..Self::default() }
    }

    /// Is the feature enabled?
    #[must_use]
    pub fn are_enabled(&self) -> bool {
        self.enabled
    }

    /// Sets the limits; zero means none, for the duration the timeout of the engine.
    pub fn set(&self, max_series: u64, max_samples_read: u64, max_duration_ms: u64) {
        // Relaxed: each limit is read by itself, and queries that run keep theirs.
        self.max_series.store(max_series, Ordering::Relaxed);
        self.max_samples_read.store(max_samples_read, Ordering::Relaxed);
        self.max_duration_ms.store(max_duration_ms, Ordering::Relaxed);
    }

    /// Series that the selectors of a query may find together; zero is no limit.
    #[must_use]
    pub fn max_series(&self) -> u64 {
        if self.enabled { self.max_series.load(Ordering::Relaxed) } else { 0 }
    }

    /// Samples that a query may read; zero is no limit.
    #[must_use]
    pub fn max_samples_read(&self) -> u64 {
        if self.enabled { self.max_samples_read.load(Ordering::Relaxed) } else { 0 }
    }

    /// The maximum duration, instead of the engine's timeout.
    #[must_use]
    pub fn max_duration(&self) -> Option<Duration> {
        let ms = if self.enabled { self.max_duration_ms.load(Ordering::Relaxed) } else { 0 };
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    /// The budget of one query, which may ask for lower limits; `None` when the feature is off.
    pub(crate) fn budget(&self, max_series: u64, max_samples_read: u64) -> Option<Budget> {
        // Zero is no limit, so it loses against any other number.
        let least = |own: u64, all: u64| if own == 0 || all != 0 && all < own { all } else { own };
        self.enabled.then(|| Budget {
            max_series: least(max_series, self.max_series()),
            max_samples_read: least(max_samples_read, self.max_samples_read()),
            ..Budget::default()
        })
    }
}

/// The limits of one query and what its threads used so far. What is read once for several nodes counts once.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    max_series: u64,
    max_samples_read: u64,
    series: AtomicU64,
    samples_read: AtomicU64,
}

impl Budget {
    pub(crate) fn take_series(&self, found: u64) -> Result<(), Error> {
        // Added before the check, so that threads which pass the limit together are all stopped.
        let all = self.series.fetch_add(found, Ordering::Relaxed).saturating_add(found);
        if self.max_series > 0 && all > self.max_series { Err(Error::TooManySeries) } else { Ok(()) }
    }

    pub(crate) fn take_samples(&self, read: u64) -> Result<(), Error> {
        let all = self.samples_read.fetch_add(read, Ordering::Relaxed).saturating_add(read);
        if self.max_samples_read > 0 && all > self.max_samples_read { Err(Error::TooManySamplesRead) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Timestamp;
    use parking_lot::Mutex;

    use super::*;
    use crate::promqltest::Store;
    use crate::{Engine, EngineOptions, QueryOptions, Stats};

    fn store() -> Store {
        let mut store = Store::default();
        for i in 0..10 {
            store.load_line(&format!("a{{i=\"{i}\"}} {i}+1x20"), (Timestamp(0), 60_000)).unwrap();
        }
        store.load_line("h {{schema:0 count:4 sum:10 buckets:[1 3]}}x20", (Timestamp(0), 60_000)).unwrap();
        store
    }

    fn engine(limits: CostLimits, threads: usize) -> Engine {
        Engine::new(EngineOptions { cost: Arc::new(limits), threads, ..EngineOptions::default() })
    }

    /// Series and samples that a range query of 5 steps of a minute cost.
    fn cost(query: &str) -> (u64, u64) {
        let stats = Arc::new(Mutex::new(Stats::default()));
        let options = QueryOptions { stats: Some(Arc::clone(&stats)), ..QueryOptions::default() };
        engine(CostLimits::enabled(), 2)
            .range(&store(), query, Timestamp(600_000), Timestamp(840_000), 60_000, &options)
            .unwrap();
        let stats = stats.lock();
        (stats.series, stats.samples_read)
    }

    #[test]
    fn what_queries_cost() {
        for (query, expected) in [
            ("1", (0, 0)),
            ("a", (10, 50)),
            ("sum(a)", (10, 50)),
            ("a + on (i) a", (20, 100)),
            ("a @ 600", (10, 10)),
            // Of a range of 5 minutes, 5 samples at the first step and a new one at each of 4.
            ("sum(rate(a[5m]))", (10, 90)),
            // 9 inner steps, of which none is read twice.
            ("sum(sum_over_time(a[5m:1m]))", (10, 90)),
            ("sum_over_time(h[1m])", (1, 5 * 12)),
        ] {
            assert_eq!(cost(query), expected, "{query}");
        }
    }

    #[test]
    fn a_query_that_costs_more_fails() {
        for threads in [1, 2] {
            let run = |limits: (u64, u64), own: (u64, u64), query: &str| {
                let all = CostLimits::enabled();
                all.set(limits.0, limits.1, 0);
                let options = QueryOptions { max_series: own.0, max_samples_read: own.1, ..QueryOptions::default() };
                let engine = engine(all, threads);
                engine
                    .range(&store(), query, Timestamp(600_000), Timestamp(840_000), 60_000, &options)
                    .err()
                    .map(|error| error.to_string())
            };
            let series = Some("query would load too many series into memory in query execution".to_owned());
            let samples = Some("query would read too many samples in query execution".to_owned());
            assert_eq!(run((0, 0), (0, 0), "sum(rate(a[5m]))"), None);
            assert_eq!(run((10, 90), (0, 0), "sum(rate(a[5m]))"), None);
            assert_eq!(run((9, 0), (0, 0), "sum(rate(a[5m]))"), series);
            assert_eq!(run((0, 89), (0, 0), "sum(rate(a[5m]))"), samples);
            assert_eq!(run((0, 0), (9, 0), "sum(a)"), series);
            assert_eq!(run((10, 1000), (0, 49), "sum(a)"), samples);
            assert_eq!(run((0, 59), (0, 0), "sum_over_time(h[1m])"), samples);
            assert_eq!(run((0, 40), (0, 0), "sum(sum_over_time(a[5m:1m]))"), samples);
            // A query asks for less, not for more.
            assert_eq!(run((9, 0), (100, 0), "sum(a)"), series);
        }
        let off = CostLimits::default();
        off.set(1, 1, 1);
        assert!(
            engine(off, 1)
                .range(&store(), "a", Timestamp(0), Timestamp(60_000), 60_000, &QueryOptions::default())
                .is_ok()
        );
    }

    #[test]
    fn the_duration_takes_the_place_of_the_timeout() {
        let limits = CostLimits::enabled();
        limits.set(0, 0, 300_000);
        let engine = engine(limits, 1);
        assert_eq!(engine.timeout(), Duration::from_secs(300));
        engine.options().cost.set(0, 0, 0);
        assert_eq!(engine.timeout(), EngineOptions::default().timeout);
    }
}
