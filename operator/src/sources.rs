//! The watches that the operator needs: the kinds, the Prometheus object, namespaces, and the Secrets and ConfigMaps that these name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube_watch::{ApiServer, Changes, Key, Namespace, Scope, Watch, Watches};

use crate::assets::{AssetId, AssetKind, Assets};
use crate::objects::{
    Kind, PodMonitorSpec, ProbeSpec, Prometheus, PrometheusSpec, ScrapeConfigSpec, ServiceMonitorSpec,
};
use crate::outcome::KindState;
use crate::reconcile::{FoundPrometheus, mounted};
use crate::select::Namespaces;
use crate::watched::{ConfigMap, Holder, Secret, Spec, Watched};

/// What a change is about; the objects themselves are looked at again in any case.
pub(crate) type Tag = ();

/// The status of a response that refuses a right.
const FORBIDDEN: u16 = 403;

/// How watches are opened.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    pub(crate) watches: Arc<Watches>,
    pub(crate) server: ApiServer,
    pub(crate) changes: Arc<Changes<Tag>>,
}

impl Opener {
    fn open<K: kube_watch::Kind>(&self, scope: Scope) -> Watch<K> {
        let watch = self.watches.watch(&self.server, scope);
        watch.notify(&self.changes, ());
        watch
    }
}

/// The objects of one kind, in all namespaces or in some.
#[derive(Debug)]
pub(crate) struct KindWatch<S: Spec> {
    kind: Kind,
    /// In the whole cluster; not where flags name namespaces.
    cluster: Option<Watch<Watched<S>>>,
    /// In these namespaces: those that flags name, or the server's own while the cluster is forbidden.
    namespaces: BTreeMap<String, Watch<Watched<S>>>,
}

impl<S: Spec> KindWatch<S> {
    fn new(opener: &Opener, kind: Kind, namespaces: &[String]) -> Self {
        if namespaces.is_empty() {
            return Self { kind, cluster: Some(opener.open(Scope::default())), namespaces: BTreeMap::new() };
        }
        let watch = |name: &String| (name.clone(), opener.open(Scope::namespace(name)));
        Self { kind, cluster: None, namespaces: namespaces.iter().map(watch).collect() }
    }

    /// Where the cluster as a whole is forbidden, the server's own namespace may not be.
    fn fall_back(&mut self, opener: &Opener, own: &str) {
        let Some(cluster) = &self.cluster else { return };
        let is_forbidden = cluster.failure().is_some_and(|failure| failure.status == Some(FORBIDDEN));
        if is_forbidden && !own.is_empty() && self.namespaces.is_empty() {
            self.namespaces.insert(own.to_owned(), opener.open(Scope::namespace(own)));
        } else if !is_forbidden {
            // The right was given meanwhile, and everything is seen there.
            self.namespaces.clear();
        }
    }

    fn is_settled(&self) -> bool {
        self.watches().all(Watch::is_settled)
    }

    fn watches(&self) -> impl Iterator<Item = &Watch<Watched<S>>> {
        self.cluster.iter().chain(self.namespaces.values())
    }

    /// The objects, each once.
    pub(crate) fn objects(&self) -> Vec<Arc<Watched<S>>> {
        let all = self.watches().flat_map(Watch::all);
        let by_key: BTreeMap<Key, Arc<Watched<S>>> = all.map(|one| (Key::of(&one.metadata), one)).collect();
        by_key.into_values().collect()
    }

    fn state(&self) -> KindState {
        let errors = self.watches().filter_map(Watch::failure);
        let errors = errors.map(|failure| failure.message).collect();
        KindState { kind: self.kind, objects: self.objects().len(), errors }
    }

    /// The Secrets and ConfigMaps that objects name, in their own namespaces.
    fn assets(&self, found: &mut BTreeSet<AssetId>) {
        for object in self.objects() {
            let namespace = kube_watch::namespace(&object.metadata);
            found.extend(object.assets.iter().map(|(kind, name)| (*kind, namespace.to_owned(), name.clone())));
        }
    }
}

/// All watches of the operator.
#[derive(Debug)]
pub(crate) struct Sources {
    opener: Opener,
    own_namespace: String,
    prometheus: Option<(Key, Watch<Watched<PrometheusSpec>>)>,
    pub(crate) service_monitors: KindWatch<ServiceMonitorSpec>,
    pub(crate) pod_monitors: KindWatch<PodMonitorSpec>,
    pub(crate) probes: KindWatch<ProbeSpec>,
    pub(crate) scrape_configs: KindWatch<ScrapeConfigSpec>,
    namespaces: Watch<Namespace>,
    secrets: BTreeMap<AssetId, Watch<Secret>>,
    config_maps: BTreeMap<AssetId, Watch<ConfigMap>>,
    assets: Assets,
}

