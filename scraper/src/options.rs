//! The options of the scrape engine.

use std::time::Duration;

use http_client::Resolver;

use crate::parse::Wanted;

/// What the scrape engine needs to know of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sent with every request.
    pub user_agent: String,
    /// Looks up the hosts of targets, proxies and token servers.
    pub resolver: Resolver,
    /// Parser options of all targets; those for histograms are set per target.
    pub wanted: Wanted,
    /// Memory for the bodies of all targets while they are read, bytes; one body may take half of it.
    pub body_memory: usize,
    /// The number of scrape threads; with 0, scrapes run on the caller's runtime.
    pub threads: usize,
    /// From this time after the start on, new targets are scraped as soon as they are known, beside their turn: a target that was
    /// just configured, or a pod that lives for less than an interval. During the start all targets are new and wait for their
    /// turns. `None`: all always do.
    pub at_once_after: Option<Duration>,
}
