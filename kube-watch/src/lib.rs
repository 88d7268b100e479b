//! Kubernetes clients, and caches of objects that follow the API server.
//!
//! - **What**: [`Watches::watch`] gives a [`Watch`]: the objects of one kind in one scope, trimmed to what is needed of them, up
//!   to date, with notifications of changes. Consumers that ask for the same share one watch of the server.
//! - **Path**: step 1 of the scrape path, through `discovery`.
//! - **Invariants**: one watch per API server and credentials, kind of object, scope and selector, for as long as one consumer
//!   holds it; what was known stays known while the server refuses, is unreachable or restarts; no consumer sees a change that
//!   trimming hides; credentials never stand in an error or log.
//! - **Files**: `access` what the server allows · `client` how an API server is connected to
//!   · `events` Events of objects · `object` the contract of a kind, keys, `resource!` and `trimmed!`
//!   · `scope` which objects · `cache` the objects of one watch and who is notified · `watch` following the server · `watches`
//!   the watches that run, shared · `retry` errors in words, and pauses · `metrics` what is counted.
//! - **Tests**: at the foot of each file; `tests/` runs an API server of a few lines.

mod access;
mod cache;
mod client;
mod error;
mod events;
mod metrics;
mod object;
mod retry;
mod scope;
mod watch;
mod watches;

pub use access::{Access, Right};
pub use cache::{Changes, Failure};
pub use client::ApiServer;
pub use error::Error;
pub use events::{EventObject, EventWriter};
pub use object::{Key, Kind, Namespace, ObjectMeta, controller, name, namespace, trim_metadata};
pub use scope::Scope;
pub use watches::{Watch, Watches};

pub mod macros {
    //! What implementations of [`Kind`](crate::Kind) name, those by `resource!` and `trimmed!` among them.

    pub use kube::{Api, Client, Resource};
    pub use serde::{Deserialize, Deserializer};

    pub use crate::object::or_default;
    pub use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
}
