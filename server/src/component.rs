//! What every component of the server has: one life cycle.
//!
//! A component is built from flags and configuration, then gets each configuration in two steps (`prepare`, then the change
//! that it returned), runs in the background, and is shut down in the reverse order of the start. A configuration is in force
//! in all components or in none: `reload` prepares every change before it makes the first, and takes back those that it made
//! when one fails.

use std::sync::Arc;

use anyhow::Result;
use config::Config;
use futures::future::{self, BoxFuture};

/// A part of the server with a life cycle of its own.
pub(crate) trait Component: Send + Sync {
    /// Its name in logs and errors.
    fn name(&self) -> &'static str;

    /// Checks a configuration and prepares what it changes here; nothing changes yet.
    ///
    /// # Errors
    /// When the component cannot work with it.
    fn prepare(&self, new: &Arc<Config>) -> Result<Change>;

    /// Works in the background until it is dropped. It begins after the first configuration is in force.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(future::pending())
    }

    /// Ends what the component holds: connections, loops, files. Called once, after `run` was dropped.
    ///
    /// # Errors
    /// When something may be lost.
    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(future::ready(Ok(())))
    }
}

/// A prepared change of one component: awaiting it makes it.
pub(crate) type Change = BoxFuture<'static, Result<()>>;
