//! The objects that one watch knows, and the consumers that are notified when they change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::object::{Key, Kind};

/// The objects that changed since a consumer took them last; bounded by the number of objects.
///
/// A consumer may add it to several watches: the tag, given to [`Watch::notify`](crate::Watch::notify), says of which one a
/// change is.
#[derive(Debug)]
pub struct Changes<T> {
    keys: Mutex<BTreeSet<(T, Key)>>,
    woken: Notify,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { keys: Mutex::default(), woken: Notify::new() }
    }
}

impl<T: Ord + Clone> Changes<T> {
    /// The objects that changed since the last call.
    pub fn take(&self) -> BTreeSet<(T, Key)> {
        std::mem::take(&mut *self.keys.lock())
    }

    /// Waits until an object changes, or a watch fails or recovers. One that happened since the last wait ends it at once.
    pub async fn wait(&self) {
        self.woken.notified().await;
    }

    fn add(&self, tag: &T, keys: &[Key]) {
        self.keys.lock().extend(keys.iter().map(|key| (tag.clone(), key.clone())));
        // `notify_one` keeps a permit when nobody waits, so a change between two waits is not lost.
        self.woken.notify_one();
    }
}

/// Why a watch does not work, or does not show everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A sentence that names the objects and the reason.
    pub message: String,
    /// The HTTP status of the server's response, if there was one: 403 without the right, 404 for a kind that it does not know.
    pub status: Option<u16>,
    /// Since when what is known is not kept up to date; `None` where what can be seen is up to date.
    pub stale_since: Option<Timestamp>,
}

/// How many objects that cannot be decoded a message names.
const NAMED_MAX: usize = 3;

/// Passes changes on; false once the consumer is gone.
type Subscriber = Box<dyn Fn(&[Key]) -> bool + Send>;

/// The objects of one watch. What it knows stays until the server says otherwise: errors take nothing away.
pub(crate) struct Cache<K> {
    known: Mutex<Known<K>>,
    subscribers: Mutex<Vec<Subscriber>>,
}

impl<K> std::fmt::Debug for Cache<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("objects", &self.known.lock().objects.len()).finish_non_exhaustive()
    }
}

struct Known<K> {
    objects: BTreeMap<Key, Arc<K>>,
    /// The first list was received, or failed.
    is_settled: bool,
    /// All namespaces were listed once; not where a namespace is asked for.
    was_listed: bool,
    error: Option<Problem>,
    /// The error is one of watching, so that a successful list does not end it.
    is_watch_error: bool,
    /// Why only one namespace is looked in instead of all.
    forbidden: Option<Problem>,
    /// Objects that cannot be decoded, and why.
    unreadable: BTreeMap<Key, String>,
    asked: Asked,
}

/// When a server was asked, and how that went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// When it was last asked.
    pub at: Option<Timestamp>,
    /// When it last answered with something that could be used.
    pub answered_at: Option<Timestamp>,
    /// Failures since it worked last.
    pub n_failures: u64,
}

/// What there is to say of a watch at one moment.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) asked: Asked,
    pub(crate) n_objects: usize,
    /// The status with which looking in all namespaces was refused.
    pub(crate) forbidden_status: Option<u16>,
    /// That of the error.
    pub(crate) error_status: Option<u16>,
    pub(crate) failure: Option<Failure>,
}

/// What goes wrong, and since when.
#[derive(Clone, Debug)]
struct Problem {
    message: String,
    status: Option<u16>,
    since: Timestamp,
}

/// The objects of a list.
#[derive(Debug)]
pub(crate) struct Listed<K> {
    pub(crate) objects: BTreeMap<Key, Arc<K>>,
    pub(crate) unreadable: BTreeMap<Key, String>,
}

impl<K> Default for Listed<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), unreadable: BTreeMap::new() }
    }
}

