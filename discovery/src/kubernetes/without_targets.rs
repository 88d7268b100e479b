//! Services and pods in which a discovery finds no target, and why: for whoever asks why nothing is scraped. Groups without targets are
//! not published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{KubernetesRole, KubernetesSdConfig, SdConfig};
use kube_watch::{Key, name, namespace};
use model::{Labels, LabelsBuilder};

use super::discoverer::namespaces;
use super::endpointslice;
use super::meta::{set, set_namespace, set_service};
use super::objects::{EndpointSlice, Endpoints, Kind, Object, ObjectStore, Pod, Service, Subset};
use super::pod::{self, pod_labels};
use super::watched::Objects;
use crate::discoverer::Surroundings;

/// Looks at the objects that discoveries follow.
#[derive(Clone, Debug)]
pub struct Lookup(pub(crate) Surroundings);

/// An object that a discovery sees and finds no target in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutTargets {
    /// The labels that its targets would have in common.
    pub labels: Labels,
    /// Why it has none, as what follows the name of the object.
    pub why: String,
}

impl Lookup {
    /// The objects in which a discovery finds no target. It must be called within a tokio runtime.
    #[must_use]
    pub fn without_targets(&self, config: &SdConfig) -> Vec<WithoutTargets> {
        let SdConfig::Kubernetes(config) = config else { return Vec::new() };
        let Ok(namespaces) = namespaces(config, self.0.own_namespace.clone()) else { return Vec::new() };
        // These are the watches of the discovery itself, which runs: nothing is asked of the API server.
        let objects = Objects::watch(config, &namespaces, &self.0);
        without_targets(config, &|kind| objects.all(kind), &objects)
    }
}

fn without_targets(
    config: &KubernetesSdConfig,
    all: &dyn Fn(Kind) -> Vec<Object>,
    store: &dyn ObjectStore,
) -> Vec<WithoutTargets> {
    match config.role {
        KubernetesRole::Endpoints => services(config, (Kind::Endpoints, "Endpoints"), all, store),
        KubernetesRole::EndpointSlice => services(config, (Kind::EndpointSlice, "EndpointSlice"), all, store),
        KubernetesRole::Pod => pods(config, all, store),
        _ => Vec::new(),
    }
}

fn services(
    config: &KubernetesSdConfig,
    (kind, called): (Kind, &str),
    all: &dyn Fn(Kind) -> Vec<Object>,
    store: &dyn ObjectStore,
) -> Vec<WithoutTargets> {
    let (mut with_object, mut with_addresses) = (BTreeSet::new(), BTreeSet::new());
    for object in all(kind) {
        let Some((key, has_addresses)) = leads_somewhere(&object) else { continue };
        if has_addresses {
            with_addresses.insert(key.clone());
        }
        with_object.insert(key);
    }
    let mut pods: Option<BTreeMap<String, Vec<Arc<Pod>>>> = None;
    let mut found = Vec::new();
    for object in all(Kind::Service) {
        let Object::Service(service) = object else { continue };
        let key = Key::of(&service.metadata);
        if with_addresses.contains(&key) {
            continue;
        }
        // Looked at only if there is such a Service: pods are many.
        let pods = pods.get_or_insert_with(|| by_namespace(all(Kind::Pod)));
        let near = pods.get(&key.namespace).map_or(&[][..], Vec::as_slice);
        let why = why_no_addresses(&service, (called, with_object.contains(&key)), near);
        let mut labels = LabelsBuilder::default();
        set(&mut labels, "namespace", &key.namespace);
        set_service(&mut labels, &key.namespace, &key.name, store);
        set_namespace(&mut labels, &service.metadata, config.attach_metadata, store);
        found.push(WithoutTargets { labels: labels.labels(), why });
    }
    found
}

