//! Why a target that was found is gone: what became of the pod behind it, or of the object that it was made of. For whoever asks
//! later, when the objects are gone as well.

use config::KubernetesRole;
use kube_watch::Key;
use model::labels::ADDRESS;
use model::{TargetGroup, TargetLabels};

use super::meta::label;
use super::objects::{Kind, Object, ObjectStore, Pod};
use super::role::{key_of, primary};

/// Why a target of a group, as it was, is gone; as a sentence without its end.
pub(crate) fn why_gone(
    role: KubernetesRole,
    store: &dyn ObjectStore,
    (group, target): (&TargetGroup, &TargetLabels),
) -> String {
    let kind = primary(role);
    let key = key_of(&group.source);
    let object = store.get(kind, &key.namespace, &key.name);
    if role != KubernetesRole::Pod
        && let Some(why) = why_pod_is_gone(kind, store, (group, target))
    {
        return why;
    }
    let called = format!("{} {key}", called(kind));
    match object {
        None => format!("{called} was deleted, or is not selected any more"),
        Some(Object::Pod(pod)) => why_without(&pod, &called, group, target),
        Some(_) => format!("{called} has this address or port no more"),
    }
}

/// What became of the pod behind an endpoint; `None` if that is not the reason.
fn why_pod_is_gone(
    kind: Kind,
    store: &dyn ObjectStore,
    (group, target): (&TargetGroup, &TargetLabels),
) -> Option<String> {
    let labels = target.joined(&group.labels);
    let name = labels.get(&label("pod_name"))?;
    let key = Key::new(labels.value(&label("namespace")), name);
    let called = format!("pod {key}");
    let Some(Object::Pod(pod)) = store.get(Kind::Pod, &key.namespace, &key.name) else {
        return Some(format!("{called} was deleted"));
    };
    if let Some(why) = why_ended(&pod, &called) {
        return Some(why);
    }
    let is_ready = pod.status.ready.0.as_deref() == Some("True");
    (!is_ready).then(|| format!("{called} is not ready, and {} does not list it any more", self::called(kind)))
}

/// Why a pod that is still there gives this target no more.
fn why_without(pod: &Pod, called: &str, group: &TargetGroup, target: &TargetLabels) -> String {
    if let Some(why) = why_ended(pod, called) {
        return why;
    }
    let address = target.joined(&group.labels).value(ADDRESS).to_owned();
    let ip = &pod.status.pod_ip;
    let is_of_pod = address == *ip || address.starts_with(&format!("{ip}:")) || address.starts_with(&format!("[{ip}]"));
    match is_of_pod {
        true => format!("{called} does not declare the port of {address} any more, or its node is not known"),
        false => format!("{called} has another address now, {ip}"),
    }
}

/// Why a pod can have no targets.
fn why_ended(pod: &Pod, called: &str) -> Option<String> {
    let phase = &pod.status.phase;
    if matches!(phase.as_str(), "Succeeded" | "Failed") {
        return Some(format!("{called} has ended: its phase is {phase}"));
    }
    pod.status.pod_ip.is_empty().then(|| format!("{called} has no address: its phase is {phase:?}"))
}

/// What people call objects of a kind.
fn called(kind: Kind) -> &'static str {
    match kind {
        Kind::Pod => "pod",
        Kind::Node => "node",
        Kind::Service => "Service",
        Kind::Endpoints => "Endpoints",
        Kind::EndpointSlice => "EndpointSlice",
        Kind::Ingress => "Ingress",
        Kind::Namespace => "namespace",
        Kind::ReplicaSet => "ReplicaSet",
        Kind::Job => "Job",
    }
}

#[cfg(test)]
mod tests {
    use config::AttachMetadata;
    use serde_json::{Value, json};

    use super::super::fake;
    use super::super::role;
    use super::*;

    fn pod(ip: &str, phase: &str, ready: &str) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "d"},
            "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]},
            "status": {"podIP": ip, "phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
        })
    }

    fn endpoints() -> Value {
        let to = json!({"kind": "Pod", "name": "p", "namespace": "d"});
        let subset = json!({"addresses": [{"ip": "10.0.0.1", "targetRef": to}], "ports": [{"port": 80}]});
        json!({"metadata": {"name": "e", "namespace": "d"}, "subsets": [subset]})
    }

    /// Why the first target that these objects gave is gone, once the others are what there is.
    fn why(role: KubernetesRole, before: &[(&str, Value)], now: &[(&str, Value)]) -> String {
        let put = |all: &[(&str, Value)]| {
            let mut store = fake::Objects::default();
            all.iter().for_each(|(kind, object)| drop(store.put(kind, object)));
            store
        };
        let (before, now) = (put(before), put(now));
        let is_primary = |kind: &Kind| *kind == primary(role);
        let (_, object) = before.by_kind.iter().find(|((kind, _), _)| is_primary(kind)).unwrap();
        let group = role::group(object, AttachMetadata::default(), &before).unwrap();
        why_gone(role, &now, (&group, &group.targets[0]))
    }

    #[test]
    fn a_pod_says_what_became_of_it() {
        let of = |now: &[Value]| {
            let now: Vec<_> = now.iter().map(|pod| ("Pod", pod.clone())).collect();
            why(KubernetesRole::Pod, &[("Pod", pod("10.0.0.1", "Running", "True"))], &now)
        };
        assert_eq!(of(&[]), "pod d/p was deleted, or is not selected any more");
        assert_eq!(of(&[pod("10.0.0.1", "Failed", "False")]), "pod d/p has ended: its phase is Failed");
        assert_eq!(of(&[pod("", "Pending", "False")]), "pod d/p has no address: its phase is \"Pending\"");
        assert_eq!(of(&[pod("10.0.0.2", "Running", "True")]), "pod d/p has another address now, 10.0.0.2");
    }

    #[test]
    fn endpoints_say_what_became_of_the_pod_behind_them() {
        let running = || pod("10.0.0.1", "Running", "True");
        let of = |now: &[(&str, Value)]| {
            why(KubernetesRole::Endpoints, &[("Endpoints", endpoints()), ("Pod", running())], now)
        };
        let mut empty = endpoints();
        empty["subsets"] = json!([]);
        let empty = ("Endpoints", empty);
        assert_eq!(of(std::slice::from_ref(&empty)), "pod d/p was deleted");
        assert_eq!(
            of(&[empty.clone(), ("Pod", pod("10.0.0.1", "Running", "False"))]),
            "pod d/p is not ready, and Endpoints does not list it any more"
        );
        assert_eq!(of(&[empty, ("Pod", running())]), "Endpoints d/e has this address or port no more");
        assert_eq!(of(&[("Pod", running())]), "Endpoints d/e was deleted, or is not selected any more");
    }

    #[test]
    fn keys_are_read_from_sources() {
        for (role, key) in [
            (KubernetesRole::Node, Key::new("", "n")),
            (KubernetesRole::Service, Key::new("d", "s")),
            (KubernetesRole::EndpointSlice, Key::new("d", "e")),
        ] {
            assert_eq!(key_of(&role::source(role, &key)), key);
        }
    }
}
