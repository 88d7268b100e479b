//! What jobs are made from: what the watches know at one moment, what flags say, and the configuration file.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use config::{Defaults, GlobalConfig};

use crate::assets::{AssetId, AssetKind, Assets};
use crate::generate::Options;
use crate::objects::{
    Kind, LabelSelector, Meta, ObjectRef, PodMonitorSpec, ProbeSpec, PrometheusRuleSpec, PrometheusSpec,
    ScrapeConfigSpec, ServiceMonitorSpec,
};
use crate::outcome::KindState;
use crate::reported::Reported;
use crate::resolve::Placeholders;
use crate::rule_language::RuleLanguage;
use crate::select::{Namespaces, reads_namespaces, select};
use crate::watched::Watched;

/// All that jobs are made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'i> {
    pub(crate) seen: &'i Seen,
    /// Those that the objects of `seen` name, and those that jobs in force need.
    pub(crate) assets: &'i Assets,
    pub(crate) settings: &'i Settings,
    pub(crate) file: &'i Arc<FileConfig>,
    pub(crate) language: &'i dyn RuleLanguage,
}

/// What the watches know at one moment. Objects are sorted as upstream sorts them ([`upstream_order`]), each once.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) prometheus: FoundPrometheus,
    pub(crate) service_monitors: Vec<Arc<Watched<ServiceMonitorSpec>>>,
    pub(crate) pod_monitors: Vec<Arc<Watched<PodMonitorSpec>>>,
    pub(crate) probes: Vec<Arc<Watched<ProbeSpec>>>,
    pub(crate) scrape_configs: Vec<Arc<Watched<ScrapeConfigSpec>>>,
    pub(crate) prometheus_rules: Vec<Arc<Watched<PrometheusRuleSpec>>>,
    /// Empty while no selector asks for their labels.
    pub(crate) namespaces: Arc<Namespaces>,
    /// Why namespaces are not seen.
    pub(crate) namespaces_failure: Option<String>,
    pub(crate) kinds: Vec<KindState>,
}

impl Seen {
    /// Collects the Secrets and ConfigMaps that the objects name which are selected. Others are of no use, and whoever may create a
    /// monitor anywhere could have any number of them read.
    pub(crate) fn assets(&self, selection: &Selection<'_>, found: &mut BTreeSet<AssetId>) {
        selection.assets(Kind::ServiceMonitor, &self.service_monitors, found);
        selection.assets(Kind::PodMonitor, &self.pod_monitors, found);
        selection.assets(Kind::Probe, &self.probes, found);
        selection.assets(Kind::ScrapeConfig, &self.scrape_configs, found);
        found.extend(self.of_prometheus());
    }

    /// What the status of an object says.
    pub(crate) fn reported(&self, object: &ObjectRef) -> Option<&Reported> {
        fn of<'s, S>(all: &'s [Arc<Watched<S>>], object: &ObjectRef) -> Option<&'s Reported> {
            let wanted = Meta { namespace: object.namespace.clone(), name: object.name.clone(), ..Meta::default() };
            let at = all.binary_search_by(|one| upstream_order(&one.meta, &wanted)).ok()?;
            Some(&all[at].reported)
        }
        match object.kind {
            Kind::ServiceMonitor => of(&self.service_monitors, object),
            Kind::PodMonitor => of(&self.pod_monitors, object),
            Kind::Probe => of(&self.probes, object),
            Kind::ScrapeConfig => of(&self.scrape_configs, object),
            Kind::PrometheusRule => of(&self.prometheus_rules, object),
        }
    }

    /// The Secrets and ConfigMaps that the Prometheus object names, mounted ones among them.
    pub(crate) fn of_prometheus(&self) -> impl Iterator<Item = AssetId> {
        let object = match &self.prometheus {
            FoundPrometheus::Object(object) => Some(object),
            _ => None,
        };
        object.into_iter().flat_map(|object| named(object).chain(mounted_of(object)))
    }
}

/// The selectors that hold: those of the Prometheus object in force, and of the one that is seen and may come into force.
#[derive(Debug)]
pub(crate) struct Selection<'s> {
    /// Each with the namespace of its object.
    pub(crate) specs: Vec<(Cow<'s, PrometheusSpec>, &'s str)>,
    pub(crate) namespaces: &'s Namespaces,
}