impl<K: Kind> Cache<K> {
    pub(crate) fn new() -> Self {
        let known = Known {
            objects: BTreeMap::new(),
            is_settled: false,
            was_listed: false,
            error: None,
            is_watch_error: false,
            forbidden: None,
            unreadable: BTreeMap::new(),
            asked: Asked::default(),
        };
        Self { known: Mutex::new(known), subscribers: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.known.lock().objects.get(key).map(Arc::clone)
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.known.lock().objects.values().map(Arc::clone).collect()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.known.lock().is_settled
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        failure(&self.known.lock())
    }

    pub(crate) fn summary(&self) -> Summary {
        let known = self.known.lock();
        let status = |problem: &Option<Problem>| problem.as_ref().and_then(|problem| problem.status);
        Summary {
            asked: known.asked,
            n_objects: known.objects.len(),
            forbidden_status: status(&known.forbidden),
            error_status: status(&known.error),
            failure: failure(&known),
        }
    }

    /// The server is about to be asked.
    pub(crate) fn asks(&self) {
        self.known.lock().asked.at = Some(Timestamp::now());
    }

    pub(crate) fn subscribe<T: Ord + Clone + Send + 'static>(&self, changes: &Arc<Changes<T>>, tag: T) {
        // Weak: a consumer that is gone must not be kept alive by its watches, which others may still use.
        let changes = Arc::downgrade(changes);
        let subscriber = move |keys: &[Key]| changes.upgrade().map(|changes| changes.add(&tag, keys)).is_some();
        self.subscribers.lock().push(Box::new(subscriber));
    }

    /// Adds or replaces an object; true if it was known.
    pub(crate) fn apply(&self, key: Key, object: K) -> bool {
        // The lock is released before subscribers are called: they may read the cache.
        let mut known = self.known.lock();
        let is_mended = known.unreadable.remove(&key).is_some();
        let former = known.objects.get(&key);
        let was_known = former.is_some();
        // A change of trimmed fields only is none: the object stays the same allocation, which consumers compare by address.
        let is_changed = former.is_none_or(|former| **former != object);
        if is_changed {
            known.objects.insert(key.clone(), Arc::new(object));
        }
        drop(known);
        if is_changed {
            self.notify(&[key]);
        } else if is_mended {
            self.notify(&[]);
        }
        was_known
    }

    pub(crate) fn remove(&self, key: Key) {
        let mut known = self.known.lock();
        let was_unreadable = known.unreadable.remove(&key).is_some();
        let was_known = known.objects.remove(&key).is_some();
        drop(known);
        if was_known {
            self.notify(&[key]);
        } else if was_unreadable {
            self.notify(&[]);
        }
    }

    /// An object cannot be decoded; what was known of it stays. True if that is new.
    pub(crate) fn set_unreadable(&self, key: Key, why: String) -> bool {
        let is_new = self.known.lock().unreadable.insert(key, why.clone()).is_none_or(|former| former != why);
        if is_new {
            self.notify(&[]);
        }
        is_new
    }

    /// Replaces all objects, or those of a namespace, by a list. Returns the objects that cannot be decoded and are new as such.
    pub(crate) fn replace(&self, namespace: Option<&str>, mut listed: Listed<K>) -> Vec<(Key, String)> {
        let mut known = self.known.lock();
        let is_other = |key: &Key| namespace.is_some_and(|namespace| key.namespace != namespace);
        for (key, object) in &known.objects {
            // What is there and cannot be decoded is no reason to forget what was known of it. Other namespaces are not in the list.
            if is_other(key) || listed.unreadable.contains_key(key) {
                listed.objects.insert(key.clone(), Arc::clone(object));
            } else if let Some(new) = listed.objects.get_mut(key).filter(|new| *new == object) {
                *new = Arc::clone(object);
            }
        }
        listed
            .unreadable
            .extend(known.unreadable.iter().filter(|(key, _)| is_other(key)).map(|(k, why)| (k.clone(), why.clone())));
        // A new list comes after every reconnection; only differences are told, so that it does not rebuild all
        // target groups.
        let former = std::mem::replace(&mut known.objects, listed.objects);
        let former_unreadable = std::mem::replace(&mut known.unreadable, listed.unreadable);
        let gone = former.keys().filter(|key| !known.objects.contains_key(*key)).cloned();
        let is_same = |key: &Key, object: &Arc<K>| former.get(key).is_some_and(|former| Arc::ptr_eq(former, object));
        let differs = |(key, object): &(&Key, &Arc<K>)| !is_same(key, object);
        let new = known.objects.iter().filter(differs).map(|(key, _)| key.clone());
        let changed: Vec<Key> = gone.chain(new).collect();
        let is_new = |(key, why): &(&Key, &String)| former_unreadable.get(*key) != Some(why);
        let newly: Vec<_> =
            known.unreadable.iter().filter(is_new).map(|(key, why)| (key.clone(), why.clone())).collect();
        // Set with the objects, under one lock: a consumer that sees it also sees the list.
        known.is_settled = true;
        known.was_listed |= namespace.is_none();
        drop(known);
        self.notify(&changed);
        newly
    }

