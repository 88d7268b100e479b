//! The scrape engine, and the way of discovered targets into it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use config::Config;
use futures::future::BoxFuture;

use crate::app::App;
use crate::component::{Change, Component};

/// How often targets are synced when discovery has nothing new.
const SYNC_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Scraping(pub(super) Arc<App>);

impl Component for Scraping {
    fn name(&self) -> &'static str {
        "scraping"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        let (app, new) = (Arc::clone(&self.0), Arc::clone(new));
        Ok(Box::pin(async move {
            let seed = scraper::server_seed(&app.settings.hostname, &new.global.external_labels);
            app.scraper.apply(&new.scrape_configs, seed).await;
            Ok(())
        }))
    }

    /// What discovery publishes becomes the scraper's targets.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut groups = self.0.discovery.lock().await.subscribe(discovery::Consumer::SCRAPE);
            loop {
                // Before the first wait, too: what was published before this subscribed is no change.
                self.0.scraper.sync(groups.current()).await;
                // `false` is the end of discovery; a timeout only syncs again.
                if let Ok(false) = tokio::time::timeout(SYNC_EVERY, groups.changed()).await {
                    return;
                }
            }
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.0.scraper.shutdown().await;
            Ok(())
        })
    }
}
