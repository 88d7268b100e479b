//! Service discovery.

use std::sync::Arc;

use ::discovery::Consumer;
use anyhow::Result;
use config::Config;
use futures::future::BoxFuture;
use rules::Notifier;

use crate::app::App;
use crate::component::{Change, Component};

pub(super) struct Discovery(pub(super) Arc<App>);

impl Component for Discovery {
    fn name(&self) -> &'static str {
        "discovery"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        let (app, new) = (Arc::clone(&self.0), Arc::clone(new));
        Ok(Box::pin(async move {
            let mut discovery = app.discovery.lock().await;
            let jobs = new.scrape_configs.iter().map(|job| (job.job_name.as_str(), &*job.sd));
            discovery.apply(Consumer::SCRAPE, jobs);
            let sections = new.alerting.alertmanagers.iter().enumerate();
            let sections: Vec<_> = sections.map(|(i, section)| (Notifier::discovery_key(i), &*section.sd)).collect();
            discovery.apply(Consumer::NOTIFY, sections.iter().map(|(key, sd)| (key.as_str(), *sd)));
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
