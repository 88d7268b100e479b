//! How a watch fares: when the server was asked and when it answered, what is known, and what was refused.

use std::sync::Arc;

use crate::access::Right;
use crate::cache::{Asked, Cache, Failure, Summary};
use crate::fault::FORBIDDEN;
use crate::object::Kind;
use crate::scope::Scope;

/// The state of a watch at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchStatus {
    /// Tells it from the other watches of the process; consumers that share a watch see the same.
    pub id: u64,
    /// The API server.
    pub server: String,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource: `pods`.
    pub resource: &'static str,
    /// Only in this namespace; `None` for all, and for what lives outside of namespaces.
    pub namespace: Option<String>,
    /// The label selector, or empty.
    pub label_selector: String,
    /// The field selector, or empty.
    pub field_selector: String,
    /// When the server was asked for a list, or for a watch. A quiet watch is renewed every few minutes.
    pub asked: Asked,
    /// Objects that are known.
    pub n_objects: usize,
    /// The rights that are missing, as those to `list`; to `watch` is needed as well.
    pub refused: Vec<Right>,
    /// Why it does not work, or does not show everything.
    pub failure: Option<Failure>,
}

/// A look at how a watch fares. It does not keep the watch running.
#[derive(Clone)]
pub struct WatchHealth(Arc<dyn Fn() -> WatchStatus + Send + Sync>);

impl std::fmt::Debug for WatchHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WatchHealth").field(&self.status()).finish()
    }
}

impl WatchHealth {
    pub(crate) fn new<K: Kind>(id: u64, (server, scope): (String, Scope), cache: &Arc<Cache<K>>) -> Self {
        let cache = Arc::clone(cache);
        Self(Arc::new(move || status::<K>(id, (&server, &scope), cache.summary())))
    }

    /// How it fares now.
    #[must_use]
    pub fn status(&self) -> WatchStatus {
        (self.0)()
    }
}

fn status<K: Kind>(id: u64, (server, scope): (&str, &Scope), known: Summary) -> WatchStatus {
    let right = |namespace| Right { group: K::GROUP, resource: K::PLURAL, verb: "list", namespace };
    let mut refused = Vec::new();
    if known.forbidden_status == Some(FORBIDDEN) {
        refused.push(right(None));
    }
    if known.error_status == Some(FORBIDDEN) {
        // Where looking in all namespaces is forbidden, one is looked in.
        let instead = scope.fallback_namespace.clone().filter(|_| known.forbidden_status.is_some());
        let namespace = scope.namespace.clone().or(instead);
        refused.push(right(namespace.filter(|_| !K::IS_CLUSTER_WIDE)));
    }
    WatchStatus {
        id,
        server: server.to_owned(),
        group: K::GROUP,
        resource: K::PLURAL,
        namespace: scope.namespace.clone(),
        label_selector: scope.label_selector.clone(),
        field_selector: scope.field_selector.clone(),
        asked: known.asked,
        n_objects: known.n_objects,
        refused,
        failure: known.failure,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cache::Listed;
    use crate::object::Namespace;
    use crate::{Key, Meta};

    #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
    struct Pod {
        metadata: Meta,
    }

    crate::resource!(Pod, "", "v1", "pods", namespaced);

    fn places(status: &WatchStatus) -> Vec<Option<&str>> {
        status.refused.iter().map(|right| right.namespace.as_deref()).collect()
    }

    #[test]
    fn what_is_refused_names_where() {
        let cache = Arc::new(Cache::<Pod>::new());
        let scope = Scope { fallback_namespace: Some("own".to_owned()), ..Scope::default() };
        let health = WatchHealth::new(7, ("s".to_owned(), scope), &cache);
        assert_eq!((health.status().asked.at, health.status().asked.answered_at), (None, None));
        cache.forbid("no".to_owned(), Some(403));
        assert_eq!(places(&health.status()), [None]);
        cache.fail("neither".to_owned(), Some(403), false);
        assert_eq!(places(&health.status()), [None, Some("own")]);
        cache.permit();
        cache.fail("busy".to_owned(), Some(503), false);
        assert_eq!(places(&health.status()), [None; 0]);
        let of_one = WatchHealth::new(8, ("s".to_owned(), Scope::namespace("a")), &cache);
        cache.fail("no".to_owned(), Some(403), false);
        assert_eq!((places(&of_one.status()), of_one.status().resource), (vec![Some("a")], "pods"));
        let nodes = Arc::new(Cache::<Namespace>::new());
        nodes.fail("no".to_owned(), Some(403), false);
        assert_eq!(places(&WatchHealth::new(9, (String::new(), Scope::default()), &nodes).status()), [None]);
    }

    #[test]
    fn failures_are_counted_until_there_is_an_answer() {
        let cache = Arc::new(Cache::<Pod>::new());
        let health = WatchHealth::new(7, ("s".to_owned(), Scope::default()), &cache);
        cache.asks();
        cache.fail("away".to_owned(), None, true);
        cache.fail("away".to_owned(), None, true);
        let status = health.status();
        assert_eq!((status.asked.n_failures, status.asked.answered_at, status.asked.at.is_some()), (2, None, true));
        let pod = Pod { metadata: Meta::new("a", "p") };
        let objects = BTreeMap::from([(Key::new("a", "p"), Arc::new(pod))]);
        cache.replace(None, Listed { objects, unreadable: BTreeMap::new() });
        cache.recover(true);
        let status = health.status();
        assert_eq!((status.n_objects, status.asked.answered_at.is_some()), (1, true));
        assert_eq!(status.asked.n_failures, 2, "it is watching that fails");
        cache.recover(false);
        assert_eq!((health.status().asked.n_failures, health.status().failure), (0, None));
    }
}