/// The Service that an object belongs to, and whether it has addresses and ports.
fn leads_somewhere(object: &Object) -> Option<(Key, bool)> {
    match object {
        Object::Endpoints(endpoints) => {
            let Endpoints { metadata, subsets } = &**endpoints;
            let addresses = |subset: &Subset| subset.addresses.len() + subset.not_ready_addresses.len();
            let has_addresses = subsets.iter().any(|subset| addresses(subset) > 0 && !subset.ports.is_empty());
            Some((Key::of(metadata), has_addresses))
        }
        Object::EndpointSlice(slice) => {
            let EndpointSlice { metadata, endpoints, ports, .. } = &**slice;
            let service = endpointslice::service_name(metadata)?;
            Some((Key::new(namespace(metadata), service), !endpoints.is_empty() && !ports.is_empty()))
        }
        _ => None,
    }
}

fn by_namespace(pods: Vec<Object>) -> BTreeMap<String, Vec<Arc<Pod>>> {
    let mut by_namespace: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
    for object in pods {
        if let Object::Pod(pod) = object {
            by_namespace.entry(namespace(&pod.metadata).to_owned()).or_default().push(pod);
        }
    }
    by_namespace
}

/// Why nothing is behind a Service. `object`: what its endpoints are called, and whether there is one; `pods` those of its namespace.
fn why_no_addresses(service: &Service, (called, has_object): (&str, bool), pods: &[Arc<Pod>]) -> String {
    let selector = &service.spec.selector;
    let place = namespace(&service.metadata);
    if service.spec.kind == "ExternalName" {
        return "it is of the type ExternalName, which has no endpoints".to_owned();
    }
    if selector.is_empty() {
        return match has_object {
            true => format!("it has no selector, and its {called} has no addresses with ports"),
            false => format!("it has no selector, and nobody wrote the {called} that such a Service needs"),
        };
    }
    let text = selector.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
    let n_matching = pods.iter().filter(|pod| n_unmet(selector, pod) == 0).count();
    if n_matching == 0 {
        let near = nearest(selector, pods).unwrap_or_default();
        return format!("its selector {text} matches no pod in the namespace {place}{near}");
    }
    let matches = if n_matching == 1 { "1 pod".to_owned() } else { format!("{n_matching} pods") };
    match has_object {
        false => format!("its selector {text} matches {matches}, but kube-controller-manager wrote no {called} for it"),
        true if service.spec.ports.is_empty() => "it has no ports".to_owned(),
        true => format!("its selector {text} matches {matches}, of which none has an address in its {called} yet"),
    }
}

/// How many labels of a selector a pod lacks.
fn n_unmet(selector: &BTreeMap<String, String>, pod: &Pod) -> usize {
    selector.iter().filter(|(name, value)| pod.metadata.labels.get(name) != Some(value.as_str())).count()
}

/// The pod that would match but for one label.
fn nearest(selector: &BTreeMap<String, String>, pods: &[Arc<Pod>]) -> Option<String> {
    let pod = pods.iter().find(|pod| n_unmet(selector, pod) == 1)?;
    let own = |key: &str| pod.metadata.labels.get(key);
    let (key, _) = selector.iter().find(|(key, value)| own(key) != Some(value.as_str()))?;
    let who = name(&pod.metadata);
    Some(match own(key) {
        Some(has) => format!("; pod {who} has {key}={has}"),
        // With a single requirement that is every pod.
        None if selector.len() == 1 => return None,
        None => format!("; pod {who} has no label {key}"),
    })
}