impl Sources {
    pub(crate) fn new(opener: Opener, prometheus: Option<Key>, own_namespace: &str, namespaces: &[String]) -> Self {
        let prometheus = prometheus.map(|key| {
            let watch = opener.open(Scope::object(&key.namespace, &key.name));
            (key, watch)
        });
        Self {
            prometheus,
            own_namespace: own_namespace.to_owned(),
            service_monitors: KindWatch::new(&opener, Kind::ServiceMonitor, namespaces),
            pod_monitors: KindWatch::new(&opener, Kind::PodMonitor, namespaces),
            probes: KindWatch::new(&opener, Kind::Probe, namespaces),
            scrape_configs: KindWatch::new(&opener, Kind::ScrapeConfig, namespaces),
            namespaces: opener.open(Scope::default()),
            secrets: BTreeMap::new(),
            config_maps: BTreeMap::new(),
            assets: Assets::default(),
            opener,
        }
    }

    /// Opens and closes watches as what is known asks for. True once all kinds were listed, or could not be.
    pub(crate) fn update(&mut self) -> bool {
        let (opener, own) = (&self.opener, self.own_namespace.as_str());
        self.service_monitors.fall_back(opener, own);
        self.pod_monitors.fall_back(opener, own);
        self.probes.fall_back(opener, own);
        self.scrape_configs.fall_back(opener, own);
        let is_settled = self.service_monitors.is_settled()
            && self.pod_monitors.is_settled()
            && self.probes.is_settled()
            && self.scrape_configs.is_settled()
            && self.namespaces.is_settled()
            && self.prometheus.as_ref().is_none_or(|(_, watch)| watch.is_settled());
        let named = self.named_assets();
        follow(&mut self.secrets, &named, AssetKind::Secret, opener);
        follow(&mut self.config_maps, &named, AssetKind::ConfigMap, opener);
        read(&self.secrets, &mut self.assets);
        read(&self.config_maps, &mut self.assets);
        // What jobs read as files must be known before the jobs are made.
        let is_mounted = match self.prometheus() {
            FoundPrometheus::Object(object) => !mounted_of(&object).iter().any(|id| self.assets.is_pending(id)),
            _ => true,
        };
        is_settled && is_mounted
    }

    fn named_assets(&self) -> BTreeSet<AssetId> {
        let mut found = BTreeSet::new();
        self.service_monitors.assets(&mut found);
        self.pod_monitors.assets(&mut found);
        self.probes.assets(&mut found);
        self.scrape_configs.assets(&mut found);
        if let FoundPrometheus::Object(object) = self.prometheus() {
            let namespace = kube_watch::namespace(&object.metadata);
            found.extend(object.assets.iter().map(|(kind, name)| (*kind, namespace.to_owned(), name.clone())));
            found.extend(mounted_of(&object));
        }
        found
    }

    pub(crate) fn prometheus(&self) -> FoundPrometheus {
        let Some((key, watch)) = &self.prometheus else { return FoundPrometheus::NotAsked };
        let name = format!("{}/{}", key.namespace, key.name);
        match (watch.get(key), watch.failure()) {
            (Some(object), _) => FoundPrometheus::Object(object),
            (None, Some(failure)) => FoundPrometheus::Missing { name, why: failure.message },
            (None, None) => {
                let why = format!("there is no Prometheus object {name}; --operator.prometheus names it");
                FoundPrometheus::Missing { name, why }
            }
        }
    }

    pub(crate) fn namespaces(&self) -> Namespaces {
        let labels = |one: &Arc<Namespace>| one.metadata.labels.clone().unwrap_or_default();
        self.namespaces.all().iter().map(|one| (kube_watch::name(&one.metadata).to_owned(), labels(one))).collect()
    }

    pub(crate) fn assets(&self) -> &Assets {
        &self.assets
    }

    pub(crate) fn kinds(&self) -> Vec<KindState> {
        vec![self.service_monitors.state(), self.pod_monitors.state(), self.probes.state(), self.scrape_configs.state()]
    }
}

fn mounted_of(object: &Watched<PrometheusSpec>) -> Vec<AssetId> {
    let Ok(spec) = object.spec.clone() else { return Vec::new() };
    mounted(&Prometheus { metadata: object.meta_of(), spec }).collect()
}

/// Watches the objects of a kind that are named, and no others.
fn follow<K: kube_watch::Kind>(
    watches: &mut BTreeMap<AssetId, Watch<K>>,
    named: &BTreeSet<AssetId>,
    kind: AssetKind,
    opener: &Opener,
) {
    watches.retain(|id, _| named.contains(id));
    for id in named.iter().filter(|id| id.0 == kind) {
        if !watches.contains_key(id) {
            watches.insert(id.clone(), opener.open(Scope::object(&id.1, &id.2)));
        }
    }
}

/// Takes over what the watches know.
fn read<K: kube_watch::Kind + Holder>(watches: &BTreeMap<AssetId, Watch<K>>, assets: &mut Assets) {
    for (id, watch) in watches {
        assets.set_pending(id, !watch.is_settled());
        match (watch.get(&Key::new(&id.1, &id.2)), watch.failure()) {
            (Some(object), _) => assets.set(id.clone(), Ok(object.values())),
            (None, Some(failure)) => assets.set(id.clone(), Err(failure.message)),
            (None, None) => assets.remove(id),
        }
    }
}