    /// Sets the error; true if it is another one than before.
    pub(crate) fn fail(&self, message: String, status: Option<u16>, is_watch_error: bool) -> bool {
        let mut known = self.known.lock();
        known.is_settled = true;
        known.is_watch_error = is_watch_error;
        known.asked.n_failures += 1;
        let is_new = set(&mut known.error, message, status);
        drop(known);
        // No object changed, but consumers wait for the first result and show the error.
        self.notify(&[]);
        is_new
    }

    /// Only one namespace can be looked in, instead of all. True if that is new.
    pub(crate) fn forbid(&self, message: String, status: Option<u16>) -> bool {
        let mut known = self.known.lock();
        // Of what was tried in all namespaces only this matters now.
        known.error = None;
        let is_new = set(&mut known.forbidden, message, status);
        drop(known);
        self.notify(&[]);
        is_new
    }

    /// All namespaces can be looked in. True if that is new.
    pub(crate) fn permit(&self) -> bool {
        let was_forbidden = self.known.lock().forbidden.take().is_some();
        if was_forbidden {
            self.notify(&[]);
        }
        was_forbidden
    }

    /// Clears the error; a list alone does not clear one of watching. True if there was one.
    pub(crate) fn recover(&self, by_list: bool) -> bool {
        let mut known = self.known.lock();
        known.asked.answered_at = Some(Timestamp::now());
        // A server that lists but refuses to watch would otherwise switch between error and recovery at every
        // attempt.
        if by_list && known.is_watch_error {
            return false;
        }
        known.asked.n_failures = 0;
        let had_error = known.error.take().is_some();
        drop(known);
        if had_error {
            self.notify(&[]);
        }
        had_error
    }

    /// Were all namespaces listed once?
    pub(crate) fn was_listed(&self) -> bool {
        self.known.lock().was_listed
    }

    fn notify(&self, keys: &[Key]) {
        // Those whose consumer is gone return false and are dropped here.
        self.subscribers.lock().retain(|subscriber| subscriber(keys));
    }
}

fn failure<K: Kind>(known: &Known<K>) -> Option<Failure> {
    let problems: Vec<&Problem> = known.forbidden.iter().chain(&known.error).collect();
    let mut messages: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
    messages.extend(unreadable::<K>(&known.unreadable));
    if messages.is_empty() {
        return None;
    }
    // In the one namespace that is looked in what is known is up to date; in others only if something is known of them.
    let forbidden = known.forbidden.as_ref().filter(|_| known.was_listed);
    let stale_since = forbidden.into_iter().chain(&known.error).map(|problem| problem.since).min();
    let status = problems.iter().find_map(|problem| problem.status);
    Some(Failure { message: messages.join("; "), status, stale_since })
}

/// Sets a problem, which lasts since it was one; true if it reads otherwise than before.
fn set(problem: &mut Option<Problem>, message: String, status: Option<u16>) -> bool {
    let is_new = problem.as_ref().is_none_or(|former| former.message != message || former.status != status);
    let since = problem.as_ref().map_or_else(Timestamp::now, |former| former.since);
    *problem = Some(Problem { message, status, since });
    is_new
}

