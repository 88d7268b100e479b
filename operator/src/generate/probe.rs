//! Probes. Upstream: `generateProbeConfig`.

use std::collections::BTreeMap;

use super::http::{authorization_with_class, tls_with_class};
use super::kubernetes_sd::Discovery;
use super::rules::{Origin, Rules};
use super::{Generator, Job, job};
use crate::document::{Mapping, ToYaml as _};
use crate::objects::{Kind, ObjectRef, Probe, ProbeIngress, ProbeStaticConfig, RelabelConfig, ScrapeClass};
use config::Yaml;

impl<'a> Generator<'a> {
    /// One job. Static targets win over ingresses.
    pub(crate) fn probe(&self, probe: &'a Probe) -> Job {
        let (meta, spec) = (&probe.metadata, &probe.spec);
        let (class, class_place) = self.scrape_class(spec.scrape_class.as_ref());
        let class = (&class, class_place.as_str());
        let assets = self.assets_of(meta);
        let name = format!("probe/{}/{}", meta.namespace, meta.name);
        let mut out = Mapping::default();
        out.put("job_name", &name);
        self.put_honor_timestamps(&mut out, Some(true));
        // Never empty: the schema fills in `/probe`.
        out.put("metrics_path", &spec.prober.path);
        out.put_filled("scrape_interval", &spec.interval);
        out.put_filled("scrape_timeout", &spec.scrape_timeout);
        out.put_some("scheme", spec.prober.scheme.as_ref().map(|scheme| scheme.to_lowercase()));
        out.put_filled("params", &params(probe));
        self.put_limits(&mut out, &spec.limits, class.0);
        // Only the enforced limit: the kind has no field of its own.
        out.put_filled("body_size_limit", &self.spec().enforced_body_size_limit);
        out.put_proxy(assets, &spec.prober.proxy);
        out.put_some("follow_redirects", spec.http.follow_redirects);
        out.put_some("enable_http2", spec.http.enable_http2);
        out.put_tls(assets, tls_with_class(spec.http.tls_config.as_ref(), class.0).as_ref());
        let mut rules = Rules::of_job();
        if !spec.job_name.is_empty() {
            rules.set("job", &spec.job_name, Origin::Field("spec.jobName".to_owned()));
        }
        // One of the two is set, or else the object was refused.
        if let Some(targets) = &spec.targets.static_config {
            out.put("static_configs", static_config(targets, &meta.namespace));
            self.static_rules(&mut rules, probe, targets, class);
        } else if let Some(ingress) = &spec.targets.ingress {
            let discovery = Discovery {
                role: "ingress",
                namespaces: &ingress.namespace_selector,
                attach_node: None,
                selectors: None,
            };
            out.put("kubernetes_sd_configs", self.kubernetes_sd(assets, &discovery));
            self.ingress_rules(&mut rules, probe, ingress, class);
        }
        // By what is probed: the address is that of the prober, and the same for all.
        self.shard(&mut rules, "__param_target");
        out.put_bearer_token(assets, spec.http.bearer_token_secret.as_ref());
        out.put_basic_auth(assets, spec.http.basic_auth.as_ref());
        out.put_oauth2(assets, spec.http.oauth2.as_ref());
        out.put_authorization(assets, authorization_with_class(spec.http.authorization.as_ref(), class.0).as_ref());
        let series = self.metric_rules((Kind::Probe, meta), class, &spec.metric_relabelings, "spec.metricRelabelings");
        job(name, Some(ObjectRef::new(Kind::Probe, meta)), out, rules, series)
    }

    fn static_rules(&self, rules: &mut Rules, probe: &Probe, targets: &ProbeStaticConfig, class: (&ScrapeClass, &str)) {
        let origin = || Origin::Always("the address is probed by the prober");
        // The address of the target becomes a parameter before that of the prober takes its place.
        rules.copy("__address__", "__param_target", origin());
        rules.copy("__param_target", "instance", origin());
        rules.set("__address__", &probe.spec.prober.url, Origin::Field("spec.prober.url".to_owned()));
        self.own_rules(rules, probe, (&targets.relabeling_configs, "spec.targets.staticConfig"), class);
    }

    fn ingress_rules(&self, rules: &mut Rules, probe: &Probe, ingress: &ProbeIngress, class: (&ScrapeClass, &str)) {
        rules.select(&ingress.selector, "__meta_kubernetes_ingress", "spec.targets.ingress.selector");
        let origin = || Origin::Always("the address is probed by the prober");
        let parts = ["__meta_kubernetes_ingress_scheme", "__address__", "__meta_kubernetes_ingress_path"];
        rules.replace((&parts, "(.+);(.+);(.+)"), ("__param_target", "${1}://${2}${3}"), origin());
        let of_ingress = || Origin::Always("namespace and ingress");
        rules.copy("__meta_kubernetes_namespace", "namespace", of_ingress());
        rules.copy("__meta_kubernetes_ingress_name", "ingress", of_ingress());
        // The API documents this label under another name; the one here is what upstream sets.
        rules.replace((&["__address__"], "(.*)"), ("__tmp_ingress_address", "$1"), origin());
        rules.copy("__param_target", "instance", origin());
        rules.set("__address__", &probe.spec.prober.url, Origin::Field("spec.prober.url".to_owned()));
        self.own_rules(rules, probe, (&ingress.relabeling_configs, "spec.targets.ingress"), class);
    }

    /// Rules of the scrape class and of the object.
    fn own_rules(
        &self,
        rules: &mut Rules,
        probe: &Probe,
        (own, field): (&[RelabelConfig], &str),
        (class, class_place): (&ScrapeClass, &str),
    ) {
        rules.extend(&class.relabelings, |n| Origin::Prometheus(format!("{class_place}.relabelings[{n}]")));
        rules.extend(own, |n| Origin::Field(format!("{field}.relabelingConfigs[{n}]")));
        self.enforce_namespace(rules, Kind::Probe, &probe.metadata);
    }
}

/// Query parameters: the module first, which `params` cannot set again.
fn params(probe: &Probe) -> BTreeMap<String, Vec<String>> {
    let spec = &probe.spec;
    let module = Some(&spec.module).filter(|module| !module.is_empty());
    let further = spec.params.iter().map(|param| (param.name.clone(), param.values.clone()));
    let mut out: BTreeMap<String, Vec<String>> = further.collect();
    // Behind `params`, whose own `module` it replaces.
    if let Some(module) = module {
        out.insert("module".to_owned(), vec![module.clone()]);
    }
    out
}

/// The targets, with the namespace of the object unless they have that label.
fn static_config(targets: &ProbeStaticConfig, namespace: &str) -> Yaml {
    let mut labels = targets.labels.clone();
    // Targets that are discovered get this label from their objects.
    labels.entry("namespace".to_owned()).or_insert_with(|| namespace.to_owned());
    let mut section = Mapping::default();
    section.put("targets", &targets.targets);
    section.put("labels", labels);
    Yaml::List(vec![section.to_yaml()])
}
