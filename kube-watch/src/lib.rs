//! Kubernetes clients, and caches of objects that follow the API server.
//!
//! - **What**: [`Watches::watch`] gives a [`Watch`]: the objects of one kind in one scope, trimmed to what is needed of them, up
//!   to date, with notifications of changes. Consumers that ask for the same share one watch of the server.
//! - **Path**: step 1 of the scrape path, through `discovery`.
//! - **Invariants**: one watch per API server and credentials, kind of object, scope and selector, for as long as one consumer
//!   holds it; what was known stays known while the server refuses, is unreachable, restarts or sends garbage, and the failure says
//!   since when it is stale; one object that cannot be decoded keeps no other from being known; every request is bounded in time
//!   and memory; no consumer sees a change that trimming hides; credentials never stand in an error or log.
//! - **Files**: `access` what the server allows · `client` how an API server is connected to · `events` Events of objects
//!   · `status` their status · `object` the contract of a kind, keys, `resource!` and `trimmed!` · `meta` compact metadata
//!   · `scope` which objects · `requests` lists and watches as they are asked for, and their limits · `reviews` tokens and the rights of others · `decode` what is answered,
//!   object by object · `fault` why a request failed, and pauses · `cache` the objects of one watch and who is notified · `health` how a watch fares · `watch`
//!   following the server · `turns` how many named objects are watched at once · `watches` the watches that run, shared · `metrics` what is counted.
//! - **Tests**: at the foot of each file; `tests/watches.rs` runs an API server of a few lines, `tests/faults.rs` one that answers
//!   wrongly, late or never.

mod access;
mod cache;
mod client;
mod decode;
mod error;
mod events;
mod fault;
mod health;
mod meta;
mod metrics;
mod object;
mod requests;
mod reviews;
mod scope;
mod status;
mod turns;
mod watch;
mod watches;

pub use access::{Access, Right};
pub use cache::{Asked, Changes, Failure};
pub use client::ApiServer;
pub use error::Error;
pub use events::{EventObject, EventWriter};
pub use health::{WatchHealth, WatchStatus};
pub use meta::{Meta, Pairs, controller, name, namespace};
pub use object::{Key, Kind, Namespace};
pub use requests::Limits;
pub use reviews::{Action, Reviews, User};
pub use scope::{Scope, own_namespace};
pub use status::{StatusOf, StatusWriter, Written};
pub use watches::{Watch, Watches};

pub mod macros {
    //! What implementations of [`Kind`](crate::Kind) name, those by `resource!` and `trimmed!` among them.

    pub use serde::{Deserialize, Deserializer};

    pub use crate::object::or_default;
}
