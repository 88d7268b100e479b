//! Fetching what was missed from another replica.

use std::sync::Arc;

use anyhow::Result;
use config::Config;
use futures::future::{self, BoxFuture};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::catch_up;
use crate::component::{Change, Component};

pub(super) struct CatchingUp {
    app: Arc<App>,
    /// Waited for before the store closes.
    work: Mutex<Option<JoinHandle<()>>>,
}

impl CatchingUp {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app, work: Mutex::new(None) }
    }
}

impl Component for CatchingUp {
    fn name(&self) -> &'static str {
        "catching up"
    }

    fn prepare(&self, _: &Arc<Config>) -> Result<Change> {
        // What is missing is so at the start.
        Ok(Box::pin(future::ready(Ok(()))))
    }

    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let (app, handle) = (Arc::clone(&self.app), Handle::current());
            *self.work.lock() = Some(tokio::task::spawn_blocking(move || catch_up::run(&app, &handle)));
            future::pending().await
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // It ends with the slice that it is at: the server is stopping.
            let work = self.work.lock().take();
            if let Some(work) = work {
                work.await?;
            }
            Ok(())
        })
    }
}
