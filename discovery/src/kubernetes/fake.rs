//! Objects of a fake API server, for tests of pure functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube_watch::Key;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::objects::{Kind, Object, ObjectStore};

fn decode<T: DeserializeOwned>(value: &Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value.clone()).unwrap())
}

/// The objects, by kind and key.
#[derive(Default)]
pub(crate) struct Objects {
    pub(crate) by_kind: BTreeMap<(Kind, Key), Object>,
}

impl ObjectStore for Objects {
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Object> {
        self.by_kind.get(&(kind, Key::new(namespace, name))).cloned()
    }
}

impl Objects {
    /// Adds an object of a kind that is named as in `kind: Pod`.
    pub(crate) fn put(&mut self, kind: &str, value: &Value) -> Object {
        let (kind, object) = object(kind, value).unwrap();
        self.by_kind.insert((kind, Key::of(object.meta())), object.clone());
        object
    }
}

/// An object; `None` for kinds that give no labels.
pub(crate) fn object(kind: &str, value: &Value) -> Option<(Kind, Object)> {
    Some(match kind {
        "Pod" => (Kind::Pod, Object::Pod(decode(value))),
        "Node" => (Kind::Node, Object::Node(decode(value))),
        "Service" => (Kind::Service, Object::Service(decode(value))),
        "Endpoints" => (Kind::Endpoints, Object::Endpoints(decode(value))),
        "EndpointSlice" => (Kind::EndpointSlice, Object::EndpointSlice(decode(value))),
        "Ingress" => (Kind::Ingress, Object::Ingress(decode(value))),
        "Namespace" => (Kind::Namespace, Object::Namespace(decode(value))),
        "ReplicaSet" => (Kind::ReplicaSet, Object::ReplicaSet(decode(value))),
        "Job" => (Kind::Job, Object::Job(decode(value))),
        "CronJob" | "Deployment" => return None,
        other => panic!("kind {other}"),
    })
}
