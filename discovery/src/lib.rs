//! Service discovery: where targets are.
//!
//! - **What**: [`Manager`] runs the discoveries that consumers ask for and gives each [`Consumer`] its target groups through a
//!   [`Subscription`].
//! - **Path**: step 1 of the scrape path.
//! - **Invariants**: knows nothing of scraping; a discovery that fails keeps what it found and never touches another's
//!   targets; discoveries that are configured alike run once, whoever uses them; every task belongs to the manager.
//! - **Files**: `discoverer` the contract of a discovery · `kinds` the table of kinds · `static_config`, `file`, `http`, `dns`,
//!   `kubernetes` one kind each · `refresh` the loop of those that ask again and again · `listed` groups in
//!   documents · `host_port` addresses · `store` what was published, and for whom · `manager` start and stop · `metrics` what is counted.
//! - **Tests**: at the foot of each file; `kubernetes/cases.rs` reads upstream's recordings, `tests/` runs the manager.

mod discoverer;
mod dns;
mod error;
mod file;
mod host_port;
mod http;
mod kinds;
mod kubernetes;
mod listed;
mod manager;
mod metrics;
mod refresh;
mod static_config;
mod store;

pub use error::Error;
pub use kubernetes::annotations::annotation_jobs;
pub use kubernetes::without_targets::{Lookup, WithoutTargets};
pub use manager::{Manager, Options};
pub use store::{Consumer, ProviderStatus, Subscription};
