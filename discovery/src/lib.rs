//! Service discovery: where targets are.
//!
//! - **What**: [`Manager`] runs the discoveries that consumers ask for and gives each [`Consumer`] its target groups through a
//!   [`Subscription`].
//! - **Path**: step 1 of the scrape path.
//! - **Invariants**: knows nothing of scraping; a discovery that fails keeps what it found and never touches another's
//!   targets; discoveries that are configured alike run once, whoever uses them; every task belongs to the manager.
//! - **Files**: `discoverer` the contract of a discovery · `kinds` the table of kinds · `static_config`, `file`, `http`, `dns`,
//!   `kubernetes`, `consul`, `nomad`, `docker`, `dockerswarm` (over `moby`), `eureka`, `marathon`, `puppetdb`, `uyuni` (over `xml_rpc`),
//!   `kuma`, and in `cloud` those of cloud providers, one kind each · `refresh` the loop of those that ask again and again · `api` an HTTP
//!   API that is asked, `json` and `xml` reading of what it says, `meta` labels made of it · `listed` groups in documents · `host_port`
//!   addresses · `store` what was published, and for whom · `consumer` who that is · `departures` why targets are gone · `health` how sources
//!   fare, `place` who is asked, `source_metrics` a series for each · `manager` start and stop · `metrics` what is counted.
//! - **Tests**: at the foot of each file, with answers of services that `recorded` serves; `kubernetes/cases.rs` reads upstream's recordings, `tests/` runs the manager.

mod api;
mod cloud;
mod consul;
mod consumer;
mod departures;
mod discoverer;
mod dns;
mod docker;
mod dockerswarm;
mod error;
mod eureka;
mod file;
mod health;
mod host_port;
mod http;
mod json;
mod kinds;
mod kubernetes;
mod kuma;
mod listed;
mod manager;
mod marathon;
mod meta;
mod metrics;
mod moby;
mod nomad;
mod place;
mod puppetdb;
#[cfg(test)]
mod recorded;
mod refresh;
mod source_metrics;
mod static_config;
mod store;
mod uyuni;
mod xml;
mod xml_rpc;

pub use consumer::Consumer;
pub use departures::Departure;
pub use error::Error;
pub use health::SourceStatus;
pub use kubernetes::annotations::annotation_jobs;
pub use kubernetes::without_targets::{Lookup, WithoutTargets};
pub use manager::{Manager, Options};
pub use store::{ProviderStatus, Subscription};
