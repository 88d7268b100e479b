//! The components of the server, in the order in which they start.

mod catch_up;
mod discovery;
mod http;
mod import;
mod logging;
mod objects;
mod query;
mod remote_read;
mod remote_write;
mod rules;
mod scraping;
mod storage;

use std::sync::Arc;

use anyhow::Result;

use crate::app::App;
use crate::component::Component;
use crate::logging::LogLevel;
use crate::serve::HttpServer;

pub(crate) use http::serve_starting;
pub(crate) use objects::{follow_objects, kubelet_service};
pub(crate) use remote_read::build_remote_read;
pub(crate) use remote_write::build_remote_write;
pub(crate) use rules::build_rules;

/// All of them. Shutdown goes backwards: answers are delivered while scraping goes on, then the last scrapes are stored, and
/// the database closes last.
///
/// # Errors
/// When the store cannot be read, or a metric be registered.
pub(crate) fn all(app: &Arc<App>, level: LogLevel, server: HttpServer) -> Result<Vec<Arc<dyn Component>>> {
    Ok(vec![
        // First: it reads the clock before anything is scraped or dropped.
        Arc::new(storage::Storage::new(Arc::clone(app))?),
        Arc::new(logging::Logging::new(Arc::clone(app), level)),
        query(app),
        Arc::new(import::Import::new(Arc::clone(app))?),
        // Before anything stores samples, and after all that does at the end.
        Arc::new(remote_write::RemoteWrite(Arc::clone(app))),
        // Before rules, which read with it.
        Arc::new(remote_read::RemoteRead(Arc::clone(app))),
        // Begins with the first configuration, and goes on while the server scrapes.
        Arc::new(catch_up::CatchingUp::new(Arc::clone(app))),
        scraping(app),
        // Before discovery, so that Alertmanagers are not taken for those of another section.
        Arc::new(rules::Rules(Arc::clone(app))),
        Arc::new(discovery::Discovery(Arc::clone(app))),
        Arc::new(objects::Objects(Arc::clone(app))),
        Arc::new(http::Http::new(Arc::clone(app), server)),
    ])
}

/// The query engine and its log.
pub(crate) fn query(app: &Arc<App>) -> Arc<dyn Component> {
    Arc::new(query::Query(Arc::clone(app)))
}

/// The scrape engine.
pub(crate) fn scraping(app: &Arc<App>) -> Arc<dyn Component> {
    Arc::new(scraping::Scraping(Arc::clone(app)))
}