/// Names the first few objects that cannot be decoded.
fn unreadable<K: Kind>(objects: &BTreeMap<Key, String>) -> Option<String> {
    if objects.is_empty() {
        return None;
    }
    let shown = |(key, why): (&Key, &String)| format!("{key}: {why}");
    let mut shown: Vec<String> = objects.iter().take(NAMED_MAX).map(shown).collect();
    if objects.len() > NAMED_MAX {
        shown.push(format!("and {} more", objects.len() - NAMED_MAX));
    }
    Some(format!("cannot read some {}, which stay as they were known: {}", K::PLURAL, shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Meta;
    use crate::object::Namespace;

    fn namespace(name: &str, label: &str) -> Namespace {
        Namespace { metadata: Meta::new("", name).with_labels([("l", label)].into_iter().collect()) }
    }

    #[test]
    fn consumers_see_what_differs_and_by_which_watch() {
        let cache = Cache::new();
        let changes = Arc::new(Changes::default());
        cache.subscribe(&changes, "ns");
        let key = |name: &str| Key::new("", name);
        let taken = || changes.take().into_iter().map(|(tag, key)| format!("{tag}/{}", key.name)).collect::<Vec<_>>();
        assert!(!cache.is_settled());
        let list = ["a", "b"].map(|name| (key(name), Arc::new(namespace(name, "1"))));
        let replace = |objects| cache.replace(None, Listed { objects, unreadable: BTreeMap::new() });
        replace(list.into());
        assert!(cache.is_settled());
        assert_eq!(taken(), ["ns/a", "ns/b"]);
        assert!(cache.apply(key("a"), namespace("a", "1")));
        assert_eq!(taken(), [""; 0], "nothing differs");
        assert!(cache.apply(key("a"), namespace("a", "2")) && !cache.apply(key("c"), namespace("c", "1")));
        cache.remove(key("b"));
        cache.remove(key("none"));
        assert_eq!(taken(), ["ns/a", "ns/b", "ns/c"]);
        replace([(key("c"), Arc::new(namespace("c", "1")))].into());
        assert_eq!(taken(), ["ns/a"]);
        drop(changes);
        cache.apply(key("d"), namespace("d", "1"));
        assert!(cache.subscribers.lock().is_empty(), "a consumer that is gone is forgotten");
    }

    #[test]
    fn an_error_takes_nothing_away_and_ends_when_it_is_mended() {
        let cache = Cache::new();
        cache.replace(None, listed(&["a"], &[]));
        let fail = |message: &str, is_watch_error| cache.fail(message.to_owned(), None, is_watch_error);
        assert!(fail("refused", true));
        let failure = cache.failure().unwrap();
        assert!(failure.stale_since.is_some());
        assert!(!fail("refused", true));
        assert_eq!((cache.all().len(), cache.failure()), (1, Some(failure.clone())));
        assert!(fail("reset", true));
        assert_eq!(cache.failure().unwrap().stale_since, failure.stale_since, "stale for as long as nothing worked");
        assert!(!cache.recover(true), "a list does not mend a watch");
        assert!(cache.recover(false) && !cache.recover(false) && cache.failure().is_none());
        assert!(fail("no list", false) && cache.recover(true));
    }

    fn listed(names: &[&str], bad: &[&str]) -> Listed<Namespace> {
        let key = |name: &str| name.split_once('/').map_or_else(|| Key::new("", name), |(ns, name)| Key::new(ns, name));
        Listed {
            objects: names.iter().map(|name| (key(name), Arc::new(namespace(name, "1")))).collect(),
            unreadable: bad.iter().map(|name| (key(name), "odd".to_owned())).collect(),
        }
    }

    fn known(cache: &Cache<Namespace>) -> Vec<String> {
        cache.known.lock().objects.keys().map(Key::to_string).collect()
    }

    #[test]
    fn an_object_that_cannot_be_read_any_more_stays_as_it_was() {
        let cache = Cache::new();
        assert_eq!(cache.replace(None, listed(&["a", "b"], &["c"])).len(), 1);
        assert_eq!(cache.replace(None, listed(&["a"], &["b", "c"])), [(Key::new("", "b"), "odd".to_owned())]);
        assert_eq!(known(&cache), ["a", "b"]);
        let failure = cache.failure().unwrap();
        assert_eq!(failure.message, "cannot read some namespaces, which stay as they were known: b: odd, c: odd");
        assert_eq!(failure.stale_since, None, "all others are up to date");
        cache.remove(Key::new("", "c"));
        cache.apply(Key::new("", "b"), namespace("b", "1"));
        assert_eq!(cache.failure(), None);
        assert!(
            cache.set_unreadable(Key::new("", "a"), "odd".to_owned())
                && !cache.set_unreadable(Key::new("", "a"), "odd".to_owned())
        );
        for name in ["d", "e", "f"] {
            cache.set_unreadable(Key::new("", name), "odd".to_owned());
        }
        assert!(cache.failure().unwrap().message.ends_with("d: odd, e: odd, and 1 more"));
        assert_eq!(known(&cache), ["a", "b"]);
    }

    #[test]
    fn a_list_of_one_namespace_leaves_the_others_as_they_were() {
        let cache = Cache::new();
        let message = "cannot watch namespaces".to_owned();
        assert!(cache.forbid(message.clone(), Some(403)) && !cache.forbid(message.clone(), Some(403)));
        assert!(!cache.is_settled(), "the one namespace is still to be listed");
        cache.replace(Some("own"), listed(&["own/a"], &[]));
        let failure = cache.failure().unwrap();
        assert_eq!((failure.status, failure.stale_since, cache.is_settled()), (Some(403), None, true));
        assert!(cache.permit() && !cache.permit());
        cache.replace(None, listed(&["own/a", "own/b", "other/a"], &["other/bad"]));
        cache.forbid(message, Some(403));
        cache.replace(Some("own"), listed(&["own/c"], &[]));
        assert_eq!(known(&cache), ["other/a", "own/c"]);
        let failure = cache.failure().unwrap();
        assert!(failure.stale_since.is_some() && failure.message.contains("other/bad"), "{failure:?}");
    }
}
