//! Which metrics are asked for, by people and by rules, and which never: what `/api/v1/status/metric_usage` shows. Counted where
//! queries read the store, kept in the data directory.

mod counted;
mod counts;
mod file;
mod usage;

pub(crate) use counted::Counted;
pub(crate) use counts::{Asked, Origin};
pub(crate) use usage::MetricUsage;
