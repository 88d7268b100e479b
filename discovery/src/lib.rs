//! Where targets are: static, file and Kubernetes.
//!
//! - **What**: [`Manager`] runs the discoveries of the scrape jobs and publishes [`model::TargetGroups`].
//! - **Path**: step 1 of the scrape path.
//! - **Invariants**: knows nothing of scraping; a discovery that fails keeps what it found and never touches another's
//!   targets; discoveries that are configured alike run once; every task belongs to the manager.
//! - **Files**: `manager` providers, start and stop · `hub` what is known, published · `file` files · `kubernetes` API
//!   servers · `metrics` what is counted.
//! - **Tests**: at the foot of each file; `kubernetes/cases.rs` reads upstream's recordings, `tests/` runs the manager.

mod error;
mod file;
mod hub;
mod kubernetes;
mod manager;
mod metrics;

pub use error::Error;
pub use hub::ProviderStatus;
pub use manager::{Manager, Options};
