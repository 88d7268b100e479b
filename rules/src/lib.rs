//! Recording and alerting rules.
//!
//! - **What**: evaluates rule groups at their intervals, stores what they yield, and sends alerts to Alertmanagers.
//! - **Path**: beside the scrape and the query path: asks prepared queries of `query`, writes through
//!   [`model::SeriesAppender`], sends over `http-client`.
//! - **Invariants**: knows neither storage nor discovery; a rule, template or Alertmanager that fails does not affect the others.
//! - **Files**: `load` checks of rule files · `test_series` samples of unit
//!   tests · `notification` an alert as it is sent · `template` Go templates of labels and annotations · `notifier` queues and
//!   Alertmanagers.
//! - **Tests**: at the foot of each file; `tests/` runs upstream's recordings.

mod load;
mod notification;
mod notifier;
mod template;
mod test_series;

pub use load::{LoadChecks, TemplateCheck};
pub use notification::Notification;
pub use notifier::{Alertmanagers, Notifier, NotifierOptions};
pub use template::{Template, TemplateData, TemplateError};
pub use test_series::{TestSamples, TestSeries};
