//! Runs the work of requests that read: within a concurrency slot, a deadline, a memory budget and the lifetime of its
//! client, and off the threads that answer health checks.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri};
use http::request::Parts;
use http::{Method, Version};
use model::{Listing, QuerierError};
use query::{Bounds, QueryOptions, StillWanted};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::told;
use super::executor::execute;
use super::params::truth;
use super::{ApiError, Kind, Params};
use crate::app::App;
use crate::listen::Client;
use crate::serve::Tenant;

/// Items of a listing between two checks of its deadline and its client.
const PACE: usize = 256;
/// Memory that a listing reserves at once: a reservation for each item would cost more than the item.
const GRAIN: usize = 64 << 10;

/// The origin of a request.
pub(crate) struct Origin {
    pub(crate) client: Option<Client>,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) path: String,
    /// The value of its `X-Prometheus-Use-Start-Timestamps` header; empty if there is none.
    pub(crate) start_timestamps: String,
    /// Whose it is, where that is one who may not see everything.
    pub(crate) tenant: Option<Tenant>,
}

/// Header: whether start timestamps count as counter resets in this query.
const START_TIMESTAMPS: &str = "X-Prometheus-Use-Start-Timestamps";

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let client = parts.extensions.get::<ConnectInfo<Client>>();
        let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
        // The path that the client sent: nesting below the route prefix cuts it off `parts.uri`.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        Ok(Self {
            client: client.map(|client| client.0.clone()),
            method: parts.method.clone(),
            version: parts.version,
            path: uri.path().to_owned(),
            start_timestamps: parts.headers.get(START_TIMESTAMPS).and_then(text).unwrap_or_default(),
            tenant: parts.extensions.get::<Tenant>().cloned(),
        })
    }
}

impl Origin {
    /// The value of that header, if it is set.
    pub(crate) fn uses_starts(&self) -> Result<Option<bool>, ApiError> {
        let text = &*self.start_timestamps;
        let fault = || {
            let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
            ApiError::bad_data(format!("error parsing {START_TIMESTAMPS} header: {why}"))
        };
        if text.is_empty() { Ok(None) } else { truth(text).map(Some).ok_or_else(fault) }
    }
}

/// The limits of a request: `--query.timeout`, or less if the request says so. It is canceled when `asked` is dropped or its
/// client has gone.
pub(crate) fn options(app: &App, timeout: Option<Duration>, client: Option<&Client>, asked: &Arc<()>) -> QueryOptions {
    let most = app.engine().timeout();
    let timeout = timeout.map_or(most, |timeout| timeout.min(most));
    let (asked, client) = (Arc::downgrade(asked), client.cloned());
    // Over HTTP/2 a dropped future is the sign that the client gave up; over HTTP/1 it is the closed connection.
    let wanted = move || asked.strong_count() > 0 && !client.as_ref().is_some_and(Client::has_gone);
    let wanted = Some(StillWanted(Arc::new(wanted)));
    QueryOptions { timeout: Some(timeout), wanted, ..QueryOptions::default() }
}

/// Waits for one of some slots, no longer than the request may take.
pub(crate) async fn slot(slots: &Arc<Semaphore>, options: &QueryOptions) -> Result<OwnedSemaphorePermit, ApiError> {
    let waited = tokio::time::timeout(options.timeout.unwrap_or_default(), Arc::clone(slots).acquire_owned()).await;
    match waited {
        Ok(Ok(slot)) => Ok(slot),
        Ok(Err(_)) => Err(ApiError::new(Kind::Canceled, "the server is stopping")),
        Err(_) => Err(ApiError::new(Kind::Timeout, "query timed out in query queue")),
    }
}

/// Runs a request that is not a query but reads the store, or parses a query. It has slots of its own, so that long queries
/// do not delay the completions of an editor.
pub(crate) async fn run<T: Send + 'static>(
    app: &Arc<App>,
    (params, origin): (&Params, &Origin),
    work: impl FnOnce(&Bounds) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    // Goes with this future, when the stream of an HTTP/2 connection that asked is given up.
    let asked = Arc::new(());
    // Upstream has no timeout here, and looks at none.
    let timeout = params.timeout().unwrap_or_default();
    let options = options(app, timeout, origin.client.as_ref(), &asked);
    let slot = slot(&app.listing_slots, &options).await?;
    let bounds = app.engine().bounds(&options);
    let work = move || {
        let _slot = slot;
        // Time may have run out while it waited for a slot or a thread.
        bounds.check().map_err(told)?;
        work(&bounds)
    };
    execute(&app.in_place, origin.version, work).await?
}

/// Runs a listing within bounds: `list` gets the callback that the store calls before it adds an item.
pub(crate) fn listed<T>(
    bounds: &Bounds,
    limit: usize,
    list: impl FnOnce(&Listing<'_>) -> Result<T, QuerierError>,
) -> Result<T, ApiError> {
    let (seen, spare, failed) = (Cell::new(0usize), Cell::new(0usize), Cell::new(None));
    let grow = |bytes: usize| {
        seen.set(seen.get() + 1);
        // At the first item already: a listing of few, slow items would otherwise never look. Who waits says so by nothing.
        let checked = if bytes == 0 || seen.get() % PACE == 1 { bounds.check() } else { Ok(()) };
        let taken = checked.and_then(|()| {
            if bytes > spare.get() {
                let more = bytes.max(GRAIN);
                bounds.take(more)?;
                spare.set(spare.get() + more);
            }
            spare.set(spare.get() - bytes);
            Ok(())
        });
        taken.map_err(|error| {
            // The store only passes on that it was stopped; why is kept here.
            failed.set(Some(error));
            QuerierError::Stopped
        })
    };
    let outcome = list(&Listing { limit, grow: &grow });
    match failed.take() {
        Some(error) => Err(told(error)),
        None => Ok(outcome?),
    }
}
