//! `kubernetes_sd_configs` of monitors. Upstream: `generateK8SSDConfig`.

use config::Yaml;

use super::Generator;
use crate::assets::NamespacedAssets;
use crate::document::{Mapping, ToYaml as _};
use crate::objects::{AttachMetadata, LabelSelector, NamespaceSelector, ScrapeClass};
use crate::selector::label_selector_text;

/// What is discovered for one job.
pub(super) struct Discovery<'s> {
    /// The role.
    pub(super) role: &'s str,
    /// In which namespaces the object looks.
    pub(super) namespaces: &'s NamespaceSelector,
    /// Whether labels of nodes are attached; `None` says nothing.
    pub(super) attach_node: Option<bool>,
    /// A selector that the API server applies, to objects of these roles.
    pub(super) selectors: Option<(&'s LabelSelector, Vec<&'s str>)>,
}

impl Generator<'_> {
    /// The role by which endpoints are found. Upstream: `endpointRoleFlavor`.
    pub(super) fn endpoints_role(&self, asked: Option<&String>) -> &'static str {
        let asked = asked.or(self.spec().service_discovery_role.as_ref());
        // The labels of slices have other names, so users ask for them; a server that has none is not asked.
        let slices = self.options.endpoint_slices && asked.is_some_and(|role| role == "EndpointSlice");
        if slices { "endpointslice" } else { "endpoints" }
    }

    /// The prefix of the labels of endpoints found by that role.
    pub(super) fn endpoints_prefix(role: &str) -> String {
        format!("__meta_kubernetes_{}", if role == "endpoints" { "endpoint" } else { role })
    }

    /// What is attached to targets, by the object, or else by its scrape class, or because zones need it. Upstream:
    /// `mergeAttachMetadataWithScrapeClass`, `mergeAttachMetadataForTopology`.
    pub(super) fn attach_node(&self, asked: Option<&AttachMetadata>, class: &ScrapeClass) -> Option<bool> {
        let asked = asked.or(class.attach_metadata.as_ref()).map(|attach| attach.node.unwrap_or(false));
        // Without a label of their own pods get the zone from their node.
        let zones_need_it = self.zones().is_some() && !self.options.pod_topology_labels;
        if zones_need_it { Some(true) } else { asked }
    }

    /// The one discovery of a job; `assets` are those of the object's namespace.
    pub(super) fn kubernetes_sd(&self, assets: NamespacedAssets<'_>, discovery: &Discovery<'_>) -> Yaml {
        let mut out = Mapping::default();
        out.put("role", discovery.role);
        let namespaces = self.namespaces(discovery.namespaces, assets.namespace);
        // No namespaces are all of them.
        if !namespaces.is_empty() {
            let mut section = Mapping::default();
            section.put("names", namespaces);
            out.put("namespaces", section);
        }
        // Without one it is the server of the cluster that Weft runs in.
        if let Some(server) = self.api_server() {
            out.put("api_server", &server.host);
            out.put_basic_auth(assets, server.basic_auth.as_ref());
            out.put_filled("bearer_token", &server.bearer_token);
            out.put_filled("bearer_token_file", &server.bearer_token_file);
            out.put_authorization(assets, server.authorization.as_ref());
            out.put_tls(assets, server.tls_config.as_ref());
            out.put_proxy(assets, &server.proxy);
        }
        if let Some(node) = discovery.attach_node {
            let mut section = Mapping::default();
            section.put("node", node);
            out.put("attach_metadata", section);
        }
        let selectors = self.server_side_selectors(discovery);
        out.put_filled("selectors", &selectors);
        Yaml::List(vec![out.to_yaml()])
    }

    /// The namespaces to look in; empty means all. Upstream: `getNamespacesFromNamespaceSelector`.
    fn namespaces(&self, selector: &NamespaceSelector, own: &str) -> Vec<String> {
        if self.spec().ignore_namespace_selectors {
            return vec![own.to_owned()];
        }
        match selector {
            // `any` wins over names.
            NamespaceSelector { any: true, .. } => Vec::new(),
            NamespaceSelector { match_names, .. } if match_names.is_empty() => vec![own.to_owned()],
            NamespaceSelector { match_names, .. } => match_names.clone(),
        }
    }

    fn server_side_selectors(&self, discovery: &Discovery<'_>) -> Vec<Mapping> {
        let selector = |role: &str, how: &'static str, text: &str| {
            let mut out = Mapping::default();
            out.put("role", role);
            out.put(how, text);
            out
        };
        let mut out = Vec::new();
        if self.options.daemon_set {
            // Asked of the server and not by rules: each of many servers would otherwise watch all pods.
            out.push(selector("pod", "field", "spec.nodeName=$(NODE_NAME)"));
        }
        if let Some((labels, roles)) = &discovery.selectors {
            let text = label_selector_text(labels);
            out.extend(roles.iter().map(|role| selector(role, "label", &text)));
        }
        out
    }
}
