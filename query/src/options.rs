//! What holds for all queries of an engine, what one asks for, and at which times it is evaluated.

use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::bounds::{Bounds, StillWanted};
use crate::cost::CostLimits;
use crate::memory::{MemoryPool, QueryMemory};
use crate::plan::Explanation;
use crate::stats::Stats;

/// What holds for all queries of an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How far back an instant selector looks for a sample.
    pub lookback_delta_ms: i64,
    /// The step of subqueries that name none: upstream's global evaluation interval.
    pub default_step_ms: i64,
    /// Samples that one query may hold in memory at once.
    pub max_samples: usize,
    /// Time that one query may take.
    pub timeout: Duration,
    /// The functions and aggregations upstream calls experimental.
    pub experimental_functions: bool,
    /// `fill`, `fill_left` and `fill_right` after a binary operator.
    pub fill_modifiers: bool,
    /// Letters of all scripts, and dots, in names without quotes.
    pub unquoted_utf8_names: bool,
    /// Since when a sample counts matters to `rate` and related functions, and `start_timestamp` tells it.
    pub use_start_timestamps: bool,
    /// Metric names that an operation drops stay visible until the end of the query.
    pub delayed_name_removal: bool,
    /// The label `__type__` tells counters from others, not how a name ends.
    pub type_labels: bool,
    /// What of MetricsQL does not contradict PromQL (`docs/promql-extensions.md`).
    pub extensions: bool,
    /// How far apart samples usually are, for ranges that are not written.
    pub scrape_interval_ms: i64,
    /// Threads that one query may read and compute on.
    pub threads: usize,
    /// What queries may hold, each and together.
    pub memory: Arc<MemoryPool>,
    /// What each may cost.
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
            memory: Arc::default(),
            cost: Arc::default(),
        }
    }
}

/// Where a part of the language is switched on.
type Switch = fn(&mut EngineOptions) -> &mut bool;

/// Those that are off unless asked for, by the names of `--enable-feature`.
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
    /// How long a query may take at most.
    pub(crate) fn timeout(&self) -> Duration {
        self.cost.max_duration().unwrap_or(self.timeout)
    }

    /// The bounds of a request that begins now.
    pub(crate) fn bounds(&self, options: &QueryOptions) -> Bounds {
        let timeout = options.timeout.map_or(self.timeout(), |timeout| timeout.min(self.timeout()));
        Bounds {
            memory: Arc::new(QueryMemory::new(Arc::clone(&self.memory))),
            deadline: Instant::now().checked_add(timeout),
            wanted: options.wanted.clone(),
            utf8_names: self.unquoted_utf8_names,
        }
    }

    /// Names of `--enable-feature` for what is on anyway, as in Prometheus.
    pub const ALWAYS_ON: [&str; 2] = ["promql-duration-expr", "promql-extended-range-selectors"];

    /// The names that [`EngineOptions::with_features`] knows.
    pub fn features() -> impl Iterator<Item = &'static str> {
        FEATURES.iter().map(|(name, _)| *name)
    }

    /// Switches on the parts of the language that are named as in `--enable-feature`; other names change nothing.
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

/// What one query asks for besides its text and times.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Instead of the engine's lookback delta.
    pub lookback_delta_ms: Option<i64>,
    /// Series that it may find, and samples that it may read, where these are fewer than [`CostLimits`] has; 0: no limit.
    pub max_series: u64,
    /// As `max_series`.
    pub max_samples_read: u64,
    /// Instead of the engine's choice.
    pub use_start_timestamps: Option<bool>,
    /// Instead of the engine's timeout, when that is longer.
    pub timeout: Option<Duration>,
    /// At most this many series in the result (0: all); a warning says when some were left out.
    pub limit: usize,
    /// Asked again and again whether the query is still wanted.
    pub wanted: Option<StillWanted>,
    /// Where to write what the query cost, whether it fails or not.
    pub stats: Option<Arc<Mutex<Stats>>>,
    /// The same for each step.
    pub per_step_stats: bool,
    /// Where to write the plan of the query and what each of its nodes cost, whether it fails or not. Measuring takes time.
    pub analysis: Option<Arc<Mutex<Explanation>>>,
}

/// The times of a query: one step, or a range of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) step_ms: i64,
}

impl Times {
    /// One time.
    pub(crate) fn instant(ts_ms: i64) -> Self {
        Self { start_ms: ts_ms, end_ms: ts_ms, step_ms: 0 }
    }
}