impl Selection<'_> {
    /// Does any of the selectors ask for labels of namespaces?
    pub(crate) fn reads_namespaces(&self) -> bool {
        self.specs.iter().any(|(spec, _)| reads_namespaces(spec))
    }

    fn assets<S>(&self, kind: Kind, objects: &[Arc<Watched<S>>], found: &mut BTreeSet<AssetId>) {
        // Most objects name nothing, and all are looked at after every change.
        for object in objects.iter().filter(|object| !object.assets.is_empty()) {
            let is_selected = |(spec, own): &(Cow<'_, PrometheusSpec>, &str)| {
                select((spec, own), kind, &object.meta, self.namespaces).is_ok()
            };
            if self.specs.iter().any(is_selected) {
                found.extend(named(object));
            }
        }
    }
}

/// What holds for all objects, from flags. It never changes while the process runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) placeholders: Placeholders,
    /// The namespace of this server.
    pub(crate) namespace: String,
    /// Which objects are selected where there is no Prometheus object.
    pub(crate) selector: LabelSelector,
}

/// The configuration file, and what flags say of what it leaves out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileConfig {
    pub(crate) global: GlobalConfig,
    pub(crate) defaults: Defaults,
}

/// The Prometheus object.
#[derive(Debug)]
pub(crate) enum FoundPrometheus {
    /// None is asked for: everything that is visible is selected.
    NotAsked,
    /// The one that is asked for, `namespace/name`, is not known, and why.
    Missing { name: String, why: String },
    /// It is there.
    Object(Arc<Watched<PrometheusSpec>>),
}

/// `<namespace>/<name>`, byte by byte: jobs follow one another in this order. It is not that of the pair, because `-` and
/// `.` come before `/`: `a-b/x` before `a/x`.
pub(crate) fn upstream_order(a: &Meta, b: &Meta) -> Ordering {
    fn text(meta: &Meta) -> impl Iterator<Item = u8> {
        meta.namespace.bytes().chain(std::iter::once(b'/')).chain(meta.name.bytes())
    }
    text(a).cmp(text(b))
}

/// The Secrets and ConfigMaps that an object names: references do not leave its namespace.
pub(crate) fn named<S>(object: &Watched<S>) -> impl Iterator<Item = AssetId> {
    object.assets.iter().map(|(kind, name)| (*kind, object.meta.namespace.clone(), name.clone()))
}

/// The Secrets and ConfigMaps that upstream mounts into the pods of a Prometheus object. The object and all monitors may
/// refer to the mounted files by their paths.
pub(crate) fn mounted(spec: &PrometheusSpec, namespace: &str) -> impl Iterator<Item = AssetId> {
    // Both only from the namespace of the object, as volumes of its pods are.
    let secrets = spec.secrets.iter().map(|name| (AssetKind::Secret, name));
    let maps = spec.config_maps.iter().map(|name| (AssetKind::ConfigMap, name));
    secrets.chain(maps).map(move |(kind, name)| (kind, namespace.to_owned(), name.clone()))
}

fn mounted_of(object: &Watched<PrometheusSpec>) -> impl Iterator<Item = AssetId> {
    object.spec.iter().flat_map(|spec| mounted(spec, &object.meta.namespace))
}

/// The versions of what an object names.
pub(crate) fn versions<S>(assets: &Assets, object: &Watched<S>) -> Vec<u64> {
    // Most objects name nothing, and all are looked at after every change: no name is built for them.
    named(object).map(|id| assets.version(&id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_sorted_as_text() {
        let meta = |text: &str| {
            let (namespace, name) = text.split_once('/').unwrap();
            Meta { namespace: namespace.to_owned(), name: name.to_owned(), ..Meta::default() }
        };
        let mut sorted = ["a/x", "a-b/x", "a/w", "a.c/x", "a0/x", "a/x-1"].map(meta);
        sorted.sort_by(upstream_order);
        let sorted = sorted.map(|meta| format!("{}/{}", meta.namespace, meta.name));
        assert_eq!(sorted, ["a-b/x", "a.c/x", "a/w", "a/x", "a/x-1", "a0/x"]);
    }
}
