//! Recording and alerting rules.
//!
//! - **What**: evaluates rule groups at their intervals, stores what they yield, and sends alerts to Alertmanagers.
//! - **Path**: beside the scrape and the query path: asks prepared queries of `query`, writes through
//!   [`model::SeriesAppender`], sends over `http-client`.
//! - **Invariants**: knows neither storage nor discovery; a rule, template or Alertmanager that fails does not affect the others;
//!   what a group yields at one time is one row, unless a rule reads what another one writes.
//! - **Files**: `load` checks of rule files, `spec` groups as configured · `manager` groups and reloads, `group_task` the loop of
//!   one, `slots` when · `backfill` what is computed of times that are over, `backfill_queue` what is asked for, `chunk` several
//!   evaluations at once · `group` one evaluation, `dependencies` which rules wait for others, `store` `output` and what is stored of it ·
//!   `rule` state of a rule, `recording` and `alerting` the two kinds, `alert` states of an alert, `restore` those of before a
//!   restart, `unmatched` why a rule reads nothing, `selector` of what a rule writes · `context` what groups are evaluated
//!   with · `status` what is said of rules · `metrics` what is counted · `notification` an alert as it is sent · `notifier` queues
//!   and Alertmanagers · `template` Go templates of labels and annotations, `links` links in them · `replay/` dry runs · `simulation` groups at
//!   given times, `test_series` samples: both for unit tests.
//! - **Tests**: at the foot of each file; `tests/` runs groups on a paused clock, upstream's recordings, and receivers of alerts.

mod alert;
mod alerting;
mod backfill;
mod backfill_queue;
mod chunk;
mod context;
mod dependencies;
mod error;
mod group;
mod group_task;
mod links;
mod load;
mod manager;
mod metrics;
mod notification;
mod notifier;
mod output;
mod recording;
mod replay;
mod restore;
mod rule;
mod selector;
mod simulation;
mod slots;
mod spec;
mod status;
mod store;
mod template;
mod test_series;
mod unmatched;

pub use alert::{Alert, AlertState};
pub use backfill_queue::BackfillStatus;
pub use context::{Context, Notify, Options};
pub use error::EvaluationError;
pub use group::Group;
pub use group_task::Clock;
pub use load::LoadChecks;
pub use manager::Manager;
pub use notification::Notification;
pub use notifier::{Alertmanagers, Notifier, NotifierOptions};
pub use replay::{Firing, Replay, ReplayOutcome, ReplayedGroup, ReplayedRule};
pub use rule::Evaluation;
pub use simulation::Simulation;
pub use spec::{AlertSpec, GroupSpec, RuleSpec};
pub use status::RuleStatus;
pub use template::{Template, TemplateData, TemplateError, duration_text, template_functions};
pub use test_series::{TestSamples, TestSeries};
pub use unmatched::UnmatchedSelector;
