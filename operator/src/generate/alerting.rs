//! `alerting`. Upstream: `appendAlertingConfig`, `generateAlertmanagerConfig`.

use config::Yaml;

use super::kubernetes_sd::Discovery;
use super::rules::{Origin, Rules, user_rule};
use super::{GenerateError, Generator};
use crate::document::{Mapping, ToYaml as _};
use crate::objects::{AlertmanagerEndpoints, NamespaceSelector, Port};

impl Generator<'_> {
    pub(super) fn alerting(&self) -> Result<Option<Mapping>, GenerateError> {
        let spec = self.spec();
        let (managers, rules) = (&spec.additional_alert_manager_configs, &spec.additional_alert_relabel_configs);
        if spec.alerting.is_none() && managers.is_none() && rules.is_none() {
            return Ok(None);
        }
        let mut relabel = Vec::new();
        let replica = spec.replica_external_label_name.as_deref().unwrap_or("prometheus_replica");
        if !replica.is_empty() {
            // The same alert of two replicas must be one for the Alertmanager.
            let mut rule = Mapping::default();
            rule.put("action", "labeldrop");
            rule.put("regex", regex_escape(replica));
            relabel.push(rule.to_yaml());
        }
        // Behind ours: what a user drops or sets is said last.
        relabel.extend(self.additional_list("spec.additionalAlertRelabelConfigs", rules.as_ref())?);
        let own = spec.alerting.as_ref().map(|alerting| alerting.alertmanagers.as_slice()).unwrap_or_default();
        let mut all: Vec<Yaml> = own.iter().map(|one| self.alertmanager(one).to_yaml()).collect();
        all.extend(self.additional_list("spec.additionalAlertManagerConfigs", managers.as_ref())?);
        let mut out = Mapping::default();
        out.put("alert_relabel_configs", Yaml::List(relabel));
        out.put("alertmanagers", Yaml::List(all));
        Ok(Some(out))
    }

    fn alertmanager(&self, one: &AlertmanagerEndpoints) -> Mapping {
        let namespace = one.namespace.as_ref().unwrap_or(&self.prometheus.metadata.namespace);
        let assets = self.assets.in_namespace(&self.prometheus.metadata.namespace);
        let mut out = Mapping::default();
        out.put_some("scheme", one.scheme.as_ref().map(|scheme| scheme.to_lowercase()));
        out.put_some("path_prefix", one.path_prefix.as_ref());
        out.put_some("timeout", one.timeout.as_ref());
        out.put_some("enable_http2", one.enable_http2);
        out.put_tls(assets, one.tls_config.as_ref());
        out.put_proxy(assets, &one.proxy);
        let role = self.endpoints_role(None);
        // With `ignoreNamespaceSelectors` it is that of the Prometheus object, whatever is named here: as upstream.
        let here = NamespaceSelector { any: false, match_names: vec![namespace.clone()] };
        let discovery = Discovery { role, namespaces: &here, attach_node: None, selectors: None };
        out.put("kubernetes_sd_configs", self.kubernetes_sd(assets, &discovery));
        out.put_filled("bearer_token_file", &one.bearer_token_file);
        out.put_basic_auth(assets, one.basic_auth.as_ref());
        out.put_authorization(assets, one.authorization.as_ref());
        out.put_sigv4(assets, one.sigv4.as_ref());
        // Prometheus 3 knows no other.
        if one.api_version.as_ref().is_some_and(|version| version.eq_ignore_ascii_case("v2")) {
            out.put("api_version", "v2");
        }
        let mut rules = Rules::default();
        let origin = || Origin::Prometheus("spec.alerting.alertmanagers".to_owned());
        rules.filter("keep", &["__meta_kubernetes_service_name"], &one.name, origin());
        match &one.port {
            Port::Name(name) if !name.is_empty() => {
                let label = format!("{}_port_name", Self::endpoints_prefix(role));
                rules.filter("keep", &[&label], name, origin());
            }
            Port::Number(number) if *number != 0 => {
                let label = "__meta_kubernetes_pod_container_port_number";
                rules.filter("keep", &[label], &number.to_string(), origin());
            }
            _ => {}
        }
        rules.extend(&one.relabelings, |_| origin());
        out.put("relabel_configs", rules.finish().0);
        out.put_filled("alert_relabel_configs", &one.alert_relabelings.iter().map(user_rule).collect::<Vec<_>>());
        out
    }
}

/// Go: `regexp.QuoteMeta`.
fn regex_escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
