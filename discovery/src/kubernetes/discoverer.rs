//! One `kubernetes_sd_configs` entry: follows the objects it needs and publishes the target groups that they become.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{KubernetesRole, KubernetesSdConfig, SdConfig};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube_watch::{ApiServer, Changes, Key, Scope, Watches};
use model::TargetGroup;

use super::objects::{Kind, Object, ObjectStore, ObjectWatch};
use super::role::{group, is_affected, primary, related};
use crate::Error;
use crate::discoverer::{self, Context, Discoverer};
use crate::store::Publisher;

/// The row of the table of kinds.
pub(crate) const KIND: discoverer::Kind = discoverer::Kind { field: "kubernetes_sd_configs", new };

fn new(config: &SdConfig, context: &Context) -> Option<Box<dyn Discoverer>> {
    let SdConfig::Kubernetes(config) = config else { return None };
    Some(Box::new(Kubernetes { config: config.as_ref().clone(), watches: Arc::clone(&context.watches) }))
}

/// Where a pod finds the name of its namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The pause before the file of the namespace is looked for again.
const RETRY: Duration = Duration::from_secs(30);

struct Kubernetes {
    config: KubernetesSdConfig,
    watches: Arc<Watches>,
}

impl Discoverer for Kubernetes {
    fn run(self: Box<Self>, publisher: Publisher) -> BoxFuture<'static, ()> {
        run(self.config, self.watches, publisher).boxed()
    }
}

async fn run(config: KubernetesSdConfig, watches: Arc<Watches>, publisher: Publisher) {
    let namespaces = loop {
        match namespaces(&config, Path::new(OWN_NAMESPACE)) {
            Ok(namespaces) => break namespaces,
            Err(error) => {
                if publisher.report(Some(error.to_string())) {
                    tracing::warn!(%error, "Kubernetes discovery cannot find out its own namespace; trying again");
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    // Subscribed before the first wait, so no change between the lists and the loop is lost.
    let changes = Arc::new(Changes::default());
    let objects = Objects::watch(&config, &namespaces, &watches);
    objects.notify(&changes);
    let primary = primary(config.role);
    // As in Prometheus, the first groups wait for all kinds, so that no target lacks the labels of a kind that is still
    // being listed. A kind that failed is not waited for.
    while !objects.watches().all(|watch| watch.is_settled()) {
        changes.wait().await;
    }
    // The first groups are made of the whole state, which includes these changes.
    changes.take();
    publisher.report(objects.error());
    let attach = config.attach_metadata;
    publisher.replace(objects.all(primary).iter().filter_map(|object| group(object, attach, &objects)).collect());
    loop {
        changes.wait().await;
        publisher.report(objects.error());
        let changed = changes.take();
        if !changed.is_empty() {
            let (groups, removed) = regroup(&config, &objects, &changed);
            publisher.update(groups, &removed);
        }
    }
}

/// The target groups that change with these objects, and the sources of those that are gone.
fn regroup(
    config: &KubernetesSdConfig,
    objects: &Objects,
    changed: &BTreeSet<(Kind, Key)>,
) -> (Vec<TargetGroup>, Vec<String>) {
    let primary = primary(config.role);
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    for (kind, key) in changed {
        if *kind == primary {
            keys.insert(key.clone());
        }
    }
    // A change of a related object means a look at all objects of the role, once for all such changes.
    let others: Vec<&(Kind, Key)> = changed.iter().filter(|(kind, _)| *kind != primary).collect();
    if !others.is_empty() {
        for object in objects.all(primary) {
            if others.iter().any(|(kind, key)| is_affected(&object, *kind, key)) {
                keys.insert(Key::of(object.meta()));
            }
        }
    }
    let (mut groups, mut removed) = (Vec::new(), Vec::new());
    for key in keys {
        match objects.get(primary, &key.namespace, &key.name) {
            Some(object) => groups.extend(group(&object, config.attach_metadata, objects)),
            // The object is gone, so its source has to follow from the key alone.
            None => removed.push(source(config.role, &key)),
        }
    }
    (groups, removed)
}

/// The source of the target group of an object, for one that is gone.
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

/// The watches of one discovery by kind; several of a kind where several namespaces are looked in.
#[derive(Debug)]
struct Objects(BTreeMap<Kind, Vec<Box<dyn ObjectWatch>>>);

impl Objects {
    fn watch(config: &KubernetesSdConfig, namespaces: &[String], watches: &Arc<Watches>) -> Self {
        let server = ApiServer::from(config);
        let main = primary(config.role);
        let kinds = std::iter::once(main).chain(related(config.role, config.attach_metadata));
        let of_kind = |kind: Kind| {
            // At most one of each kind; the configuration is checked for that.
            let selector = config.selectors.iter().find(|selector| primary(selector.role) == kind);
            let scope = |namespace: Option<String>| Scope {
                namespace,
                label_selector: selector.map(|selector| selector.label.clone()).unwrap_or_default(),
                field_selector: selector.map(|selector| selector.field.clone()).unwrap_or_default(),
            };
            // One watch per namespace, since a service account may have rights in these namespaces only.
            let scopes: Vec<Option<String>> = if kind.is_cluster_wide() || namespaces.is_empty() {
                vec![None]
            } else {
                namespaces.iter().cloned().map(Some).collect()
            };
            (kind, scopes.into_iter().map(|namespace| kind.watch(watches, &server, scope(namespace))).collect())
        };
        Self(kinds.map(of_kind).collect())
    }

    fn notify(&self, changes: &Arc<Changes<Kind>>) {
        for (kind, watches) in &self.0 {
            watches.iter().for_each(|watch| watch.notify(changes, *kind));
        }
    }

    fn watches(&self) -> impl Iterator<Item = &dyn ObjectWatch> {
        self.0.values().flatten().map(AsRef::as_ref)
    }

    fn all(&self, kind: Kind) -> Vec<Object> {
        self.0.get(&kind).into_iter().flatten().flat_map(|watch| watch.all()).collect()
    }

    fn error(&self) -> Option<String> {
        let errors: Vec<String> = self.watches().filter_map(ObjectWatch::error).collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }
}

impl ObjectStore for Objects {
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Object> {
        let key = Key::new(namespace, name);
        self.0.get(&kind)?.iter().find_map(|watch| watch.get(&key))
    }
}

#[cfg(test)]
#[path = "cases.rs"]
mod cases;
