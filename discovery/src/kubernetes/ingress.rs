//! Role `ingress`: every path of every rule. Ingress → [`TargetGroup`], pure.

use config::AttachMetadata;
use kube_watch::{name, namespace};
use model::labels::ADDRESS;
use model::{LabelsBuilder, TargetGroup};

use super::meta::{object_labels, set, set_namespace};
use super::objects::{Ingress, ObjectStore};

/// The targets of an ingress.
pub(crate) fn group(ingress: &Ingress, attach: AttachMetadata, store: &dyn ObjectStore) -> TargetGroup {
    let meta = &ingress.metadata;
    let mut labels = object_labels("ingress", meta);
    set(&mut labels, "ingress_class_name", ingress.spec.ingress_class_name.as_deref().unwrap_or_default());
    set_namespace(&mut labels, meta, attach, store);
    let tls_hosts: Vec<&str> = ingress.spec.tls.iter().flat_map(|tls| &tls.hosts).map(String::as_str).collect();
    let mut targets = Vec::new();
    for rule in &ingress.spec.rules {
        let is_tls = tls_hosts.iter().any(|pattern| matches_host(pattern, &rule.host));
        let paths: Vec<&str> = match &rule.http {
            // A rule without paths leads everything to the default backend.
            None => vec!["/"],
            Some(http) => http.paths.iter().map(|path| path.path.as_str()).collect(),
        };
        for path in paths {
            let mut target = LabelsBuilder::default();
            target.set(ADDRESS, rule.host.as_str());
            set(&mut target, "ingress_scheme", if is_tls { "https" } else { "http" });
            set(&mut target, "ingress_host", &rule.host);
            set(&mut target, "ingress_path", if path.is_empty() { "/" } else { path });
            targets.push(target.labels().into());
        }
    }
    TargetGroup { source: format!("ingress/{}/{}", namespace(meta), name(meta)), labels: labels.labels(), targets }
}

/// Does the pattern match the host, possibly as a wildcard for its first label?
fn matches_host(pattern: &str, host: &str) -> bool {
    // A wildcard matches exactly one label, so the rest of the host after the first dot must be equal.
    let rest = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_owned());
    pattern == host || (pattern.starts_with("*.") && rest(pattern) == rest(host))
}
