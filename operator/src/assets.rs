//! Secrets and ConfigMaps, and what is read from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::objects::{KeySelector, SecretOrConfigMap};

/// The two kinds of objects that hold values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssetKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl fmt::Display for AssetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "secret",
            Self::ConfigMap => "configmap",
        })
    }
}

/// Kind, namespace and name of an object that holds values.
pub(crate) type AssetId = (AssetKind, String, String);

/// The values of Secrets and ConfigMaps, by namespace and name.
#[derive(Clone, Default)]
pub struct Assets {
    objects: BTreeMap<AssetId, Asset>,
    /// Objects that are asked for and not answered yet.
    pending: BTreeSet<AssetId>,
    last_version: u64,
}

/// What is known of one object.
#[derive(Clone)]
struct Asset {
    /// Its values, or why they cannot be read.
    values: Result<BTreeMap<String, Vec<u8>>, String>,
    /// Another one after every change.
    version: u64,
}

/// Values are secret.
impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.objects.keys()).finish()
    }
}

/// Why a value could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssetError {
    /// There is no such object.
    #[error("unable to get {kind} {name:?}: {kind}s {name:?} not found")]
    Missing {
        /// Its kind.
        kind: AssetKind,
        /// Its name.
        name: String,
    },
    /// The object cannot be read, for want of a right for instance.
    #[error("unable to get {kind} {name:?}: {why}")]
    Unreadable {
        /// Its kind.
        kind: AssetKind,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// The object has no such key.
    #[error("key {key:?} in {kind} {name:?} not found")]
    NoKey {
        /// Its kind.
        kind: AssetKind,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The value is not text.
    #[error("key {key:?} in {kind} {name:?} is not UTF-8")]
    NotText {
        /// Its kind.
        kind: AssetKind,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
}

impl Assets {
    /// Adds the values of an object.
    pub fn insert(&mut self, kind: AssetKind, namespace: &str, name: &str, values: BTreeMap<String, Vec<u8>>) {
        self.set((kind, namespace.to_owned(), name.to_owned()), Ok(values));
    }

    /// Sets what is known of an object.
    pub(crate) fn set(&mut self, id: AssetId, values: Result<BTreeMap<String, Vec<u8>>, String>) {
        // A write that changes no value, of a label for instance, makes no job again.
        if self.objects.get(&id).is_some_and(|known| known.values == values) {
            return;
        }
        // Never twice the same, so that an object that was gone in between is told from the one before.
        self.last_version += 1;
        self.objects.insert(id, Asset { values, version: self.last_version });
    }

    /// Forgets all objects but these: values of Secrets stay in memory no longer than they are needed.
    pub(crate) fn retain(&mut self, named: &BTreeSet<AssetId>) {
        self.objects.retain(|id, _| named.contains(id));
        self.pending.retain(|id| named.contains(id));
    }

    /// The object is gone.
    pub(crate) fn remove(&mut self, id: &AssetId) {
        self.objects.remove(id);
    }

    /// Says whether it is known yet if there is such an object.
    pub(crate) fn set_pending(&mut self, id: &AssetId, is_pending: bool) {
        if is_pending {
            self.pending.insert(id.clone());
        } else {
            self.pending.remove(id);
        }
    }

    pub(crate) fn is_pending(&self, id: &AssetId) -> bool {
        self.pending.contains(id)
    }

    /// Differs after every change of the object; 0 if there is none.
    pub(crate) fn version(&self, id: &AssetId) -> u64 {
        self.objects.get(id).map_or(0, |known| known.version)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When there is no such object or key, or the value is not text.
    pub fn get(&self, kind: AssetKind, namespace: &str, selector: &KeySelector) -> Result<&str, AssetError> {
        let KeySelector { name, key, .. } = selector;
        let id = (kind, namespace.to_owned(), name.clone());
        let known = self.objects.get(&id).ok_or_else(|| AssetError::Missing { kind, name: name.clone() })?;
        let unreadable = |why: &String| AssetError::Unreadable { kind, name: name.clone(), why: why.clone() };
        let values = known.values.as_ref().map_err(unreadable)?;
        let value = values.get(key).ok_or_else(|| AssetError::NoKey { kind, name: name.clone(), key: key.clone() })?;
        std::str::from_utf8(value).map_err(|_| AssetError::NotText { kind, name: name.clone(), key: key.clone() })
    }

    /// The objects of one namespace.
    #[must_use]
    pub fn in_namespace<'a>(&'a self, namespace: &'a str) -> NamespacedAssets<'a> {
        NamespacedAssets { assets: self, namespace }
    }
}

/// Values of the objects of one namespace: references of monitors do not leave theirs.
#[derive(Clone, Copy, Debug)]
pub struct NamespacedAssets<'a> {
    assets: &'a Assets,
    pub(crate) namespace: &'a str,
}

impl NamespacedAssets<'_> {
    /// The value of a key of a Secret.
    ///
    /// # Errors
    /// As [`Assets::get`].
    pub fn secret(&self, selector: &KeySelector) -> Result<&str, AssetError> {
        self.assets.get(AssetKind::Secret, self.namespace, selector)
    }

    /// The value of a key of either; an empty text if neither is named.
    ///
    /// # Errors
    /// As [`Assets::get`].
    pub fn either(&self, selector: &SecretOrConfigMap) -> Result<&str, AssetError> {
        match selector {
            // Both at once was refused before.
            SecretOrConfigMap { secret: Some(secret), .. } => self.secret(secret),
            SecretOrConfigMap { config_map: Some(map), .. } => {
                self.assets.get(AssetKind::ConfigMap, self.namespace, map)
            }
            _ => Ok(""),
        }
    }
}
