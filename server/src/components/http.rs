//! The HTTP server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use config::Config;
use futures::future::{self, BoxFuture};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::api;
use crate::app::App;
use crate::component::{Change, Component};
use crate::serve::{HttpServer, Limits, Web};
use crate::settings::long_query_memory;

/// How long responses in progress may take once the server shuts down.
const DRAIN: Duration = Duration::from_secs(10);

pub(super) struct Http {
    app: Arc<App>,
    web: Arc<Web>,
    /// Bound already, so that an address in use keeps the server from starting.
    listeners: Mutex<Vec<TcpListener>>,
    server: Mutex<Option<HttpServer>>,
}

impl Http {
    pub(super) fn new(app: Arc<App>, web: Arc<Web>, listeners: Vec<TcpListener>) -> Self {
        let limits = Limits {
            requests: app.settings.max_connections,
            read_timeout: app.settings.read_timeout,
            long_queries: long_query_memory(),
        };
        let router = api::router(Arc::clone(&app));
        let server = HttpServer::new(router, &app.settings.route_prefix, limits, Arc::clone(&web), app.stop.clone());
        Self { app, web, listeners: Mutex::new(listeners), server: Mutex::new(Some(server)) }
    }

    fn listen(&self) {
        let scheme = if self.web.current().tls.is_some() { "https" } else { "http" };
        let prefix = &self.app.settings.route_prefix;
        let listeners = std::mem::take(&mut *self.listeners.lock());
        let mut server = self.server.lock();
        for listener in listeners {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "Start listening for connections");
                tracing::info!("Open {scheme}://localhost:{}{prefix}", address.port());
            }
            if let Some(server) = &mut *server {
                server.listen(listener);
            }
        }
        self.app.metrics.ready.set(1.0);
        tracing::info!("Server is ready to receive web requests.");
    }
}

impl Component for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn prepare(&self, _: &Arc<Config>) -> Result<Change> {
        // --web.config.file is read again for each connection.
        Ok(Box::pin(future::ready(Ok(()))))
    }

    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        self.listen();
        Box::pin(future::pending())
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            tracing::info!("Stopping: no more connections");
            self.app.metrics.ready.set(0.0);
            let server = self.server.lock().take();
            if let Some(server) = server
                && !server.end(DRAIN).await
            {
                tracing::warn!(after = ?DRAIN, "some responses were still in progress and are aborted");
            }
            Ok(())
        })
    }
}
