//! One `kubernetes_sd_configs` entry: the objects it needs, and the groups that they become.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{KubernetesRole, KubernetesSdConfig};
use model::TargetGroup;

use super::client::Server;
use super::objects::{Key, Kind, Object, World};
use super::watch::{Changes, Lease, WatchKey, Watches};
use super::{group, is_affected, primary, related};
use crate::Error;
use crate::hub::Sink;

/// Where a pod finds the name of its namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The pause before the namespace's file is looked for again.
const RETRY: Duration = Duration::from_secs(30);

/// Follows the objects until it is aborted.
pub(crate) async fn run(config: KubernetesSdConfig, watches: Arc<Watches>, sink: Sink) {
    let namespaces = loop {
        match namespaces(&config, Path::new(OWN_NAMESPACE)) {
            Ok(namespaces) => break namespaces,
            Err(error) => {
                if sink.report(Some(error.to_string())) {
                    tracing::warn!(%error, "kubernetes discovery does not know its own namespace");
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    let changes = Arc::new(Changes::default());
    let sources = Sources::new(&config, &namespaces, &watches);
    sources.leases().for_each(|lease| lease.watch.subscribe(&changes));
    let primary = primary(config.role);
    // As upstream, the first groups wait for all kinds, so that no target lacks the labels of a kind that is still
    // being listed. A kind that failed is not waited for.
    while !sources.leases().all(|lease| lease.watch.is_settled()) {
        changes.wait().await;
    }
    changes.take();
    sink.report(sources.error());
    let attach = config.attach_metadata;
    sink.replace(sources.all(primary).iter().filter_map(|object| group(object, attach, &sources)).collect());
    loop {
        changes.wait().await;
        sink.report(sources.error());
        let changed = changes.take();
        if !changed.is_empty() {
            let (groups, removed) = regroup(&config, &sources, &changed);
            sink.update(groups, &removed);
        }
    }
}

/// The groups that the changes made anew, and the sources of those that are gone.
fn regroup(
    config: &KubernetesSdConfig,
    sources: &Sources,
    changed: &BTreeSet<(Kind, Key)>,
) -> (Vec<TargetGroup>, Vec<String>) {
    let primary = primary(config.role);
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    for (kind, key) in changed {
        if *kind == primary {
            keys.insert(key.clone());
        }
    }
    let others: Vec<&(Kind, Key)> = changed.iter().filter(|(kind, _)| *kind != primary).collect();
    if !others.is_empty() {
        for object in sources.all(primary) {
            if others.iter().any(|(kind, key)| is_affected(&object, *kind, key)) {
                keys.insert(Key::of(object.meta()));
            }
        }
    }
    let (mut groups, mut removed) = (Vec::new(), Vec::new());
    for key in keys {
        match sources.get(primary, &key.namespace, &key.name) {
            Some(object) => groups.extend(group(&object, config.attach_metadata, sources)),
            None => removed.push(source(config.role, &key)),
        }
    }
    (groups, removed)
}

/// The source of the group of an object that is gone.
fn source(role: KubernetesRole, key: &Key) -> String {
    match role {
        KubernetesRole::Node => format!("node/{}", key.name),
        KubernetesRole::Service => format!("svc/{}/{}", key.namespace, key.name),
        role => format!("{}/{}/{}", role.as_str(), key.namespace, key.name),
    }
}

/// The namespaces to look in; none means all of them.
fn namespaces(config: &KubernetesSdConfig, own: &Path) -> Result<Vec<String>, Error> {
    let mut namespaces = config.namespaces.names.clone();
    if config.namespaces.own_namespace {
        let text = std::fs::read_to_string(own).map_err(|source| Error::Read { path: own.to_owned(), source })?;
        namespaces.push(text.trim().to_owned());
    }
    namespaces.sort();
    namespaces.dedup();
    Ok(namespaces)
}

/// The watches of a discovery, by kind; more than one where several namespaces are looked in.
#[derive(Debug)]
struct Sources(BTreeMap<Kind, Vec<Lease>>);

impl Sources {
    fn new(config: &KubernetesSdConfig, namespaces: &[String], watches: &Arc<Watches>) -> Self {
        let main = primary(config.role);
        let kinds = std::iter::once(main).chain(related(config.role, config.attach_metadata));
        let of_kind = |kind: Kind| {
            let selector = config.selectors.iter().find(|selector| primary(selector.role) == kind);
            let key = |namespace: Option<String>| WatchKey {
                server: Server::of(config),
                kind,
                namespace,
                label_selector: selector.map(|selector| selector.label.clone()).unwrap_or_default(),
                field_selector: selector.map(|selector| selector.field.clone()).unwrap_or_default(),
            };
            let scopes: Vec<Option<String>> = if kind.is_cluster_wide() || namespaces.is_empty() {
                vec![None]
            } else {
                namespaces.iter().cloned().map(Some).collect()
            };
            (kind, scopes.into_iter().map(|namespace| watches.lease(key(namespace))).collect())
        };
        Self(kinds.map(of_kind).collect())
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.0.values().flatten()
    }

    fn all(&self, kind: Kind) -> Vec<Arc<Object>> {
        self.0.get(&kind).into_iter().flatten().flat_map(|lease| lease.watch.all()).collect()
    }

    fn error(&self) -> Option<String> {
        let errors: Vec<String> = self.leases().filter_map(|lease| lease.watch.error()).collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }
}

impl World for Sources {
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let key = Key::new(namespace, name);
        self.0.get(&kind)?.iter().find_map(|lease| lease.watch.get(&key))
    }
}

#[cfg(test)]
#[path = "cases.rs"]
mod cases;
