//! The HTTP server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use config::Config;
use futures::future::{self, BoxFuture};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::api::{self, Begun};
use crate::app::App;
use crate::component::{Change, Component};
use crate::notifications::STARTING;
use crate::serve::{HttpServer, Limits, Web};
use crate::settings::{Settings, long_query_memory};

/// How long responses in progress may take once the server shuts down.
const DRAIN: Duration = Duration::from_secs(10);

/// Listens, and answers as a server that starts does.
pub(crate) fn serve_starting(
    settings: &Settings,
    begun: &Begun,
    web: Arc<Web>,
    listeners: Vec<TcpListener>,
) -> HttpServer {
    let limits = Limits {
        requests: settings.max_connections,
        read_timeout: settings.read_timeout,
        long_queries: long_query_memory(),
    };
    let prefix = &settings.route_prefix;
    let scheme = if web.current().tls.is_some() { "https" } else { "http" };
    let router = api::starting(begun.clone(), prefix);
    let mut server = HttpServer::new(router, prefix, limits, web, begun.stop.0.clone());
    for listener in listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "Start listening for connections");
            tracing::info!("Open {scheme}://localhost:{}{prefix}", address.port());
        }
        server.listen(listener);
    }
    server
}

pub(super) struct Http {
    app: Arc<App>,
    server: Mutex<Option<HttpServer>>,
}

impl Http {
    pub(super) fn new(app: Arc<App>, server: HttpServer) -> Self {
        Self { app, server: Mutex::new(Some(server)) }
    }

    fn begin(&self) {
        if let Some(server) = &*self.server.lock() {
            server.route_by(api::router(Arc::clone(&self.app)));
        }
        if self.app.catch_up.pending().is_none() {
            self.app.metrics.ready.set(1.0);
        }
        self.app.notifications.take_back(STARTING);
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
        self.begin();
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
