//! A Kubernetes API server for a benchmark of discovery: lists in pages, watches, and objects that change at a rate.

pub mod objects;
pub mod serve;

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use objects::{Cluster, Resource, mix};
pub use objects::{ClusterOptions, KEPT_ONE_IN};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is new.
    Added,
    /// It is another one than before.
    Modified,
    /// It is gone.
    Deleted,
}

impl Event {
    /// As a watch says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One event of a watch.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The `resourceVersion`.
    pub version: u64,
    /// What happened.
    pub event: Event,
    /// The kind of object.
    pub resource: Resource,
    /// Its index.
    pub index: usize,
    /// For a pod that is gone: which of those with this index it was.
    pub incarnation: u32,
}

/// The versions before any change.
const FIRST_VERSION: u64 = 1_000_000;

/// The objects, of which only what differs from the rest is held, and all that changed.
#[derive(Debug)]
pub struct Api {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

/// Objects and changes.
#[derive(Debug)]
pub struct State {
    /// From which objects are made.
    pub cluster: Cluster,
    log: Vec<Change>,
    version: u64,
    replaced_per_mille: u64,
}

impl Api {
    /// A cluster in which nothing has changed yet.
    #[must_use]
    pub fn new(options: &ClusterOptions) -> Self {
        let cluster = Cluster::new(options);
        let state =
            State { cluster, log: Vec::new(), version: FIRST_VERSION, replaced_per_mille: options.replaced_per_mille };
        Self { state: Mutex::new(state), version: watch::Sender::new(FIRST_VERSION) }
    }

    /// Objects and changes now.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest version, now and whenever there is a newer one.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Changes so many pods.
    pub fn change(&self, pods: usize) {
        let mut state = self.state();
        (0..pods).for_each(|_| state.change_one());
        self.publish(state);
    }

    /// Gives a pod the label by which it is kept.
    pub fn mark(&self, pod: usize) {
        let mut state = self.state();
        state.cluster.pods[pod].is_marked = true;
        state.push(Event::Modified, Resource::Pods, pod);
        self.publish(state);
    }

    fn publish(&self, state: MutexGuard<'_, State>) {
        let version = state.version;
        drop(state);
        self.version.send_replace(version);
    }
}

impl State {
    /// The newest version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The changes after a version; nothing if it is older than the log.
    #[must_use]
    pub fn after(&self, version: u64) -> Option<Vec<Change>> {
        (version >= FIRST_VERSION).then(|| {
            let from = self.log.partition_point(|change| change.version <= version);
            self.log[from..].to_vec()
        })
    }

    /// The objects of a page.
    #[must_use]
    pub fn page(&self, resource: Resource, from: usize, limit: usize) -> Range<usize> {
        let all = self.cluster.count(resource);
        from.min(all)..from.saturating_add(limit).min(all)
    }

    fn change_one(&mut self) {
        let random = mix(self.version);
        let all = self.cluster.pods.len();
        let pod = usize::try_from(random % all as u64).unwrap_or_default();
        let kind = (random >> 40) % 1_000;
        if kind < self.replaced_per_mille {
            self.push(Event::Deleted, Resource::Pods, pod);
            let state = &mut self.cluster.pods[pod];
            state.incarnation += 1;
            self.push(Event::Added, Resource::Pods, pod);
            let service = self.cluster.service_of(pod);
            self.push(Event::Modified, Resource::Endpoints, service);
            self.push(Event::Modified, Resource::EndpointSlices, service);
            return;
        }
        let state = &mut self.cluster.pods[pod];
        // What trimming hides, and what becomes another label of the targets.
        if kind.is_multiple_of(2) {
            state.restarts += 1;
        } else {
            state.revision += 1;
        }
        self.push(Event::Modified, Resource::Pods, pod);
    }

    fn push(&mut self, event: Event, resource: Resource, index: usize) {
        self.version += 1;
        let incarnation =
            if resource == Resource::Pods { self.cluster.pods[index].incarnation } else { u32::default() };
        self.log.push(Change { version: self.version, event, resource, index, incarnation });
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        cluster: ClusterOptions,
    }

    #[test]
    fn objects_are_json_and_a_pod_that_changes_has_the_version_of_the_change() {
        let api = Api::new(&Flags::parse_from(["", "--pods=40", "--services=4", "--nodes=3"]).cluster);
        for resource in Resource::ALL {
            let state = api.state();
            for index in state.page(resource, 0, usize::MAX) {
                let mut text = String::new();
                state.cluster.write(resource, index, state.version(), &mut text);
                let object: Value = serde_json::from_str(&text).unwrap();
                assert!(object["metadata"]["name"].is_string(), "{text}");
                if resource == Resource::Pods {
                    assert!((4_000..8_000).contains(&text.len()), "{}", text.len());
                }
            }
        }
        let before = api.state().version();
        api.mark(7);
        api.change(100);
        let state = api.state();
        let changes = state.after(before).unwrap();
        assert!(changes.len() >= 101 && changes.is_sorted_by_key(|change| change.version));
        assert_eq!((changes[0].index, changes[0].event), (7, Event::Modified));
        assert!(changes.iter().any(|change| change.event == Event::Deleted), "some pods are replaced");
        let mut text = String::new();
        state.cluster.write(Resource::Pods, 7, 9, &mut text);
        assert!(text.contains(r#""bench/kept":"true""#) && text.contains(r#""resourceVersion":"9""#));
        assert!(state.after(1).is_none(), "older than what is known");
    }
}
