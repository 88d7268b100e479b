//! Metrics as they are registered.

use prometheus::Registry;
use prometheus::core::Collector;

/// Registers a metric and returns it.
pub(crate) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
