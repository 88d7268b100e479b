//! Service discovery.

use std::sync::Arc;

use anyhow::Result;
use config::Config;
use futures::future::BoxFuture;

use crate::app::App;
use crate::component::{Change, Component};

pub(super) struct Discovery(pub(super) Arc<App>);

impl Component for Discovery {
    fn name(&self) -> &'static str {
        "discovery"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        let (app, jobs) = (Arc::clone(&self.0), new.scrape_configs.clone());
        Ok(Box::pin(async move {
            let jobs = jobs.iter().map(|job| (job.job_name.as_str(), &*job.sd));
            app.discovery.lock().await.apply(discovery::Consumer::SCRAPE, jobs);
            Ok(())
        }))
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.0.discovery.lock().await.shutdown().await;
            Ok(())
        })
    }
}
