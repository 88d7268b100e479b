//! The query engine, the query log, and which metrics are asked for.

use std::sync::Arc;

use anyhow::Result;
use config::{Config, GlobalConfig};
use futures::future::BoxFuture;

use crate::app::App;
use crate::component::{Change, Component};

pub(super) struct Query(pub(super) Arc<App>);

impl Component for Query {
    fn name(&self) -> &'static str {
        "query"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        let (app, new) = (Arc::clone(&self.0), Arc::clone(new));
        // Opened anew although it may be the same: whoever rotates files moves it away and then has the configuration reloaded.
        let log = app.query_log.open(new.global.query_log_file.as_deref())?;
        Ok(Box::pin(async move {
            app.query_log.write_to(log);
            let GlobalConfig { query_max_series, query_max_samples_read, query_max_duration_ms, .. } = new.global;
            let options = app.engine().options().clone();
            options.cost.set(query_max_series, query_max_samples_read, query_max_duration_ms);
            let (default_step_ms, scrape_interval_ms) =
                (new.global.evaluation_interval_ms, new.global.scrape_interval_ms);
            // The same engine where nothing changes: rules are planned again for another one, and objects change often.
            if (options.default_step_ms, options.scrape_interval_ms) != (default_step_ms, scrape_interval_ms) {
                app.set_engine(query::Engine::new(query::EngineOptions {
                    default_step_ms,
                    scrape_interval_ms,
                    ..options
                }));
            }
            Ok(())
        }))
    }

    /// Which metrics are asked for is written down now and then, and at the end.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(Arc::clone(&self.0.metric_usage).run())
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        let usage = Arc::clone(&self.0.metric_usage);
        Box::pin(async move { Ok(tokio::task::spawn_blocking(move || usage.write()).await?) })
    }
}
