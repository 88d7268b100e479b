//! ServiceMonitors. Upstream: `generateServiceMonitorConfig`.

use super::http::{authorization_with_class, tls_with_class};
use super::kubernetes_sd::Discovery;
use super::rules::{Origin, Rules, sanitize_label_name};
use super::{Generator, Job, job};
use crate::document::Mapping;
use crate::objects::{Endpoint, Kind, ObjectRef, Port, ScrapeClass, ServiceMonitor};

impl<'a> Generator<'a> {
    /// A job for each endpoint.
    pub(crate) fn service_monitor(&self, monitor: &'a ServiceMonitor) -> Vec<Job> {
        monitor.spec.endpoints.iter().enumerate().map(|(i, one)| self.service_endpoint(monitor, i, one)).collect()
    }

    fn service_endpoint(&self, monitor: &'a ServiceMonitor, i: usize, endpoint: &Endpoint) -> Job {
        let (meta, spec) = (&monitor.metadata, &monitor.spec);
        let (class, class_place) = self.scrape_class(spec.scrape_class.as_ref());
        let assets = self.assets_of(meta);
        // The monitor may ask for another role than the Prometheus object: labels of both roles have different names.
        let role = self.endpoints_role(spec.service_discovery_role.as_ref());
        let scrape = &endpoint.scrape;
        let name = format!("serviceMonitor/{}/{}/{i}", meta.namespace, meta.name);
        let mut out = Mapping::default();
        out.put("job_name", &name);
        let discovery = Discovery {
            role,
            namespaces: &spec.namespace_selector,
            attach_node: self.attach_node(spec.attach_metadata.as_ref(), &class),
            // To Services too: they are watched for their labels, and all of them would be otherwise.
            selectors: is_role_selector(spec.selector_mechanism.as_ref())
                .then_some((&spec.selector, vec![role, "service"])),
        };
        out.put("kubernetes_sd_configs", self.kubernetes_sd(assets, &discovery));
        self.put_scrape(&mut out, scrape);
        out.put_proxy(assets, &scrape.proxy);
        out.put_oauth2(assets, scrape.http.oauth2.as_ref());
        out.put_tls(assets, tls_with_class(scrape.http.tls_config.as_ref(), &class).as_ref());
        // Only ServiceMonitors have fields for files; the kinds that came later were made without them.
        out.put_filled("bearer_token_file", &scrape.http.bearer_token_file);
        out.put_bearer_token(assets, scrape.http.bearer_token_secret.as_ref());
        out.put_basic_auth(assets, scrape.http.basic_auth.as_ref());
        out.put_authorization(assets, authorization_with_class(scrape.http.authorization.as_ref(), &class).as_ref());
        self.put_limits(&mut out, &spec.limits, &class);
        self.put_body_size_limit(&mut out, spec.limits.body_size_limit.as_ref());
        let field = format!("spec.endpoints[{i}]");
        let rules = self.service_rules(monitor, (endpoint, &field), role, (&class, &class_place));
        let series = self.metric_rules(
            (Kind::ServiceMonitor, meta),
            (&class, &class_place),
            &scrape.metric_relabelings,
            &format!("{field}.metricRelabelings"),
        );
        job(name, Some(ObjectRef::new(Kind::ServiceMonitor, meta)), out, rules, series)
    }

    /// The order is upstream's: later rules overwrite labels of earlier ones.
    fn service_rules(
        &self,
        monitor: &ServiceMonitor,
        (endpoint, field): (&Endpoint, &str),
        role: &str,
        (class, class_place): (&ScrapeClass, &str),
    ) -> Rules {
        let (meta, spec) = (&monitor.metadata, &monitor.spec);
        // The name of the job is kept first: later rules set `job` to the name of the Service.
        let mut rules = Rules::of_job();
        if !is_role_selector(spec.selector_mechanism.as_ref()) {
            rules.select(&spec.selector, "__meta_kubernetes_service", "spec.selector");
        }
        let prefix = Self::endpoints_prefix(role);
        service_port(&mut rules, endpoint, &prefix, field);
        service_labels(&mut rules, &prefix);
        // Behind the labels here, and in front of the selector for PodMonitors: upstream differs, and so do the rules that
        // users see.
        if endpoint.scrape.filter_running.unwrap_or(true) {
            drop_ended_pods(&mut rules, field);
        }
        // A label that is missing or empty leaves what there is: `(.+)` does not match an empty value.
        for (n, label) in spec.target_labels.iter().enumerate() {
            let label = sanitize_label_name(label);
            let source = format!("__meta_kubernetes_service_label_{label}");
            rules.copy_filled(&source, &label, Origin::Field(format!("spec.targetLabels[{n}]")));
        }
        self.pod_target_labels(&mut rules, &spec.pod_target_labels);
        // `job` is the Service, unless `jobLabel` below finds something better: two monitors of one Service have one `job`.
        let origin = Origin::Always("job from the name of the Service");
        let mut job_rule = Mapping::default();
        job_rule.put("source_labels", ["__meta_kubernetes_service_name"].as_slice());
        job_rule.put("target_label", "job");
        job_rule.put("replacement", "${1}");
        rules.push(job_rule, origin);
        if !spec.job_label.is_empty() {
            let source = format!("__meta_kubernetes_service_label_{}", sanitize_label_name(&spec.job_label));
            rules.copy_filled(&source, "job", Origin::Field("spec.jobLabel".to_owned()));
        }
        // `port` wins over `targetPort` here as it does in the filter; with neither there is no label `endpoint` at all.
        let target_port = endpoint.target_port.as_ref().map(Port::to_string).filter(|port| !port.is_empty());
        if !endpoint.port.is_empty() {
            rules.set("endpoint", &endpoint.port, Origin::Field(format!("{field}.port")));
        } else if let Some(port) = target_port {
            rules.set("endpoint", &port, Origin::Field(format!("{field}.targetPort")));
        }
        // From here on users have the say, and behind them nothing but what they must not change.
        rules.extend(&class.relabelings, |n| Origin::Prometheus(format!("{class_place}.relabelings[{n}]")));
        rules.extend(&endpoint.scrape.relabelings, |n| Origin::Field(format!("{field}.relabelings[{n}]")));
        self.enforce_namespace(&mut rules, Kind::ServiceMonitor, meta);
        self.shard(&mut rules, "__address__");
        rules
    }

