//! Kinds of objects: what a kind must provide, and the macros that declare one trimmed to the fields that are needed.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::meta::{Meta, name, namespace};

/// A kind of object that can be watched.
///
/// A type holds only the fields that its consumers look at: what it leaves out costs no memory, and a change of it is no change.
/// `trimmed!` and `resource!` declare such a type for a built-in kind. Two types for the same resource are two watches.
pub trait Kind: Clone + Debug + DeserializeOwned + PartialEq + Send + Sync + 'static {
    /// The kind, as objects spell it: `Pod`.
    const KIND: &'static str;
    /// The API group; empty for the core.
    const GROUP: &'static str;
    /// The version of the API.
    const VERSION: &'static str;
    /// The resource: `pods`.
    const PLURAL: &'static str;
    /// It lives outside of namespaces.
    const IS_CLUSTER_WIDE: bool;

    /// The metadata, of which the version is taken out once the object is known.
    fn meta_mut(&mut self) -> &mut Meta;

    /// Where the API server has the objects of a namespace, or of all.
    #[must_use]
    fn path(namespace: Option<&str>) -> String {
        let (group, version, plural) = (Self::GROUP, Self::VERSION, Self::PLURAL);
        let api = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        match namespace.filter(|_| !Self::IS_CLUSTER_WIDE) {
            Some(namespace) => format!("{api}/namespaces/{namespace}/{plural}"),
            None => format!("{api}/{plural}"),
        }
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
        $crate::resource!(@ $name, $group, $version, $plural, false);
    };
    ($name:ident, $group:literal, $version:literal, $plural:literal, cluster) => {
        $crate::resource!(@ $name, $group, $version, $plural, true);
    };
    (@ $name:ident, $group:literal, $version:literal, $plural:literal, $is_cluster_wide:literal) => {
        impl $crate::Kind for $name {
            const KIND: &'static str = stringify!($name);
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const PLURAL: &'static str = $plural;
            const IS_CLUSTER_WIDE: bool = $is_cluster_wide;

            fn meta_mut(&mut self) -> &mut $crate::Meta {
                &mut self.metadata
            }
        }
    };
}

/// A namespace, of which only labels and annotations matter. Discovery and the operator share its watch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Its name, labels and annotations.
    pub metadata: Meta,
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
    pub fn of(meta: &Meta) -> Self {
        Self::new(namespace(meta), name(meta))
    }
}
