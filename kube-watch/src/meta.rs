//! The metadata of an object, cut down to the fields that consumers read. Compact: a large cluster has hundreds of thousands of objects.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The metadata that consumers look at. The rest, managed fields for instance, which are a third of many objects, is passed over while
/// it is decoded; a change of it is no change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// The namespace; empty outside of namespaces.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
    /// What tells it from others of the same name, earlier or later.
    pub uid: Box<str>,
    /// Its labels.
    pub labels: Pairs,
    /// Its annotations.
    pub annotations: Pairs,
    /// Kind and name of the owner that controls it.
    controller: Option<Box<(Box<str>, Box<str>)>>,
    /// The version; only until the object is kept.
    version: Box<str>,
}

impl Meta {
    /// Of a namespace, empty outside of namespaces, and a name.
    #[must_use]
    pub fn new(namespace: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), ..Self::default() }
    }

    /// The same with labels.
    #[must_use]
    pub fn with_labels(self, labels: Pairs) -> Self {
        Self { labels, ..self }
    }

    /// The same with a version.
    #[must_use]
    pub fn with_version(self, version: impl Into<Box<str>>) -> Self {
        Self { version: version.into(), ..self }
    }

    /// The version, which changes with every heartbeat and is not kept; empty if there is none.
    pub(crate) fn take_version(&mut self) -> String {
        std::mem::take(&mut self.version).into_string()
    }
}

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Kept {
            namespace: Option<Box<str>>,
            name: Option<Box<str>>,
            uid: Option<Box<str>>,
            resource_version: Option<Box<str>>,
            labels: Option<Pairs>,
            annotations: Option<Pairs>,
            owner_references: Option<Vec<Owner>>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Owner {
            kind: Box<str>,
            name: Box<str>,
            controller: Option<bool>,
        }
        let kept = Kept::deserialize(from)?;
        let controller = kept.owner_references.into_iter().flatten().find(|owner| owner.controller == Some(true));
        Ok(Self {
            namespace: kept.namespace.unwrap_or_default(),
            name: kept.name.unwrap_or_default(),
            uid: kept.uid.unwrap_or_default(),
            labels: kept.labels.unwrap_or_default(),
            annotations: kept.annotations.unwrap_or_default(),
            controller: controller.map(|owner| Box::new((owner.kind, owner.name))),
            version: kept.resource_version.unwrap_or_default(),
        })
    }
}

/// The namespace of an object; empty outside of namespaces.
#[must_use]
pub fn namespace(meta: &Meta) -> &str {
    &meta.namespace
}

/// The name of an object.
#[must_use]
pub fn name(meta: &Meta) -> &str {
    &meta.name
}

/// The kind and name of the owner that controls an object.
#[must_use]
pub fn controller(meta: &Meta) -> Option<(&str, &str)> {
    meta.controller.as_deref().map(|(kind, name)| (&**kind, &**name))
}

/// Texts by key, each key once and in byte order: labels or annotations, which are a dozen at most objects, in two allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Key and value of each pair, one after another.
    text: Box<str>,
    /// Where the key and the value of each pair end.
    ends: Box<[(u32, u32)]>,
}

impl Pairs {
    /// The pairs in byte order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut from = 0;
        self.ends.iter().map(move |&(key, value)| {
            let (key, value) = (key as usize, value as usize);
            let pair = (&self.text[from..key], &self.text[key..value]);
            from = value;
            pair
        })
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == key).map(|(_, value)| value)
    }
}

/// Of pairs with one key the last stays. What is beyond 4 GiB of text is left out; no object is a thousandth as large.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut all: Vec<(String, String)> = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        // Stable, so that the last one of equals is the last of its run.
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let mut text = String::with_capacity(all.iter().map(|(key, value)| key.len() + value.len()).sum());
        let mut ends = Vec::with_capacity(all.len());
        for run in all.chunk_by(|a, b| a.0 == b.0) {
            let Some((key, value)) = run.last() else { continue };
            let of_key = text.len() + key.len();
            let (Ok(of_key), Ok(of_value)) = (u32::try_from(of_key), u32::try_from(of_key + value.len())) else {
                break;
            };
            text.push_str(key);
            text.push_str(value);
            ends.push((of_key, of_value));
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs.into_iter().collect())
            }
        }

        from.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_what_consumers_look_at() {
        let text = r#"{"name":"n","namespace":"s","uid":"u","resourceVersion":"7","labels":{"b":"","a":"ü"},"annotations":null,
            "generation":3,"finalizers":["f"],"managedFields":[{"manager":"m","fieldsV1":{"f:metadata":{}}}],
            "ownerReferences":[{"kind":"Node","name":"x"},{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"o","controller":true}]}"#;
        let mut meta: Meta = serde_json::from_str(text).unwrap();
        assert_eq!((namespace(&meta), name(&meta), &*meta.uid), ("s", "n", "u"));
        assert_eq!(meta.labels.iter().collect::<Vec<_>>(), [("a", "ü"), ("b", "")]);
        assert_eq!((controller(&meta), meta.annotations.iter().count()), (Some(("ReplicaSet", "r")), 0));
        assert_eq!((meta.take_version().as_str(), meta.take_version().as_str()), ("7", ""));
        let other = text.replace("\"7\"", "\"8\"").replace("\"generation\":3", "\"generation\":4");
        let mut other: Meta = serde_json::from_str(&other).unwrap();
        other.take_version();
        assert_eq!(meta, other);
        assert!(serde_json::from_str::<Meta>(r#"{"labels":{"l":5}}"#).is_err());
        assert_eq!(serde_json::from_str::<Meta>("{}").unwrap(), Meta::default());
    }

    #[test]
    fn pairs_are_sorted_and_each_key_is_there_once() {
        let pairs = Pairs::from_iter([("b", "1"), ("", "empty"), ("a\0", "\0"), ("b", "2")]);
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [("", "empty"), ("a\0", "\0"), ("b", "2")]);
        assert_eq!((pairs.get("b"), pairs.get("a"), pairs.get("")), (Some("2"), None, Some("empty")));
        assert_eq!(Pairs::default(), Pairs::from_iter::<[(&str, &str); 0]>([]));
    }
}
