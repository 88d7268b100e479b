//! What a list and a watch answer, decoded object by object: one that cannot be read is named and keeps no other from being known.

use std::borrow::Cow;

use kube::core::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::{Fault, without_values};
use crate::meta::Meta;
use crate::object::{Key, Kind, or_default};

/// An object, or what is known of one that cannot be decoded.
#[derive(Debug, PartialEq)]
pub(crate) enum Decoded<K> {
    Good(Key, K),
    Unreadable(Key, String),
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<'a> {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) metadata: PageMeta,
    // Not decoded with the page: one bad object must not take the others with it.
    #[serde(default, borrow, deserialize_with = "or_default")]
    pub(crate) items: Vec<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PageMeta {
    #[serde(deserialize_with = "or_default")]
    pub(crate) resource_version: String,
    #[serde(rename = "continue", deserialize_with = "or_default")]
    pub(crate) next: String,
}

/// What a line of a watch says. The text is the version up to which everything is known.
#[derive(Debug, PartialEq)]
pub(crate) enum Event<K> {
    Applied(Decoded<K>, String),
    Removed(Key, String),
    /// Nothing but a version.
    Bookmark(String),
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct OnlyMeta {
    #[serde(default, deserialize_with = "or_default")]
    metadata: Meta,
}

pub(crate) fn page(text: &[u8]) -> Result<Page<'_>, Fault> {
    serde_json::from_slice(text).map_err(|error| Fault::garbage("the list", &error))
}

/// The objects of a page. What has no name cannot be kept.
pub(crate) fn objects<K: Kind>(page: &Page<'_>) -> Result<Vec<Decoded<K>>, Fault> {
    page.items.iter().map(|item| object(item).map(|(decoded, _)| decoded)).collect()
}

/// A line of a watch.
pub(crate) fn event<K: Kind>(line: &[u8]) -> Result<Event<K>, Fault> {
    let garbage = |error: &serde_json::Error| Fault::garbage("an event", error);
    let Line { kind, object: raw } = serde_json::from_slice(line).map_err(|error| garbage(&error))?;
    match &*kind {
        "ADDED" | "MODIFIED" => {
            let (decoded, version) = object(raw)?;
            Ok(Event::Applied(decoded, known_version(version)?))
        }
        // Its name is enough; whether the rest can be read does not matter any more.
        "DELETED" => {
            let OnlyMeta { mut metadata } = serde_json::from_str(raw.get()).map_err(|error| garbage(&error))?;
            Ok(Event::Removed(named(&metadata)?, known_version(metadata.take_version())?))
        }
        "BOOKMARK" => {
            let OnlyMeta { mut metadata } = serde_json::from_str(raw.get()).map_err(|error| garbage(&error))?;
            Ok(Event::Bookmark(known_version(metadata.take_version())?))
        }
        "ERROR" => {
            let status: Status = serde_json::from_str(raw.get()).map_err(|error| garbage(&error))?;
            // The server says that what comes next cannot be told: only a new list can.
            Err(Fault { is_resumable: false, ..Fault::of_server(status.code, &status, None) })
        }
        other => Err(Fault::new(format!("the server sent an event of the unknown type {other:?}"))),
    }
}

/// The object and its version.
fn object<K: Kind>(raw: &RawValue) -> Result<(Decoded<K>, String), Fault> {
    match serde_json::from_str::<K>(raw.get()) {
        Ok(mut object) => {
            let version = object.meta_mut().take_version();
            Ok((Decoded::Good(named(object.meta_mut())?, object), version))
        }
        Err(error) => {
            let meta = serde_json::from_str(raw.get()).map_err(|_| Fault::garbage("an object", &error))?;
            let OnlyMeta { mut metadata } = meta;
            let version = metadata.take_version();
            Ok((Decoded::Unreadable(named(&metadata)?, without_values(&error.to_string())), version))
        }
    }
}

fn named(meta: &Meta) -> Result<Key, Fault> {
    let key = Key::of(meta);
    if key.name.is_empty() { Err(Fault::new("the server sent an object without a name".to_owned())) } else { Ok(key) }
}

fn known_version(version: String) -> Result<String, Fault> {
    // Without it a watch cannot be resumed where it ended, and what happens meanwhile would be lost.
    if version.is_empty() {
        Err(Fault::new("the server sent an event without resourceVersion".to_owned()))
    } else {
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Namespace;

    fn namespace(name: &str) -> Namespace {
        Namespace { metadata: Meta::new("", name) }
    }

    #[test]
    fn an_object_that_cannot_be_decoded_is_named_and_keeps_no_other_from_being_known() {
        let text = r#"{"metadata":{"resourceVersion":"9","continue":null},"items":[
            {"metadata":{"name":"bad","namespace":"d","resourceVersion":"7"},"spec":{"n":"secret"}},
            {"metadata":{"name":"good","resourceVersion":"3"}}]}"#;
        let page = page(text.as_bytes()).unwrap();
        assert_eq!((page.metadata.resource_version.as_str(), page.metadata.next.as_str()), ("9", ""));
        let objects = objects::<Numbered>(&page).unwrap();
        assert!(matches!(&objects[1], Decoded::Good(key, _) if key.name == "good"));
        let Decoded::Unreadable(key, why) = &objects[0] else { panic!("{objects:?}") };
        assert_eq!(key.to_string(), "d/bad");
        assert!(why.starts_with("invalid type: string …, expected u32"), "{why}");
        // What has no metadata of Kubernetes' form has no name.
        let text = r#"{"items":[{"metadata":{"name":"a","labels":{"l":5}}}]}"#;
        let error = super::objects::<Namespace>(&super::page(text.as_bytes()).unwrap()).unwrap_err();
        assert!(error.message.contains("an object that cannot be read"), "{error:?}");
        assert!(super::page(b"[}").unwrap_err().message.contains("the list"));
        assert!(super::page(br#"{"items":null}"#).unwrap().items.is_empty());
    }

    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Numbered {
        metadata: Meta,
        spec: Option<Spec>,
    }

    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Spec {
        n: u32,
    }

    crate::resource!(Numbered, "", "v1", "numbers", namespaced);

    #[test]
    fn events_of_a_watch() {
        let line = |kind: &str, object: &str| format!(r#"{{"type":"{kind}","object":{object}}}"#);
        let of = |kind: &str, object: &str| event::<Namespace>(line(kind, object).as_bytes());
        let object = r#"{"metadata":{"name":"a","resourceVersion":"3"}}"#;
        let key = Key::new("", "a");
        let applied = Event::Applied(Decoded::Good(key.clone(), namespace("a")), "3".to_owned());
        assert_eq!(of("ADDED", object).unwrap(), applied);
        assert_eq!(of("MODIFIED", object).unwrap(), applied);
        assert_eq!(of("DELETED", object).unwrap(), Event::Removed(key, "3".to_owned()));
        assert_eq!(of("BOOKMARK", r#"{"metadata":{"resourceVersion":"8"}}"#).unwrap(), Event::Bookmark("8".to_owned()));
        let gone = of("ERROR", r#"{"kind":"Status","code":410,"message":"too old"}"#).unwrap_err();
        assert_eq!((gone.status, gone.is_resumable, gone.message.as_str()), (Some(410), false, "too old (HTTP 410)"));
        for (kind, object) in [
            ("MOVED", object),
            ("ADDED", r#"{"metadata":{"name":"a"}}"#),
            ("ADDED", r#"{"metadata":{"resourceVersion":"1"}}"#),
            ("ADDED", "[]"),
            ("DELETED", "7"),
            ("BOOKMARK", "{}"),
            ("ERROR", "7"),
        ] {
            let fault = of(kind, object).unwrap_err();
            assert!(!fault.is_resumable && fault.status.is_none(), "{kind} {object}: {fault:?}");
        }
        assert!(!event::<Namespace>(b"{garbage").unwrap_err().is_resumable);
    }
}
