//! The watches that the operator needs: the kinds, the Prometheus object, namespaces, and the Secrets and ConfigMaps that
//! these name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube_watch::{ApiServer, Changes, Failure, Key, Namespace, Scope, Watch, Watches};

use crate::assets::{AssetId, AssetKind, Assets};
use crate::inputs::{FoundPrometheus, Seen, Settings, upstream_order};
use crate::objects::{
    Kind, PodMonitorSpec, ProbeSpec, PrometheusRuleSpec, PrometheusSpec, ScrapeConfigSpec, ServiceMonitorSpec,
};
use crate::outcome::KindState;
use crate::reconcile::Memory;
use crate::select::Namespaces;
use crate::watched::{ConfigMap, Holder, Secret, Spec, Watched};

/// What a change is about; the objects themselves are looked at again in any case.
pub(crate) type Tag = ();

/// The status of a response about a kind that the server does not know.
const NOT_FOUND: u16 = 404;

/// How watches are opened.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    pub(crate) watches: Arc<Watches>,
    pub(crate) server: ApiServer,
    pub(crate) changes: Arc<Changes<Tag>>,
}

impl Opener {
    /// Who opens a watch looks at it afterwards: what it learned before it was subscribed to is not told again.
    fn open<K: kube_watch::Kind>(&self, scope: Scope) -> Watch<K> {
        let watch = self.watches.watch(&self.server, scope);
        watch.notify(&self.changes, ());
        watch
    }
}

/// The objects of one kind, in all namespaces or in some.
#[derive(Debug)]
struct KindWatch<S: Spec> {
    kind: Kind,
    /// One of the whole cluster, or one for each namespace that flags name.
    watches: Vec<Watch<Watched<S>>>,
}

impl<S: Spec> KindWatch<S> {
    /// In all namespaces if none is named; where that is forbidden, in the server's own.
    fn new(opener: &Opener, kind: Kind, (own, namespaces): (&str, &BTreeSet<&String>)) -> Self {
        let fallback_namespace = Some(own.to_owned()).filter(|name| !name.is_empty());
        let scopes = match namespaces.len() {
            0 => vec![Scope { fallback_namespace, ..Scope::default() }],
            _ => namespaces.iter().map(|name| Scope::namespace(name.as_str())).collect(),
        };
        Self { kind, watches: scopes.into_iter().map(|scope| opener.open(scope)).collect() }
    }

    fn is_settled(&self) -> bool {
        self.watches.iter().all(Watch::is_settled)
    }

    /// The objects, sorted.
    fn objects(&self) -> Vec<Arc<Watched<S>>> {
        let mut all: Vec<_> = self.watches.iter().flat_map(Watch::all).collect();
        all.sort_by(|a, b| upstream_order(&a.meta, &b.meta));
        all
    }

    fn state(&self, n_objects: usize) -> KindState {
        let mut errors: Vec<String> = Vec::new();
        for failure in self.watches.iter().filter_map(Watch::failure) {
            let error = described(self.kind.resource(), failure);
            // Without the definition of the kind every namespace says the same.
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        KindState { kind: self.kind, objects: n_objects, errors }
    }
}

/// Why objects of a kind are not seen.
fn described(resource: &str, failure: Failure) -> String {
    match failure.status {
        Some(NOT_FOUND) => format!(
            "the API server does not know {resource} (its CustomResourceDefinition is not installed); they are picked up when it \
             is"
        ),
        _ => failure.message,
    }
}

/// Secrets or ConfigMaps that are watched one by one, so that the right to read may be restricted to their names.
#[derive(Debug)]
struct NamedAssets<K: kube_watch::Kind> {
    kind: AssetKind,
    /// The watch of each, and the version of the object that was read last.
    watches: BTreeMap<AssetId, (Watch<K>, Option<Arc<K>>)>,
}

impl<K: kube_watch::Kind + Holder> NamedAssets<K> {
    fn new(kind: AssetKind) -> Self {
        Self { kind, watches: BTreeMap::new() }
    }

