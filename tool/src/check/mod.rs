//! `promtool check …`: reads files as the server does, or asks a server, and says what is wrong.

pub(crate) mod config;
mod lint;
pub(crate) mod metrics;
mod promlint;
mod references;
pub(crate) mod rules;
pub(crate) mod server_status;
pub(crate) mod service_discovery;
pub(crate) mod web_config;
