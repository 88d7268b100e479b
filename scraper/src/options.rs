//! What the scrape engine needs to know of the server.

use http_client::Resolver;

use crate::parse::Wanted;

/// What the scrape engine needs to know of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sent with every request.
    pub user_agent: String,
    /// Looks up the hosts of targets, proxies and token servers.
    pub resolver: Resolver,
    /// From [`crate::server_seed`].
    pub seed: u64,
    /// What is wanted of every target; the forms of histograms are each target's own.
    pub wanted: Wanted,
    /// Bytes that the bodies of all targets may take while they are read; one of them at most half of it.
    pub body_memory: usize,
    /// Threads that scrape; with none it is done where the manager is asked to.
    pub threads: usize,
}
