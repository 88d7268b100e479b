//! What is logged.

use std::sync::Arc;

use anyhow::Result;
use config::Config;

use crate::app::App;
use crate::component::{Change, Component};
use crate::logging::LogLevel;

pub(super) struct Logging {
    app: Arc<App>,
    level: LogLevel,
}

impl Logging {
    pub(super) fn new(app: Arc<App>, level: LogLevel) -> Self {
        Self { app, level }
    }
}

impl Component for Logging {
    fn name(&self) -> &'static str {
        "logging"
    }

    fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
        let level = new.log_level().unwrap_or(&self.app.flags.log_level.0).to_owned();
        let handle = self.level.clone();
        Ok(Box::pin(async move {
            handle.set(&level);
            Ok(())
        }))
    }
}
