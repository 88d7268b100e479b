//! How the notifier works, and what every receiver is made with.

use std::sync::Arc;
use std::time::Duration;

use http_client::Resolver;
use tokio::time::Instant;

use super::metrics::Metrics;

/// How long queues are drained for at the end, all side by side.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How the notifier works.
#[derive(Clone, Debug)]
pub struct NotifierOptions {
    /// The most alerts that wait for one receiver.
    pub queue_capacity: usize,
    /// The most alerts in one request to an Alertmanager.
    pub batch_size: usize,
    /// Whether what waits at the end is sent; else it is dropped.
    pub drain_on_shutdown: bool,
    /// `User-Agent` of the requests.
    pub user_agent: String,
    /// Where this server is reached, for the messages of webhooks.
    pub external_url: String,
    /// Finds the addresses of hosts.
    pub resolver: Resolver,
}

/// What every receiver is made with.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: NotifierOptions,
    pub(super) metrics: Arc<Metrics>,
}

impl Shared {
    /// When a loop that is told to end now is over.
    pub(super) fn drained_until(&self) -> Instant {
        Instant::now() + if self.options.drain_on_shutdown { DRAIN_MAX } else { Duration::ZERO }
    }
}
