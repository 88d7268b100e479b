//! Is an object valid? The order of the checks and their messages are upstream's (`pkg/prometheus/resource_selector.go`), so
//! that the first error of an object is the same there and here. Fields that only newer versions of Prometheus know are
//! never refused.

mod checked;
mod discovery;
mod http;
mod labels;
mod prometheus;
mod relabel;

use model::duration::parse_duration_ms;

use crate::assets::{Assets, NamespacedAssets};
use crate::objects::{Meta, PodMonitor, Probe, ProbeTargets, Prometheus, ScrapeConfig, ServiceMonitor};

use checked::Checked;
use http::{Connection, check_connection, check_proxy, check_references};
pub(crate) use labels::check_label_selector;
use relabel::check_rules;

/// Checks objects that a Prometheus object has selected.
#[derive(Clone, Copy, Debug)]
pub struct Validator<'a> {
    prometheus: &'a Prometheus,
    assets: &'a Assets,
}

impl<'a> Validator<'a> {
    /// Of the objects that this Prometheus object selects.
    #[must_use]
    pub fn new(prometheus: &'a Prometheus, assets: &'a Assets) -> Self {
        Self { prometheus, assets }
    }

    fn assets_of(&self, meta: &'a Meta) -> NamespacedAssets<'a> {
        self.assets.in_namespace(&meta.namespace)
    }

    /// Is it valid? Upstream: `checkServiceMonitor`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn service_monitor(&self, monitor: &'a ServiceMonitor) -> Checked {
        let assets = self.assets_of(&monitor.metadata);
        check_label_selector(&monitor.spec.selector)?;
        for (i, endpoint) in monitor.spec.endpoints.iter().enumerate() {
            let scrape = &endpoint.scrape;
            let check = || {
                // First, as upstream: a monitor that names files is refused whatever else is wrong with it.
                if self.prometheus.spec.arbitrary_fs_access_through_sms.deny {
                    http::check_no_files(&scrape.http)?;
                }
                http::check_exclusive(&scrape.http, &scrape.proxy, true)?;
                check_references(assets, &scrape.http)?;
                self.check_times(&scrape.interval, &scrape.scrape_timeout)?;
                check_rules(&scrape.relabelings).map_err(|why| format!("relabelConfigs: {why}"))?;
                check_rules(&scrape.metric_relabelings).map_err(|why| format!("metricRelabelConfigs: {why}"))
            };
            check().map_err(|why| format!("endpoints[{i}]: {why}"))?;
            // Upstream names no endpoint here.
            check_proxy(assets, &scrape.proxy)?;
        }
        self.check_class(monitor.spec.scrape_class.as_ref()).map_err(|why| format!("scrapeClassName: {why}"))
    }