fn pods(
    config: &KubernetesSdConfig,
    all: &dyn Fn(Kind) -> Vec<Object>,
    store: &dyn ObjectStore,
) -> Vec<WithoutTargets> {
    let attach = config.attach_metadata;
    let mut found = Vec::new();
    for object in all(Kind::Pod) {
        let Object::Pod(pod) = object else { continue };
        if !pod::group(&pod, attach, store).targets.is_empty() {
            continue;
        }
        let why = match pod.status.pod_ip.is_empty() {
            true => "it has no address yet".to_owned(),
            false => format!("its node {:?} is not known", pod.spec.node_name),
        };
        let mut labels = LabelsBuilder::default();
        set(&mut labels, "namespace", namespace(&pod.metadata));
        set_namespace(&mut labels, &pod.metadata, attach, store);
        found.push(WithoutTargets { labels: labels.labels().joined(&pod_labels(&pod, attach, store)), why });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;
    use serde_json::{Value, json};

    /// What is said of the objects: `service-or-pod: why`.
    fn said(role: &str, objects: &[(&str, Value)]) -> Vec<String> {
        let mut store = fake::Objects::default();
        for (kind, object) in objects {
            let mut object = object.clone();
            object["metadata"]["namespace"] = "d".into();
            store.put(kind, &object);
        }
        let text = format!("scrape_configs: [{{job_name: j, kubernetes_sd_configs: [{{role: {role}}}]}}]");
        let config = config::Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap();
        let SdConfig::Kubernetes(config) = &config.scrape_configs[0].sd[0] else { panic!("{text}") };
        let all = |kind: Kind| {
            store.by_kind.iter().filter(|((of, _), _)| *of == kind).map(|(_, object)| object.clone()).collect()
        };
        let label = if role == "pod" { "__meta_kubernetes_pod_name" } else { "__meta_kubernetes_service_name" };
        let found = without_targets(config, &all, &store);
        found.iter().map(|one| format!("{}: {}", one.labels.value(label), one.why)).collect()
    }

    fn service(spec: Value) -> (&'static str, Value) {
        ("Service", json!({"metadata": {"name": "s", "labels": {"app": "web"}}, "spec": spec}))
    }

    fn pod(name: &str, labels: Value) -> (&'static str, Value) {
        ("Pod", json!({"metadata": {"name": name, "labels": labels}, "status": {"podIP": "10.0.0.1"}}))
    }

    #[test]
    fn services_without_endpoints_say_why() {
        let ports = json!([{"name": "web", "port": 80}]);
        let selecting = |selector: Value| service(json!({"selector": selector, "ports": ports}));
        let empty = ("Endpoints", json!({"metadata": {"name": "s"}}));
        let (web, wep) = (pod("a", json!({"app": "web", "tier": "x"})), pod("b", json!({"app": "wep", "tier": "x"})));
        let app = || selecting(json!({"app": "web"}));
        for (objects, why) in [
            (vec![app()], "its selector app=web matches no pod in the namespace d"),
            (vec![app(), wep.clone()], "its selector app=web matches no pod in the namespace d; pod b has app=wep"),
            (
                vec![selecting(json!({"app": "web", "tier": "x", "v": "1"})), web.clone(), wep],
                "its selector app=web,tier=x,v=1 matches no pod in the namespace d; pod a has no label v",
            ),
            (
                vec![app(), web.clone()],
                "its selector app=web matches 1 pod, but kube-controller-manager wrote no Endpoints for it",
            ),
            (
                vec![app(), web.clone(), empty.clone()],
                "its selector app=web matches 1 pod, of which none has an address in its Endpoints yet",
            ),
            (
                vec![service(json!({"ports": ports}))],
                "it has no selector, and nobody wrote the Endpoints that such a Service needs",
            ),
            (
                vec![service(json!({"ports": ports})), empty.clone()],
                "it has no selector, and its Endpoints has no addresses with ports",
            ),
            (vec![service(json!({"selector": {"app": "web"}})), web.clone(), empty], "it has no ports"),
            (
                vec![service(json!({"type": "ExternalName", "externalName": "a.example"}))],
                "it is of the type ExternalName, which has no endpoints",
            ),
        ] {
            assert_eq!(said("endpoints", &objects), [format!("s: {why}")]);
        }
        let full = json!({"metadata": {"name": "s"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]});
        assert_eq!(said("endpoints", &[app(), web.clone(), ("Endpoints", full)]), [""; 0]);
        let slice = json!({
            "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}],
        });
        let why = "s: its selector app=web matches 1 pod, but kube-controller-manager wrote no EndpointSlice for it";
        assert_eq!(said("endpointslice", &[app(), web.clone()]), [why]);
        assert_eq!(said("endpointslice", &[app(), web, ("EndpointSlice", slice)]), [""; 0]);
    }

    #[test]
    fn pods_without_an_address_say_so() {
        let pending = ("Pod", json!({"metadata": {"name": "p"}, "status": {"phase": "Pending"}}));
        let mut running = pod("q", json!({}));
        running.1["spec"] = json!({"containers": [{"name": "c"}]});
        assert_eq!(said("pod", &[pending, running]), ["p: it has no address yet"]);
    }
}