    /// Labels of the pod that targets get: those of the monitor, then those of the Prometheus object.
    pub(super) fn pod_target_labels(&self, rules: &mut Rules, own: &[String]) {
        // Both lists may name the same label: the second rule does no harm.
        let own = own.iter().enumerate().map(|(i, label)| (label, Origin::Field(format!("spec.podTargetLabels[{i}]"))));
        let common = self.spec().podtarget_labels();
        for (label, origin) in own.chain(common) {
            let label = sanitize_label_name(label);
            rules.copy_filled(&format!("__meta_kubernetes_pod_label_{label}"), &label, origin);
        }
    }
}

impl crate::objects::PrometheusSpec {
    fn podtarget_labels(&self) -> impl Iterator<Item = (&String, Origin)> {
        let origin = |i: usize| Origin::Prometheus(format!("spec.podTargetLabels[{i}]"));
        self.pod_target_labels.iter().enumerate().map(move |(i, label)| (label, origin(i)))
    }
}

/// Does the API server apply the selector, instead of relabelling?
pub(super) fn is_role_selector(mechanism: Option<&String>) -> bool {
    mechanism.is_some_and(|mechanism| mechanism == "RoleSelector")
}

/// Drops pods that have ended.
pub(super) fn drop_ended_pods(rules: &mut Rules, field: &str) {
    let origin = Origin::Field(format!("{field}.filterRunning"));
    rules.filter("drop", &["__meta_kubernetes_pod_phase"], "(Failed|Succeeded)", origin);
}

/// Keeps the port that is asked for; a number that is written as text is a name.
fn service_port(rules: &mut Rules, endpoint: &Endpoint, prefix: &str, field: &str) {
    if !endpoint.port.is_empty() {
        let origin = Origin::Field(format!("{field}.port"));
        return rules.filter("keep", &[&format!("{prefix}_port_name")], &endpoint.port, origin);
    }
    let origin = Origin::Field(format!("{field}.targetPort"));
    container_port(rules, endpoint.target_port.as_ref(), origin);
}

/// Keeps a port of a container, by name or by number.
pub(super) fn container_port(rules: &mut Rules, port: Option<&Port>, origin: Origin) {
    match port {
        // As a regular expression, as upstream does: `web|metrics` keeps two ports.
        Some(Port::Name(name)) if !name.is_empty() => {
            rules.filter("keep", &["__meta_kubernetes_pod_container_port_name"], name, origin);
        }
        Some(Port::Number(number)) if *number != 0 => {
            rules.filter("keep", &["__meta_kubernetes_pod_container_port_number"], &number.to_string(), origin);
        }
        // No filter: one target for each port.
        _ => {}
    }
}

/// Who the target is. An empty source removes its label, so a later rule can take away what an earlier one has set.
fn service_labels(rules: &mut Rules, prefix: &str) {
    let target = [&*format!("{prefix}_address_target_kind"), &*format!("{prefix}_address_target_name")];
    // `pod` is set here from the endpoint, and below from the pod, which is not known for endpoints that were made by hand.
    for (kind, label) in [("Node", "node"), ("Pod", "pod")] {
        let mut rule = Mapping::default();
        rule.put("source_labels", target.as_slice());
        rule.put("separator", ";");
        rule.put("regex", format!("{kind};(.*)").as_str());
        rule.put("replacement", "${1}");
        rule.put("target_label", label);
        rules.push(rule, Origin::Always("node and pod of the endpoint"));
    }
    for (source, label) in [
        ("__meta_kubernetes_namespace", "namespace"),
        ("__meta_kubernetes_service_name", "service"),
        ("__meta_kubernetes_pod_name", "pod"),
        ("__meta_kubernetes_pod_container_name", "container"),
    ] {
        rules.copy(source, label, Origin::Always("namespace, service, pod and container"));
    }
}