    /// Is it valid? Upstream: `checkPodMonitor`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn pod_monitor(&self, monitor: &'a PodMonitor) -> Checked {
        let assets = self.assets_of(&monitor.metadata);
        check_label_selector(&monitor.spec.selector).map_err(|why| format!("failed to parse label selector: {why}"))?;
        for (i, endpoint) in monitor.spec.pod_metrics_endpoints.iter().enumerate() {
            let scrape = &endpoint.scrape;
            let check = || {
                // Times and rules come before credentials here, and behind them for ServiceMonitors.
                self.check_times(&scrape.interval, &scrape.scrape_timeout)?;
                check_rules(&scrape.relabelings).map_err(|why| format!("relabelConfigs: {why}"))?;
                check_rules(&scrape.metric_relabelings).map_err(|why| format!("metricRelabelConfigs: {why}"))?;
                http::check_exclusive(&scrape.http, &scrape.proxy, false)?;
                check_references(assets, &scrape.http)?;
                check_proxy(assets, &scrape.proxy).map_err(|why| format!("proxyConfig: {why}"))
            };
            check().map_err(|why| format!("endpoint[{i}]: {why}"))?;
        }
        self.check_class(monitor.spec.scrape_class.as_ref()).map_err(|why| format!("scrapeClassName: {why}"))
    }

    /// Is it valid? Upstream: `checkProbe`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn probe(&self, probe: &'a Probe) -> Checked {
        let (spec, assets) = (&probe.spec, self.assets_of(&probe.metadata));
        self.check_class(spec.scrape_class.as_ref()).map_err(|why| format!("scrapeClassName: {why}"))?;
        // Both at once are valid: static targets win then.
        if let ProbeTargets { static_config: None, ingress: None } = spec.targets {
            return Err("at least one of .spec.targets.staticConfig and .spec.targets.ingress is required".to_owned());
        }
        // Upstream does not look whether a probe has several ways to authenticate; the job is refused then.
        check_references(assets, &spec.http)?;
        self.check_times(&spec.interval, &spec.scrape_timeout)?;
        check_rules(&spec.metric_relabelings).map_err(|why| format!("metricRelabelConfigs: {why}"))?;
        if let Some(targets) = &spec.targets.static_config {
            labels::check_names(targets.labels.keys()).map_err(|why| format!("targets.staticConfig.labels: {why}"))?;
            check_rules(&targets.relabeling_configs)
                .map_err(|why| format!("targets.staticConfig.relabelConfigs: {why}"))?;
        }
        if let Some(ingress) = &spec.targets.ingress {
            check_label_selector(&ingress.selector).map_err(|why| format!("targets.ingress.selector: {why}"))?;
            check_rules(&ingress.relabeling_configs).map_err(|why| format!("targets.ingress.relabelConfigs: {why}"))?;
        }
        check_proxy(assets, &spec.prober.proxy).map_err(|why| format!("proxy configuration: {why}"))?;
        let url = &spec.prober.url;
        http::check_host_port(url).map_err(|why| {
            format!(
                "{url:?} url specified in proberSpec is invalid, it should be of the format `hostname` or \
                 `hostname:port`: {why}"
            )
        })
    }

    /// Is it valid? Upstream: `checkScrapeConfig`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn scrape_config(&self, config: &'a ScrapeConfig) -> Checked {
        let (spec, assets) = (&config.spec, self.assets_of(&config.metadata));
        self.check_class(spec.scrape_class.as_ref())?;
        check_rules(&spec.relabelings).map_err(|why| format!("relabelConfigs: {why}"))?;
        check_connection(
            assets,
            (&spec.http).into(),
            &[Connection::BasicAuth, Connection::Authorization, Connection::OAuth2, Connection::Tls],
        )?;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        self.check_times(&text(&spec.scrape_interval), &text(&spec.scrape_timeout))?;
        check_proxy(assets, &spec.proxy)?;
        check_rules(&spec.metric_relabelings).map_err(|why| format!("metricRelabelConfigs: {why}"))?;
        discovery::check_discoveries(assets, &spec.discovery)
    }

    /// A timeout may not be longer than the interval, which is that of the Prometheus object if the monitor has none.
    fn check_times(&self, interval: &str, timeout: &str) -> Checked {
        // Without a timeout the job has that of `global`, at most its interval.
        if timeout.is_empty() {
            return Ok(());
        }
        check_timeout(timeout, if interval.is_empty() { &self.prometheus.spec.scrape_interval } else { interval })
    }

    fn check_class(&self, name: Option<&String>) -> Checked {
        // An empty name asks for the default class, as no name does.
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(()) };
        if self.prometheus.spec.scrape_classes.iter().any(|class| class.name == *name) {
            return Ok(());
        }
        Err(format!("scrapeClass {name:?} not found in Prometheus scrapeClasses"))
    }
}

/// A timeout may not be longer than the interval. Upstream: `CompareScrapeTimeoutToScrapeInterval`.
pub(crate) fn check_timeout(timeout: &str, interval: &str) -> Checked {
    // The interval first, as upstream: where neither can be read that is what is said.
    let interval_ms =
        parse_duration_ms(interval).map_err(|error| format!("invalid scrapeInterval {interval:?}: {error}"))?;
    let timeout_ms =
        parse_duration_ms(timeout).map_err(|error| format!("invalid scrapeTimeout: {timeout:?}: {error}"))?;
    if timeout_ms > interval_ms {
        return Err(format!("scrapeTimeout {timeout:?} greater than scrapeInterval {interval:?}"));
    }
    Ok(())
}
