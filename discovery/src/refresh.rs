//! Discoveries that ask somebody again and again: the loop they have in common (upstream: `discovery/refresh`).

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::{TargetGroup, Timestamp};
use tokio::time::Instant;

use crate::discoverer::{Context, Discoverer};
use crate::metrics::Metrics;
use crate::store::Publisher;

/// The first pause after a failure; it doubles while the failure lasts, up to the interval.
const RETRY_FIRST: Duration = Duration::from_secs(2);

/// The `refresh_interval` of a configuration, a second at least.
pub(crate) fn refresh_interval(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1000))
}

/// What there was to ask.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Target groups. Sources that were there before and are in neither list are gone, unless there is nothing but an error.
    pub(crate) groups: Vec<TargetGroup>,
    /// Sources whose groups stay as they were.
    pub(crate) kept: Vec<String>,
    /// Why not all could be asked.
    pub(crate) error: Option<String>,
}

impl Found {
    /// Nothing but an error: all groups stay.
    pub(crate) fn failed(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

/// Who can be asked.
pub(crate) trait Refresh: Send + 'static {
    /// Its name in metrics and logs: `http`.
    const MECHANISM: &'static str;

    /// Asks once. `known` are the sources of the groups there are.
    fn refresh<'a>(&'a mut self, known: &'a BTreeSet<String>) -> BoxFuture<'a, Found>;
}

/// Who answers with all groups at once, or with none.
pub(crate) trait List: Send + 'static {
    /// Its name in metrics and logs: `consul`.
    const MECHANISM: &'static str;

    /// Asks once; an error leaves all groups as they were.
    fn list(&mut self) -> impl Future<Output = Listed> + Send;
}

/// All groups there are, or why that is not known.
pub(crate) type Listed = Result<Vec<TargetGroup>, String>;

impl<L: List> Refresh for L {
    const MECHANISM: &'static str = <L as List>::MECHANISM;

    fn refresh<'a>(&'a mut self, _known: &'a BTreeSet<String>) -> BoxFuture<'a, Found> {
        async move {
            match self.list().await {
                Ok(groups) => Found { groups, ..Found::default() },
                Err(error) => Found::failed(error),
            }
        }
        .boxed()
    }
}

/// Asks at an interval.
struct Refreshed<R> {
    of: R,
    interval: Duration,
    metrics: Metrics,
}

/// A discoverer that asks at an interval of so many milliseconds.
pub(crate) fn refreshed<R: Refresh>(of: R, refresh_interval_ms: i64, context: &Context) -> Box<dyn Discoverer> {
    let interval = refresh_interval(refresh_interval_ms);
    Box::new(Refreshed { of, interval, metrics: context.metrics.clone() })
}

impl<R: Refresh> Discoverer for Refreshed<R> {
    fn run(self: Box<Self>, publisher: Publisher) -> BoxFuture<'static, ()> {
        run(*self, publisher).boxed()
    }
}

async fn run<R: Refresh>(Refreshed { mut of, interval, metrics }: Refreshed<R>, publisher: Publisher) {
    let (failures, duration) = (
        metrics.refresh_failures.with_label_values(&[R::MECHANISM]),
        metrics.refresh_duration.with_label_values(&[R::MECHANISM]),
    );
    let (mut known, mut retry, mut complete_at) = (BTreeSet::new(), RETRY_FIRST, Timestamp::now());
    loop {
        let began = Instant::now();
        publisher.asks();
        let Found { groups, kept, error } = of.refresh(&known).await;
        duration.observe(began.elapsed().as_secs_f64());
        // What was never answered has not found nothing.
        if error.is_none() || !groups.is_empty() {
            let sources: BTreeSet<String> = groups.iter().map(|group| group.source.clone()).chain(kept).collect();
            let removed: Vec<String> = known.difference(&sources).cloned().collect();
            publisher.update(groups, &removed);
            known = sources;
        }
        let pause = if error.is_some() {
            failures.inc();
            let pause = retry.min(interval);
            retry = (retry * 2).min(interval);
            pause
        } else {
            (retry, complete_at) = (RETRY_FIRST, Timestamp::now());
            interval
        };
        let stale_since = error.is_some().then_some(complete_at);
        if publisher.report_stale(error.clone(), stale_since)
            && let Some(error) = error
        {
            let mechanism = R::MECHANISM;
            tracing::warn!(mechanism, %error, "discovery failed; the former target groups are kept, trying again");
        }
        tokio::time::sleep(pause).await;
    }
}
