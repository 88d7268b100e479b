//! Options of an engine, options and times of one query.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use model::Timestamp;
use parking_lot::Mutex;

use crate::bounds::{Bounds, StillWanted};
use crate::cost::CostLimits;
use crate::memory::{MemoryPool, QueryMemory};
use crate::plan::Explanation;
use crate::progress::Progress;
use crate::stats::Stats;

/// The longest duration, 292 years: upstream counts in nanoseconds of an int64. Distances between samples that a query looks at
/// together are of this size, so their differences need no care.
const DURATION_MAX_MS: i64 = i64::MAX / 1_000_000;

/// Options of an engine, for all of its queries.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The lookback delta of instant selectors.
    pub lookback_delta_ms: i64,
    /// The default step of subqueries: the global evaluation interval.
    pub default_step_ms: i64,
    /// Samples that one query may hold in memory at once.
    pub max_samples: usize,
    /// Time that one query may take.
    pub timeout: Duration,
    /// The functions and aggregations upstream calls experimental.
    pub experimental_functions: bool,
    /// `fill`, `fill_left` and `fill_right` after a binary operator.
    pub fill_modifiers: bool,
    /// UTF-8 letters and dots in names without quotes.
    pub unquoted_utf8_names: bool,
    /// Start timestamps are used by `rate` and related functions, and returned by `start_timestamp`.
    pub use_start_timestamps: bool,
    /// Delayed name removal: dropped metric names stay until the end of the query.
    pub delayed_name_removal: bool,
    /// Counters are recognised by the label `__type__` and not by the suffix of the name.
    pub type_labels: bool,
    /// Extensions of MetricsQL (`docs/promql-extensions.md`).
    pub extensions: bool,
    /// The scrape interval, for ranges that are not written and for estimates.
    pub scrape_interval_ms: i64,
    /// Threads per query.
    pub threads: usize,
    /// The same where it changes while the engine runs.
    pub threads_now: Option<Arc<AtomicUsize>>,
    /// The memory of queries.
    pub memory: Arc<MemoryPool>,
    /// Cost limits.
    pub cost: Arc<CostLimits>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback_delta_ms: 300_000,
            default_step_ms: 60_000,
            max_samples: 50_000_000,
            timeout: Duration::from_secs(120),
            experimental_functions: false,
            fill_modifiers: false,
            unquoted_utf8_names: false,
            use_start_timestamps: false,
            delayed_name_removal: false,
            type_labels: false,
            extensions: false,
            scrape_interval_ms: 60_000,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            threads_now: None,
            memory: Arc::default(),
            cost: Arc::default(),
        }
    }
}

/// Accesses the switch of a feature.
type Switch = fn(&mut EngineOptions) -> &mut bool;

/// Features by their names in `--enable-feature`.
const FEATURES: [(&str, Switch); 7] = [
    ("promql-binop-fill-modifiers", |options| &mut options.fill_modifiers),
    ("promql-delayed-name-removal", |options| &mut options.delayed_name_removal),
    ("promql-experimental-functions", |options| &mut options.experimental_functions),
    ("promql-extensions", |options| &mut options.extensions),
    ("promql-unquoted-utf8-names", |options| &mut options.unquoted_utf8_names),
    ("type-and-unit-labels", |options| &mut options.type_labels),
    ("use-start-timestamps", |options| &mut options.use_start_timestamps),
];

impl EngineOptions {
    /// The number of threads of a query that begins now.
    pub(crate) fn threads(&self) -> usize {
        self.threads_now.as_ref().map_or(self.threads, |now| now.load(Ordering::Relaxed))
    }

    /// The timeout of queries.
    pub(crate) fn timeout(&self) -> Duration {
        self.cost.max_duration().unwrap_or(self.timeout)
    }

    /// The lookback delta of a query.
    pub(crate) fn lookback_ms(&self, options: &QueryOptions) -> i64 {
        options.lookback_delta_ms.unwrap_or(self.lookback_delta_ms).clamp(1, DURATION_MAX_MS)
    }

    /// The bounds of a request that begins now.
    pub(crate) fn bounds(&self, options: &QueryOptions) -> Bounds {
        // A request can shorten the engine's timeout, not extend it.
        let timeout = options.timeout.map_or(self.timeout(), |timeout| timeout.min(self.timeout()));
        let memory = Arc::new(QueryMemory::new(Arc::clone(&self.memory)));
        options.progress.iter().for_each(|progress| progress.begin(&memory));
        Bounds {
            memory,
            progress: options.progress.clone(),
            // No deadline if it is too far away to be represented.
            deadline: Instant::now().checked_add(timeout),
            wanted: options.wanted.clone(),
            utf8_names: self.unquoted_utf8_names,
        }
    }

    /// Names of `--enable-feature` for features that are always on, as in Prometheus.
    pub const ALWAYS_ON: [&str; 2] = ["promql-duration-expr", "promql-extended-range-selectors"];

    /// The names that [`EngineOptions::with_features`] knows.
    pub fn features() -> impl Iterator<Item = &'static str> {
        FEATURES.iter().map(|(name, _)| *name)
    }

    /// Enables features by their names in `--enable-feature`; other names are ignored.
    #[must_use]
    pub fn with_features<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        for name in names {
            if let Some((_, switch)) = FEATURES.iter().find(|(known, _)| *known == name) {
                *switch(&mut self) = true;
            }
        }
        self
    }
}

/// Options of one query.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Overrides the engine's lookback delta.
    pub lookback_delta_ms: Option<i64>,
    /// Maximum of series found, where lower than in [`CostLimits`]; 0: no limit.
    pub max_series: u64,
    /// The same for samples read.
    pub max_samples_read: u64,
    /// Overrides the engine's option.
    pub use_start_timestamps: Option<bool>,
    /// Overrides the engine's timeout, if shorter.
    pub timeout: Option<Duration>,
    /// Maximum of series in the result (0: all); a warning is added when it is truncated.
    pub limit: usize,
    /// Polled to see whether the query was canceled.
    pub wanted: Option<StillWanted>,
    /// Told what the query has done, while it runs.
    pub progress: Option<Arc<Progress>>,
    /// Receives the statistics of the query, also if it fails.
    pub stats: Option<Arc<Mutex<Stats>>>,
    /// Statistics per step.
    pub per_step_stats: bool,
    /// Receives the plan with the measured cost of each node, also if the query fails. Measuring takes time.
    pub analysis: Option<Arc<Mutex<Explanation>>>,
}

/// The times of a query: one step, or a range of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) step_ms: i64,
}

impl Times {
    /// The times of an instant query.
    pub(crate) fn instant(ts: Timestamp) -> Self {
        Self { start: ts, end: ts, step_ms: 0 }
    }

    /// The whole steps from the start to the end, which is not before it. Exact for all times.
    pub(crate) fn whole_steps(self) -> u64 {
        // Without a sign: the distance between the first and the last time is twice what an `i64` holds.
        self.end.0.abs_diff(self.start.0).checked_div(self.step_ms.unsigned_abs()).unwrap_or(0)
    }

    /// From the start to the end.
    pub(crate) fn range_seconds(self) -> f64 {
        self.end.saturating_since(self.start) as f64 / 1000.0
    }
}
