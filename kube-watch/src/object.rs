//! Kinds of objects: what a kind must provide, and the macros that declare one trimmed to the fields that are needed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};

use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A kind of object that can be watched.
///
/// A type holds only the fields that its consumers look at: what it leaves out costs no memory, and a change of it is no change.
/// `trimmed!` and `resource!` declare such a type for a built-in kind; a custom resource derives `kube::CustomResource` and
/// implements this trait. Two types for the same resource are two watches.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + PartialEq + Send + Sync + 'static
{
    /// Access to the objects of a namespace, or to all of them.
    fn api(client: Client, namespace: Option<&str>) -> Api<Self>;

    /// Drops what no consumer looks at. By default that is most of the metadata, such as versions and managed fields.
    fn trim(&mut self) {
        trim_metadata(self.meta_mut());
    }
}

/// Declares a struct whose fields may all be missing or null, with `camelCase` names; for [`resource!`](crate::resource).
#[macro_export]
macro_rules! trimmed {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$attr:meta])* $field:ident : $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, $crate::macros::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        $vis struct $name {
            $($(#[$attr])* #[serde(deserialize_with = "kube_watch::macros::or_default")] $vis $field: $type),*
        }
    };
}

/// Declares where the API server has the objects of a type: `resource!(Pod, "", "v1", "pods", namespaced)`. The type has a field
/// `metadata`.
#[macro_export]
macro_rules! resource {
    ($name:ident, $group:literal, $version:literal, $plural:literal, namespaced) => {
        $crate::resource!(@resource $name, $group, $version, $plural, NamespaceResourceScope);

        impl $crate::Kind for $name {
            fn api(
                client: $crate::macros::Client,
                namespace: Option<&str>,
            ) -> $crate::macros::Api<Self> {
                match namespace {
                    Some(namespace) => $crate::macros::Api::namespaced(client, namespace),
                    None => $crate::macros::Api::all(client),
                }
            }
        }
    };
    ($name:ident, $group:literal, $version:literal, $plural:literal, cluster) => {
        $crate::resource!(@resource $name, $group, $version, $plural, ClusterResourceScope);

        impl $crate::Kind for $name {
            fn api(client: $crate::macros::Client, _: Option<&str>) -> $crate::macros::Api<Self> {
                $crate::macros::Api::all(client)
            }
        }
    };
    (@resource $name:ident, $group:literal, $version:literal, $plural:literal, $scope:ident) => {
        impl $crate::macros::Resource for $name {
            type DynamicType = ();
            type Scope = $crate::macros::$scope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                stringify!($name).into()
            }

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &$crate::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut $crate::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

/// Metadata as [`trim_metadata`] leaves it, and the version. The rest is passed over while it is decoded: managed fields are a third of
/// many objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrimmedMeta(ObjectMeta);

impl From<ObjectMeta> for TrimmedMeta {
    fn from(meta: ObjectMeta) -> Self {
        Self(meta)
    }
}

impl Deref for TrimmedMeta {
    type Target = ObjectMeta;

    fn deref(&self) -> &ObjectMeta {
        &self.0
    }
}

impl DerefMut for TrimmedMeta {
    fn deref_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0
    }
}

impl<'de> Deserialize<'de> for TrimmedMeta {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kept {
            namespace: Option<String>,
            name: Option<String>,
            uid: Option<String>,
            resource_version: Option<String>,
            labels: Option<BTreeMap<String, String>>,
            annotations: Option<BTreeMap<String, String>>,
            owner_references: Option<Vec<OwnerReference>>,
        }
        let Kept { namespace, name, uid, resource_version, labels, annotations, owner_references } =
            Kept::deserialize(from)?;
        Ok(Self(ObjectMeta {
            namespace,
            name,
            uid,
            resource_version,
            labels,
            annotations,
            owner_references,
            ..ObjectMeta::default()
        }))
    }
}

/// A namespace, of which only labels and annotations matter. Discovery and the operator share its watch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Its name, labels and annotations.
    pub metadata: ObjectMeta,
}

resource!(Namespace, "", "v1", "namespaces", cluster);

/// Null means the same as a missing field; named by `trimmed!`.
///
/// # Errors
/// When the value is of another type.
pub fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// The namespace of an object, empty outside of namespaces, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As kubectl and log lines name objects.
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

impl Key {
    /// A key from its parts.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object.
    #[must_use]
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(namespace(meta), name(meta))
    }
}

/// The namespace of an object; empty outside of namespaces.
#[must_use]
pub fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

/// The name of an object.
#[must_use]
pub fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// The kind and name of the owner that controls an object.
#[must_use]
pub fn controller(meta: &ObjectMeta) -> Option<(&str, &str)> {
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    Some((&owner.kind, &owner.name))
}

/// Keeps the name, labels, annotations and owners, and drops the rest, which changes with every heartbeat.
pub fn trim_metadata(meta: &mut ObjectMeta) {
    *meta = ObjectMeta {
        namespace: meta.namespace.take(),
        name: meta.name.take(),
        uid: meta.uid.take(),
        labels: meta.labels.take(),
        annotations: meta.annotations.take(),
        owner_references: meta.owner_references.take(),
        ..ObjectMeta::default()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimmed_metadata_is_what_is_left_of_all() {
        let text = r#"{"name":"n","namespace":"s","uid":"u","resourceVersion":"7","labels":{"a":"b"},"annotations":null,
            "generation":3,"finalizers":["f"],"managedFields":[{"manager":"m","fieldsV1":{"f:metadata":{}}}],
            "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"o","controller":true}]}"#;
        let trimmed: TrimmedMeta = serde_json::from_str(text).unwrap();
        let mut all: ObjectMeta = serde_json::from_str(text).unwrap();
        assert_eq!(trimmed.resource_version.as_deref(), Some("7"));
        trim_metadata(&mut all);
        all.resource_version = Some("7".to_owned());
        assert_eq!(*trimmed, all);
    }
}
