//! How many requests of remote read run and wait.

use std::sync::Arc;

use anyhow::Result;
use prometheus::{Gauge, Histogram, HistogramOpts, Registry};
use tokio::sync::Semaphore;

use crate::flags::Flags;

/// Requests that are answered at once, and what is counted of them.
#[derive(Debug)]
pub(crate) struct Reads {
    pub(super) slots: Arc<Semaphore>,
    pub(super) running: Gauge,
    pub(super) waited: Histogram,
}

impl Reads {
    pub(crate) fn new(flags: &Flags, registry: &Registry) -> Result<Self> {
        let running = Gauge::new("prometheus_remote_read_handler_queries", "Requests of remote read that run now.")?;
        let waited = Histogram::with_opts(
            HistogramOpts::new(
                "prometheus_remote_read_handler_gate_wait_duration_seconds",
                "How long requests of remote read waited for those before them.",
            )
            .buckets(vec![0.001, 0.01, 0.1, 1.0, 10.0, 60.0]),
        )?;
        registry.register(Box::new(running.clone()))?;
        registry.register(Box::new(waited.clone()))?;
        let most = match flags.storage_remote_read_concurrent_limit {
            0 => Semaphore::MAX_PERMITS,
            most => most.min(Semaphore::MAX_PERMITS),
        };
        Ok(Self { slots: Arc::new(Semaphore::new(most)), running, waited })
    }
}
