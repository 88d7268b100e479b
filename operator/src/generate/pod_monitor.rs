//! PodMonitors, and what their endpoints have in common with those of ServiceMonitors. Upstream: `generatePodMonitorConfig`.

use super::http::{authorization_with_class, tls_with_class};
use super::kubernetes_sd::Discovery;
use super::rules::{Origin, Rules, sanitize_label_name};
use super::service_monitor::{container_port, drop_ended_pods, is_role_selector};
use super::{Generator, Job, job};
use crate::document::Mapping;
use crate::objects::{EndpointScrape, Kind, ObjectRef, PodMetricsEndpoint, PodMonitor, Port, ScrapeClass};

impl<'a> Generator<'a> {
    /// A job for each endpoint.
    pub(crate) fn pod_monitor(&self, monitor: &'a PodMonitor) -> Vec<Job> {
        let endpoints = monitor.spec.pod_metrics_endpoints.iter().enumerate();
        endpoints.map(|(i, one)| self.pod_endpoint(monitor, i, one)).collect()
    }

    fn pod_endpoint(&self, monitor: &'a PodMonitor, i: usize, endpoint: &PodMetricsEndpoint) -> Job {
        let (meta, spec) = (&monitor.metadata, &monitor.spec);
        let (class, class_place) = self.scrape_class(spec.scrape_class.as_ref());
        let assets = self.assets_of(meta);
        let scrape = &endpoint.scrape;
        let name = format!("podMonitor/{}/{}/{i}", meta.namespace, meta.name);
        let mut out = Mapping::default();
        out.put("job_name", &name);
        let discovery = Discovery {
            role: "pod",
            namespaces: &spec.namespace_selector,
            attach_node: self.attach_node(spec.attach_metadata.as_ref(), &class),
            selectors: is_role_selector(spec.selector_mechanism.as_ref()).then_some((&spec.selector, vec!["pod"])),
        };
        out.put("kubernetes_sd_configs", self.kubernetes_sd(assets, &discovery));
        self.put_scrape(&mut out, scrape);
        out.put_tls(assets, tls_with_class(scrape.http.tls_config.as_ref(), &class).as_ref());
        out.put_bearer_token(assets, scrape.http.bearer_token_secret.as_ref());
        out.put_basic_auth(assets, scrape.http.basic_auth.as_ref());
        out.put_oauth2(assets, scrape.http.oauth2.as_ref());
        out.put_proxy(assets, &scrape.proxy);
        out.put_authorization(assets, authorization_with_class(scrape.http.authorization.as_ref(), &class).as_ref());
        self.put_limits(&mut out, &spec.limits, &class);
        self.put_body_size_limit(&mut out, spec.limits.body_size_limit.as_ref());
        let field = format!("spec.podMetricsEndpoints[{i}]");
        let rules = self.pod_rules(monitor, endpoint, &field, (&class, &class_place));
        let series = self.metric_rules(
            (Kind::PodMonitor, meta),
            (&class, &class_place),
            &scrape.metric_relabelings,
            &format!("{field}.metricRelabelings"),
        );
        job(name, Some(ObjectRef::new(Kind::PodMonitor, meta)), out, rules, series)
    }

    /// The order is upstream's, and not that of ServiceMonitors.
    fn pod_rules(
        &self,
        monitor: &PodMonitor,
        endpoint: &PodMetricsEndpoint,
        field: &str,
        (class, class_place): (&ScrapeClass, &str),
    ) -> Rules {
        let (meta, spec) = (&monitor.metadata, &monitor.spec);
        let mut rules = Rules::of_job();
        if endpoint.scrape.filter_running.unwrap_or(true) {
            drop_ended_pods(&mut rules, field);
        }
        if !is_role_selector(spec.selector_mechanism.as_ref()) {
            rules.select(&spec.selector, "__meta_kubernetes_pod", "spec.selector");
        }
        // `port` before `portNumber` before `targetPort`, which is deprecated upstream.
        let port = endpoint.port.as_ref().filter(|port| !port.is_empty());
        let (asked, which) = match (port, endpoint.port_number.filter(|number| *number != 0)) {
            (Some(name), _) => (Some(Port::Name(name.clone())), "port"),
            (None, Some(number)) => (Some(Port::Number(number)), "portNumber"),
            (None, None) => (endpoint.target_port.clone(), "targetPort"),
        };
        container_port(&mut rules, asked.as_ref(), Origin::Field(format!("{field}.{which}")));
        for (source, label) in [
            ("__meta_kubernetes_namespace", "namespace"),
            ("__meta_kubernetes_pod_container_name", "container"),
            ("__meta_kubernetes_pod_name", "pod"),
        ] {
            rules.copy(source, label, Origin::Always("namespace, container and pod"));
        }
        self.pod_target_labels(&mut rules, &spec.pod_target_labels);
        // Pods have no Service to be named after.
        let job = format!("{}/{}", meta.namespace, meta.name);
        rules.set("job", &job, Origin::Always("job from the name of the PodMonitor"));
        if !spec.job_label.is_empty() {
            let source = format!("__meta_kubernetes_pod_label_{}", sanitize_label_name(&spec.job_label));
            rules.copy_filled(&source, "job", Origin::Field("spec.jobLabel".to_owned()));
        }
        // `portNumber` gives no such label.
        let target_port = endpoint.target_port.as_ref().map(Port::to_string).filter(|port| !port.is_empty());
        if let Some(port) = port {
            rules.set("endpoint", port, Origin::Field(format!("{field}.port")));
        } else if let Some(port) = target_port {
            rules.set("endpoint", &port, Origin::Field(format!("{field}.targetPort")));
        }
        rules.extend(&class.relabelings, |n| Origin::Prometheus(format!("{class_place}.relabelings[{n}]")));
        rules.extend(&endpoint.scrape.relabelings, |n| Origin::Field(format!("{field}.relabelings[{n}]")));
        self.enforce_namespace(&mut rules, Kind::PodMonitor, meta);
        // A server of a DaemonSet has the pods of its own node and no others: they are divided already.
        if !self.options.daemon_set {
            self.shard(&mut rules, "__address__");
        }
        rules
    }

    /// Adds what endpoints of ServiceMonitors and PodMonitors have in common.
    pub(super) fn put_scrape(&self, out: &mut Mapping, scrape: &EndpointScrape) {
        // Written even where it is false, as upstream does.
        out.put("honor_labels", scrape.honor_labels && !self.spec().override_honor_labels);
        self.put_honor_timestamps(out, scrape.honor_timestamps);
        out.put_some("track_timestamps_staleness", scrape.track_timestamps_staleness);
        // Times that are not set are not written: the job inherits them from `global`.
        out.put_filled("scrape_interval", &scrape.interval);
        out.put_filled("scrape_timeout", &scrape.scrape_timeout);
        out.put_filled("metrics_path", &scrape.path);
        out.put_some("params", scrape.params.as_ref());
        out.put_some("scheme", scrape.scheme.as_ref().map(|scheme| scheme.to_lowercase()));
        out.put_some("follow_redirects", scrape.http.follow_redirects);
        out.put_some("enable_http2", scrape.http.enable_http2);
    }

    /// Upstream: `AddHonorTimestamps`.
    pub(super) fn put_honor_timestamps(&self, out: &mut Mapping, asked: Option<bool>) {
        // An override says so even to monitors that say nothing, because true is the default.
        let overridden = self.spec().override_honor_timestamps;
        if asked.is_some() || overridden {
            out.put("honor_timestamps", asked.unwrap_or(false) && !overridden);
        }
    }
}
