//! The objects that one configuration sees: those that its watches know, and those that are made up beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{KubernetesRole, KubernetesSdConfig};
use kube_watch::{ApiServer, Changes, Failure, Key, Scope, WatchHealth};
use model::{Labels, Timestamp};

use super::endpoints;
use super::kubelet::Kubelets;
use super::objects::{Kind, Object, ObjectStore, ObjectWatch, Pod, Tag};
use super::pod_labels::PodLabels;
use super::role::{primary, related};
use super::selector::{matches_fields, matches_labels};
use crate::discoverer::Surroundings;

/// The watches of one discovery by kind; several of a kind where several namespaces are looked in.
#[derive(Debug)]
pub(crate) struct Objects {
    role: KubernetesRole,
    watches: BTreeMap<Kind, Vec<Box<dyn ObjectWatch>>>,
    kubelets: Option<Kubelets>,
    /// The selectors of kinds: label and field selector.
    selectors: BTreeMap<Kind, (String, String)>,
    /// The configuration is about the namespace of kubelets in particular.
    names_kubelets: bool,
    pod_labels: Arc<PodLabels>,
}

impl Objects {
    /// `namespaces`: where to look; none means in all of them.
    pub(crate) fn watch(config: &KubernetesSdConfig, namespaces: &[String], around: &Surroundings) -> Self {
        let server = ApiServer::from(config);
        let role = config.role;
        let selectors: BTreeMap<Kind, (String, String)> = config
            .selectors
            .iter()
            // At most one of each kind; the configuration is checked for that.
            .map(|selector| (primary(selector.role), (selector.label.clone(), selector.field.clone())))
            .collect();
        let of_kind = |kind: Kind| {
            let (label_selector, field_selector) = selectors.get(&kind).cloned().unwrap_or_default();
            let scope = |namespace: Option<String>| Scope {
                label_selector: label_selector.clone(),
                field_selector: field_selector.clone(),
                // What is forbidden in the cluster may not be in the own namespace.
                fallback_namespace: around
                    .own_namespace
                    .clone()
                    .filter(|_| namespace.is_none() && !kind.is_cluster_wide()),
                namespace,
                ..Scope::default()
            };
            // One watch per namespace, since a service account may have rights in these namespaces only.
            let scopes: Vec<Option<String>> = if kind.is_cluster_wide() || namespaces.is_empty() {
                vec![None]
            } else {
                namespaces.iter().cloned().map(Some).collect()
            };
            let watches = scopes.into_iter().map(|namespace| kind.watch(&around.watches, &server, scope(namespace)));
            (kind, watches.collect())
        };
        let kinds = std::iter::once(primary(role)).chain(related(role, config.attach_metadata));
        let watches = kinds.map(of_kind).collect();
        let kubelets = kubelets(role, namespaces, around, &server);
        let names_kubelets = !namespaces.is_empty();
        let pod_labels = Arc::clone(&around.pod_labels);
        Self { role, watches, kubelets, selectors, names_kubelets, pod_labels }
    }

    pub(crate) fn notify(&self, changes: &Arc<Changes<Tag>>) {
        for (kind, watches) in &self.watches {
            watches.iter().for_each(|watch| watch.notify(changes, *kind));
        }
        self.kubelets.iter().for_each(|kubelets| kubelets.notify(changes));
    }

    fn watches(&self) -> impl Iterator<Item = &dyn ObjectWatch> {
        self.watches.values().flatten().map(AsRef::as_ref)
    }

    /// How each watch fares, for whoever looks later.
    pub(crate) fn health(&self) -> Vec<WatchHealth> {
        let of_nodes = self.kubelets.as_ref().filter(|_| self.names_kubelets).map(|kubelets| kubelets.nodes().health());
        self.watches().map(ObjectWatch::health).chain(of_nodes).collect()
    }

    /// Was every kind listed, or could not be?
    pub(crate) fn is_settled(&self) -> bool {
        self.watches().all(|watch| watch.is_settled()) && self.kubelets.as_ref().is_none_or(Kubelets::is_settled)
    }

