//! One `kubernetes_sd_configs` entry: follows the objects it needs and publishes the target groups that they become.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use config::KubernetesSdConfig;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube_watch::{Changes, Key};
use model::{TargetGroup, TargetLabels};

use super::objects::{Kind, ObjectStore as _};
use super::role::{group, is_affected, leads_to, primary, source};
use super::watched::Objects;
use super::why_gone::why_gone;
use crate::Error;
use crate::discoverer::{Context, Discoverer, Surroundings};
use crate::store::Publisher;

pub(crate) fn new(config: &KubernetesSdConfig, context: &Context) -> Box<dyn Discoverer> {
    Box::new(Kubernetes { config: config.clone(), around: context.kubernetes.clone() })
}

/// The pause before the name of the own namespace is looked for again.
const RETRY: Duration = Duration::from_secs(30);

/// The pause after changes were published.
const TOGETHER: Duration = Duration::from_millis(100);

struct Kubernetes {
    config: KubernetesSdConfig,
    around: Surroundings,
}

impl Discoverer for Kubernetes {
    fn run(self: Box<Self>, publisher: Publisher) -> BoxFuture<'static, ()> {
        run(self.config, self.around, publisher).boxed()
    }
}

async fn run(config: KubernetesSdConfig, around: Surroundings, publisher: Publisher) {
    let namespaces = loop {
        match namespaces(&config, around.own_namespace.clone().or_else(kube_watch::own_namespace)) {
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
    let mut objects = Objects::watch(&config, &namespaces, &around);
    publisher.follow(objects.health());
    objects.notify(&changes);
    let primary = primary(config.role);
    // As in Prometheus, the first groups wait for all kinds, so that no target lacks the labels of a kind that is still
    // being listed. A kind that failed is not waited for.
    while !objects.is_settled() {
        changes.wait().await;
    }
    // The first groups are made of the whole state, which includes these changes.
    changes.take();
    objects.refresh();
    report(&publisher, &objects);
    let attach = config.attach_metadata;
    publisher.replace(objects.all(primary).iter().filter_map(|object| group(object, attach, &objects)).collect());
    loop {
        changes.wait().await;
        let changed = objects.take(&changes);
        report(&publisher, &objects);
        if !changed.is_empty() {
            let (groups, removed) = regroup(&config, &objects, &changed);
            let why = |group: &TargetGroup, target: &TargetLabels| why_gone(config.role, &objects, (group, target));
            publisher.update_because(groups, &removed, &why);
        }
        // What changes meanwhile is looked at together: one pass over all endpoints, and one lock of the store.
        tokio::time::sleep(TOGETHER).await;
    }
}

fn report(publisher: &Publisher, objects: &Objects) {
    let (error, stale_since) = objects.error();
    publisher.report_stale(error, stale_since);
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
    // A change of a related object means a look at all objects of the role, once for all such changes. Pods are looked up: they
    // are many, and change all the time.
    let others = changed.iter().filter(|(kind, _)| *kind != primary);
    let (pods, others): (Vec<_>, Vec<_>) = others.partition(|(kind, _)| *kind == Kind::Pod);
    let pods: HashSet<(&str, &str)> = pods.iter().map(|(_, key)| (&*key.namespace, &*key.name)).collect();
    if !pods.is_empty() || !others.is_empty() {
        for object in objects.all(primary) {
            if leads_to(&object, &pods) || others.iter().any(|(kind, key)| is_affected(&object, *kind, key)) {
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

/// The namespaces to look in; none means all of them.
pub(crate) fn namespaces(config: &KubernetesSdConfig, own: Option<String>) -> Result<Vec<String>, Error> {
    let mut namespaces = config.namespaces.names.clone();
    if config.namespaces.own_namespace {
        namespaces.push(own.ok_or(Error::OwnNamespace)?);
    }
    namespaces.sort();
    namespaces.dedup();
    Ok(namespaces)
}

#[cfg(test)]
#[path = "cases.rs"]
mod cases;
