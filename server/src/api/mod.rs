//! The HTTP API: one file a family of endpoints, and what handlers share.

mod admin;
mod cors;
mod cost;
mod error;
mod executor;
mod exemplars;
mod explain;
mod explain_targets;
mod features;
mod federate;
mod form;
pub(crate) mod format;
mod lifecycle;
mod metadata;
mod methods;
mod metric_usage;
mod notifications;
mod openapi;
mod page;
mod params;
mod query;
mod query_params;
mod readiness;
mod redirect;
mod router;
mod rule_filters;
mod rules;
mod rules_backfill;
mod rules_replay;
mod running_queries;
mod search;
mod self_metrics;
mod series;
mod stats;
mod status;
mod targets;
mod tenancy;
#[cfg(test)]
mod tests;
mod tsdb_status;
mod work;

pub(crate) use error::{ApiError, Kind};
pub(crate) use notifications::Stop;
pub(crate) use params::Params;
pub(crate) use readiness::{Begun, starting};
pub(crate) use router::router;