    /// Watches the objects that are named, and no others.
    fn follow(&mut self, named: &BTreeSet<AssetId>, opener: &Opener) {
        self.watches.retain(|id, _| named.contains(id));
        for id in named.iter().filter(|id| id.0 == self.kind) {
            if !self.watches.contains_key(id) {
                let watch = opener.open(Scope::named(&id.1, &id.2));
                self.watches.insert(id.clone(), (watch, None));
            }
        }
    }

    /// Takes over what the watches know.
    fn read(&mut self, assets: &mut Assets) {
        for (id, (watch, last)) in &mut self.watches {
            assets.set_pending(id, !watch.is_settled());
            // The failure first: an object that is not there after a list that worked is missing, and one that came just now
            // is found. The other way around a right given in between would read as a missing object.
            let failure = watch.failure();
            let object = watch.get(&Key::new(&id.1, &id.2));
            match (&object, failure) {
                (Some(object), _) if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, object)) => {}
                (Some(object), _) => assets.set(id.clone(), Ok(object.values())),
                (None, Some(failure)) => assets.set(id.clone(), Err(failure.message)),
                (None, None) => assets.remove(id),
            }
            *last = object;
        }
    }
}

/// All watches of the operator.
#[derive(Debug)]
pub(crate) struct Sources {
    opener: Opener,
    prometheus: Option<(Key, Watch<Watched<PrometheusSpec>>)>,
    service_monitors: KindWatch<ServiceMonitorSpec>,
    pod_monitors: KindWatch<PodMonitorSpec>,
    probes: KindWatch<ProbeSpec>,
    scrape_configs: KindWatch<ScrapeConfigSpec>,
    prometheus_rules: KindWatch<PrometheusRuleSpec>,
    /// Only while a selector asks for labels of namespaces: otherwise no right to read them is needed.
    namespaces: Option<Watch<Namespace>>,
    /// The namespaces as they were seen last, and their labels.
    last_namespaces: (Vec<Arc<Namespace>>, Arc<Namespaces>),
    secrets: NamedAssets<Secret>,
    config_maps: NamedAssets<ConfigMap>,
    assets: Assets,
}

impl Sources {
    pub(crate) fn new(opener: Opener, prometheus: Option<Key>, own_namespace: &str, namespaces: &[String]) -> Self {
        let prometheus = prometheus.map(|key| {
            let watch = opener.open(Scope::object(&key.namespace, &key.name));
            (key, watch)
        });
        // Each once, whatever the flag says.
        let place = (own_namespace, &namespaces.iter().collect());
        Self {
            prometheus,
            service_monitors: KindWatch::new(&opener, Kind::ServiceMonitor, place),
            pod_monitors: KindWatch::new(&opener, Kind::PodMonitor, place),
            probes: KindWatch::new(&opener, Kind::Probe, place),
            scrape_configs: KindWatch::new(&opener, Kind::ScrapeConfig, place),
            prometheus_rules: KindWatch::new(&opener, Kind::PrometheusRule, place),
            namespaces: None,
            last_namespaces: Default::default(),
            secrets: NamedAssets::new(AssetKind::Secret),
            config_maps: NamedAssets::new(AssetKind::ConfigMap),
            assets: Assets::default(),
            opener,
        }
    }

