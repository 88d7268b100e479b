//! What groups are evaluated with: queries, the store, and where alerts go.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Labels, Querier, SeriesAppender, Timestamp};
use query::{Engine, Prepared, QueryOptions, QueryResult, Sample, StillWanted, Value};

use crate::Notification;
use crate::error::EvaluationError;

/// How long a rule waits for the memory that other queries hold, at a time and altogether.
const FREED_WAIT: Duration = Duration::from_secs(1);
const MEMORY_WAIT: Duration = Duration::from_secs(10);

/// Settings from flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `--rules.alert.resend-delay`
    pub resend_delay_ms: i64,
    /// `--rules.alert.for-outage-tolerance`
    pub outage_tolerance_ms: i64,
    /// `--rules.alert.for-grace-period`
    pub grace_period_ms: i64,
    /// `--rules.max-concurrent-evals`: rules beyond one a group that are evaluated side by side.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        let minute = 60_000;
        Self { resend_delay_ms: minute, outage_tolerance_ms: 60 * minute, grace_period_ms: 10 * minute, concurrency: 4 }
    }
}

/// Where alerts go; it must not block.
pub type Notify = dyn Fn(&[Notification]) + Send + Sync;

/// What all groups are evaluated with. A reload replaces it.
#[derive(Clone)]
pub struct Context {
    /// Plans the queries.
    pub engine: Arc<Engine>,
    /// What the queries read.
    pub querier: Arc<dyn Querier>,
    /// Where results are stored.
    pub appender: Arc<dyn SeriesAppender>,
    /// Where alerts go.
    pub notify: Arc<Notify>,
    /// Of the configuration, for templates.
    pub external_labels: Labels,
    /// `--web.external-url`, for templates and links.
    pub external_url: Arc<str>,
    /// The query offset of groups that have none, milliseconds.
    pub query_offset_ms: i64,
    /// Tells whether the server goes on; queries end when it does not.
    pub wanted: Option<StillWanted>,
    /// Settings from flags.
    pub options: Options,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("external_url", &self.external_url).finish_non_exhaustive()
    }
}

impl Context {
    /// Plans a query.
    pub(crate) fn prepare(&self, text: &str) -> Result<Prepared, query::Error> {
        self.engine.prepare(text, &QueryOptions::default())
    }

    /// The vector that a query yields at a time; a scalar is a vector of one sample without labels.
    pub(crate) fn query(&self, prepared: &Prepared, ts: Timestamp) -> Result<Vec<Sample>, EvaluationError> {
        self.query_with(prepared, ts, QueryOptions::default())
    }

    /// The same with options of the query.
    pub(crate) fn query_with(
        &self,
        prepared: &Prepared,
        ts: Timestamp,
        mut options: QueryOptions,
    ) -> Result<Vec<Sample>, EvaluationError> {
        options.wanted = self.wanted.clone();
        match self.evaluate(prepared, ts, &options)?.value {
            Value::Vector(samples) => Ok(samples),
            Value::Scalar { value, .. } => Ok(vec![Sample { labels: Labels::empty(), ts, value, histogram: None }]),
            Value::String { .. } | Value::Matrix(_) => Err(EvaluationError::NotAVector),
        }
    }

    /// Does the server go on?
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| (wanted.0)())
    }

    fn evaluate(
        &self,
        prepared: &Prepared,
        ts: Timestamp,
        options: &QueryOptions,
    ) -> Result<QueryResult, query::Error> {
        let begun = Instant::now();
        let memory = &self.engine.options().memory;
        loop {
            match prepared.instant(self.querier.as_ref(), ts, options) {
                // Dashboards hold it for a moment; an evaluation that fails is lost for good.
                Err(error) if error.is_memory_contention() && begun.elapsed() < MEMORY_WAIT => memory.wait(FREED_WAIT),
                result => return result,
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use query::promqltest::SharedStore;

    use super::*;

    /// The context of a store.
    pub(crate) fn context(store: &Arc<SharedStore>) -> Context {
        Context {
            engine: Arc::default(),
            querier: Arc::<SharedStore>::clone(store),
            appender: Arc::<SharedStore>::clone(store),
            notify: Arc::new(|_| {}),
            external_labels: Labels::empty(),
            external_url: "".into(),
            query_offset_ms: 0,
            wanted: None,
            options: Options::default(),
        }
    }
}
