//! What the server counts about itself, under upstream's names.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use prometheus::{Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use query::CostLimits;

use crate::summary::Summary;
use crate::version;

/// The part of a query that is measured. Upstream's others (`queue_time`, `prepare_time`, `result_sort`) are not measured apart.
const EVALUATION: &str = "inner_eval";

/// Metrics of the configuration, the web server and the queries.
#[derive(Clone, Debug)]
pub(crate) struct ServerMetrics {
    pub(crate) reload_ok: Gauge,
    pub(crate) reload_ok_at: Gauge,
    pub(crate) ready: Gauge,
    queries: Gauge,
    query_seconds: HistogramVec,
    query_quantiles: Summary,
    queries_total: IntCounter,
    pub(crate) clock_steps: IntCounter,
    pub(crate) federation_errors: IntCounter,
    pub(crate) federation_warnings: IntCounter,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    costs: Option<Costs>,
}

/// What queries cost.
#[derive(Clone, Debug)]
struct Costs {
    limits: Arc<CostLimits>,
    rejected: IntCounterVec,
    series: Histogram,
    samples_read: Histogram,
}

impl ServerMetrics {
    pub(crate) fn new(registry: &Registry, max_concurrency: usize) -> Result<Self> {
        let gauge = |name: &str, help: &str| -> Result<Gauge> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        // From 0.1 on those of upstream's requests; most requests and queries take less.
        let seconds = vec![0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];
        let histogram = |name: &str, help: &str, label: &str| -> Result<HistogramVec> {
            let opts = HistogramOpts::new(name, help).buckets(seconds.clone());
            let histogram = HistogramVec::new(opts, &[label])?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let build = GaugeVec::new(
            Opts::new("prometheus_build_info", "Always 1; its labels say what runs here."),
            &["version", "revision", "branch", "goversion", "goos", "goarch", "tags", "application", "weft_version"],
        )?;
        registry.register(Box::new(build.clone()))?;
        let arch = std::env::consts::ARCH;
        build.with_label_values(&[version::COMPATIBLE, "", "", "", "linux", arch, "", "weft", version::WEFT]).set(1.0);
        let query_quantiles =
            Summary::new("prometheus_engine_query_duration_seconds", "How long queries took.", ("slice", EVALUATION))?;
        registry.register(Box::new(query_quantiles.clone()))?;
        let slots = gauge("prometheus_engine_queries_concurrent_max", "Queries that may run at once.")?;
        #[expect(clippy::cast_precision_loss, reason = "a number of queries")]
        slots.set(max_concurrency as f64);
        let requests = IntCounterVec::new(
            Opts::new("prometheus_http_requests_total", "HTTP requests by handler and status."),
            &["handler", "code"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        let counter = |name: &str, help: &str| -> Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        Ok(Self {
            costs: None,
            clock_steps: counter("weft_clock_steps_total", "Steps of the system's clock by more than a minute.")?,
            federation_errors: counter(
                "prometheus_web_federation_errors_total",
                "Requests for /federate that could not be answered.",
            )?,
            federation_warnings: counter(
                "prometheus_web_federation_warnings_total",
                "Warnings of the store about what /federate read.",
            )?,
            reload_ok: gauge(
                "prometheus_config_last_reload_successful",
                "1 when the last attempt to load the configuration succeeded.",
            )?,
            reload_ok_at: gauge(
                "prometheus_config_last_reload_success_timestamp_seconds",
                "When the configuration was last loaded.",
            )?,
            ready: gauge("prometheus_ready", "1 when the server answers queries.")?,
            queries: gauge("prometheus_engine_queries", "Queries that run or wait now.")?,
            query_seconds: histogram(
                "prometheus_engine_query_duration_histogram_seconds",
                "How long queries took, as a histogram.",
                "slice",
            )?,
            query_quantiles,
            queries_total: counter("weft_queries_total", "Queries answered or refused.")?,
            requests,
            request_seconds: histogram(
                "prometheus_http_request_duration_seconds",
                "How long requests took.",
                "handler",
            )?,
        })
    }

    /// What a query cost where that is counted, and why it was refused.
    pub(crate) fn observe_cost(&self, cost: &query::Stats, error: Option<&query::Error>) {
        let Some(costs) = &self.costs else { return };
        #[expect(clippy::cast_precision_loss, reason = "counts")]
        let [series, samples] = [cost.series, cost.samples_read].map(|n| n as f64);
        costs.series.observe(series);
        costs.samples_read.observe(samples);
        let reason = match error {
            Some(query::Error::TooManySeries) => "max_series",
            Some(query::Error::TooManySamplesRead) => "max_samples_read",
            // `--query.timeout` alone is no limit of cost.
            Some(query::Error::Timeout) if costs.limits.max_duration().is_some() => "max_duration",
            _ => return,
        };
        costs.rejected.with_label_values(&[reason]).inc();
    }

    /// Counts what queries cost, from here on.
    pub(crate) fn count_costs(&mut self, registry: &Registry, limits: Arc<CostLimits>) -> Result<()> {
        let histogram = |name: &str, help: &str, first: f64| -> Result<Histogram> {
            let opts = HistogramOpts::new(name, help).buckets(prometheus::exponential_buckets(first, 4.0, 12)?);
            let histogram = Histogram::with_opts(opts)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let rejected = IntCounterVec::new(
            Opts::new("prometheus_engine_query_rejected_total", "Queries that cost more than is allowed, by limit."),
            &["reason"],
        )?;
        registry.register(Box::new(rejected.clone()))?;
        let series =
            histogram("prometheus_engine_query_series_touched", "Series that the selectors of a query found.", 1.0)?;
        let samples_read = histogram("prometheus_engine_query_samples_read", "Samples that a query read.", 100.0)?;
        self.costs = Some(Costs { limits, rejected, series, samples_read });
        Ok(())
    }

    pub(crate) fn observe_query(&self, took: Duration) {
        self.queries_total.inc();
        self.query_seconds.with_label_values(&[EVALUATION]).observe(took.as_secs_f64());
        self.query_quantiles.observe(took);
    }

    /// A query that runs or waits, until the guard is dropped.
    pub(crate) fn running(&self) -> RunningQuery {
        self.queries.inc();
        RunningQuery(self.queries.clone())
    }

    pub(crate) fn observe_request(&self, handler: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[handler, status.to_string().as_str()]).inc();
        self.request_seconds.with_label_values(&[handler]).observe(took.as_secs_f64());
    }
}

/// Counts down when dropped.
#[derive(Debug)]
pub(crate) struct RunningQuery(Gauge);

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.0.dec();
    }
}
