//! Follows the objects of one kind in one scope: lists them, watches them, and starts again after a failure.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::Instant;

use crate::cache::{Cache, Listed};
use crate::client::ClientSlot;
use crate::decode::{self, Decoded, Event};
use crate::fault::{Backoff, Fault};
use crate::metrics::Metrics;
use crate::object::{Key, Kind};
use crate::requests::{Limits, Next, Requests};
use crate::scope::Scope;
use crate::turns::Turns;

/// A watch that ends sooner is not resumed at once: a server that ends every watch would be asked without a pause.
const SHORT: Duration = Duration::from_secs(1);
/// After so many attempts in a row to resume a watch a list is tried: it may work where watching does not.
const RESUMED_MAX: u32 = 3;

/// The task that keeps a cache up to date.
#[derive(Debug)]
pub(crate) struct Follower<K> {
    pub(crate) cache: Arc<Cache<K>>,
    pub(crate) scope: Scope,
    pub(crate) slot: Arc<ClientSlot>,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Limits,
    pub(crate) turns: Arc<Turns>,
}

impl<K: Kind> Follower<K> {
    /// Follows the server until it is aborted.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(self.limits.pause);
        loop {
            self.cache.asks();
            match self.slot.client().await {
                Ok(client) => {
                    self.follow(client, &mut backoff).await;
                    // Credentials from files and the kubeconfig are read again with a new client.
                    self.slot.reset().await;
                }
                Err(error) => {
                    self.metrics.failures.inc();
                    self.failed(None, &Fault::new(model::with_causes(&error)), false);
                }
            }
            tokio::time::sleep(backoff.pause(Instant::now())).await;
        }
    }

    /// Returns when the server no longer accepts the credentials of the client.
    async fn follow(&self, client: Client, backoff: &mut Backoff) {
        let everywhere = Requests::new::<K>(&client, self.scope.clone(), self.limits);
        let fallback = self.scope.fallback_namespace.clone().filter(|_| self.scope.namespace.is_none());
        loop {
            let fault = self.rounds(&everywhere, backoff, fallback.is_some()).await;
            let Some(own) = fallback.clone().filter(|_| fault.is_forbidden()) else { return };
            self.forbidden(&fault, &own);
            let scope = Scope { namespace: Some(own), ..self.scope.clone() };
            let own = Requests::new::<K>(&client, scope, self.limits);
            let mut own_backoff = Backoff::new(self.limits.pause);
            tokio::select! {
                _ = self.rounds(&own, &mut own_backoff, false) => return,
                allowed = self.until_allowed(&everywhere, backoff) => if allowed.is_err() { return },
            }
        }
    }

    /// Waits until all namespaces may be listed. An error is one of credentials.
    async fn until_allowed(&self, everywhere: &Requests, backoff: &mut Backoff) -> Result<(), Fault> {
        loop {
            tokio::time::sleep(backoff.pause(Instant::now())).await;
            match everywhere.may_list().await {
                Ok(()) => return Ok(()),
                Err(fault) if fault.is_of_credentials => return Err(fault),
                // Whatever it is: one namespace is followed meanwhile, and that says what else is wrong.
                Err(_) => self.metrics.failures.inc(),
            }
        }
    }

    /// Lists and watches until only another client can help, or, if `may_fall_back`, looking there is forbidden.
    async fn rounds(&self, requests: &Requests, backoff: &mut Backoff, may_fall_back: bool) -> Fault {
        // Up to where everything is known; `None` before a list.
        let mut version = None;
        let (mut n_short, mut n_resumed) = (0, 0);
        let mut turn = None;
        loop {
            if version.is_some() && turn.is_none() && self.scope.is_one_of_many {
                turn = self.turns.watch(self.limits.poll).await;
                if turn.is_none() {
                    version = None;
                }
            }
            let is_watching = version.is_some();
            self.cache.asks();
            let result = match &mut version {
                None => self.list(requests).await.map(|listed| version = Some(listed)),
                Some(version) => match self.watch(requests, version).await {
                    Ok(End { is_short, is_empty }) => {
                        n_resumed = 0;
                        n_short = if is_short { n_short + 1 } else { 0 };
                        // A single one is nothing but a server that restarts.
                        let is_fault = is_empty && n_short > 1;
                        let ends = || Fault {
                            is_resumable: true,
                            ..Fault::new("the server ends every watch at once".to_owned())
                        };
                        if is_short && !is_fault {
                            tokio::time::sleep(backoff.pause(Instant::now())).await;
                        }
                        if is_fault { Err(ends()) } else { Ok(()) }
                    }
                    Err(fault) => Err(fault),
                },
            };
            let Err(fault) = result else { continue };
            self.metrics.failures.inc();
            if may_fall_back && fault.is_forbidden() {
                return fault;
            }
            self.failed(requests.namespace(), &fault, is_watching);
            if fault.is_of_credentials {
                return fault;
            }
            n_resumed += 1;
            if !fault.is_resumable || n_resumed > RESUMED_MAX {
                version = None;
                n_resumed = 0;
            }
            tokio::time::sleep(backoff.pause_after(&fault, Instant::now())).await;
        }
    }

    /// Lists everything, and returns the version of that.
    async fn list(&self, requests: &Requests) -> Result<String, Fault> {
        // The former objects stay in use until the list is complete.
        let mut listed = Listed::default();
        let mut found = |decoded: Decoded<K>| match decoded {
            Decoded::Good(key, object) => drop(listed.objects.insert(key, Arc::new(object))),
            Decoded::Unreadable(key, why) => drop(listed.unreadable.insert(key, why)),
        };
        let turn = if self.scope.is_one_of_many { Some(self.turns.list().await) } else { None };
        let version = requests.list(&mut found).await?;
        drop(turn);
        // What falls back to one namespace replaces only what is there.
        let part = requests.namespace().filter(|_| self.scope.namespace.is_none());
        for (key, why) in self.cache.replace(part, listed) {
            self.is_unreadable(&key, &why);
        }
        if part.is_none() && self.cache.permit() {
            tracing::info!(resource = K::PLURAL, "all namespaces can be looked in");
        }
        self.recovered(true);
        Ok(version)
    }

    /// Takes over what happens after the version, and moves that on, until the watch ends.
    async fn watch(&self, requests: &Requests, version: &mut String) -> Result<End, Fault> {
        let began = Instant::now();
        let mut lines = requests.watch(version).await?;
        let mut is_empty = true;
        loop {
            match lines.next().await? {
                Next::End => return Ok(End { is_short: began.elapsed() < SHORT, is_empty }),
                Next::Settled => self.recovered(false),
                Next::Line(line) => {
                    *version = self.take(decode::event(&line)?);
                    is_empty = false;
                    self.recovered(false);
                }
            }
        }
    }

    /// Takes over an event, and returns its version.
    fn take(&self, event: Event<K>) -> String {
        match event {
            Event::Bookmark(version) => version,
            Event::Applied(Decoded::Good(key, object), version) => {
                let was_known = self.cache.apply(key, object);
                self.count(if was_known { "update" } else { "add" });
                version
            }
            Event::Applied(Decoded::Unreadable(key, why), version) => {
                if self.cache.set_unreadable(key.clone(), why.clone()) {
                    self.is_unreadable(&key, &why);
                }
                version
            }
            Event::Removed(key, version) => {
                self.cache.remove(key);
                self.count("delete");
                version
            }
        }
    }

    fn count(&self, event: &str) {
        self.metrics.events.with_label_values(&[&K::KIND.to_lowercase(), event]).inc();
    }

    /// Records an error, and logs it unless it is the one that was logged last.
    fn failed(&self, namespace: Option<&str>, fault: &Fault, is_watch_error: bool) {
        let error = described::<K>(namespace.or(self.scope.namespace.as_deref()), fault);
        if self.cache.fail(error.clone(), fault.status, is_watch_error) {
            tracing::warn!(%error, "Kubernetes watch failed; known objects are kept, trying again");
        }
    }

    fn forbidden(&self, fault: &Fault, own: &str) {
        let others = if self.cache.was_listed() { ", and others stay as they were" } else { "" };
        let where_instead = format!("; until it is given, only namespace {own} is looked in{others}");
        let error = described::<K>(None, fault) + &where_instead;
        if self.cache.forbid(error.clone(), fault.status) {
            tracing::warn!(%error, "not all namespaces can be looked in");
        }
    }

    fn is_unreadable(&self, key: &Key, why: &str) {
        let resource = K::PLURAL;
        tracing::warn!(resource, object = %key, error = why, "object cannot be read and is left as it was known");
    }

    fn recovered(&self, by_list: bool) {
        if self.cache.recover(by_list) {
            tracing::info!(resource = K::PLURAL, "Kubernetes watch works again");
        }
    }
}

/// How a watch ended that can be resumed.
struct End {
    is_short: bool,
    /// No event came.
    is_empty: bool,
}

fn described<K: Kind>(namespace: Option<&str>, fault: &Fault) -> String {
    let scope = namespace.map_or_else(String::new, |name| format!(" in namespace {name}"));
    format!("cannot watch {}{scope}: {}", K::PLURAL, fault.message)
}
