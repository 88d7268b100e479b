//! ScrapeConfigs. Upstream: `generateScrapeConfig`.

use super::global::{escaping_scheme, validation_scheme};
use super::http::{authorization_with_class, tls_with_class};
use super::rules::{Origin, Rules};
use super::{Generator, Job, job};
use crate::document::Mapping;
use crate::objects::{Kind, ObjectRef, ScrapeConfig};

impl<'a> Generator<'a> {
    /// One job.
    pub(crate) fn scrape_config(&self, config: &'a ScrapeConfig) -> Job {
        let (meta, spec) = (&config.metadata, &config.spec);
        let (class, class_place) = self.scrape_class(spec.scrape_class.as_ref());
        let class = (&class, class_place.as_str());
        let assets = self.assets_of(meta);
        let name = format!("scrapeConfig/{}/{}", meta.namespace, meta.name);
        let mut out = Mapping::default();
        out.put("job_name", &name);
        // Unlike for monitors an override of the Prometheus object alone writes nothing.
        if spec.honor_timestamps.is_some() {
            self.put_honor_timestamps(&mut out, spec.honor_timestamps);
        }
        out.put_some("track_timestamps_staleness", spec.track_timestamps_staleness);
        out.put_some("honor_labels", spec.honor_labels.map(|asked| asked && !self.spec().override_honor_labels));
        out.put_some("metrics_path", spec.metrics_path.as_ref());
        out.put_filled("params", &spec.params);
        out.put_some("enable_compression", spec.enable_compression);
        out.put_some("enable_http2", spec.http.enable_http2);
        out.put_some("scrape_interval", spec.scrape_interval.as_ref());
        out.put_some("scrape_timeout", spec.scrape_timeout.as_ref());
        out.put_some("scheme", spec.scheme.as_ref().map(|scheme| scheme.to_lowercase()));
        out.put_proxy(assets, &spec.proxy);
        out.put_basic_auth(assets, spec.http.basic_auth.as_ref());
        out.put_authorization(assets, authorization_with_class(spec.http.authorization.as_ref(), class.0).as_ref());
        out.put_oauth2(assets, spec.http.oauth2.as_ref());
        out.put_tls(assets, tls_with_class(spec.http.tls_config.as_ref(), class.0).as_ref());
        self.put_limits(&mut out, &spec.limits, class.0);
        self.put_body_size_limit(&mut out, spec.limits.body_size_limit.as_ref());
        out.put_discoveries(assets, &spec.discovery);
        out.put_some("metric_name_validation_scheme", spec.name_validation_scheme.as_deref().map(validation_scheme));
        out.put_some("metric_name_escaping_scheme", spec.name_escaping_scheme.as_deref().and_then(escaping_scheme));
        let series =
            self.metric_rules((Kind::ScrapeConfig, meta), class, &spec.metric_relabelings, "spec.metricRelabelings");
        job(name, Some(ObjectRef::new(Kind::ScrapeConfig, meta)), out, self.target_rules(config, class), series)
    }

    fn target_rules(&self, config: &ScrapeConfig, (class, place): (&crate::objects::ScrapeClass, &str)) -> Rules {
        let spec = &config.spec;
        let mut rules = Rules::of_job();
        // In front of `jobName`, where monitors have the rules of the class behind their own labels.
        rules.extend(&class.relabelings, |n| Origin::Prometheus(format!("{place}.relabelings[{n}]")));
        if let Some(name) = &spec.job_name {
            let mut rule = Mapping::default();
            rule.put("target_label", "job");
            rule.put("action", "replace");
            rule.put("replacement", name);
            rules.push(rule, Origin::Field("spec.jobName".to_owned()));
        }
        // Upstream enforces the label of targets only on objects that have rules of their own.
        if !spec.relabelings.is_empty() {
            rules.extend(&spec.relabelings, |n| Origin::Field(format!("spec.relabelings[{n}]")));
            self.enforce_namespace(&mut rules, Kind::ScrapeConfig, &config.metadata);
        }
        // Users of this kind often bring rules of a plain `prometheus.yml`, with hashes of their own.
        self.shard_unless_done(&mut rules);
        rules
    }
}