    /// What is known now. Opens and closes watches as that asks for, and as `memory` does: what runs needs its assets. `None`
    /// until all kinds were listed, or could not be, and what the Prometheus object names was read: half of it would be
    /// another configuration. A list that fails counts, so that no server keeps this waiting for long.
    pub(crate) fn look(&mut self, memory: &Memory, settings: &Settings) -> Option<Seen> {
        // Asked before the objects are looked at: the other way around a list that comes in between would read as an empty
        // one.
        let mut is_settled = self.is_settled();
        // One look for both the Secrets to follow and the jobs to make: an object that came between two looks would name
        // Secrets that nobody follows, which reads as missing ones.
        let mut seen = self.seen();
        let reads_namespaces = memory.selection(&seen, settings).reads_namespaces();
        if reads_namespaces != self.namespaces.is_some() {
            self.namespaces = reads_namespaces.then(|| self.opener.open(Scope::default()));
            // Before the look at them, as above.
            is_settled = is_settled && self.namespaces.as_ref().is_none_or(Watch::is_settled);
            (seen.namespaces, seen.namespaces_failure) = self.namespaces();
        }
        let mut named = memory.assets_in_force();
        seen.assets(&memory.selection(&seen, settings), &mut named);
        self.secrets.follow(&named, &self.opener);
        self.config_maps.follow(&named, &self.opener);
        self.assets.retain(&named);
        self.secrets.read(&mut self.assets);
        self.config_maps.read(&mut self.assets);
        let is_complete = is_settled && !seen.of_prometheus().any(|id| self.assets.is_pending(&id));
        is_complete.then_some(seen)
    }

    fn is_settled(&self) -> bool {
        self.service_monitors.is_settled()
            && self.pod_monitors.is_settled()
            && self.probes.is_settled()
            && self.scrape_configs.is_settled()
            && self.prometheus_rules.is_settled()
            && self.namespaces.as_ref().is_none_or(Watch::is_settled)
            && self.prometheus.as_ref().is_none_or(|(_, watch)| watch.is_settled())
    }

    fn seen(&mut self) -> Seen {
        // Kind after kind, each as it is at that moment: objects of different kinds do not refer to each other.
        let (service_monitors, pod_monitors) = (self.service_monitors.objects(), self.pod_monitors.objects());
        let (probes, scrape_configs) = (self.probes.objects(), self.scrape_configs.objects());
        let prometheus_rules = self.prometheus_rules.objects();
        let kinds = vec![
            self.service_monitors.state(service_monitors.len()),
            self.pod_monitors.state(pod_monitors.len()),
            self.probes.state(probes.len()),
            self.scrape_configs.state(scrape_configs.len()),
            self.prometheus_rules.state(prometheus_rules.len()),
        ];
        let (namespaces, namespaces_failure) = self.namespaces();
        Seen {
            prometheus: self.find_prometheus(),
            service_monitors,
            pod_monitors,
            probes,
            scrape_configs,
            prometheus_rules,
            namespaces,
            namespaces_failure,
            kinds,
        }
    }

    fn find_prometheus(&self) -> FoundPrometheus {
        let Some((key, watch)) = &self.prometheus else { return FoundPrometheus::NotAsked };
        let name = format!("{}/{}", key.namespace, key.name);
        // The failure first, as for Secrets.
        let failure = watch.failure();
        match (watch.get(key), failure) {
            (Some(object), _) => FoundPrometheus::Object(object),
            (None, Some(failure)) => FoundPrometheus::Missing { name, why: described("prometheuses", failure) },
            (None, None) => {
                let why = format!("there is no Prometheus object {name}; --operator.prometheus names it");
                FoundPrometheus::Missing { name, why }
            }
        }
    }

    /// The labels of namespaces, copied only when one of these has changed, and why not all of them are known.
    fn namespaces(&mut self) -> (Arc<Namespaces>, Option<String>) {
        let Some(watch) = &self.namespaces else {
            self.last_namespaces = Default::default();
            return Default::default();
        };
        let failure = watch.error();
        let all = watch.all();
        let (last, known) = &self.last_namespaces;
        if last.len() == all.len() && last.iter().zip(&all).all(|(a, b)| Arc::ptr_eq(a, b)) {
            return (Arc::clone(known), failure);
        }
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let labels = |one: &Arc<Namespace>| one.metadata.labels.iter().map(owned).collect();
        let known: Namespaces =
            all.iter().map(|one| (kube_watch::name(&one.metadata).to_owned(), labels(one))).collect();
        let known = Arc::new(known);
        self.last_namespaces = (all, Arc::clone(&known));
        (known, failure)
    }

    pub(crate) fn assets(&self) -> &Assets {
        &self.assets
    }
}
