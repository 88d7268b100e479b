//! Service discovery.

use std::sync::Arc;

use anyhow::Result;
use config::Config;
use futures::future::BoxFuture;

use crate::app::App;
use crate::component::{Change, Component};

pub(super) struct Discovery {
    app: Arc<App>,
}

impl Discovery {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl Component for Discovery {
    fn name(&self) -> &'static str {
        "discovery"
    }

    fn prepare(&self, _: &Config, new: &Arc<Config>) -> Result<Change> {
        let (app, jobs) = (Arc::clone(&self.app), new.scrape_configs.clone());
        Ok(Change::new(async move {
            let jobs = jobs.iter().map(|job| (job.job_name.as_str(), &*job.sd));
            app.discovery.lock().await.apply(discovery::Consumer::SCRAPE, jobs);
            Ok(())
        }))
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.app.discovery.lock().await.shutdown().await;
            Ok(())
        })
    }
}
