//! Follows the objects of one kind in one scope: lists them, watches them, and starts again after a failure.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::Instant;

use crate::cache::{Cache, Failure};
use crate::client::ClientSlot;
use crate::metrics::Metrics;
use crate::object::{Key, Kind};
use crate::retry::{Backoff, describe, is_unauthorized, status};
use crate::scope::Scope;

/// A watch without events for so long has recovered, although its last attempt failed: most watches are quiet for long.
const QUIET: Duration = Duration::from_secs(60);

/// The task that keeps a cache up to date.
#[derive(Debug)]
pub(crate) struct Follower<K> {
    pub(crate) cache: Arc<Cache<K>>,
    pub(crate) scope: Scope,
    pub(crate) slot: Arc<ClientSlot>,
    pub(crate) metrics: Metrics,
}

impl<K: Kind> Follower<K> {
    /// Follows the server until it is aborted.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            match self.slot.client().await {
                Ok(client) => {
                    self.follow(client, &mut backoff).await;
                    // Credentials from files and the kubeconfig are read again with a new client.
                    self.slot.reset().await;
                }
                Err(error) => self.failed(&model::with_causes(&error), None, false),
            }
            tokio::time::sleep(backoff.pause(Instant::now())).await;
        }
    }

    /// Returns when the server no longer accepts the credentials of the client.
    async fn follow(&self, client: Client, backoff: &mut Backoff) {
        let selector = |text: &String| (!text.is_empty()).then(|| text.clone());
        let config = watcher::Config {
            label_selector: selector(&self.scope.label_selector),
            field_selector: selector(&self.scope.field_selector),
            ..watcher::Config::default()
        };
        let mut events = pin!(watcher(K::api(client, self.scope.namespace.as_deref()), config));
        let mut listed = BTreeMap::new();
        // Is the stream past its list? Then an error is one of watching.
        let mut is_watching = false;
        loop {
            match tokio::time::timeout(QUIET, events.next()).await {
                Err(_) if is_watching => self.recovered(false),
                Err(_) => {}
                Ok(None) => return,
                Ok(Some(Ok(event))) => {
                    // From the end of the list on the stream watches.
                    is_watching = !matches!(event, Event::Init | Event::InitApply(_));
                    self.take(event, &mut listed);
                }
                Ok(Some(Err(error))) => {
                    // The stream starts again by itself, by a list or at the last version; it only has to be slowed
                    // down.
                    self.failed(&describe(&error), status(&error), is_watching);
                    // Only a new client reads the credentials again.
                    if is_unauthorized(&error) {
                        return;
                    }
                    is_watching = false;
                    tokio::time::sleep(backoff.pause(Instant::now())).await;
                }
            }
        }
    }

    fn take(&self, event: Event<K>, listed: &mut BTreeMap<Key, Arc<K>>) {
        let trimmed = |mut object: K| {
            // At once, so that a full list of a large cluster is never held untrimmed.
            object.trim();
            (Key::of(object.meta()), object)
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                let (key, object) = trimmed(object);
                listed.insert(key, Arc::new(object));
            }
            // The former objects stay in use until the list is complete.
            Event::InitDone => {
                self.cache.replace(std::mem::take(listed));
                self.recovered(true);
            }
            Event::Apply(object) => {
                let (key, object) = trimmed(object);
                let was_known = self.cache.apply(key, object);
                self.count(if was_known { "update" } else { "add" });
                self.recovered(false);
            }
            Event::Delete(object) => {
                self.cache.remove(Key::of(object.meta()));
                self.count("delete");
                self.recovered(false);
            }
        }
    }

    fn count(&self, event: &str) {
        self.metrics.events.with_label_values(&[&K::kind(&()).to_lowercase(), event]).inc();
    }

    /// Records an error, and logs it unless it is the one that was logged last.
    fn failed(&self, error: &str, status: Option<u16>, is_watch_error: bool) {
        self.metrics.failures.inc();
        let scope = self.scope.namespace.as_deref().map_or_else(String::new, |name| format!(" in namespace {name}"));
        let error = format!("cannot watch {}{scope}: {error}", K::plural(&()));
        if self.cache.fail(Failure { message: error.clone(), status }, is_watch_error) {
            tracing::warn!(%error, "Kubernetes watch failed; known objects are kept, trying again");
        }
    }

    fn recovered(&self, by_list: bool) {
        if self.cache.recover(by_list) {
            tracing::info!(resource = %K::plural(&()), "Kubernetes watch works again");
        }
    }
}