    /// Makes up the first objects.
    pub(crate) fn refresh(&mut self) {
        if let Some(kubelets) = &mut self.kubelets {
            kubelets.refresh();
        }
    }

    /// The objects that changed, those that are made up among them.
    pub(crate) fn take(&mut self, changes: &Changes<Tag>) -> BTreeSet<(Kind, Key)> {
        let mut changed = BTreeSet::new();
        let mut is_remade = false;
        for (tag, key) in changes.take() {
            match tag {
                Tag::Kind(kind) => drop(changed.insert((kind, key))),
                Tag::Kubelets => is_remade = true,
            }
        }
        if is_remade && let Some(kubelets) = &mut self.kubelets {
            changed.extend(kubelets.refresh());
        }
        changed
    }

    /// All objects of a kind.
    pub(crate) fn all(&self, kind: Kind) -> Vec<Object> {
        let real = self.watches.get(&kind).into_iter().flatten().flat_map(|watch| watch.all());
        let made = self.kubelets.iter().flat_map(|kubelets| kubelets.all(kind));
        let made = made.filter(|(key, object)| self.is_selected(kind, object) && self.real(kind, key).is_none());
        real.chain(made.map(|(_, object)| object.clone())).collect()
    }

    fn real(&self, kind: Kind, key: &Key) -> Option<Object> {
        self.watches.get(&kind)?.iter().find_map(|watch| watch.get(key))
    }

    /// Would the API server send it? It has seen no object that is made up.
    fn is_selected(&self, kind: Kind, object: &Object) -> bool {
        let Some((labels, fields)) = self.selectors.get(&kind) else { return true };
        matches_labels(labels, object.meta()) && matches_fields(fields, object.meta())
    }

    /// What is not found, and since when what was found is stale.
    pub(crate) fn error(&self) -> (Option<String>, Option<Timestamp>) {
        let of_nodes =
            self.kubelets.as_ref().filter(|_| self.names_kubelets).and_then(|kubelets| kubelets.nodes().failure());
        // The same nodes may be watched for their labels as well.
        let mut failures: Vec<Failure> = self.watches().filter_map(ObjectWatch::failure).chain(of_nodes).collect();
        failures.dedup();
        let stale_since = failures.iter().filter_map(|failure| failure.stale_since).min();
        let mut errors: Vec<String> = failures.into_iter().map(|failure| failure.message).collect();
        errors.extend(self.truncated());
        ((!errors.is_empty()).then(|| errors.join("; ")), stale_since)
    }

    /// Endpoints of which the API server has left out some.
    fn truncated(&self) -> Option<String> {
        if self.role != KubernetesRole::Endpoints {
            return None;
        }
        let objects = self.all(Kind::Endpoints);
        let is_truncated = |object: &&Object| matches!(object, Object::Endpoints(one) if endpoints::is_truncated(one));
        let names: Vec<String> =
            objects.iter().filter(is_truncated).map(|one| Key::of(one.meta()).to_string()).collect();
        let why = "have more than 1000 addresses and lack the others; use role endpointslice instead";
        (!names.is_empty()).then(|| format!("endpoints {} {why}", names.join(", ")))
    }
}

/// Those that roles of services and their endpoints see, where they look.
fn kubelets(
    role: KubernetesRole,
    namespaces: &[String],
    around: &Surroundings,
    server: &ApiServer,
) -> Option<Kubelets> {
    let service = around.kubelet_service.clone()?;
    let has_them = matches!(role, KubernetesRole::Service | KubernetesRole::Endpoints | KubernetesRole::EndpointSlice);
    let is_seen = namespaces.is_empty() || namespaces.contains(&service.namespace);
    (has_them && is_seen).then(|| Kubelets::watch(service, &around.watches, server))
}

impl ObjectStore for Objects {
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Object> {
        let key = Key::new(namespace, name);
        let made = || self.kubelets.as_ref()?.get(kind, &key).filter(|object| self.is_selected(kind, object));
        self.real(kind, &key).or_else(made)
    }

    fn labels_of(&self, pod: &Arc<Pod>, make: &dyn Fn() -> Labels) -> Labels {
        self.pod_labels.get(pod, make)
    }
}
