//! The objects that one watch knows, and the consumers that are notified when they change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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

/// Why a watch does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A sentence that names the objects and the reason.
    pub message: String,
    /// The HTTP status of the server's response, if there was one: 403 without the right, 404 for a kind that it does not know.
    pub status: Option<u16>,
}

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
    error: Option<Failure>,
    /// The error is one of watching, so that a successful list does not end it.
    is_watch_error: bool,
}

impl<K: Kind> Cache<K> {
    pub(crate) fn new() -> Self {
        let known = Known { objects: BTreeMap::new(), is_settled: false, error: None, is_watch_error: false };
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
        self.known.lock().error.clone()
    }

    pub(crate) fn subscribe<T: Ord + Clone + Send + 'static>(&self, changes: &Arc<Changes<T>>, tag: T) {
        // Weak: a consumer that is gone must not be kept alive by its watches, which others may still use.
        let changes = Arc::downgrade(changes);
        let subscriber = move |keys: &[Key]| changes.upgrade().map(|changes| changes.add(&tag, keys)).is_some();
        self.subscribers.lock().push(Box::new(subscriber));
    }

    /// Adds or replaces an object; true if it was known.
    pub(crate) fn apply(&self, key: Key, object: K) -> bool {
        let object = Arc::new(object);
        // The lock is released before subscribers are called: they may read the cache.
        let former = self.known.lock().objects.insert(key.clone(), Arc::clone(&object));
        // A change of trimmed fields only is none.
        if former.as_ref().is_none_or(|former| *former != object) {
            self.notify(&[key]);
        }
        former.is_some()
    }

    pub(crate) fn remove(&self, key: Key) {
        if self.known.lock().objects.remove(&key).is_some() {
            self.notify(&[key]);
        }
    }

    /// Replaces all objects by a list.
    pub(crate) fn replace(&self, listed: BTreeMap<Key, Arc<K>>) {
        let mut known = self.known.lock();
        // A new list comes after every reconnection; only differences are told, so that it does not rebuild all
        // target groups.
        let former = std::mem::replace(&mut known.objects, listed);
        let gone = former.keys().filter(|key| !known.objects.contains_key(*key)).cloned();
        let differs = |(key, object): &(&Key, &Arc<K>)| former.get(*key) != Some(object);
        let new = known.objects.iter().filter(differs).map(|(key, _)| key.clone());
        let changed: Vec<Key> = gone.chain(new).collect();
        // Set with the objects, under one lock: a consumer that sees it also sees the list.
        known.is_settled = true;
        drop(known);
        self.notify(&changed);
    }

    /// Sets the error; true if it is another one than before.
    pub(crate) fn fail(&self, error: Failure, is_watch_error: bool) -> bool {
        let mut known = self.known.lock();
        known.is_settled = true;
        known.is_watch_error = is_watch_error;
        let is_new = known.error.as_ref() != Some(&error);
        known.error = Some(error);
        drop(known);
        // No object changed, but consumers wait for the first result and show the error.
        self.notify(&[]);
        is_new
    }

    /// Clears the error; a list alone does not clear one of watching. True if there was one.
    pub(crate) fn recover(&self, by_list: bool) -> bool {
        let mut known = self.known.lock();
        // A server that lists but refuses to watch would otherwise switch between error and recovery at every
        // attempt.
        if by_list && known.is_watch_error {
            return false;
        }
        let had_error = known.error.take().is_some();
        drop(known);
        if had_error {
            self.notify(&[]);
        }
        had_error
    }

    fn notify(&self, keys: &[Key]) {
        // Those whose consumer is gone return false and are dropped here.
        self.subscribers.lock().retain(|subscriber| subscriber(keys));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Namespace;

    fn namespace(name: &str, label: &str) -> Namespace {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        namespace.metadata.labels = Some([("l".to_owned(), label.to_owned())].into());
        namespace
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
        cache.replace(list.into());
        assert!(cache.is_settled());
        assert_eq!(taken(), ["ns/a", "ns/b"]);
        assert!(cache.apply(key("a"), namespace("a", "1")));
        assert_eq!(taken(), [""; 0], "nothing differs");
        assert!(cache.apply(key("a"), namespace("a", "2")) && !cache.apply(key("c"), namespace("c", "1")));
        cache.remove(key("b"));
        cache.remove(key("none"));
        assert_eq!(taken(), ["ns/a", "ns/b", "ns/c"]);
        cache.replace([(key("c"), Arc::new(namespace("c", "1")))].into());
        assert_eq!(taken(), ["ns/a"]);
        drop(changes);
        cache.apply(key("d"), namespace("d", "1"));
        assert!(cache.subscribers.lock().is_empty(), "a consumer that is gone is forgotten");
    }

    #[test]
    fn an_error_takes_nothing_away_and_ends_when_it_is_mended() {
        let cache = Cache::new();
        cache.replace([(Key::new("", "a"), Arc::new(namespace("a", "1")))].into());
        let failure = |message: &str| Failure { message: message.to_owned(), status: None };
        assert!(cache.fail(failure("refused"), true) && !cache.fail(failure("refused"), true));
        assert_eq!((cache.all().len(), cache.failure()), (1, Some(failure("refused"))));
        assert!(!cache.recover(true), "a list does not mend a watch");
        assert!(cache.recover(false) && !cache.recover(false));
        assert!(cache.fail(failure("no list"), false) && cache.recover(true));
    }
}
